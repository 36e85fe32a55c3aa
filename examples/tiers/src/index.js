// One question, asked of each tier: README.md lists the requests, public/ is the page that makes them.
//
// Each answer is `{ notes, meta, bookmark, worker_ms }`: `meta` says which copy answered and how old its state may be, `worker_ms` is the
// time that this Worker waited for it.
// Not here: SQL (notes.js), the places (places.js).

import { applyMigrations, bind, openSession } from "littoral";
import migration1 from "../migrations/0001_notes.sql";
import * as notes from "./notes.js";
import { placeFor, placesFor } from "./places.js";

/** @import { D1Database, D1DatabaseSession, RequestSession } from "littoral" */
/** @import { Place } from "./places.js" */

/** @typedef {{ DB: Fetcher, REPLICAS: DurableObjectNamespace, DATABASE: string }} Env */
/** @typedef {Request<unknown, IncomingRequestCfProperties>} Incoming */
/** @typedef {{ request: Incoming, env: Env, url: URL, place: Place, db: D1Database, session: RequestSession }} Asked */

const MIGRATIONS = [{ name: "0001_notes.sql", sql: migration1 }];

/** Location hints: a replica object is named "hint/database". */
const REGIONS = /** @type {const} */ (["wnam", "enam", "sam", "weur", "eeur", "apac", "apac-ne", "apac-se", "oc", "afr", "me"]);

/** Something wrong with a request, in words for its sender. */
class Refusal extends Error {
  /**
   * @param {string} message
   * @param {number} [status]
   */
  constructor(message, status = 400) {
    super(message);
    this.status = status;
  }
}

export default {
  /**
   * @param {Incoming} request
   * @param {Env} env
   */
  async fetch(request, env) {
    const url = new URL(request.url);
    const place = placeFor(request, url.searchParams.get("place") ?? "here");
    const db = bind(env.DB, { cf: place?.cf });
    // The visitor's session goes on from request to request by a cookie. It reads where the place is, hence that `cf`.
    const session = openSession(db, { headers: request.headers, cf: place?.cf }, { path: "/api", secure: url.protocol === "https:" });
    try {
      if (place === undefined) throw new Refusal("there is no such place", 404);
      const answer = await route(`${request.method} ${url.pathname}`, { request, env, url, place, db, session });
      return session.save(Response.json(answer, { headers: { "cache-control": "no-store" } }));
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      const answer = Response.json({ error: message }, { status: error instanceof Refusal ? error.status : 500 });
      // A bookmark of a database that has been replaced is refused: the session begins anew.
      return url.pathname !== "/api/past" && message.includes("bookmark") ? session.forget(answer) : answer;
    }
  },
};

/**
 * Does what a request asks.
 * @param {string} what
 * @param {Asked} asked
 */
async function route(what, { request, env, url, place, db, session }) {
  switch (what) {
    case "GET /api/places":
      return { places: placesFor(request).map(({ id, name, cf }) => ({ id, name, colo: cf?.colo })) };
    case "POST /api/migrate":
      return { applied: await applyMigrations(db, MIGRATIONS) };
    // As any visitor's first request is: whichever copy is nearest, as fresh as it happens to be.
    case "GET /api/nearest":
      return timed(db.withSession("first-unconstrained"), notes.newest);
    // As yours: never older than what you have read or written.
    case "GET /api/session":
      return timed(session, notes.newest);
    case "GET /api/replica":
      return timed(replicaObject(env, url.searchParams.get("region")), notes.newest);
    case "GET /api/primary":
      return timed(db.withSession("first-primary"), notes.newest);
    case "GET /api/past":
      return timed(db.at(url.searchParams.get("bookmark") ?? ""), notes.newest);
    case "POST /api/notes": {
      const { text } = /** @type {{ text?: unknown }} */ ((await request.json().catch(() => null)) ?? {});
      if (!notes.isText(text)) throw new Refusal(`a note has 1 to ${notes.LONGEST} characters`);
      return timed(session, (session) => notes.write(session, text.trim(), place.name));
    }
    default:
      throw new Refusal(`${what} means nothing here`, 404);
  }
}

/**
 * The replica object of a region, by itself. Littoral goes there when an isolate cannot answer, and with the same location hint.
 * @param {Env} env
 * @param {string | null} asked
 */
function replicaObject(env, asked) {
  const region = REGIONS.find((region) => region === asked);
  if (region === undefined) throw new Refusal("there is no such region");
  // The runtime knows more hints than its types.
  const locationHint = /** @type {DurableObjectLocationHint} */ (region);
  return bind(env.REPLICAS.getByName(`${region}/${env.DATABASE}`, { locationHint })).withSession("first-unconstrained");
}

/**
 * @template {D1DatabaseSession} S
 * @param {S} session
 * @param {(session: S) => Promise<object>} ask
 */
async function timed(session, ask) {
  const began = Date.now(); // It goes on while the Worker waits, and only then.
  const answer = await ask(session);
  return { ...answer, bookmark: session.getBookmark(), worker_ms: Date.now() - began };
}
