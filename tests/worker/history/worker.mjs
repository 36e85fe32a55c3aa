// The user's Worker of the history test: runs what a client's request asks for, and tells what the database answered, word for word.
//
// A request is `{ way, database, token, calls, pretended }`: `calls` are operations, each an array of steps as in tests/histories/format.rs;
// `token` is the session's bookmark or constraint, or null for no session; `pretended` are replicas (pretended.mjs), or nothing. In a
// session, calls run one after the other; without, all at once.
// Not here: what is asked (workload.mjs), who keeps bookmarks and time (record.mjs).

import { bind } from "../../../js/src/index.js";
import { PretendedSession } from "./pretended.mjs";

const TABLE = "CREATE TABLE items (position INTEGER PRIMARY KEY AUTOINCREMENT, list TEXT NOT NULL, value INTEGER NOT NULL CHECK (value > 0))";
const INDEX = "CREATE INDEX items_by_list ON items (list, position, value)";

/** The replica object that is asked at each location: two locations of Europe share one. */
const REGIONS = { FRA: "weur", LHR: "weur", EWR: "enam", SJC: "wnam", NRT: "apac-ne", SYD: "oc", GRU: "sam" };

/** The database, for a request that arrived where `cf` says. Only the way "d1" leads to another one. */
const WAYS = {
  /** Whoever is nearest: the isolate, mostly. */
  service: (env, database, cf) => bind(env[`LITTORAL_${database}`], { cf }),
  /** The replica object of the region. */
  replica: (env, database, cf) => bind(env.REPLICAS, { database: `${REGIONS[cf.colo]}/${database}-rpc` }),
  /** The primary's object. */
  object: (env, database) => bind(env.DATABASES, { database: `${database}-rpc` }),
  /** The runtime's own class, which tells no location. */
  d1: (env, database) => env[`DB_${database}`],
};

function statement(db, step) {
  if ("append" in step) return db.prepare("INSERT INTO items (list, value) VALUES (?, ?)").bind(step.list, step.append);
  return db.prepare("SELECT value FROM items WHERE list = ? ORDER BY position").bind(step.list);
}

async function run(db, steps) {
  const statements = steps.map((step) => statement(db, step));
  const results = statements.length === 1 ? [await statements[0].all()] : await db.batch(statements);
  const answered = (step, { results }) => ("append" in step ? step : { ...step, read: results.map(({ value }) => value) });
  return { outcome: "ok", tier: results[0].meta.served_by_tier, steps: steps.map((step, index) => answered(step, results[index])) };
}

/** Whom to ask without a session. */
const sessionless = (db) => ({ getBookmark: () => null, ask: (steps) => run(db, steps) });

function session(db, token) {
  const session = db.withSession(token);
  return { getBookmark: () => session.getBookmark(), ask: (steps) => run(session, steps) };
}

async function answer(asked, steps) {
  const before = asked.getBookmark();
  const told = await asked.ask(steps).catch((error) => {
    // The constraint is broken on purpose; of any other error it is not known what it left.
    const outcome = error.message.includes("CHECK constraint failed") ? "failed" : "unknown";
    return { outcome, tier: null, steps, error: error.message };
  });
  return { ...told, before, after: asked.getBookmark() };
}

export default {
  async fetch(request, env) {
    const { way, database, token, calls, create, pretended } = await request.json();
    const db = WAYS[way](env, database, request.cf);
    if (create) return Response.json(await db.batch([db.prepare(TABLE), db.prepare(INDEX)]));
    const colo = request.cf?.colo;
    if (token === null) return Response.json({ colo, answers: await Promise.all(calls.map((steps) => answer(sessionless(db), steps))) });
    const location = `${database} ${colo}`;
    const asked = pretended ? new PretendedSession({ db, token, location, fault: pretended.fault, run }) : session(db, token);
    const answers = [];
    for (const steps of calls) answers.push(await answer(asked, steps));
    return Response.json({ colo, answers });
  },
};
