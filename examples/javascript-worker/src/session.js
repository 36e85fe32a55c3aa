// A visitor's session: the newest bookmark they have seen, in a cookie. What they read is never older than
// what they have read or written before, whichever copy of the database answers.

const COOKIE = "bookmark";
const ATTRIBUTES = "Path=/links; HttpOnly; SameSite=Lax";

/** Goes on where the visitor's last request ended; a new visitor may begin anywhere. */
export function resume(db, request) {
  const cookies = request.headers.get("cookie")?.split(/; */) ?? [];
  const bookmark = cookies.find((cookie) => cookie.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1);
  return db.withSession(bookmark ?? "first-unconstrained");
}

/** The response, which also tells the visitor's browser how far the session came. */
export function keep(session, response) {
  const bookmark = session.getBookmark();
  if (bookmark !== null) response.headers.append("set-cookie", `${COOKIE}=${bookmark}; ${ATTRIBUTES}; Max-Age=604800`);
  return response;
}

/** The response, which also ends the session. */
export function forget(response) {
  response.headers.append("set-cookie", `${COOKIE}=; ${ATTRIBUTES}; Max-Age=0`);
  return response;
}
