// Runs a workload on the real Worker and writes down its history, in the format of tests/histories/format.rs.
//
// A client is a browser: it sends one request at a time and keeps the session's bookmark as a cookie would. Time is this process's.
//
// Invariants
// 1. `start` is read before a request is sent, `end` after its answer came: operations of one request have both in common.
// 2. A bookmark is handed over by an operation that was written down before, and the session that takes it over is a new one.
// Not here: what is asked (workload.mjs), what the Worker does (worker.mjs), whether the history is good (tests/histories).

import { setTimeout as sleep } from "node:timers/promises";
import { LOCATIONS, Workload } from "./workload.mjs";

/** Every so many clients, one has no sessions. */
const SESSIONLESS = 4;

class Recorder {
  lines = [];
  /** The last answer of each session, for others to go on from: `{ op, bookmark }`. */
  #ends = new Map();

  constructor(harness, database, pretended) {
    this.harness = harness;
    this.database = database;
    this.pretended = pretended;
  }

  async ask(location, request, signal) {
    const body = JSON.stringify({ database: this.database, pretended: this.pretended, ...request });
    const response = await this.harness.miniflare.dispatchFetch("http://user/", { method: "POST", body, cf: location, signal });
    if (!response.ok) throw new Error(await response.text());
    return response.json();
  }

  write(operation) {
    const op = this.lines.length + 1;
    this.lines.push(JSON.stringify({ op, ...operation }));
    if (operation.outcome === "ok" && operation.session !== null) this.#ends.set(operation.session, { op, bookmark: operation.after });
  }

  /** The end of some session but `own`, newer ones more often; `chance` is from 0 to 1. */
  another(own, chance) {
    const others = [...this.#ends].filter(([session]) => session !== own);
    return others[Math.floor(Math.sqrt(chance) * others.length)]?.[1];
  }
}

class Client {
  /** The session's bookmark, or its constraint until there is one. */
  #token = "first-unconstrained";
  #session = 0;

  constructor(recorder, number) {
    this.recorder = recorder;
    this.number = number;
    this.home = LOCATIONS[number % LOCATIONS.length];
    this.sessions = number % SESSIONLESS !== SESSIONLESS - 1;
  }

  get #name() {
    return this.sessions ? `${this.number}.${this.#session}` : null;
  }

  async run(workload) {
    for (let plan = workload.next(this); plan !== undefined; plan = workload.next(this)) {
      await this.#request(plan);
      if (plan.pause_ms > 0) await sleep(plan.pause_ms);
    }
  }

  /** Begins a session, if the plan says so; answers whose bookmark was taken over. */
  #begin({ begin, from }) {
    if (begin === "none" || begin === "go on") return [];
    const end = begin === "handed" ? this.recorder.another(this.#name, from) : undefined;
    if (begin === "handed" && end === undefined) return [];
    this.#session++;
    this.#token = end?.bookmark ?? begin;
    return end === undefined ? [] : [end.op];
  }

  async #request(plan) {
    const follows = this.#begin(plan);
    const token = this.sessions ? this.#token : null;
    const gives_up = plan.gives_up_ms === undefined ? undefined : AbortSignal.timeout(plan.gives_up_ms);
    const start = performance.now();
    const answers = await this.recorder.ask(plan.location, { way: plan.way, token, calls: plan.calls }, gives_up).then(
      ({ colo, answers }) => {
        if (colo !== plan.location.colo) throw new Error(`the request arrived at ${colo} instead of ${plan.location.colo}`);
        return answers;
      },
      (error) => {
        if (!gives_up?.aborted) throw error;
        const before = token?.startsWith("first-") ? null : token;
        return plan.calls.map((steps) => ({ outcome: "unknown", tier: null, steps, before, after: before }));
      },
    );
    const end = performance.now();
    if (token === "first-primary" && !this.recorder.pretended && answers[0].outcome === "ok" && answers[0].tier !== "primary") {
      throw new Error(`a session that asked for the primary first was answered by ${answers[0].tier}`);
    }
    const common = { session: this.#name, start, end, location: plan.location.colo };
    answers.forEach(({ error, ...told }, index) => {
      if (told.outcome === "unknown" && error !== undefined) throw new Error(error);
      this.recorder.write({ ...common, ...told, follows: index === 0 ? follows : [] });
      if (this.sessions && told.after !== null) this.#token = told.after;
    });
  }
}

/**
 * Runs so many operations from so many clients on an empty database, which they reach in these `ways`; answers the history's text. `pretended` replicas, with a `fault` or
 * without, are those of pretended.mjs.
 */
export async function record(harness, { database, ways, seed, operations, clients, pretended }) {
  const recorder = new Recorder(harness, database, pretended);
  await recorder.ask(LOCATIONS[0], { way: ways[0], create: true });
  const workload = new Workload({ seed, operations, ways });
  const all = Array.from({ length: clients }, (_, number) => new Client(recorder, number));
  await Promise.all(all.map((client) => client.run(workload)));
  return recorder.lines.map((line) => `${line}\n`).join("");
}
