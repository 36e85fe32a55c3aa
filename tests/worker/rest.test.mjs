// D1's REST API over HTTP: databases by name and id, statements, tokens, and how each mistake is answered.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { startAlone } from "./harness.mjs";
import { d1Client } from "./rest_client.mjs";

const TOKENS = ["first-token", "second-token"];
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const SESSION = "x-cf-d1-session-commit-token";

/** Calls that go on until `isOver` says so, and what became of them. */
async function meanwhile(call, isOver) {
  const seen = [];
  while (!isOver()) seen.push(await call());
  return seen;
}

describe("REST", () => {
  let littoral;
  let d1;

  before(async () => {
    littoral = await startAlone({ variables: { LITTORAL_TOKENS: TOKENS.join(" \n") } });
    d1 = d1Client(littoral.base, TOKENS[0]);
  });

  after(() => littoral?.dispose());

  test("a database is created, shown, changed, listed and deleted", async () => {
    const made = await d1.result("POST", "", { name: "shop", primary_location_hint: "weur" });
    assert.match(made.uuid, UUID);
    const { uuid, created_at, ...others } = made;
    assert.deepEqual(others, {
      name: "shop",
      version: "production",
      jurisdiction: null,
      num_tables: 0,
      file_size: 0,
      created_in_region: "WEUR",
      running_in_region: "WEUR",
      read_replication: { mode: "auto" },
    });
    assert.ok(Math.abs(Date.parse(created_at) - Date.now()) < 60_000);
    await d1.result("POST", "/shop/query", { sql: "CREATE TABLE a (x); CREATE TABLE b (y INTEGER PRIMARY KEY AUTOINCREMENT)" });
    for (const key of ["shop", uuid]) {
      const { num_tables, file_size } = await d1.result("GET", `/${key}`);
      assert.ok(num_tables === 2 && file_size > 8_192, `${num_tables} ${file_size}`);
      assert.deepEqual(await d1.result("GET", `/${key}?fields=uuid,name`), { uuid, name: "shop" });
    }
    for (const [method, mode] of [["PUT", "disabled"], ["PATCH", "auto"]]) {
      const changed = await d1.result(method, `/${uuid}`, { read_replication: { mode } });
      assert.deepEqual(changed.read_replication, { mode });
    }
    const listed = await d1.result("GET", "?name=sho");
    assert.deepEqual(listed.map(({ name, num_tables }) => [name, num_tables]), [["shop", 2]]);
    assert.deepEqual(Object.keys(listed[0]), ["uuid", "name", "version", "created_at", "jurisdiction", "num_tables", "file_size"]);
    assert.equal(await d1.result("DELETE", `/${uuid}`), null);
    for (const key of ["shop", uuid]) await d1.refused(404, 7404, "GET", `/${key}`);
    assert.deepEqual(await d1.result("GET", "?name=sho"), []);
  });

  test("lists are paged", async () => {
    for (let number = 0; number < 12; number++) await d1.result("POST", "", { name: `page-${String(number).padStart(2, "0")}` });
    const first = await d1.answer("GET", "?per_page=10&name=page-");
    assert.deepEqual(first.result_info, { page: 1, per_page: 10, count: 10, total_count: 12 });
    const second = await d1.answer("GET", "?per_page=10&page=2&name=page-");
    assert.deepEqual(second.result.map(({ name }) => name), ["page-10", "page-11"]);
  });

  test("statements have a result each, as objects or as rows", async () => {
    await d1.result("POST", "", { name: "statements" });
    const sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t (v) VALUES (?), (?); SELECT * FROM t WHERE v <> ?;";
    const results = await d1.result("POST", "/statements/query", { sql, params: ["a", "b", "a"] });
    assert.deepEqual(results.map(({ success, results }) => [success, results]), [[true, []], [true, []], [true, [{ id: 2, v: "b" }]]]);
    assert.equal(results[1].meta.changes, 2);
    const [{ results: raw }] = await d1.result("POST", "/statements/raw", { sql: "SELECT id, v FROM t" });
    assert.deepEqual(raw, { columns: ["id", "v"], rows: [[1, "a"], [2, "b"]] });
    const batch = [{ sql: "INSERT INTO t (v) VALUES (?)", params: ["c"] }, { sql: "SELECT count(*) AS n FROM t" }];
    const [, counted] = await d1.result("POST", "/statements/query", { batch });
    assert.deepEqual(counted.results, [{ n: 3 }]);
    const refused = await d1.refused(400, 7500, "POST", "/statements/query", { sql: "DELETE FROM t; SELEC" });
    assert.match(refused, /near "SELEC": syntax error/);
    assert.deepEqual((await d1.result("POST", "/statements/raw", { sql: "SELECT count(*) FROM t" }))[0].results.rows, [[3]]);
  });

  test("a session goes on from its bookmark", async () => {
    await d1.result("POST", "", { name: "session" });
    const write = await d1.send("POST", "/session/query", { sql: "CREATE TABLE t (v); INSERT INTO t VALUES (1)" }, { [SESSION]: "first-primary" });
    const bookmark = write.headers.get(SESSION);
    assert.match(bookmark, /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/);
    const read = await d1.send("POST", "/session/query", { sql: "SELECT v FROM t" }, { [SESSION]: bookmark });
    const { result: [{ results, meta }] } = await read.json();
    assert.deepEqual([results, meta.served_by_tier], [[{ v: 1 }], "isolate"]);
    const wrong = await d1.send("POST", "/session/query", { sql: "SELECT 1" }, { [SESSION]: "yesterday" });
    assert.equal(wrong.status, 400);
  });

  test("bookmarks are told for now and for a time", async () => {
    await d1.result("POST", "", { name: "past" });
    await d1.result("POST", "/past/query", { sql: "CREATE TABLE t (v)" });
    const before = Date.now();
    const { bookmark } = await d1.result("GET", "/past/time_travel/bookmark");
    await new Promise((resolve) => setTimeout(resolve, 20));
    await d1.result("POST", "/past/query", { sql: "INSERT INTO t VALUES (1)" });
    const then = await d1.result("GET", `/past/time_travel/bookmark?timestamp=${new Date(before + 5).toISOString()}`);
    assert.equal(then.bookmark, bookmark);
    const { bookmark: newest } = await d1.result("GET", "/past/time_travel/bookmark");
    assert.ok(newest > bookmark);
    await d1.refused(400, 7400, "GET", "/past/time_travel/bookmark?timestamp=yesterday");
    await d1.refused(400, 7400, "GET", "/past/time_travel/bookmark?timestamp=1970-01-01T00:00:01Z");
  });

  test("a restore brings back rows and tables, at once and for sessions, and is undone by another", async () => {
    await d1.result("POST", "", { name: "restored" });
    const raw = async (sql) => (await d1.result("POST", "/restored/raw", { sql })).at(-1).results.rows;
    await raw("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    const { bookmark: then } = await d1.result("GET", "/restored/time_travel/bookmark");
    const spoil = await d1.send("POST", "/restored/query", { sql: "UPDATE t SET v = 'spoilt'; CREATE TABLE u (x)" }, { [SESSION]: "first-primary" });
    const session = spoil.headers.get(SESSION);
    const inSession = async (bookmark, sql) => {
      const response = await d1.send("POST", "/restored/raw", { sql }, { [SESSION]: bookmark });
      const { result, errors } = await response.json();
      return { rows: result?.[0].results.rows, tier: result?.[0].meta.served_by_tier, error: errors[0]?.message };
    };
    assert.deepEqual(await inSession(session, "SELECT v FROM t"), { rows: [["spoilt"], ["spoilt"]], tier: "isolate", error: undefined });
    const restored = await d1.result("POST", `/restored/time_travel/restore?bookmark=${then}`);
    assert.equal(restored.previous_bookmark, session);
    assert.ok(restored.bookmark > session && restored.message.includes(session));
    assert.deepEqual(await raw("SELECT v FROM t"), [["a"], ["b"]]);
    assert.deepEqual(await inSession(restored.bookmark, "SELECT v FROM t"), { rows: [["a"], ["b"]], tier: "isolate", error: undefined });
    assert.match((await inSession(restored.bookmark, "SELECT * FROM u")).error, /no such table: u/);
    await raw("INSERT INTO t VALUES (3, 'after')");
    await d1.result("POST", `/restored/time_travel/restore?bookmark=${restored.previous_bookmark}`);
    assert.deepEqual(await raw("SELECT v FROM t"), [["spoilt"], ["spoilt"]]);
    assert.deepEqual(await raw("SELECT count(*) FROM u"), [[0]]);
    await d1.refused(400, 7400, "POST", "/restored/time_travel/restore");
    await d1.refused(400, 7400, "POST", "/restored/time_travel/restore?bookmark=yesterday");
    await d1.refused(400, 7400, "POST", "/restored/time_travel/restore?timestamp=2001-01-01T00:00:00Z");
    await d1.refused(400, 7500, "POST", `/restored/time_travel/restore?bookmark=${"0".repeat(7)}f-00000001-00000000-${"0".repeat(32)}`);
  });

  test("readers and writers go on while a restore of many pages runs, and nothing is torn", async () => {
    await d1.result("POST", "", { name: "busy" });
    const raw = async (sql) => (await d1.result("POST", "/busy/raw", { sql })).at(-1).results.rows;
    await raw("CREATE TABLE t (id INTEGER PRIMARY KEY, round, v); CREATE TABLE n (x)");
    await raw("WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 20000) INSERT INTO t SELECT x, 0, randomblob(900) FROM c");
    const { bookmark } = await d1.result("GET", "/busy/time_travel/bookmark");
    await raw("UPDATE t SET round = 1");
    let isRestoring = true;
    const rounds = [];
    const look = async () => {
      while (isRestoring) rounds.push(await raw("SELECT min(round), max(round) FROM t WHERE id IN (1, 5000, 10000, 20000)"));
    };
    const looking = look();
    const write = raw("INSERT INTO n VALUES (1) RETURNING x");
    await d1.result("POST", `/busy/time_travel/restore?bookmark=${bookmark}`);
    isRestoring = false;
    await Promise.all([looking, write]);
    assert.ok(rounds.length > 3, `${rounds.length} reads meanwhile`);
    assert.deepEqual([...new Set(rounds.map(String))].filter((seen) => seen !== "0,0"), ["1,1"]);
    assert.deepEqual(await raw("SELECT count(*), max(round) FROM t"), [[20_000, 0]]);
    await raw("INSERT INTO n VALUES (2)");
  });

  test("an export is SQL text of one state, fetched part by part without a token while others write", async () => {
    await d1.result("POST", "", { name: "exported" });
    const raw = async (name, sql) => (await d1.result("POST", `/${name}/raw`, { sql })).at(-1).results.rows;
    const check = "SELECT count(*), sum(length(v)), max(id) FROM t";
    await raw("exported", "CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE INDEX tv ON t (v); CREATE VIEW w AS SELECT 1");
    await raw("exported", "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 20000) INSERT INTO t SELECT x, hex(randomblob(100)) || char(10, 39) FROM c");
    const before = await raw("exported", check);
    const { status, at_bookmark, result } = await d1.result("POST", "/exported/export", { output_format: "polling" });
    assert.deepEqual([status, at_bookmark], ["complete", (await d1.result("GET", "/exported/time_travel/bookmark")).bookmark]);
    const response = await fetch(result.signed_url);
    assert.deepEqual([response.status, response.headers.get("content-type")], [200, "application/sql"]);
    const pieces = [];
    for await (const piece of response.body ?? []) {
      if (pieces.length < 3) await raw("exported", `DELETE FROM t WHERE id % 3 = ${pieces.length}`);
      pieces.push(piece);
    }
    const text = Buffer.concat(pieces).toString();
    assert.ok(text.length > 4_000_000 && pieces.length > 3, `${text.length} characters in ${pieces.length} pieces`);
    await d1.result("POST", "", { name: "imported" });
    await d1.result("POST", "/imported/query", { sql: text });
    assert.deepEqual(await raw("imported", check), before);
    const part = await d1.result("POST", "/exported/export", { output_format: "polling", dump_options: { no_schema: true, no_data: false, tables: ["w"] } });
    assert.equal(await (await fetch(part.result.signed_url)).text(), "PRAGMA defer_foreign_keys=TRUE;\n");
    const { signed_url } = part.result;
    const others = [signed_url.replace("no_schema=1&", ""), signed_url.replace(/expires=\d+/, "expires=9999999999999"), signed_url.replace("table=w", "table=t"),
      signed_url.replace("/exported/", "/imported/"), signed_url.replace("/exported/", "/none/"), signed_url.replace(/signature=../, "signature=zz"), signed_url.replace(/&signature=.*/, "")];
    for (const other of others) assert.equal((await fetch(other)).status, 403, other);
    await d1.refused(400, 7400, "POST", "/exported/export", { output_format: "file" });
    await d1.refused(400, 7400, "POST", "/exported/export", { output_format: "polling", current_bookmark: "x" });
  });

  test("an import is one transaction of a file that was uploaded; readers go on, and what fails changes nothing", async () => {
    await d1.result("POST", "", { name: "import" });
    const raw = async (sql) => (await d1.result("POST", "/import/raw", { sql })).at(-1).results.rows;
    await raw("CREATE TABLE before (v); INSERT INTO before VALUES (1)");
    const upload = async (text) => {
      const etag = createHash("md5").update(text).digest("hex");
      const { upload_url, filename } = await d1.result("POST", "/import/import", { action: "init", etag });
      const put = await fetch(upload_url, { method: "PUT", body: text });
      assert.deepEqual([put.status, put.headers.get("etag")], [200, `"${etag}"`]);
      return { action: "ingest", etag, filename };
    };
    const run = async (ingest) => {
      let answer = await d1.result("POST", "/import/import", ingest);
      const active = [];
      while (answer.status === "active") {
        active.push(answer.messages[0]);
        answer = await d1.result("POST", "/import/import", { action: "poll", current_bookmark: answer.at_bookmark });
      }
      return { ...answer, active };
    };
    const lines = Array.from({ length: 60_000 }, (_, id) => `INSERT INTO big VALUES (${id}, '${"é;--'' ".repeat(10)}');`).join("\n");
    const ingest = await upload(`PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE big (id INTEGER PRIMARY KEY, v TEXT);\n${lines}\nCOMMIT;\n`);
    let isOver = false;
    const reading = meanwhile(() => raw("SELECT count(*), (SELECT count(*) FROM sqlite_schema) FROM before"), () => isOver);
    const done = await run(ingest);
    isOver = true;
    assert.deepEqual([done.status, done.result.num_queries], ["complete", 60_002]);
    const seen = [...new Set((await reading).map(String))];
    assert.ok(seen.every((found) => ["1,1", "1,2"].includes(found)) && (await reading).length > 3, `${seen}`);
    assert.deepEqual(await raw("SELECT count(*), sum(id), min(length(v)) FROM big"), [[60_000, 1_799_970_000, 60]]);
    assert.equal((await d1.result("GET", "/import/time_travel/bookmark")).bookmark, done.result.final_bookmark);

    // The same file once more is the same work once more.
    for (const total of [1, 2]) {
      assert.equal((await run(await upload("INSERT INTO before VALUES (2);"))).status, "complete");
      assert.deepEqual(await raw("SELECT count(*) FROM before WHERE v = 2"), [[total]]);
    }

    const failed = await run(await upload(`${lines}\nSELEC;`));
    assert.equal(failed.status, "error");
    assert.match(failed.error, /UNIQUE constraint failed: big.id.*byte 0 of the file.*nothing of it was kept/);
    const orphans = await run(await upload("CREATE TABLE c (p REFERENCES big (id)); INSERT INTO c VALUES (-5);"));
    assert.match(orphans.error, /FOREIGN KEY constraint failed.*c \(rowid 1\) to big/);
    assert.deepEqual(await raw("SELECT count(*) FROM sqlite_schema"), [[2]]);
    const again = await d1.result("POST", "/import/import", { action: "poll", current_bookmark: "0".repeat(32) });
    assert.match(again.error, /no file was uploaded/);

    const etag = createHash("md5").update("x").digest("hex");
    const { upload_url } = await d1.result("POST", "/import/import", { action: "init", etag });
    assert.equal((await fetch(upload_url, { method: "PUT", body: "y" })).status, 400);
    for (const other of [upload_url.replace(etag, "0".repeat(32)), upload_url.replace(/expires=\d/, "expires=9"), upload_url.replace("/import/import/", "/restored/import/"), upload_url.split("?")[0]]) {
      assert.equal((await fetch(other, { method: "PUT", body: "x" })).status, 403, other);
    }
    // As signed with the token, for an hour and no longer.
    const { uuid } = await d1.result("GET", "/import?fields=uuid");
    const put = (expires) => {
      const signature = createHmac("sha256", TOKENS[0]).update(`import\n${uuid}\n${etag}\nexpires=${expires}`).digest("hex");
      return fetch(`${upload_url.split("?")[0]}?expires=${expires}&signature=${signature}`, { method: "PUT", body: "x" });
    };
    assert.equal((await put(Date.now() - 1)).status, 403);
    assert.equal((await put(Date.now() + 60_000)).status, 200);
    for (const body of [{}, { action: "init" }, { action: "init", etag: "x" }, { action: "moon" }, { action: "poll" }]) await d1.refused(400, 7400, "POST", "/import/import", body);
  });

  test("a database that is deleted under load is refused from then on, and nothing of it is left for the next one", async () => {
    for (let round = 0; round < 5; round++) {
      await d1.result("POST", "", { name: "loaded" });
      await d1.result("POST", "/loaded/query", { sql: "CREATE TABLE t (v)" });
      let isOver = false;
      const write = async () => (await d1.send("POST", "/loaded/query", { sql: "INSERT INTO t VALUES (1)" }, { [SESSION]: "first-unconstrained" })).status;
      const writing = [1, 2, 3, 4].map(() => meanwhile(write, () => isOver));
      await new Promise((resolve) => setTimeout(resolve, 30));
      await d1.result("DELETE", "/loaded");
      await d1.result("POST", "", { name: "loaded" });
      const raw = async (sql) => (await d1.result("POST", "/loaded/raw", { sql })).at(-1).results.rows;
      assert.deepEqual(await raw("SELECT count(*) FROM sqlite_schema"), [[0]]);
      await raw("CREATE TABLE t (v)");
      isOver = true;
      const seen = (await Promise.all(writing)).flat();
      // 400: there is no such table in the new one yet.
      assert.deepEqual([...new Set(seen)].filter((status) => ![200, 400, 404].includes(status)), [], `round ${round}`);
      assert.ok(seen.includes(200), `round ${round}: ${seen}`);
      await d1.result("DELETE", "/loaded");
    }
    assert.deepEqual(await d1.result("GET", "?name=loaded"), []);
  });

  test("every mistake has its answer", async () => {
    await d1.result("POST", "", { name: "mistakes" });
    await d1.refused(400, 7502, "POST", "", { name: "mistakes" });
    for (const body of ["", "{", "[]", {}, { name: 5 }, { name: "" }, { name: "a\nb" }, { name: "x", primary_location_hint: "moon" }, { name: "x", jurisdiction: "eu" }]) {
      await d1.refused(400, 7400, "POST", "", body);
    }
    for (const query of ["?page=0", "?per_page=x", "?per_page=10001"]) await d1.refused(400, 7400, "GET", query);
    for (const body of ["", "[1]", {}, { sql: 5 }, { sql: "x", params: {} }, { sql: "SELECT 1", batch: [] }, { batch: [{}] }]) {
      await d1.refused(400, 7400, "POST", "/mistakes/query", body);
    }
    for (const [method, path, body] of [["GET", "/none"], ["DELETE", "/none"], ["PUT", "/none", {}], ["POST", "/none/query", { sql: "SELECT 1" }], ["GET", "/none/time_travel/bookmark"]]) {
      await d1.refused(404, 7404, method, path, body);
    }
    assert.deepEqual(await d1.result("GET", "?name=none"), [], "asking creates nothing");
    await d1.refused(405, 10405, "DELETE", "");
    await d1.refused(405, 10405, "GET", "/mistakes/query");
    await d1.refused(404, 7000, "GET", "/mistakes/moon");
    await d1.refused(400, 7400, "PUT", "/mistakes", { read_replication: { mode: "moon" } });
    await d1.refused(413, 7413, "POST", "/mistakes/query", { sql: `SELECT '${"x".repeat(31 << 20)}'` });
  });

  test("only known tokens are let in", async () => {
    for (const token of TOKENS) await d1Client(littoral.base, token).result("GET", "");
    for (const authorization of [undefined, "", "Bearer", "Bearer ", `Bearer ${TOKENS[0]}x`, `Basic ${TOKENS[0]}`, TOKENS[0], "Bearer first-token second-token"]) {
      const response = await fetch(`${littoral.base}/client/v4/accounts/a/d1/database`, { headers: authorization === undefined ? {} : { authorization } });
      const { success, errors } = await response.json();
      assert.deepEqual([response.status, success, errors[0].code], [401, false, 10_000], authorization);
      assert.ok(!errors[0].message.includes("first"), "no token in an error");
    }
    // A body that nobody is to read is not waited for.
    const unread = request(`${littoral.base}/client/v4/accounts/a/d1/database/x/query`, { method: "POST", headers: { "content-length": 1_000_000 } });
    unread.flushHeaders();
    const [answer] = await once(unread, "response");
    assert.equal(answer.statusCode, 401);
    unread.destroy();
    const odd = await fetch(`${littoral.base}/client/v4/moon`);
    assert.equal(odd.status, 401, "nothing is told before a token is shown");
  });

  test("a name is used again, and what is left of the dead database is refused", async () => {
    const first = await d1.result("POST", "", { name: "again" });
    const write = await d1.send("POST", "/again/query", { sql: "CREATE TABLE secret (v); INSERT INTO secret VALUES ('old')" }, { [SESSION]: "first-primary" });
    for (let write = 0; write < 5; write++) await d1.result("POST", "/again/query", { sql: "INSERT INTO secret VALUES ('more')" });
    const newest = (await d1.result("GET", "/again/time_travel/bookmark")).bookmark;
    const bookmark = write.headers.get(SESSION);
    const read = () => d1.send("POST", "/again/query", { sql: "SELECT * FROM secret" }, { [SESSION]: bookmark });
    assert.equal((await read()).status, 200);
    await d1.result("DELETE", "/again");
    assert.equal((await read()).status, 404);
    const second = await d1.result("POST", "", { name: "again" });
    assert.notEqual(second.uuid, first.uuid);
    assert.equal(second.num_tables, 0);
    await d1.refused(404, 7404, "POST", `/${first.uuid}/query`, { sql: "SELECT 1" });
    const after = await read();
    assert.equal(after.status, 400, "the old table is not there, nor a replica of it");
    assert.match(JSON.stringify(await after.json()), /bookmark|no such table: secret/);
    const ahead = await d1.send("POST", "/again/query", { sql: "SELECT 1" }, { [SESSION]: newest });
    assert.match(JSON.stringify(await ahead.json()), /bookmark/);
    assert.deepEqual((await d1.result("POST", "/again/raw", { sql: "SELECT count(*) FROM sqlite_schema" }))[0].results.rows, [[0]]);
  });
});

test("without a token in its configuration the API is closed, and says how to open it", async () => {
  const littoral = await startAlone();
  try {
    const message = await d1Client(littoral.base, "any").refused(503, 7503, "GET", "");
    assert.match(message, /wrangler secret put LITTORAL_TOKENS/);
  } finally {
    await littoral.dispose();
  }
});
