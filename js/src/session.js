// Sessions that go on from request to request: the client keeps the bookmark, in a cookie and in a header.
//
// Invariants
// 1. Nothing that a request carries makes openSession throw: what is no bookmark counts as none.
// 2. A response tells a bookmark only where it is newer than the one that the request carried.
// 3. Of the database only withSession() is used, so the runtime's own D1Database does as well as ours. It ignores the request's `cf`, by
//    which ours finds the nearest replica.
// 4. src/client/session.rs has the same names and defaults, so Workers in both languages can share a client.
// Not here: how a session reads and advances (channel.js).

/** @import { AnyDatabase, D1DatabaseSession, D1PreparedStatement, D1Result, SessionOptions } from "../types/index.d.ts" */

/** @typedef {Required<Omit<SessionOptions, "constraint">>} Client where a client keeps its bookmark */

/** D1's and Littoral's, or that of workerd's own D1. */
const BOOKMARK = /^(?:[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}|[0-9a-f]{12}-[0-9a-f]{8})$/;

const SIX_HOURS = 6 * 60 * 60;

/**
 * A session of `db` that begins at the newest bookmark that the request carries, or else at the constraint.
 * @param {Pick<AnyDatabase, "withSession">} db
 * @param {{ readonly headers: Headers, readonly cf?: unknown }} request
 * @param {SessionOptions} [options]
 */
export function openSession(db, request, {
  constraint = "first-unconstrained",
  header = "x-d1-bookmark",
  cookie = "d1-bookmark",
  path = "/",
  maxAge = SIX_HOURS,
  secure = true,
} = {}) {
  const carried = newestBookmark(request.headers, header, cookie);
  // The runtime's session has statements with the same fields, although its types leave two of them out.
  const session = /** @type {D1DatabaseSession} */ (db.withSession(carried ?? constraint, { cf: request.cf }));
  return new RequestSession(session, carried, { header, cookie, path, maxAge, secure });
}

/** A D1DatabaseSession that can tell the client how far it has come. */
export class RequestSession {
  #session;
  #carried;
  #client;

  /**
   * `carried` is the client's bookmark, if it has one, and `client` says where it keeps it.
   * @param {D1DatabaseSession} session
   * @param {string | undefined} carried
   * @param {Client} client
   */
  constructor(session, carried, client) {
    this.#session = session;
    this.#carried = carried;
    this.#client = client;
  }

  /**
   * @param {string} sql
   * @returns {D1PreparedStatement}
   */
  prepare(sql) {
    return this.#session.prepare(sql);
  }

  /**
   * @template [T=unknown]
   * @param {D1PreparedStatement[]} statements
   * @returns {Promise<D1Result<T>[]>}
   */
  batch(statements) {
    return this.#session.batch(statements);
  }

  getBookmark() {
    return this.#session.getBookmark();
  }

  /**
   * The response, which also tells the client the session's bookmark.
   * @param {Response} response
   */
  save(response) {
    const bookmark = this.getBookmark();
    if (bookmark === null || (this.#carried !== undefined && bookmark <= this.#carried)) return response;
    const { header, maxAge } = this.#client;
    const saved = this.#withCookie(response, bookmark, maxAge);
    if (header) saved.headers.set(header, bookmark);
    return saved;
  }

  /**
   * The response, which also has the client forget its bookmark, so that its next session begins anew.
   * @param {Response} response
   */
  forget(response) {
    return this.#withCookie(response, "", 0);
  }

  /**
   * A copy, since the headers of a response that was fetched cannot be changed.
   * @param {Response} response
   * @param {string} value
   * @param {number} maxAge
   */
  #withCookie(response, value, maxAge) {
    const { cookie, path, secure } = this.#client;
    const copy = new Response(response.body, response);
    if (cookie) {
      const attributes = `Path=${path}; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${secure ? "; Secure" : ""}`;
      copy.headers.append("set-cookie", `${cookie}=${value}; ${attributes}`);
    }
    return copy;
  }
}

/**
 * The newest bookmark in the header and in the cookies of that name: they sort as text.
 * @param {Headers} headers
 * @param {string | false} header
 * @param {string | false} cookie
 */
function newestBookmark(headers, header, cookie) {
  const found = header ? [headers.get(header)?.trim()] : [];
  for (const pair of (cookie && headers.get("cookie")?.split(";")) || []) {
    const [name, value] = pair.split("=", 2);
    if (name.trim() === cookie) found.push(value?.trim());
  }
  return found.filter((text) => text !== undefined && BOOKMARK.test(text)).sort().at(-1);
}
