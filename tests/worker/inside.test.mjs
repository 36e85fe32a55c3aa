// What only the runtime can show: the store contract on real Durable Object storage, the wasm build of SQLite, and what is left after
// the wasm module trapped, the object was evicted, or storage was damaged or is somebody else's.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Miniflare } from "miniflare";
import { askInside, startInside } from "./inside/start.mjs";

let miniflare;

before(async () => {
  miniflare = await startInside();
});

after(() => miniflare.dispose());

/** Calls a method of the object of that name, or an action of the Worker; a Miniflare as the last argument is asked instead of the common one. */
function ask(name, method, ...args) {
  const asked = args.at(-1) instanceof Miniflare ? args.pop() : miniflare;
  return askInside(asked, name, method, ...args);
}

/** The only response to one call. */
async function run(name, sql, ...params) {
  const asked = params.at(-1) instanceof Miniflare ? params.pop() : miniflare;
  const { responses, error } = await ask(name, "query", { sql, params }, asked);
  if (error) throw new Error(error);
  if (responses[0].error) throw new Error(responses[0].error);
  return responses[0];
}

/** What is answered to a request that the instance was lost with. */
const LOST = /LITTORAL_OUTCOME_UNKNOWN/;

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

/** The lines of a list in crates/engine/tests/common, which the native build is held against, too. */
function listed(name) {
  const text = readFileSync(new URL(`../../crates/engine/tests/common/${name}`, import.meta.url), "utf8");
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

test("the wasm build of SQLite has the options of the native one", async () => {
  // MAX_SCHEMA came with SQLite 3.54; the wasm build is 3.53.
  const platform = /^(MAX_SCHEMA|ATOMIC_INTRINSICS|COMPILER|THREADSAFE|MUTEX|OS_OTHER|SYSTEM_MALLOC|HAVE_ISNAN|DEFAULT_WAL_SYNCHRONOUS)/;
  const common = (lines) => lines.filter((line) => !platform.test(line)).sort();
  assert.deepEqual(common(await ask(null, "sqliteOptions")), common(listed("build_options.txt")));
});

test("the write connection has the settings of the native one", async () => {
  // Pages before a spill follow from the size of a pointer.
  const common = (lines) => lines.filter((line) => !line.startsWith("cache_spill")).sort();
  assert.deepEqual(common(await ask("pragmas", "pragmas")), common(listed("pragmas.txt")));
});

test("after a trap at any storage operation the acknowledged commits are there, and no half of another", { timeout: 120_000 }, async () => {
  const name = "traps";
  await run(name, "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)");
  const acknowledged = new Set();
  const stored = new Set();
  // Wide rows: every tenth insert changes more pages than fit one log row, so folds and transactions are trapped in, too.
  for (let id = 1; id <= 60; id++) {
    const pages = id % 10 === 0 ? 100 : 1;
    await ask(name, "trapAt", 1 + (id % 7) * (pages === 1 ? 1 : 20));
    try {
      await run(name, "INSERT INTO t VALUES (?, randomblob(?))", id, pages * 4000);
      acknowledged.add(id);
    } catch (error) {
      assert.match(error.message, LOST);
    }
    await ask(name, "trapAt", 0);
    const ids = column(await run(name, "SELECT id FROM t ORDER BY id"));
    // What trapped after its commit was stored, and not acknowledged.
    if (ids.at(-1) === id) stored.add(id);
    assert.deepEqual(ids, [...stored]);
    assert.ok(stored.has(id) || !acknowledged.has(id), `${id} was acknowledged and is lost`);
  }
  assert.ok(acknowledged.size > 5 && acknowledged.size < 55, `${acknowledged.size} of 60 were acknowledged`);
  assert.deepEqual(column(await run(name, "PRAGMA quick_check")), ["ok"]);
});

test("a trap takes no request with it but its own, and the next one is served", async () => {
  const name = "trapped group";
  await run(name, "CREATE TABLE t (v)");
  await ask(name, "trapAt", 2);
  const insert = () => run(name, "INSERT INTO t VALUES (1)").then(() => 1, () => 0);
  const inserted = await Promise.all(Array.from({ length: 20 }, insert));
  await ask(name, "trapAt", 0);
  const acknowledged = inserted.reduce((sum, one) => sum + one, 0);
  assert.ok(acknowledged >= 19, `${acknowledged} of 20`);
  assert.deepEqual(column(await run(name, "SELECT count(*) FROM t")), [acknowledged]);
});

test("a page that something overwrote in memory is not stored", async () => {
  const name = "overwritten";
  const mark = "d1a6c0de5ea1ed0b5e55ed";
  await run(name, "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)");
  await run(name, "INSERT INTO t VALUES (1, unhex(? || '00')), (2, x'')", mark);
  assert.ok(await ask(null, "overwriteAfter", ...Buffer.from(mark, "hex")) > 0);
  // Two statements are for the write connection.
  const damaged = column(await run(name, "SELECT 1; SELECT hex(v) FROM t WHERE id = 1"));
  assert.deepEqual(damaged, [`${mark.toUpperCase()}01`], "the page is in SQLite's cache");
  await assert.rejects(run(name, "UPDATE t SET v = x'11' WHERE id = 2"), LOST);
  assert.deepEqual(column(await run(name, "SELECT hex(v) FROM t ORDER BY id")), [`${mark.toUpperCase()}00`, ""]);
  await run(name, "UPDATE t SET v = x'11' WHERE id = 2");
  assert.deepEqual(column(await run(name, "SELECT hex(v) FROM t ORDER BY id")), [`${mark.toUpperCase()}00`, "11"]);
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

test("limits come from the variable LIMITS, in D1's words, and one that is not understood is named", async () => {
  const limited = await startInside({ LIMITS: { bound_parameters: 100, result_bytes: 10_000 } });
  const wrong = await startInside({ LIMITS: { bound_params: 100 } });
  try {
    const params = Array.from({ length: 101 }, (_, index) => index);
    const text = `SELECT ${params.map(() => "?").join(",")}`;
    await assert.rejects(run("limits", text, ...params, limited), /too many SQL variables at offset \d+: SQLITE_ERROR/);
    await assert.rejects(run("limits", "SELECT zeroblob(20000)", limited), /the result is larger than 10000 bytes/);
    assert.equal((await run("limits", text, ...params)).results.columns.length, 101);
    await assert.rejects(run("limits", "SELECT 1", wrong), /the variable LIMITS is not understood: .*bound_params/);
  } finally {
    await Promise.all([limited.dispose(), wrong.dispose()]);
  }
});

test("the past is thinned by an alarm, which the first write sets and the next ones leave", async () => {
  const thin = await startInside({ LIMITS: { history_exact_ms: 0, history_step_ms: 20 } });
  const name = "thinned";
  const states = async () => (await ask(name, "storage", "SELECT count(*) AS states FROM commits", thin))[0].states;
  try {
    await run(name, "CREATE TABLE t (v)", thin);
    const set = await ask(name, "alarmTime", thin);
    assert.ok(set > Date.now() + 60_000, `the alarm is set for ${set}`);
    for (let v = 0; v < 300; v++) await run(name, "INSERT INTO t VALUES (?)", v, thin);
    assert.equal(await ask(name, "alarmTime", thin), set);
    assert.equal(await states(), 301);
    await assert.rejects(ask(name, "evict", thin));
    await ask(name, "ring", thin);
    for (let waited = 0; (await states()) > 200 && waited < 50; waited++) await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok((await states()) < 200, `${await states()} states are left of 301`);
    assert.deepEqual(column(await run(name, "SELECT count(*), sum(v) FROM t", thin)), [300]);
    assert.ok((await ask(name, "alarmTime", thin)) > Date.now() + 60_000, "and set again for the next step");
  } finally {
    await thin.dispose();
  }
});

test("many databases in one isolate stay within one heap, and running out of memory is an error like any other", async () => {
  const small = await startInside({ LIMITS: { heap_bytes: 16 << 20, cache_bytes: 2 << 20 } });
  try {
    const names = Array.from({ length: 12 }, (_, index) => `heap ${index}`);
    for (const name of names) {
      await run(name, "CREATE TABLE t (v)", small);
      await run(name, "INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 1000) SELECT randomblob(1500) FROM c", small);
    }
    await assert.rejects(run(names[0], "SELECT length(group_concat(hex(t.v))) FROM t, t AS u", small), /SQLITE_(NOMEM|TOOBIG|INTERRUPT)|out of memory|CPU time/);
    for (const name of names) assert.deepEqual(column(await run(name, "SELECT count(*) FROM t", small)), [1000]);
  } finally {
    await small.dispose();
  }
});

test("a batch whose results are too large together is refused, and those beside it are answered", { timeout: 60_000 }, async () => {
  const name = "too large together";
  const large = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 50000) SELECT hex(zeroblob(500)) FROM c";
  const batch = [{ sql: "SELECT 1" }, { sql: large }];
  const beside = Array.from({ length: 5 }, () => run(name, "SELECT 2"));
  const { responses } = await ask(name, "query", batch);
  assert.match(responses[0].error, /the result is larger than 31457280 bytes/);
  for (const response of await Promise.all(beside)) assert.deepEqual(column(response), [2]);
  assert.deepEqual(column(await run(name, "SELECT 3")), [3]);
});

test("a DEFAULT tells nothing about the build", async () => {
  const name = "default";
  await run(name, "CREATE TABLE t (a, v DEFAULT (sqlite_version()), w DEFAULT (lower(sqlite_source_id())))");
  for (const columns of ["a, w", "a, v"]) {
    await assert.rejects(run(name, `INSERT INTO t (${columns}) VALUES (1, 2)`), /not authorized to use function: sqlite_(version|source_id): SQLITE_ERROR/);
  }
  assert.deepEqual(column(await run(name, "SELECT count(*) FROM t")), [0]);
});

test("what a transaction stored ahead that failed is swept by itself, though nothing was written", async () => {
  const forgetful = await startInside({ LIMITS: { history_ms: 0, history_exact_ms: 0, uncommitted_bytes: 100_000, cache_bytes: 100_000 } });
  const name = "discarded";
  const until = async (holds) => {
    for (let waited = 0; !(await holds()) && waited < 50; waited++) await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(await holds());
  };
  try {
    await run(name, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", forgetful);
    await run(name, "INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 2000) SELECT x, randomblob(500) FROM c", forgetful);
    await ask(name, "ring", forgetful);
    await until(async () => (await ask(name, "alarmTime", forgetful)) === null);
    await assert.rejects(run(name, "UPDATE t SET v = zeroblob(500), id = CASE id WHEN 2000 THEN 1 ELSE id END", forgetful), /UNIQUE/);
    await until(async () => (await ask(name, "storage", "SELECT count(*) AS n FROM garbage", forgetful))[0].n === 0);
  } finally {
    await forgetful.dispose();
  }
});

test("transactions larger than memory: committed, rolled back, and what that leaves is swept", { timeout: 180_000 }, async () => {
  const roomy = await startInside();
  const name = "large";
  const call = (sql) => run(name, sql, roomy);
  const garbage = async () => (await ask(name, "storage", "SELECT count(*) AS n FROM garbage", roomy))[0].n;
  try {
    await call("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)");
    const fill = "INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 14000) SELECT x, randomblob(8000) FROM c";
    await call(fill);
    assert.deepEqual(column(await call("SELECT count(*) FROM t")), [14_000]);
    await call("UPDATE t SET v = randomblob(8000) WHERE id % 2 = 0");
    assert.deepEqual(column(await call("SELECT sum(length(v)) FROM t")), [112_000_000]);
    assert.equal(await garbage(), 0);
    const failing = "UPDATE t SET v = zeroblob(8000), id = CASE id WHEN 14000 THEN 1 ELSE id END";
    await assert.rejects(call(failing), /UNIQUE/);
    assert.ok((await garbage()) > 10, "it had stored pages ahead");
    assert.deepEqual(column(await call("SELECT count(*) FROM t WHERE v = zeroblob(8000)")), [0]);
    await assert.rejects(ask(name, "evict", roomy));
    assert.deepEqual(column(await call("SELECT count(DISTINCT hex(v)) FROM t WHERE id % 100 = 0")), [140]);
    await assert.rejects(call(failing), /UNIQUE/);
    await ask(name, "ring", roomy);
    for (let waited = 0; (await garbage()) > 0 && waited < 100; waited++) await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(await garbage(), 0);
    const bytes = await ask(name, "memoryBytes", roomy);
    assert.ok(bytes < 100_000_000, `the instance has ${bytes} bytes`);
  } finally {
    await roomy.dispose();
  }
});
