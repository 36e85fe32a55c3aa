// A log of what was seen on the shore: which request means what. README.md lists the requests, public/ is the page that makes them.
//
// Each visitor has a session: what they read is never older than what they have read or written before, whichever copy of the database
// answers.
// Not here: SQL (shore_log.js).

import { applyMigrations, bind, openSession } from "littoral";
import migration1 from "../../../migrations/0001_shore_log.sql";
import migration2 from "../../../migrations/0002_search.sql";
import * as log from "./shore_log.js";

/** @import { RequestSession } from "littoral" */
/** @import { Database } from "./shore_log.js" */

/** @typedef {{ DB: Fetcher, LITTORAL: Fetcher }} Env */

const MIGRATIONS = [
  { name: "0001_shore_log.sql", sql: migration1 },
  { name: "0002_search.sql", sql: migration2 },
];

export default {
  /**
   * @param {Request} request
   * @param {Env} env
   */
  async fetch(request, env) {
    const { protocol, pathname } = new URL(request.url);
    // Deployed, Littoral has an address of its own; locally all requests come here.
    if (pathname.startsWith("/client/v4/")) return env.LITTORAL.fetch(request);
    const db = bind(env.DB);
    const session = openSession(db, request, { secure: protocol === "https:" });
    try {
      return session.save(await answer(request, db, session));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const refused = Response.json({ error: message }, { status: 400 });
      // A bookmark of a database that has been replaced is refused: the session begins anew.
      return message.includes("bookmark") ? session.forget(refused) : session.save(refused);
    }
  },
};

/**
 * @param {Request} request
 * @param {Database} db
 * @param {RequestSession} session
 */
async function answer(request, db, session) {
  const { pathname, searchParams } = new URL(request.url);
  const [, id] = /^\/api\/sightings\/(\d+)$/.exec(pathname) ?? [];
  switch (`${request.method} ${id === undefined ? pathname : "/api/sightings/:id"}`) {
    case "POST /setup":
      return Response.json(await setUp(db, session));
    case "GET /api/species":
      return Response.json(await log.species(session));
    case "GET /api/sightings":
      return Response.json({ ...(await log.sightings(session, searchParams.get("q") ?? "")), bookmark: session.getBookmark() });
    case "POST /api/sightings":
      return Response.json({ id: await log.add(session, log.checked(await request.json())) }, { status: 201 });
    case "DELETE /api/sightings/:id": {
      const removed = await log.remove(session, Number(id));
      return Response.json({ removed }, { status: removed === 0 ? 404 : 200 });
    }
    default:
      return new Response("not found", { status: 404 });
  }
}

/**
 * Applies the migrations, and loads sample rows where there are none. The session then reads what was loaded.
 * @param {Database} db
 * @param {RequestSession} session
 */
async function setUp(db, session) {
  const migrations = await applyMigrations(db, MIGRATIONS);
  // Not in the session: a copy that answers it may not have the rows yet that another visitor has loaded.
  const loaded = (await log.isEmpty(db)) ? await log.loadSample(session) : 0;
  return { migrations, sightings_loaded: loaded };
}
