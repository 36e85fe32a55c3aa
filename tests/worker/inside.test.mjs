// What only the runtime can show: the store contract on real Durable Object storage, the wasm build of SQLite, and what is left after
// the wasm module trapped, the object was evicted, or storage was damaged or is somebody else's.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { bundle } from "./harness.mjs";

let miniflare;

before(async () => {
  const worker = {
    name: "inside",
    modules: await bundle(fileURLToPath(new URL("inside/entry.mjs", import.meta.url))),
    compatibilityDate: "2026-11-01",
    durableObjects: { DATABASE: { className: "Database", useSQLite: true } },
  };
  miniflare = new Miniflare(convertV4MiniflareOptions({ workers: [worker] }));
  await miniflare.ready;
});

after(() => miniflare.dispose());

async function ask(name, method, ...args) {
  const response = await miniflare.dispatchFetch("http://inside/", { method: "POST", body: JSON.stringify({ name, method, args }) });
  const { value, error } = await response.json();
  if (error !== undefined) throw new Error(error);
  return value;
}

/** The only response to one call. */
async function run(name, sql, ...params) {
  const { responses, error } = await ask(name, "query", { sql, params });
  if (error) throw new Error(error);
  if (responses[0].error) throw new Error(responses[0].error);
  return responses[0];
}

const column = ({ results }) => results.rows.map(([value]) => value);

describe("the store contract on Durable Object storage", async () => {
  test("every case", { timeout: 240_000 }, async (t) => {
    const names = await ask(null, "storeCases");
    assert.ok(names.length >= 10);
    for (const name of names) {
      await t.test(name, async () => assert.equal(await ask(`case: ${name}`, "storeCase", name), null));
    }
  });
});

test("the wasm build of SQLite has the options of the native one", async () => {
  const expected = readFileSync(new URL("../common/build_options.txt", import.meta.url), "utf8");
  const lines = expected.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const platform = /^(ATOMIC_INTRINSICS|COMPILER|THREADSAFE|MUTEX|OS_OTHER|SYSTEM_MALLOC|HAVE_ISNAN|DEFAULT_WAL_SYNCHRONOUS)/;
  const options = (await ask(null, "sqliteOptions")).filter((option) => !platform.test(option));
  assert.deepEqual(options.sort(), lines.filter((line) => !platform.test(line)).sort());
});

test("after a trap at any storage operation the acknowledged commits are there, and nothing else", { timeout: 120_000 }, async () => {
  const name = "traps";
  await run(name, "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)");
  const acknowledged = new Set();
  // Wide rows: every tenth insert changes more pages than fit one log row, so folds and transactions are trapped in, too.
  for (let id = 1; id <= 60; id++) {
    const pages = id % 10 === 0 ? 100 : 1;
    await ask(name, "trapAt", 1 + (id % 7) * (pages === 1 ? 1 : 20));
    try {
      await run(name, "INSERT INTO t VALUES (?, randomblob(?))", id, pages * 4000);
      acknowledged.add(id);
    } catch (error) {
      assert.match(error.message, /unreachable|trapped on purpose/);
    }
    await ask(name, "trapAt", 0);
    const ids = column(await run(name, "SELECT id FROM t ORDER BY id"));
    assert.deepEqual(ids, [...acknowledged]);
  }
  assert.ok(acknowledged.size > 5 && acknowledged.size < 55, `${acknowledged.size} of 60 were acknowledged`);
  assert.deepEqual(column(await run(name, "PRAGMA quick_check")), ["ok"]);
});

test("a trap hits every request of its group, and the next one is served", async () => {
  const name = "trapped group";
  await run(name, "CREATE TABLE t (v)");
  await ask(name, "trapAt", 2);
  const insert = () => run(name, "INSERT INTO t VALUES (1)").then(() => 1, () => 0);
  const inserted = await Promise.all(Array.from({ length: 20 }, insert));
  await ask(name, "trapAt", 0);
  const acknowledged = inserted.reduce((sum, one) => sum + one, 0);
  assert.deepEqual(column(await run(name, "SELECT count(*) FROM t")), [acknowledged]);
});

test("an evicted object comes back with everything", async () => {
  const name = "evicted";
  await run(name, "CREATE TABLE t (v)");
  for (let v = 0; v < 20; v++) {
    await run(name, "INSERT INTO t VALUES (?)", v);
    await assert.rejects(ask(name, "evict"));
    assert.deepEqual(column(await run(name, "SELECT count(*) FROM t")), [v + 1]);
  }
});

test("a damaged page is named, the others are served, and nothing is lost", async () => {
  const name = "damaged";
  await run(name, "CREATE TABLE good (v)");
  await run(name, "CREATE TABLE bad (v)");
  await run(name, "INSERT INTO good VALUES (1)");
  await run(name, "INSERT INTO bad VALUES (1)");
  const [{ rootpage }] = (await run(name, "SELECT rootpage FROM sqlite_schema WHERE name = 'bad'")).results.rows.map(([rootpage]) => ({ rootpage }));
  // The newest version of that page is the one frame of the newest commit.
  const [{ txid, frames }] = await ask(name, "storage", "SELECT txid, hex(frames) AS frames FROM commits ORDER BY txid DESC LIMIT 1");
  const damaged = frames.slice(0, -2) + (frames.endsWith("00") ? "01" : "00");
  await ask(name, "storage", `UPDATE commits SET frames = x'${damaged}' WHERE txid = ${txid}`);
  await assert.rejects(ask(name, "evict"));
  await assert.rejects(run(name, "SELECT * FROM bad"), new RegExp(`stored data is damaged: page ${rootpage} .*SQLITE_CORRUPT`));
  assert.deepEqual(column(await run(name, "SELECT v FROM good")), [1]);
  await run(name, "INSERT INTO good VALUES (2)");
  await ask(name, "storage", `UPDATE commits SET frames = x'${frames}' WHERE txid = ${txid}`);
  await assert.rejects(ask(name, "evict"));
  assert.deepEqual(column(await run(name, "SELECT v FROM bad")), [1]);
  assert.deepEqual(column(await run(name, "SELECT v FROM good ORDER BY v")), [1, 2]);
});

test("storage of somebody else and of a newer version is refused and left as it is", async () => {
  await ask("foreign", "storage", "CREATE TABLE theirs (v)");
  await assert.rejects(run("foreign", "SELECT 1"), /has tables that are not Littoral's \(theirs\); nothing was changed/);
  const tables = await ask("foreign", "storage", "SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_%' ESCAPE '\\'");
  assert.deepEqual(tables, [{ name: "theirs" }]);

  await run("newer", "CREATE TABLE t (v)");
  await ask("newer", "storage", "UPDATE littoral SET value = 99 WHERE key = 'schema'");
  await assert.rejects(ask("newer", "evict"));
  await assert.rejects(run("newer", "SELECT 1"), /its schema is version 99/);
});

test("a database larger than SQLite's cache, and a transaction of 64 MB", { timeout: 120_000 }, async () => {
  const name = "large";
  await run(name, "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)");
  const fill = "INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 8000) SELECT x, randomblob(8000) FROM c";
  await run(name, fill);
  assert.deepEqual(column(await run(name, "SELECT count(*) FROM t")), [8000]);
  await run(name, "UPDATE t SET v = randomblob(8000) WHERE id % 4 = 0");
  assert.deepEqual(column(await run(name, "SELECT sum(length(v)) FROM t")), [64_000_000]);
  await assert.rejects(ask(name, "evict"));
  assert.deepEqual(column(await run(name, "SELECT count(DISTINCT hex(v)) FROM t WHERE id % 100 = 0")), [80]);
});
