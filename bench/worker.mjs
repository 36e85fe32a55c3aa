// The user's Worker of the bench: makes calls on a system and times them where they are made.
//
// The runtime's clock shows whole milliseconds and moves on I/O only, so a single latency below some milliseconds means little;
// sums over many operations are exact.
//
// Not here: the order of rounds and what becomes of the figures (run.mjs).

import { WorkerEntrypoint } from "cloudflare:workers";
import { connect } from "./systems.mjs";
import { OPERATIONS } from "./workload.mjs";

export { PlainObject } from "./object.mjs";

export default class extends WorkerEntrypoint {
  async fetch(request) {
    try {
      const task = await request.json();
      return Response.json({ value: await this[task.do](task) ?? null });
    } catch (error) {
      return Response.json({ failure: String(error?.stack ?? error) });
    }
  }

  /** One statement on a system; for setting up. */
  async query({ system, database, sql, params }) {
    const began = performance.now();
    const rows = await connect(system, this.env, database).query(sql, params);
    return { rows, ms: performance.now() - began };
  }

  /** Nothing: starts the Worker itself. */
  async ready() {}

  /**
   * `operations` of a bench in `concurrency` loops. `shape` "loops": all in this request; "requests": each in a request of its own.
   * Answers the milliseconds of all together, and those of each operation by loop.
   */
  async round(task) {
    const { shape, concurrency, operations } = task;
    const each = Math.ceil(operations / concurrency);
    const db = connect(task.system, this.env, task.database);
    const began = performance.now();
    const loops = Array.from({ length: concurrency }, (_, lane) => {
      const part = { ...task, operations: each, seed: task.seed * 1_000 + lane };
      return shape === "requests" ? this.env.SELF.lane(part) : loop(db, part);
    });
    const lanes = await Promise.all(loops);
    return { ms: performance.now() - began, lanes };
  }

  /** Milliseconds that a batch takes on Littoral beyond those of an empty call. `undone`: it ends with a statement that fails. */
  async engine({ database, statements, undone }) {
    const stub = this.env[`LITTORAL_${database}`];
    const failing = undone ? [{ sql: "SELECT * FROM no_such_table" }] : [];
    const call = JSON.stringify({ calls: [[...statements, ...failing]] });
    const time = async (text, fails) => {
      const began = performance.now();
      const bytes = await stub.query(text);
      const answer = typeof bytes === "string" ? bytes : new TextDecoder().decode(bytes);
      if (answer.includes('"success":false') !== fails) throw new Error(answer.slice(0, 300));
      return performance.now() - began;
    };
    await time('{"calls":[]}', false);
    return await time(call, Boolean(undone)) - await time('{"calls":[]}', false);
  }

  /** One loop in a request of its own. */
  lane(part) {
    return loop(connect(part.system, this.env, part.database), part);
  }
}

/** Operations one after the other; answers the milliseconds of each. */
async function loop(db, { bench, operations, rows, seed }) {
  const operation = OPERATIONS[bench];
  const context = { random: generator(seed), rows };
  const latencies = [];
  let now = performance.now();
  for (let i = 0; i < operations; i++) {
    await operation(db, context);
    const then = now;
    now = performance.now();
    latencies.push(now - then);
  }
  return latencies;
}

/** A small generator of whole numbers below n (xorshift32), the same for each system. */
function generator(seed) {
  let state = (seed * 2654435761 ^ 0x9e3779b9) >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (let i = 0; i < 8; i++) next();
  return (n) => Math.floor(next() / 0x100000000 * n);
}
