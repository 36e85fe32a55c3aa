// The Littoral Worker of tests/worker/inside.test.mjs: the Durable Object built with the feature `testing`, and what a test asks of it.

import { DurableObject } from "cloudflare:workers";
import * as wasm from "../../../build-testing/index.js";
import { Group } from "../../../src/worker/group.mjs";
import { Upkeep } from "../../../src/worker/upkeep.mjs";

/** worker-build makes the module's functions methods of the default entry point. @type {any} */
const functions = wasm.default.prototype;

export class Database extends DurableObject {
  #database;
  #group;
  #upkeep;

  constructor(ctx, env) {
    super(ctx, env);
    this.#database = new wasm.Database(ctx, env);
    this.#upkeep = new Upkeep(() => this.#database.maintain(), ctx.storage);
    this.#group = new Group((requests) => this.#upkeep.after(this.#database.answer(requests)), () => ctx.storage.sync());
  }

  alarm() {
    return this.#upkeep.run();
  }

  /** When the alarm is set for. */
  alarmTime() {
    return this.ctx.storage.getAlarm();
  }

  /** Sets the alarm for now. */
  ring() {
    return this.ctx.storage.setAlarm(Date.now());
  }

  async query(...calls) {
    const [body] = await this.#group.submit([JSON.stringify({ calls })]);
    return JSON.parse(body);
  }

  storeCase(name) {
    return this.#database.storeCase(name) ?? null;
  }

  pragmas() {
    return this.#database.pragmas();
  }

  trapAt(operation) {
    this.#database.trapAt(operation);
  }

  /** Runs SQL on the object's storage itself, as a damaged disk or another program would. */
  storage(sql, ...params) {
    return this.ctx.storage.sql.exec(sql, ...params).toArray();
  }

  /** Ends the object as the runtime does when it evicts one: nothing in memory stays. */
  evict() {
    this.ctx.abort("evicted by a test");
  }
}

/** Writes to the instance's memory what nobody there wrote: changes the byte after these, wherever they are. Returns how often they were found. */
function overwriteAfter(...bytes) {
  const memory = new Uint8Array(functions.instanceMemory().buffer);
  let found = 0;
  for (let at = memory.indexOf(bytes[0]); at >= 0; at = memory.indexOf(bytes[0], at + 1)) {
    if (!bytes.every((byte, index) => memory[at + index] === byte)) continue;
    memory[at + bytes.length] ^= 1;
    found += 1;
  }
  return found;
}

const actions = {
  overwriteAfter,
  storeCases: () => functions.storeCases(),
  sqliteOptions: () => functions.sqliteOptions(),
};

export default {
  /** `{name, method, args}`: a method of the object of that name, or one of `actions`. */
  async fetch(request, env) {
    const { name, method, args } = await request.json();
    try {
      const value = name ? await env.DATABASE.getByName(name)[method](...args) : actions[method](...args);
      return Response.json({ value });
    } catch (error) {
      return Response.json({ error: error.message });
    }
  },
};
