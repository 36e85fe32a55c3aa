// Reads that take long, on real stacks that are put aside: what others are answered in between, how many there are at once, and what becomes of
// them when the instance, the object or the database goes.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { asking, at, rows, untilSettled } from "./inside/asking.mjs";

/** How many are read at once (`crates/engine/src/primary/readers.rs`). */
const MOST = 8;
/** What is answered to a request that the instance was lost with. */
const LOST = /LITTORAL_OUTCOME_UNKNOWN/;

const { ask, call, run } = asking();

/** Counts to a number, in some 300 ns a step, then the rows of `t`. */
const counting = (steps) => `WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${steps}) SELECT sum(x), (SELECT count(*) FROM t) FROM c`;
const sum = (steps) => (steps * (steps + 1)) / 2;
const INSERT = "INSERT INTO t (v) VALUES ('x')";

async function database(name, count = 1_000) {
  await run(name, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
  await run(name, `INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${count}) SELECT x, hex(randomblob(100)) FROM c`);
  return name;
}

describe("while a read takes long", () => {
  test("others are answered, and it is answered right", { timeout: 120_000 }, async (t) => {
    const name = await database("others");
    const steps = 10_000_000;
    const long = run(name, counting(steps));
    const [reads, inserts] = await Promise.all([
      untilSettled(long, () => run(name, "SELECT v FROM t WHERE id = ?", 1 + Math.floor(Math.random() * 1_000))),
      untilSettled(long, () => run(name, INSERT)),
    ]);
    for (const [what, took] of Object.entries({ reads, inserts })) {
      t.diagnostic(`${took.length} ${what} during a read of ${steps} steps: p50 ${at(took, 0.5)} ms, p99 ${at(took, 0.99)} ms, longest ${at(took, 1)} ms`);
      assert.ok(took.length > 60, `${took.length} ${what}`);
      assert.ok(Number(at(took, 0.5)) < 250, `half of the ${what} took ${at(took, 0.5)} ms`);
    }
    const [[total, count]] = rows(await long);
    assert.equal(total, sum(steps));
    assert.ok(count <= 1_010, `${count} rows: it reads the state at which it began`);
    assert.deepEqual(rows(await run(name, "SELECT count(*) FROM t")), [[1_000 + inserts.length]]);
    assert.deepEqual(rows(await run(name, "PRAGMA quick_check")), [["ok"]]);
  });

  test("a batch of reads is one state, and what is not cached is read, too", { timeout: 60_000 }, async () => {
    const name = await database("batch", 20_000);
    await assert.rejects(ask(name, "evict"));
    const batch = call(name, [{ sql: "SELECT count(*) FROM t" }, { sql: counting(1_000_000) }, { sql: "SELECT sum(length(v)) FROM t" }]);
    await untilSettled(batch, () => run(name, INSERT));
    const [[[first]], [[total, second]], [[length]]] = (await batch).map(rows);
    assert.deepEqual([first, total, second], [first, sum(1_000_000), first]);
    assert.equal(length, 20_000 * 200 + (first - 20_000));
  });

  test("a session reads what it has written, and goes on from the state that it read", { timeout: 60_000 }, async () => {
    const name = await database("session");
    const d1 = async (sql, session) => {
      const [body, bookmark] = await ask(name, "answer", { protocol: "d1", body: JSON.stringify({ sql }), session });
      return { answer: JSON.parse(body), bookmark };
    };
    const { bookmark } = await d1(INSERT, "first-primary");
    const reading = d1(counting(2_000_000), bookmark);
    const inserts = await untilSettled(reading, () => run(name, INSERT));
    const { answer, bookmark: read } = await reading;
    const [{ "(SELECT count(*) FROM t)": count }] = answer.results;
    assert.ok(count >= 1_001 && count < 1_001 + inserts.length, `${count} rows`);
    assert.ok(read >= bookmark && answer.meta.size_after > 0);
    assert.equal(Number.parseInt(read.slice(0, 8), 16) - Number.parseInt(bookmark.slice(0, 8), 16), count - 1_001, "the bookmark is of that state");
  });

  test(`${MOST} are read at once, the next ones wait in order`, { timeout: 120_000 }, async () => {
    const name = await database("bound");
    const ended = [];
    const long = Array.from({ length: MOST + 4 }, async (_, index) => {
      await sleep(index * 25);
      const answer = rows(await run(name, counting(1_000_000)));
      ended.push(index);
      return answer[0][0];
    });
    const all = Promise.all(long);
    const reads = await untilSettled(all, () => run(name, "SELECT 1"));
    assert.deepEqual(await all, long.map(() => sum(1_000_000)));
    assert.deepEqual(ended.slice(0, MOST).sort(), long.slice(0, MOST).map((_, index) => index));
    assert.ok(reads.length > 30, `${reads.length} reads`);
  });
});

test("large results are read one after the other, and all are answered", { timeout: 120_000 }, async () => {
  const name = await database("large", 40_000);
  const all = Promise.all(Array.from({ length: 4 }, () => run(name, "SELECT v FROM t")));
  const reads = await untilSettled(all, () => run(name, "SELECT 1"));
  for (const answer of await all) assert.equal(rows(answer).length, 40_000);
  assert.ok(reads.length > 20, `${reads.length} reads`);
});

describe("a read under way", () => {
  for (const whose of ["the same", "another"]) {
    test(`is read again when a request of ${whose} database loses the instance, as those that wait are`, { timeout: 120_000 }, async () => {
      const name = await database(`lost by ${whose}`);
      const other = whose === "another" ? await database("loser") : name;
      const long = Promise.all(Array.from({ length: MOST + 2 }, () => run(name, counting(400_000))));
      await sleep(100);
      await ask(other, "trapAt", 1);
      await assert.rejects(run(other, INSERT), LOST);
      await ask(other, "trapAt", 0);
      assert.deepEqual((await long).map(rows), Array.from({ length: MOST + 2 }, () => [[sum(400_000), 1_000]]));
      assert.deepEqual(rows(await run(name, "SELECT count(*) FROM t")), [[1_000]]);
    });
  }

  test("that loses the instance itself is not read for ever", { timeout: 60_000 }, async () => {
    const name = await database("loses");
    await assert.rejects(ask(name, "evict"));
    const loses = run(name, counting(2_000_000));
    const other = run(name, counting(3_000_000).replace("(SELECT count(*) FROM t)", "0"));
    loses.catch(() => {});
    await sleep(200);
    // The next page that is read is one of `t`, when the steps are counted.
    await ask(name, "trapAt", 1);
    await assert.rejects(loses, LOST);
    await ask(name, "trapAt", 0);
    assert.deepEqual(rows(await other), [[sum(3_000_000), 0]]);
    assert.deepEqual(rows(await run(name, counting(1_000_000))), [[sum(1_000_000), 1_000]]);
  });

  test("ends with the database, and the next one of the name is whole", { timeout: 60_000 }, async () => {
    const name = await database("deleted");
    const long = run(name, counting(50_000_000));
    long.catch(() => {});
    await sleep(100);
    await ask(name, "destroy");
    await assert.rejects(long, /opened anew while this was read/);
    await database(name, 10);
    assert.deepEqual(rows(await run(name, counting(1_000_000))), [[sum(1_000_000), 10]]);
  });

  test("ends with the object", { timeout: 60_000 }, async () => {
    const name = await database("evicted");
    const long = run(name, counting(50_000_000));
    long.catch(() => {});
    await sleep(100);
    await assert.rejects(ask(name, "evict"));
    await assert.rejects(long, /evicted by a test/);
    assert.deepEqual(rows(await run(name, counting(1_000_000))), [[sum(1_000_000), 1_000]]);
  });

  test("has the budget of every call", { timeout: 120_000 }, async () => {
    const name = await database("endless");
    const endless = run(name, "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c");
    endless.catch(() => {});
    const inserts = await untilSettled(endless, () => run(name, INSERT));
    await assert.rejects(endless, /D1 DB exceeded its CPU time limit and was reset/);
    assert.ok(inserts.length > 100);
  });
});
