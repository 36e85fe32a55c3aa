// The Littoral Worker of tests/worker/inside.test.mjs: the Durable Object as it is shipped, built with the feature `testing`, and what a test
// asks of it.

import * as wasm from "../../../build/index.js";
import { Database as Shipped } from "../../../src/worker/database.mjs";

/** worker-build makes the module's functions methods of the default entry point. @type {any} */
const functions = wasm.default.prototype;

export class Database extends Shipped {
  /** The Rust half, with what the feature adds. @type {any} */
  testing = this.rust;

  /** When the alarm is set for. */
  alarmTime() {
    return this.ctx.storage.getAlarm();
  }

  /** Sets the alarm for now. */
  ring() {
    return this.ctx.storage.setAlarm(Date.now());
  }

  async query(...calls) {
    const body = await super.query(JSON.stringify({ calls }));
    return JSON.parse(typeof body === "string" ? body : new TextDecoder().decode(body));
  }

  storeCase(name) {
    return this.testing.storeCase(name) ?? null;
  }

  pragmas() {
    return this.testing.pragmas();
  }

  trapAt(operation) {
    this.testing.trapAt(operation);
  }

  /** Runs SQL on the object's storage itself, as a damaged disk or another program would. */
  storage(sql, ...params) {
    return this.ctx.storage.sql.exec(sql, ...params).toArray();
  }

  /** Bytes of the WebAssembly instance's memory. */
  memoryBytes() {
    return functions.instanceMemory().buffer.byteLength;
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
