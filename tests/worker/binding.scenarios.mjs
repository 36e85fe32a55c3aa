// What the package's classes add to D1's: options, coalescing, and how they stand with the runtime's class.
//
// `stub` is the bare service binding; `watched` counts the RPC calls that go through it.

import assert from "node:assert/strict";
import { bind, bindAll, D1Database } from "../../js/src/index.js";
import { serve } from "./user.mjs";

function watched(stub) {
  const requests = [];
  return {
    requests,
    query: (text, options) => {
      requests.push({ ...JSON.parse(text), ...options });
      return stub.query(text, options);
    },
  };
}

const answering = (responses) => ({ query: async () => JSON.stringify(responses) });
const ok = (value) => ({ success: true, results: { columns: ["a"], rows: [[value]] }, meta: { duration: 0 } });

export default serve({
  async "the past is read at a bookmark and at a time"({ stub }) {
    const db = bind(stub);
    await db.exec("CREATE TABLE past (v)");
    const session = db.withSession();
    await session.prepare("INSERT INTO past VALUES (1)").run();
    const bookmark = session.getBookmark();
    await db.prepare("INSERT INTO past VALUES (2)").run();
    assert.ok(bookmark);
    const count = (at) => at.prepare("SELECT count(*) AS n FROM past").first("n");
    const past = db.at(bookmark);
    assert.deepEqual(await Promise.all([count(past), count(db), count(past)]), [1, 2, 1]);
    assert.equal(past.getBookmark(), bookmark);
    assert.equal(await count(db.at(new Date(Date.now() + 60_000))), 2);
    await assert.rejects(past.prepare("INSERT INTO past VALUES (3)").run(), /attempt to write a readonly database: SQLITE_READONLY/);
    await assert.rejects(count(db.at(new Date(0))), /no such table: past|no longer kept/);
    await assert.rejects(count(db.at("nonsense")), /invalid bookmark/);
    await assert.rejects(count(db.at(`f${bookmark.slice(1)}`)), { code: "BOOKMARK_UNKNOWN", message: /is not of this database/ });
    for (const point of /** @type {any[]} */ ([undefined, 5, {}, new Date(NaN)])) assert.throws(() => db.at(point), TypeError);
    await db.exec("DROP TABLE past");
  },

  async "an error has a code, which does not show where D1's has none"({ stub }) {
    const db = bind(stub);
    await db.exec("CREATE TABLE coded (a UNIQUE)");
    const insert = db.prepare("INSERT INTO coded VALUES (1)");
    await insert.run();
    await assert.rejects(insert.run(), { code: "SQLITE_CONSTRAINT_UNIQUE" });
    await assert.rejects(db.batch([insert]), { code: "SQLITE_CONSTRAINT_UNIQUE" });
    await assert.rejects(db.prepare("SELEC 1").run(), { code: "SQLITE_ERROR" });
    await assert.rejects(db.prepare("SELECT ?").run(), { code: "PARAMETERS" });
    await assert.rejects(db.withSession("nonsense").prepare("SELECT 1").run(), { code: "BOOKMARK_INVALID" });
    const error = await insert.run().catch((error) => error);
    assert.deepEqual(Object.keys(error), []);
    await db.exec("DROP TABLE coded");
  },

  async "a dump larger than a message arrives whole"({ stub }) {
    const db = bind(stub);
    await db.exec("CREATE TABLE dumped (v)");
    for (let i = 0; i < 8; i++) {
      await db
        .prepare("INSERT INTO dumped WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 500) SELECT randomblob(10000) FROM c")
        .run();
    }
    const file = new Uint8Array(await db.dump());
    const pages = new DataView(file.buffer).getUint32(28);
    assert.ok(file.length > 40_000_000);
    assert.equal(file.length, pages * 4096);
    assert.equal(new TextDecoder().decode(file.subarray(0, 15)), "SQLite format 3");
    await db.exec("DROP TABLE dumped");
  },

  async "numbers come back to the last bit"({ stub }) {
    const db = bind(stub);
    const numbers = [-1.1201070866198575e247, 1.1148977208740333e-9, 0.1 + 0.2, Number.MAX_VALUE, Number.MIN_VALUE, 2 ** 53 - 1];
    for (let i = 1; i <= 500; i++) numbers.push(Math.sin(i), Math.exp(i) * Math.cos(i));
    assert.deepEqual(await db.prepare(`VALUES ${numbers.map(() => "(?)").join()}`).bind(...numbers).raw(), numbers.map((number) => [number]));
  },

  async "blobs as bytes"({ stub }) {
    const db = bind(stub, { blobs: "bytes" });
    const sql = "SELECT x'00ff' AS a, x'' AS b, NULL AS c, 'text' AS d, 7 AS e";
    const expected = { a: Uint8Array.of(0, 255), b: new Uint8Array(), c: null, d: "text", e: 7 };
    assert.deepEqual(await db.prepare(sql).first(), expected);
    assert.deepEqual((await db.prepare(sql).all()).results, [expected]);
    assert.deepEqual(await db.prepare(sql).raw(), [Object.values(expected)]);
    assert.deepEqual(
      (await db.batch([db.prepare(sql), db.prepare(sql)])).map((r) => r.results[0]),
      [expected, expected],
    );
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251);
    assert.deepEqual(await db.prepare("SELECT ? AS b").bind(bytes).first("b"), bytes);
    assert.deepEqual(await db.prepare("SELECT ? AS b").bind(bytes.buffer.slice(5, 9)).first("b"), bytes.slice(5, 9));
  },

  async "integers as BigInt"({ stub }) {
    const db = bind(stub, { integers: "bigint" });
    const row = await db
      .prepare(
        "SELECT 9223372036854775807 AS a, -9223372036854775808 AS b, 0 AS c, 1.0 AS d, 1e300 AS e, '5' AS f, x'0107' AS g, NULL AS h",
      )
      .first();
    assert.deepEqual(row, { a: 9223372036854775807n, b: -9223372036854775808n, c: 0n, d: 1, e: 1e300, f: "5", g: [1, 7], h: null });
    const { meta } = await db.prepare("SELECT 1").all();
    for (const key of ["changes", "last_row_id", "rows_read", "rows_written", "size_after", "duration"])
      assert.equal(typeof meta[key], "number", key);
    assert.deepEqual(await db.prepare("SELECT 1 AS a, 2.5 AS b").raw({ columnNames: true }), [
      ["a", "b"],
      [1n, 2.5],
    ]);
  },

  async "BigInt binds as INTEGER"({ stub }) {
    const db = bind(stub, { integers: "bigint" });
    for (const value of [0n, 1n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      assert.deepEqual(await db.prepare("SELECT typeof(?1) AS t, ?1 AS v").bind(value).first(), { t: "integer", v: value });
    }
    assert.equal(await db.prepare("SELECT 7 / ? AS q").bind(2n).first("q"), 3n);
    assert.equal(await db.prepare("SELECT typeof(?) AS t").bind(1).first("t"), "real");
    for (const value of [2n ** 63n, -(2n ** 63n) - 1n])
      assert.throws(() => db.prepare("SELECT ?").bind(value), /^Error: D1_TYPE_ERROR: Type 'bigint' not supported/);
    assert.throws(() => bind(stub).prepare("SELECT ?").bind(1n), /^Error: D1_TYPE_ERROR: Type 'bigint' not supported/);
  },

  async "both options"({ stub }) {
    const db = bind(stub, { blobs: "bytes", integers: "bigint" });
    assert.deepEqual(await db.prepare("SELECT 1 AS a, x'01' AS b, '{\"blob\":\"AA==\"}' AS c").first(), {
      a: 1n,
      b: Uint8Array.of(1),
      c: '{"blob":"AA=="}',
    });
  },

  async "fifty statements at once travel in one call"({ stub }) {
    const watch = watched(stub);
    const db = bind(watch);
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => db.prepare("SELECT ? AS a").bind(`${i}`).first("a")));
    assert.deepEqual(
      answers,
      Array.from({ length: 50 }, (_, i) => `${i}`),
    );
    assert.equal(watch.requests.length, 1);
    assert.equal(watch.requests[0].calls.length, 50);
  },

  async "statements, batches and exec at once keep their order and their fate"({ stub }) {
    const watch = watched(stub);
    const db = bind(watch);
    await db.exec("CREATE TABLE mixed(id INTEGER PRIMARY KEY)");
    watch.requests.length = 0;
    const insert = (id) => db.prepare("INSERT INTO mixed VALUES(?)").bind(id);
    const count = db.prepare("SELECT count(*) AS n FROM mixed");
    /** @type {any[]} */
    const [, first, failed, second, batch, undone, done, last] = await Promise.allSettled([
      insert(1).run(),
      count.first("n"),
      insert(1).run(),
      count.first("n"),
      db.batch([insert(2), count]),
      db.batch([insert(3), insert(2)]),
      db.exec("INSERT INTO mixed VALUES(4)"),
      count.first("n"),
    ]);
    assert.equal(first.value, 1);
    assert.match(failed.reason.message, /^D1_ERROR: UNIQUE constraint failed: mixed.id/);
    assert.equal(second.value, 1);
    assert.deepEqual(batch.value[1].results, [{ n: 2 }]);
    assert.match(undone.reason.message, /^D1_ERROR: UNIQUE/);
    assert.equal(done.value.count, 1);
    assert.equal(last.value, 3);
    assert.equal(watch.requests.length, 1);
  },

  async "what comes after an await travels on its own"({ stub }) {
    const watch = watched(stub);
    const db = bind(watch);
    await db.prepare("SELECT 1").first();
    await db.prepare("SELECT 2").first();
    assert.equal(watch.requests.length, 2);
  },

  async "a single statement makes the smallest request"({ stub }) {
    const watch = watched(stub);
    await bind(watch).prepare("SELECT ? AS a").bind(1).first();
    assert.deepEqual(watch.requests, [{ calls: [{ sql: "SELECT ? AS a", params: [1] }] }]);
  },

  async "large requests are split, in order"({ stub }) {
    const watch = watched(stub);
    const db = bind(watch);
    const lengths = await Promise.all(
      [1, 2, 3, 4].map((n) =>
        db
          .prepare("SELECT length(?) AS n")
          .bind("x".repeat(3_000_000 + n))
          .first("n"),
      ),
    );
    assert.deepEqual(lengths, [3_000_001, 3_000_002, 3_000_003, 3_000_004]);
    assert.deepEqual(
      watch.requests.map((r) => r.calls.length),
      [2, 2],
    );
  },

  async "calls left unanswered are sent again"() {
    const sent = [];
    const db = bind({
      query: async (text) => {
        const { calls } = JSON.parse(text);
        sent.push(calls.length);
        return JSON.stringify({ responses: calls.slice(0, 2).map((c) => ok(c.params[0])) });
      },
    });
    assert.deepEqual(await Promise.all([1, 2, 3, 4, 5].map((n) => db.prepare("x").bind(n).first("a"))), [1, 2, 3, 4, 5]);
    assert.deepEqual(sent, [5, 3, 1]);
    await assert.rejects(
      bind(answering({ responses: [] }))
        .prepare("x")
        .all(),
      /answered none/,
    );
  },

  async "a call that is no call spoils no other"({ stub }) {
    const db = bind(stub);
    /** @type {any[]} */
    const [a, b, c, d] = await Promise.allSettled([
      db.prepare("SELECT 1 AS a").first("a"),
      db.prepare(/** @type {any} */ (5)).first(),
      // biome-ignore lint/suspicious/noSparseArray: the fault of this call
      db.prepare("SELECT ? AS a").bind([1, , 3]).first(),
      db.prepare("SELECT 2 AS a").first("a"),
    ]);
    assert.deepEqual([a.value, b.status, c.status, d.value], [1, "rejected", "rejected", 2]);
  },

  async "large answers at once all arrive"({ stub }) {
    const db = bind(stub);
    const sql = "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x<40) SELECT printf('%.*c', 100000, 'y') AS t FROM c";
    const results = await Promise.all(Array.from({ length: 12 }, () => db.prepare(sql).all()));
    for (const { results: rows } of results) assert.deepEqual([rows.length, String(rows[39].t).length], [40, 100_000]);
  },

  async "a session sends its newest bookmark"({ stub }) {
    const watch = watched(stub);
    const session = bind(watch).withSession("first-primary");
    assert.equal(session.getBookmark(), null);
    await Promise.all([session.prepare("SELECT 1").run(), session.prepare("SELECT 2").run()]);
    const first = session.getBookmark() ?? "";
    assert.match(first, /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/);
    await session.prepare("CREATE TABLE IF NOT EXISTS moved(x)").run();
    await session.prepare("INSERT INTO moved VALUES(1)").run();
    const second = session.getBookmark() ?? "";
    assert.ok(first < second, `${first} < ${second}`);
    await session.prepare("SELECT 3").run();
    assert.deepEqual(
      watch.requests.map((r) => r.session),
      ["first-primary", first, watch.requests[2].session, second],
    );
    assert.deepEqual(
      watch.requests.map((r) => r.calls.length),
      [2, 1, 1, 1],
    );
  },

  async "a session started from a bookmark reads what it covers"({ stub }) {
    const writer = bind(stub).withSession();
    await writer.prepare("CREATE TABLE IF NOT EXISTS covered(x)").run();
    await writer.prepare("INSERT INTO covered VALUES(42)").run();
    const reader = bind(stub).withSession(writer.getBookmark() ?? "none");
    assert.equal(await reader.prepare("SELECT max(x) AS m FROM covered").first("m"), 42);
    assert.equal(reader.getBookmark(), writer.getBookmark());
  },

  async "without a session no bookmark travels"({ stub }) {
    const watch = watched(stub);
    await bind(watch).prepare("SELECT 1").run();
    assert.deepEqual(Object.keys(watch.requests[0]), ["calls"]);
  },

  async "a bookmark never goes back"() {
    const bookmarks = ["00000002", "00000001", "00000003"];
    const session = bind({ query: async () => JSON.stringify({ bookmark: bookmarks.shift(), responses: [ok(1)] }) }).withSession();
    const seen = [];
    for (let i = 0; i < 3; i++) {
      await session.prepare("x").run();
      seen.push(session.getBookmark());
    }
    assert.deepEqual(seen, ["00000002", "00000002", "00000003"]);
  },

  async "what the transport throws rejects each call"() {
    const db = bind({
      query: async () => {
        throw new Error("Network connection lost.");
      },
    });
    /** @type {any[]} */
    const [a, b] = await Promise.allSettled([db.prepare("x").first(), db.batch([db.prepare("y")])]);
    assert.equal(a.reason.message, "D1_ERROR: Network connection lost.");
    assert.equal(a.reason.cause.message, "Network connection lost.");
    assert.equal(b.reason.message, a.reason.message);
    assert.notEqual(a.reason, b.reason);
    await assert.rejects(
      bind(answering({ error: "the request is no JSON" }))
        .prepare("x")
        .run(),
      /^Error: D1_ERROR: the request is no JSON$/,
    );
    await assert.rejects(
      bind({ query: async () => "<html>" })
        .prepare("x")
        .run(),
      /^Error: D1_ERROR: .*JSON/,
    );
    await assert.rejects(
      bind({
        query: async () => {
          throw new Error("gone");
        },
      }).exec("x"),
      /^Error: D1_ERROR: gone$/,
    );
  },

  async "bind: the runtime's own class passes through"({ env }) {
    const native = env.DB_binding;
    assert.equal(native.constructor.name, "D1Database");
    assert.equal(bind(native), native);
    assert.equal(bind(env.D1_binding), env.D1_binding);
    assert.throws(() => bind(native, { blobs: "bytes" }), /the runtime's own D1Database/);
    assert.throws(() => bind(native, { integers: "bigint" }), /the runtime's own D1Database/);
  },

  async "bind: what it takes and refuses"({ stub }) {
    const db = bind(stub);
    assert.equal(bind(db), db);
    assert.ok(db instanceof D1Database);
    for (const nothing of [undefined, null, "DB", 5]) assert.throws(() => bind(nothing), /needs a service binding/);
    assert.throws(() => bind(stub, /** @type {any} */ ({ blobs: "hex" })), /option blobs/);
    assert.throws(() => bind(stub, /** @type {any} */ ({ integers: 64n })), /option integers/);
  },

  async "bind: straight to the object"({ env }) {
    const db = bind(env.DATABASES, { database: "straight", blobs: "bytes" });
    assert.deepEqual(await db.prepare("SELECT x'01' AS b").first("b"), Uint8Array.of(1));
    await db.exec("CREATE TABLE IF NOT EXISTS s (v)");
    assert.deepEqual((await bind(env.DATABASES, { database: "other" }).prepare("SELECT name FROM sqlite_schema").all()).results, []);
    for (const database of /** @type {any[]} */ (["", 5, null])) assert.throws(() => bind(env.DATABASES, { database }), /option database is a name/);
    assert.throws(() => bind(/** @type {any} */ ({}), { database: "x" }), /needs a service binding, or the binding of a Durable Object namespace/);
    await assert.rejects(bind(env.LITTORAL_binding, { database: "x" }).prepare("SELECT 1").all(), /does not reach the database "x": its props grant "binding-rpc"/);
  },

  async "bindAll: a copy of env"({ env }) {
    const bound = bindAll(env, ["LITTORAL_binding", "DB_binding"]);
    assert.equal(bound.LITTORAL_binding.constructor.name, "D1Database");
    assert.equal(bound.DB_binding, env.DB_binding);
    assert.equal(bound.D1_binding, env.D1_binding);
    assert.notEqual(env.LITTORAL_binding.constructor.name, "D1Database");
    assert.equal(await bound.LITTORAL_binding.prepare("SELECT 5 AS a").first("a"), 5);
    assert.throws(() => bindAll(env, ["NOPE"]), /no binding named NOPE/);
  },

  async "dump is a SQLite file"({ stub }) {
    const db = bind(stub);
    await db.exec("CREATE TABLE dumped(x)");
    const bytes = new Uint8Array(await db.dump());
    assert.equal(new TextDecoder().decode(bytes.slice(0, 15)), "SQLite format 3");
    assert.equal(bytes.length % 512, 0);
  },
});
