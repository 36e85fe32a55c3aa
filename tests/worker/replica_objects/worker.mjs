// The user's Worker of the tests of replicas: asks where a test says, and passes on what it asks of an object.
//
// Not here: what is right; the back doors of the objects (entry.mjs).

import { bind } from "../../../js/src/index.js";
import { serve } from "../user.mjs";

/**
 * The database: through the isolate of a request that arrived where `cf` says, or the object of a namespace.
 * @param {{ env: any, stub: any, db?: any }} context
 * @param {{ cf?: object, object?: { namespace: string, name: string }, way?: string, timeout_ms?: number }} where
 */
function open({ env, stub, db }, { cf, object, way, timeout_ms }) {
  if (way === "d1") return db;
  return object === undefined ? bind(stub, { cf, timeout_ms }) : bind(env[object.namespace], { database: object.name, timeout_ms });
}

/** Asks one statement, or several as a batch: `{ rows, meta, bookmark }`, or `{ error }`. */
async function ask(context, { token, at, sql, params = [], batch, ...where }) {
  /** @type {any} A database or a session. */
  const database = open(context, where);
  try {
    const asked = at !== undefined ? database.at(at) : token === undefined ? database : database.withSession(token);
    const results = batch ? await asked.batch(batch.map((text) => asked.prepare(text))) : [await asked.prepare(sql).bind(...params).run()];
    const [{ meta }] = results;
    return { rows: results.at(-1).results, meta, bookmark: asked.getBookmark?.() };
  } catch (error) {
    return { error: error.message };
  }
}

/** Bytes come as hexadecimal digits; `zeros` follow them. */
function fromJson(arg) {
  if (arg?.hex === undefined) return arg;
  const bytes = Uint8Array.from(arg.hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
  const all = new Uint8Array(bytes.length + (arg.zeros ?? 0));
  all.set(bytes);
  return all;
}

const toJson = (value) => (value instanceof Uint8Array ? { hex: Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("") } : value);

export default serve({
  ask: (context) => ask(context, context.body),

  /** Asks all of them at once. */
  askAll: (context) => Promise.all(context.body.map((asked) => ask(context, asked))),

  /** Calls a method of an object. */
  call: async ({ env, body: { namespace, name, method, args } }) => toJson(await env[namespace].getByName(name)[method](...args.map(fromJson))),

  /** A request of D1's wire protocol with this session token. */
  wire: async ({ stub, body: { token, body } }) => {
    const headers = { "content-type": "application/json", "x-cf-d1-session-commit-token": token };
    const response = await stub.fetch("http://d1/query?resultsFormat=ROWS_AND_COLUMNS", { method: "POST", headers, body });
    return { ...(await response.json()), status: response.status, token: response.headers.get("x-cf-d1-session-commit-token") };
  },

  /** Writes on the primary, so that this isolate does not know, and asks in unconstrained sessions until it is seen: milliseconds. */
  lag: async ({ env, stub, body: { primary, times, cf, object } }) => {
    const written = bind(env.DATABASES, { database: primary });
    const lags = [];
    for (let time = 0; time < times; time++) {
      const { meta } = await written.prepare("UPDATE clock SET ticks = ticks + 1").run();
      const began = Date.now();
      for (;;) {
        const session = open({ env, stub }, { cf, object }).withSession();
        const read = await session.prepare("SELECT ticks FROM clock").run();
        if (read.meta.served_by_tier === "primary") throw new Error("the primary answered");
        if (Number(read.meta.served_at_txid) >= Number(meta.served_at_txid)) break;
        if (Date.now() - began > 5_000) throw new Error("a write is not seen");
        await scheduler.wait(1);
      }
      lags.push(Date.now() - began);
      await scheduler.wait((time * 7) % 40);
    }
    return lags;
  },
});
