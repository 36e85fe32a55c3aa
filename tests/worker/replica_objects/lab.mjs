// A runtime with one database, whose replicas a test looks into: the Littoral Worker with back doors (entry.mjs), and a user's Worker that
// asks (worker.mjs).
//
// Not here: any test.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { start } from "../harness.mjs";

export const LONDON = { colo: "LHR", continent: "EU", latitude: "51.5", longitude: "-0.1" };
export const TOKYO = { colo: "NRT", continent: "AS", latitude: "35.7", longitude: "139.7" };

const toJson = (arg) => (arg instanceof Uint8Array ? { hex: Buffer.from(arg).toString("hex") } : arg);
const fromJson = (value) => (value?.hex === undefined ? value : new Uint8Array(Buffer.from(value.hex, "hex")));

/** Asks until the answer is as wanted; the last answer, after a while, is what was found instead. */
export async function until(ask, wanted, what, longest_ms = 10_000) {
  const end = Date.now() + longest_ms;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    assert.ok(Date.now() < end, `${what}: ${JSON.stringify(answer)}`);
    await sleep(10);
  }
}

/**
 * Starts the runtime. `replication` and `limits` are the variables REPLICATION and LIMITS; `persist` a folder.
 * @param {{ name?: string, replication?: object, limits?: object, persist?: string }} [options]
 */
export async function openLab({ name = "lab", replication, limits, persist } = {}) {
  /** @type {string[]} */
  const log = [];
  const harness = await start({
    entry: new URL("worker.mjs", import.meta.url),
    littoral: new URL("entry.mjs", import.meta.url),
    databases: [name],
    variables: { ...(replication && { REPLICATION: replication }), ...(limits && { LIMITS: limits }) },
    persist,
    log: (line) => log.push(line),
  });
  return new Lab(harness, name, log);
}

class Lab {
  constructor(harness, name, log) {
    this.harness = harness;
    this.name = name;
    this.log = log;
    this.primary = `${name}-rpc`;
  }

  dispose() {
    return this.harness.dispose();
  }

  #run(scenario, body, binding = "LITTORAL") {
    return this.harness.run(scenario, { binding, database: this.name, body });
  }

  /** Asks, as worker.mjs says, and answers with errors, too. */
  tryAsk(asked) {
    return this.#run("ask", asked, asked.way === "d1" ? "DB" : "LITTORAL");
  }

  async ask(asked) {
    const answer = await this.tryAsk(asked);
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  }

  askAll(asked) {
    return this.#run("askAll", asked);
  }

  lag(body) {
    return this.#run("lag", { primary: this.primary, ...body });
  }

  /** Asks in D1's wire protocol, with any text as the session's token. */
  wire(token, body) {
    return this.#run("wire", { token, body });
  }

  /** Writes straight on the primary, past every isolate. */
  write(sql, ...params) {
    return this.ask({ object: { namespace: "DATABASES", name: this.primary }, sql, params, token: "first-primary" });
  }

  /** Reads in a session in the isolate of a request that arrived at `cf`. */
  read(cf, sql, token = "first-unconstrained") {
    return this.ask({ cf, token, sql });
  }

  /** Reads in a session at the replica object of a region. */
  readAt(region, sql, token = "first-unconstrained") {
    return this.ask({ object: { namespace: "REPLICAS", name: `${region}/${this.primary}` }, token, sql });
  }

  async #call(namespace, name, method, args) {
    return fromJson(await this.#run("call", { namespace, name, method, args: args.map(toJson) }));
  }

  /** Calls a method of the primary's object. */
  atPrimary(method, ...args) {
    return this.#call("DATABASES", this.primary, method, args);
  }

  /** Calls a method of a region's replica object. */
  at(region, method, ...args) {
    return this.#call("REPLICAS", `${region}/${this.primary}`, method, args);
  }

  async evict(region) {
    await assert.rejects(region === undefined ? this.atPrimary("evict") : this.at(region, "evict"), /evicted by a test/);
  }

  /** Has a replica object write what it gathered. */
  async flush(region) {
    // News that come meanwhile set the alarm for later.
    const rung = async () => (await this.at(region, "ring")) ?? (await sleep(10)) ?? this.at(region, "alarmTime");
    await until(rung, (time) => time === null, "the alarm does not ring");
  }

  /** Waits for a line of the log. */
  async says(pattern) {
    await until(() => this.log, (log) => log.some((line) => pattern.test(line)), `nothing says ${pattern}`);
  }
}
