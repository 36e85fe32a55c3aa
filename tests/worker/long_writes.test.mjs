// Writes that take long, on real stacks that are put aside: what others are answered in between, and what becomes of them when the instance, the
// object or the database goes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { asking, at, rows, untilSettled } from "./inside/asking.mjs";

/** What is answered to a request that the instance was lost with. */
const LOST = /LITTORAL_OUTCOME_UNKNOWN/;

const { ask, run } = asking();
const count = async (name, where = "true") => rows(await run(name, `SELECT count(*) FROM t WHERE ${where}`))[0][0];

/** Inserts that many rows, of 200 bytes each, with an index on what is in no order. */
const filling = (rows, from = 1) =>
  `INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (${from}) UNION ALL SELECT x + 1 FROM c WHERE x < ${from} + ${rows} - 1) SELECT x, hex(randomblob(100)) FROM c`;
const INSERT = "INSERT INTO t (id, v) VALUES (?, 'single')";

async function database(name, rows = 1_000) {
  await run(name, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
  await run(name, "CREATE INDEX tv ON t (v)");
  await run(name, filling(rows));
  return name;
}

test("others read beside it, and writes wait for its end", { timeout: 120_000 }, async (t) => {
  const name = await database("others");
  const long = run(name, filling(100_000, 10_001));
  const [reads, inserts] = await Promise.all([
    untilSettled(long, async () => {
      const id = 1 + Math.floor(Math.random() * 1_000);
      assert.equal(rows(await run(name, "SELECT length(v), (SELECT count(*) FROM t WHERE id BETWEEN 10001 AND 10100) FROM t WHERE id = ?", id))[0][0], 200);
    }),
    untilSettled(long, (number) => run(name, INSERT, 1_000_000 + number)),
  ]);
  t.diagnostic(`${reads.length} reads during a write of 100,000 rows: p50 ${at(reads, 0.5)} ms, p99 ${at(reads, 0.99)} ms, longest ${at(reads, 1)} ms`);
  assert.ok(reads.length > 60, `${reads.length} reads`);
  assert.ok(Number(at(reads, 0.5)) < 250, `half of the reads took ${at(reads, 0.5)} ms`);
  assert.ok(inserts.length <= 2, "the others wait");
  await long;
  assert.equal(await count(name), 101_000 + inserts.length);
  assert.deepEqual(rows(await run(name, "PRAGMA quick_check")), [["ok"]]);
});

test("nobody sees a part of it", { timeout: 120_000 }, async () => {
  const name = await database("whole", 20_000);
  const long = run(name, "UPDATE t SET v = 'updated ' || v");
  const seen = new Set();
  await untilSettled(long, async () => seen.add(await count(name, "v GLOB 'updated *'")));
  assert.ok([...seen].every((rows) => rows === 0 || rows === 20_000), `${[...seen]}`);
  assert.equal(await count(name, "v GLOB 'updated *'"), 20_000);
});

test("it has the budget of every call, and its caller's time", { timeout: 120_000 }, async () => {
  const name = await database("ends");
  const endless = run(name, "INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (5000) UNION ALL SELECT x + 1 FROM c) SELECT x, x FROM c");
  endless.catch(() => {});
  const reads = await untilSettled(endless, () => count(name));
  await assert.rejects(endless, /D1 DB exceeded its CPU time limit and was reset/);
  assert.ok(reads.length > 100);
  const [late] = await ask(name, "answer", { protocol: "d1", body: JSON.stringify({ sql: filling(200_000, 5_000) }), timeout_ms: 300 });
  assert.match(JSON.parse(late).error, /took longer than its timeout/);
  assert.equal(await count(name), 1_000);
  await run(name, INSERT, 7_000);
});

test("who waits for it is told in time that it takes too long", { timeout: 120_000 }, async () => {
  const name = await database("waits");
  const long = run(name, filling(200_000, 10_001));
  await sleep(150);
  const hasty = (sql) => ask(name, "answer", { protocol: "d1", body: JSON.stringify({ sql }), timeout_ms: 300 });
  const until = Promise.all([hasty("INSERT INTO t VALUES (5000, 'held up')"), hasty(filling(50_000, 400_000))]);
  assert.equal(await Promise.race([long.then(() => "the write ends"), until.then(() => "those that wait")]), "those that wait");
  for (const [late] of await until) assert.match(JSON.parse(late).error, /took longer than its timeout/);
  await long;
  assert.equal(await count(name), 201_000);
});

for (const whose of ["the same", "another"]) {
  test(`it begins again when a request of ${whose} database loses the instance`, { timeout: 120_000 }, async () => {
    const name = await database(`lost by ${whose}`);
    const other = whose === "another" ? await database("loser") : name;
    const long = run(name, filling(60_000, 10_001));
    await sleep(150);
    await ask(other, "trapAt", 1);
    await assert.rejects(run(other, whose === "another" ? INSERT : "SELECT sum(length(v)) FROM t NOT INDEXED", 5_000), LOST);
    await ask(other, "trapAt", 0);
    await long;
    assert.equal(await count(name, "id > 10000"), 60_000);
    assert.deepEqual(rows(await run(name, "PRAGMA quick_check")), [["ok"]]);
  });
}

test("it ends with the database, and the next one of the name is whole", { timeout: 60_000 }, async () => {
  const name = await database("deleted");
  const long = run(name, filling(1_000_000, 10_001));
  long.catch(() => {});
  await sleep(150);
  await ask(name, "destroy");
  await assert.rejects(long, /let go while this wrote|no such table/);
  await database(name, 10);
  assert.equal(await count(name), 10);
  await run(name, filling(20_000, 100));
  assert.equal(await count(name), 20_010);
});

test("it ends with the object, and leaves nothing", { timeout: 60_000 }, async () => {
  const name = await database("evicted");
  const long = run(name, filling(1_000_000, 10_001));
  long.catch(() => {});
  await sleep(150);
  await assert.rejects(ask(name, "evict"));
  await assert.rejects(long, /evicted by a test/);
  assert.equal(await count(name), 1_000);
  await run(name, INSERT, 5_000);
  assert.deepEqual(rows(await run(name, "PRAGMA quick_check")), [["ok"]]);
});
