// openSession: which bookmark a request's session begins at, and what the response tells the client.

import assert from "node:assert/strict";
import { openSession } from "../../js/src/index.js";
import { serve } from "./user.mjs";

const OLD = "00000000-00000001-00000001-000000000000000000000000000000aa";
const NEW = "00000000-00000001-00000001-000000000000000000000000000000bb";
const WORKERD = "019a1b2c3d4e-0000002a";

const requestWith = (headers) => new Request("https://user.example/", { headers });

/** A session that is not asked, only how far it has come. */
const unasked = (bookmark) => /** @type {any} */ ({ getBookmark: () => bookmark });

/** What the session of a request begins at. The database is not asked. */
function beginning(headers, options) {
  let start;
  const withSession = (constraintOrBookmark) => {
    start = constraintOrBookmark;
    return unasked(null);
  };
  openSession({ withSession }, requestWith(headers), options);
  return start;
}

/** A session whose request carried `carried` and that has come as far as `bookmark`. */
const sessionAt = (bookmark, carried, options) =>
  openSession({ withSession: () => unasked(bookmark) }, requestWith(carried ? { "x-d1-bookmark": carried } : {}), options);

export default serve({
  async "a bookmark survives two requests, by cookie and by header"({ db }) {
    await db.exec("CREATE TABLE IF NOT EXISTS notes (v)");
    const first = openSession(db, requestWith({}));
    assert.equal(first.save(new Response()).headers.get("set-cookie"), null, "there is no bookmark yet");
    await first.batch([first.prepare("INSERT INTO notes VALUES (?)").bind("a"), first.prepare("SELECT 1")]);
    const { headers } = first.save(new Response());
    const bookmark = first.getBookmark();
    assert.equal(headers.get("x-d1-bookmark"), bookmark);
    assert.equal(headers.get("set-cookie"), `d1-bookmark=${bookmark}; Path=/; Max-Age=21600; HttpOnly; SameSite=Lax; Secure`);

    const cookie = headers.get("set-cookie")?.split(";")[0] ?? "";
    for (const carrying of [{ cookie }, { "x-d1-bookmark": bookmark }]) {
      const second = openSession(db, requestWith(carrying));
      assert.equal(second.getBookmark(), bookmark);
      const before = second.save(new Response()).headers;
      assert.deepEqual([...before], [], "the client has that bookmark");
      await second.prepare("INSERT INTO notes VALUES (?)").bind("b").run();
      assert.ok(String(second.save(new Response()).headers.get("x-d1-bookmark")) > String(bookmark));
    }
  },

  async "it has the statements of its database, the runtime's own or the package's"({ db }) {
    const statement = openSession(db, requestWith({})).prepare("SELECT ? AS n").bind(1);
    assert.deepEqual([statement.statement, statement.params], ["SELECT ? AS n", [1]]);
    assert.equal(statement.constructor.name, "D1PreparedStatement");
  },

  async "of the bookmarks that a request carries the newest wins"() {
    const cookie = (...values) => values.map((value) => `d1-bookmark=${value}`).join("; ");
    assert.equal(beginning({ "x-d1-bookmark": OLD, cookie: cookie(NEW) }), NEW);
    assert.equal(beginning({ "x-d1-bookmark": NEW, cookie: cookie(OLD) }), NEW);
    assert.equal(beginning({ cookie: `a=b;${cookie(OLD, NEW, "x")};xd1-bookmark=${NEW}; theme="dark"` }), NEW);
    assert.equal(beginning({ "x-d1-bookmark": "first-primary", cookie: cookie(OLD) }), OLD);
    assert.equal(beginning({ cookie: cookie(WORKERD) }), WORKERD);
    assert.equal(beginning({ "x-d1-bookmark": OLD, cookie: cookie(NEW) }, { cookie: false }), OLD);
    assert.equal(beginning({ "x-d1-bookmark": NEW, cookie: cookie(OLD) }, { header: false }), OLD);
    assert.equal(beginning({ "x-links": OLD, cookie: `links=${NEW}; ${cookie(OLD)}` }, { header: "x-links", cookie: "links" }), NEW);
  },

  async "what is no bookmark counts as none"() {
    const longer = `${NEW}0`;
    const hostile = [
      "", "=", ";", "first-primary", "null", NEW.toUpperCase(), NEW.slice(1), longer, `${NEW} ${NEW}`, `${NEW}, ${NEW}`, `"${NEW}"`, "%00",
      "%", "d1-bookmark", "__proto__=1", "x".repeat(100_000), "\u00e9", `${NEW}\t;`.repeat(1000), "-".repeat(59), "../../x",
    ];
    for (const value of hostile) {
      for (const headers of [{ "x-d1-bookmark": value }, { cookie: value }, { cookie: `d1-bookmark=${value.replaceAll(";", "")}` }]) {
        assert.equal(beginning(headers), "first-unconstrained", JSON.stringify(headers).slice(0, 200));
        assert.equal(beginning(headers, { constraint: "first-primary" }), "first-primary");
      }
    }
  },

  async "a response tells a newer bookmark and nothing else"() {
    for (const [bookmark, carried] of [[null, undefined], [null, OLD], [OLD, OLD], [OLD, NEW]]) {
      const response = new Response("body");
      assert.equal(sessionAt(bookmark, carried).save(response), response);
      assert.deepEqual(response.headers.getSetCookie(), []);
    }
    assert.equal(sessionAt(NEW, OLD).save(new Response()).headers.get("x-d1-bookmark"), NEW);
    const local = { cookie: "links", path: "/links", maxAge: 60, secure: false, header: undefined };
    assert.deepEqual([...sessionAt(NEW, OLD, local).save(new Response()).headers], [
      ["set-cookie", `links=${NEW}; Path=/links; Max-Age=60; HttpOnly; SameSite=Lax`],
      ["x-d1-bookmark", NEW],
    ]);
    assert.deepEqual([...sessionAt(NEW, OLD, { header: false, cookie: false }).save(new Response()).headers], []);
    assert.deepEqual([...sessionAt(NEW, OLD).forget(new Response()).headers], [
      ["set-cookie", "d1-bookmark=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"],
    ]);
  },

  async "a response keeps what it has, also where its headers are fixed"({ stub }) {
    const session = sessionAt(NEW, OLD);
    const own = new Response("body", { status: 201, headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-d1-bookmark", OLD]] });
    const saved = session.save(own);
    assert.deepEqual(saved.headers.getSetCookie().map((cookie) => cookie.split(";")[0]), ["a=1", "b=2", `d1-bookmark=${NEW}`]);
    assert.deepEqual([saved.status, saved.headers.get("x-d1-bookmark"), await saved.text()], [201, NEW, "body"]);

    const fetched = await stub.fetch("http://littoral/query", { method: "POST", body: '{"sql":"SELECT 1","params":[]}' });
    assert.throws(() => fetched.headers.set("a", "b"), TypeError);
    const passed = session.save(fetched);
    assert.equal(passed.headers.get("x-d1-bookmark"), NEW);
    assert.equal((await passed.json()).success, true);

    const redirect = session.save(Response.redirect("https://b.example/", 302));
    assert.deepEqual([redirect.status, redirect.headers.get("location")], [302, "https://b.example/"]);
    assert.equal(session.save(new Response(null, { status: 204 })).status, 204);
    const [client] = Object.values(new WebSocketPair());
    assert.equal(session.save(new Response(null, { status: 101, webSocket: client })).webSocket, client);
  },
});
