// Branches over REST, in the real runtime: at once, written from their first moment, filled in the background, and free of their parent then.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { start } from "./harness.mjs";

const TOKEN = "t";
/** Rows of the parent: some 20 MB. */
const ROWS = 20_000;

describe("branches", () => {
  let harness;
  const rest = async (method, path, body, headers = {}) => {
    const init = { method, headers: { authorization: `Bearer ${TOKEN}`, ...headers }, body: body && JSON.stringify(body) };
    const response = await harness.fetchLittoral(`/client/v4/accounts/a/d1/database${path}`, init);
    return { status: response.status, ...(await response.json()) };
  };
  const done = async (method, path, body) => {
    const answer = await rest(method, path, body);
    assert.ok(answer.success, JSON.stringify(answer.errors));
    return answer.result;
  };
  const rows = async (database, sql, params) => (await done("POST", `/${database}/query`, { sql, params }))[0].results;
  const branch = (name, database, point = {}) => done("POST", "", { name, branch_of: { database, ...point } });
  const bookmark = async (database) => (await done("GET", `/${database}/time_travel/bookmark`)).bookmark;
  const isFull = async (database) => (await done("GET", `/${database}`)).branch_of.is_full;
  const full = async (database) => {
    for (let tries = 0; !(await isFull(database)); tries++) {
      assert.ok(tries < 200, "it is filled in the end");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const SUM = "SELECT count(*) AS n, sum(id) AS ids, sum(length(v)) AS bytes, max(k) AS k FROM t";

  before(async () => {
    const entry = new URL("./many_databases.scenarios.mjs", import.meta.url);
    harness = await start({ entry, databases: ["x"], services: {}, variables: { LITTORAL_TOKENS: TOKEN } });
    await done("POST", "", { name: "shop" });
    await rows("shop", "CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER, v TEXT)");
    await rows(
      "shop",
      `WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${ROWS}) INSERT INTO t SELECT x, x * 7 % 1000, printf('%0900d', x) FROM c`,
    );
    await rows("shop", "CREATE INDEX tk ON t (k)");
  });

  after(() => harness?.dispose());

  test("a branch is there at once, is written, and the two go on by themselves", async () => {
    const then = await bookmark("shop");
    const before = await rows("shop", SUM);
    const began = performance.now();
    const made = await branch("try", "shop");
    assert.deepEqual(await rows("try", "UPDATE t SET v = 'changed' WHERE id = 777 RETURNING id"), [{ id: 777 }]);
    const ms = performance.now() - began;
    console.log(`a branch of 20 MB and its first write: ${ms.toFixed(0)} ms`);
    assert.equal(made.branch_of.name, "shop");
    assert.equal(made.branch_of.bookmark, then);
    await rows("shop", "DELETE FROM t WHERE id > 5");
    await rows("try", "INSERT INTO t VALUES (-1, -1, 'mine')");
    const [sum] = await rows("try", SUM);
    assert.deepEqual([sum.n, sum.ids], [before[0].n + 1, before[0].ids - 1]);
    assert.deepEqual(await rows("try", "SELECT v FROM t WHERE id = 777"), [{ v: "changed" }]);
    assert.deepEqual(await rows("shop", "SELECT count(*) AS n FROM t"), [{ n: 5 }]);
    await full("try");
    assert.deepEqual(await rows("try", "PRAGMA quick_check"), [{ quick_check: "ok" }]);
    assert.deepEqual(await rows("try", SUM), [sum]);
  });

  test("of a bookmark of the past, and a branch of that, which both outlive the first", async () => {
    await done("POST", "", { name: "first" });
    await rows("first", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
    await rows("first", "INSERT INTO t VALUES (1, 'one')");
    const then = await bookmark("first");
    await rows("first", "UPDATE t SET v = 'two'");
    await branch("second", "first", { bookmark: then });
    assert.deepEqual(await rows("second", "SELECT v FROM t"), [{ v: "one" }]);
    await rows("second", "INSERT INTO t VALUES (2, 'of the second')");
    await branch("third", "second");
    assert.deepEqual(await rows("third", "SELECT v FROM t ORDER BY id"), [{ v: "one" }, { v: "of the second" }]);
    await full("second");
    await full("third");
    await done("DELETE", "/first");
    await done("DELETE", "/second");
    assert.deepEqual(await rows("third", "SELECT v FROM t ORDER BY id"), [{ v: "one" }, { v: "of the second" }]);
    await rows("third", "INSERT INTO t VALUES (3, 'goes on')");
  });

  test("a branch of a large database is deleted before it is full, and then its parent is", async () => {
    await branch("large", "try");
    await branch("short", "large");
    const refused = await rest("DELETE", "/large");
    if (refused.success) {
      assert.ok(await isFull("short"), "it may be full already");
    } else {
      assert.deepEqual([refused.status, refused.errors[0].code], [409, 7409]);
      assert.match(refused.errors[0].message, /short/);
      await done("DELETE", "/short");
      await done("DELETE", "/large");
    }
    assert.equal((await rest("GET", "/large")).status, 404);
  });

  test("what a branch changed becomes the next commit of its parent, unless that has moved", async () => {
    await branch("work", "try");
    await rows("work", "CREATE TABLE made (x)");
    await rows("work", "UPDATE t SET v = 'promoted' WHERE id < 3000");
    const diff = await done("GET", "/work/diff?rows=2&table=t");
    assert.deepEqual(diff.schema.map(({ type, name, before }) => [type, name, before]), [["table", "made", null]]);
    const [{ name, added, removed, changed, rows: shown }] = diff.tables;
    assert.deepEqual([name, added, removed, changed, shown.length], ["t", 0, 0, 3000, 2]);
    assert.deepEqual([shown[1].key, shown[1].after.v], [[1], "promoted"]);
    assert.equal((await rest("GET", "/shop/diff")).status, 400);
    assert.equal((await rest("GET", "/work/diff?from=x")).status, 400);
    const before = await bookmark("try");
    const promoted = await done("POST", "/work/promote");
    assert.equal(promoted.previous_bookmark, before);
    assert.equal(promoted.bookmark, await bookmark("try"));
    assert.deepEqual(await rows("try", "SELECT count(*) AS n FROM t WHERE v = 'promoted'"), await rows("work", "SELECT count(*) AS n FROM t WHERE v = 'promoted'"));
    assert.deepEqual(await rows("try", "SELECT count(*) AS n FROM made"), [{ n: 0 }]);
    assert.deepEqual(await rows("try", "PRAGMA quick_check"), [{ quick_check: "ok" }]);
    const refused = await rest("POST", "/work/promote");
    assert.deepEqual([refused.status, refused.errors[0].code], [409, 7409]);
    assert.match(refused.errors[0].message, /moved on.*1 commits later/);
    await done("POST", `/try/time_travel/restore?bookmark=${before}`);
    assert.deepEqual(await rows("try", "SELECT count(*) AS n FROM t WHERE v = 'promoted'"), [{ n: 0 }]);
    assert.equal((await rest("POST", "/shop/promote")).status, 400);
    await full("work");
    await done("DELETE", "/work");
  });

  test("what cannot be a branch is refused, and nothing of it stays", async () => {
    for (const [point, status] of [
      [{ database: "nothing" }, 404],
      [{ database: "shop", bookmark: "x" }, 400],
      [{ database: "shop", bookmark: "00000000-00000fff-00000000-00000000000000000000000000000000" }, 400],
      [{ database: "shop", bookmark: await bookmark("try") }, 400],
      [{ database: "shop", timestamp: "1999-01-01T00:00:00Z" }, 400],
      [{ database: "shop", timestamp: "yesterday" }, 400],
    ]) {
      const refused = await rest("POST", "", { name: "never", branch_of: point });
      assert.deepEqual([refused.status, refused.success], [status, false], JSON.stringify([point, refused]));
      assert.equal((await rest("GET", "/never")).status, 404);
    }
    assert.equal((await rest("POST", "", { name: "shop", branch_of: { database: "try" } })).errors[0].code, 7502);
  });

  test("a session reads a branch from replicas while it is filled", async () => {
    await branch("read", "try");
    const first = await harness.fetchLittoral("/client/v4/accounts/a/d1/database/read/query", {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}`, "x-cf-d1-session-commit-token": "first-unconstrained" },
      body: JSON.stringify({ sql: "SELECT v FROM t WHERE k = 6 ORDER BY id LIMIT 3" }),
    });
    const answer = await first.json();
    assert.ok(answer.success, JSON.stringify(answer));
    assert.equal(answer.result[0].results.length, 3);
    await rows("read", "UPDATE t SET v = 'new' WHERE k = 6");
    assert.deepEqual(await rows("read", "SELECT DISTINCT v FROM t WHERE k = 6"), [{ v: "new" }]);
    await full("read");
  });
});
