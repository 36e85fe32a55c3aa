// A link shortener: which request means what. README.md lists the requests.
//
// `env.DB` is the runtime's own D1Database in `wrangler dev` and a service binding once deployed; `bind` gives
// both the same surface, so nothing else here knows the difference.
// Each visitor has a session: what they read is never older than what they have read or written before, whichever
// copy of the database answers.
// Not here: SQL (links.js).

import { applyMigrations, bind, openSession } from "littoral";
import migration1 from "../migrations/0001_links.sql";
import migration2 from "../migrations/0002_visits_by_day.sql";
import * as links from "./links.js";

/** @import { D1Database, RequestSession } from "littoral" */

/** @typedef {{ DB: Fetcher }} Env */

const MIGRATIONS = [
  { name: "0001_links.sql", sql: migration1 },
  { name: "0002_visits_by_day.sql", sql: migration2 },
];

export default {
  /**
   * @param {Request} request
   * @param {Env} env
   */
  async fetch(request, env) {
    const db = bind(env.DB);
    const { pathname, protocol } = new URL(request.url);
    const session = openSession(db, request, { path: "/links", secure: protocol === "https:" });
    try {
      if (request.method === "POST" && pathname === "/migrate") {
        return Response.json({ applied: await applyMigrations(db, MIGRATIONS) });
      }
      if (pathname === "/links" || pathname.startsWith("/links/")) {
        return session.save(await manage(session, request, pathname.slice("/links/".length)));
      }
      return await follow(db, request, pathname.slice(1));
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      const answer = Response.json({ error: message }, { status: 500 });
      // A bookmark of a database that has been replaced is refused: the session begins anew.
      return message.includes("bookmark") ? session.forget(answer) : session.save(answer);
    }
  },
};

/**
 * Everything under /links.
 * @param {RequestSession} db
 * @param {Request} request
 * @param {string} slug
 */
async function manage(db, request, slug) {
  switch (`${request.method} ${slug === "" ? "/links" : "/links/:slug"}`) {
    case "GET /links":
      return Response.json(await links.mostVisited(db));
    case "POST /links":
      return add(db, await request.json().catch(() => null));
    case "GET /links/:slug": {
      const link = await links.find(db, slug);
      return link ? Response.json(link) : refuse(404, `there is no link ${slug}`);
    }
    case "DELETE /links/:slug":
      return (await links.remove(db, slug)) ? new Response(null, { status: 204 }) : refuse(404, `there is no link ${slug}`);
    default:
      return refuse(405, `${request.method} means nothing here`);
  }
}

/**
 * Adds one link, or a list of them: all or none.
 * @param {RequestSession} db
 * @param {unknown} body
 */
async function add(db, body) {
  const wanted = (Array.isArray(body) ? body : [body]).map(links.checked);
  if (wanted.length === 0 || !wanted.every((link) => link !== null)) {
    return refuse(400, 'a link is {"url": "https://...", "slug": "a-z, 0-9 and -"}; the slug may be left out');
  }
  const made = await links.add(db, wanted);
  if (made === null) return refuse(409, "there is a link of that name");
  return Response.json(Array.isArray(body) ? made : made[0], { status: 201 });
}

/**
 * @param {D1Database} db
 * @param {Request} request
 * @param {string} slug
 */
async function follow(db, request, slug) {
  const url = request.method === "GET" && slug !== "" ? await links.follow(db, slug) : null;
  return url === null ? refuse(404, "there is no such link") : Response.redirect(url, 302);
}

/**
 * @param {number} status
 * @param {string} error
 */
function refuse(status, error) {
  return Response.json({ error }, { status });
}
