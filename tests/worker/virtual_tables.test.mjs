// Virtual tables prepare and finalize statements of their own while one runs. What is counted of a statement must be counted of that one: all
// databases of an isolate share a heap, which a freed statement's memory once damaged.

import assert from "node:assert/strict";
import { test } from "node:test";
import { asking } from "./inside/asking.mjs";

const { ask, call } = asking();

/** The rows of one call, and its `rows_read`. */
async function run(name, sql) {
  const { results, meta } = await call(name, { sql });
  return { rows: results.rows, read: meta.rows_read };
}

test("a search after an eviction, in a text that begins with a comment, answers and counts", async () => {
  await run("search", "CREATE VIRTUAL TABLE ft USING fts5(a); INSERT INTO ft VALUES ('sea')");
  for (let round = 0; round < 20; round++) {
    await assert.rejects(ask("search", "evict"));
    const { rows, read } = await run("search", "-- name: Search\nSELECT a FROM ft WHERE ft MATCH 'sea'");
    assert.deepEqual([rows, read > 0], [[["sea"]], true], `round ${round}`);
  }
});

test("a statement that fails to compile anew beside an R*Tree leaves the databases beside it unharmed", { timeout: 120_000 }, async () => {
  const innocent = ["beside 1", "beside 2", "beside 3"];
  for (const name of innocent) {
    await run(name, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX t_v ON t (v)");
    await run(name, "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 200) INSERT INTO t SELECT x, 'row ' || x FROM c");
  }
  const select = "SELECT v.id, p.x0, p.x1, p.x2 FROM v, p";
  // A new database each round: so it was found, and in one database used again it does not show.
  for (let round = 0; round < 150; round++) {
    const tree = `tree ${round}`;
    await run(tree, "CREATE VIRTUAL TABLE v USING rtree(id, lo, hi)");
    await run(tree, "CREATE TABLE p (k, x0, x1, x2)");
    assert.deepEqual((await run(tree, select)).rows, []);
    await run(tree, "ALTER TABLE p DROP COLUMN x0");
    await assert.rejects(run(tree, select), /no such column: p.x0/, `round ${round}`);
    const name = innocent[round % innocent.length];
    await run(name, `UPDATE t SET v = 'round ${round} of ' || id WHERE id = ${1 + round}`);
    const found = await run(name, `SELECT count(*), sum(id) FROM t WHERE v = 'round ${round} of ' || id`);
    assert.deepEqual(found.rows, [[1, 1 + round]], `round ${round}`);
  }
  for (const name of innocent) assert.deepEqual((await run(name, "PRAGMA quick_check")).rows, [["ok"]]);
});
