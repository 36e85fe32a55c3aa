// What must not depend on the tier that answers: limits, and what a connection remembers.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LONDON, openLab } from "./replica_objects/lab.mjs";

async function inLab(limits, run) {
  const lab = await openLab({ limits });
  try {
    await lab.write("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)");
    await lab.write("INSERT INTO t VALUES (1, 'a'), (2, 'A')");
    await run(lab);
  } finally {
    await lab.dispose();
  }
}

/** A read in a session at each tier, by its name. */
const TIERS = {
  isolate: (lab, sql, params = []) => lab.tryAsk({ cf: LONDON, token: "first-unconstrained", sql, params }),
  replica: (lab, sql, params = []) => lab.tryAsk({ object: { namespace: "REPLICAS", name: `weur/${lab.primary}` }, token: "first-unconstrained", sql, params }),
  primary: (lab, sql, params = []) => lab.tryAsk({ object: { namespace: "DATABASES", name: lab.primary }, token: "first-primary", sql, params }),
};

describe("every tier", () => {
  const limits = { bound_parameters: 2, columns: 8, like_pattern_bytes: 5, value_bytes: 100_000, run_kiloinstructions: 3_000, result_bytes: 200_000 };
  test("has the limits of the variable LIMITS", { timeout: 60_000 }, () =>
    inLab(limits, async (lab) => {
      const endless = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
      const fewButLarge = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 1000) SELECT sum(length(hex(zeroblob(48000 + x)))) FROM c";
      /** @type {[sql: string, params: number[], error: RegExp][]} */
      const beyond = [
        ["SELECT ?, ?, ?", [1, 2, 3], /too many SQL variables/],
        ["SELECT 1, 2, 3, 4, 5, 6, 7, 8, 9", [], /too many columns in result set/],
        ["SELECT 'a' LIKE 'abcdef'", [], /LIKE or GLOB pattern too complex/],
        ["SELECT zeroblob(100001)", [], /string or blob too big/],
        ["SELECT hex(zeroblob(49000)) FROM t, t AS u", [], /the result is larger than 200000 bytes/],
        [endless, [], /exceeded its CPU time limit/],
        [fewButLarge, [], /exceeded its CPU time limit/],
      ];
      for (const [sql, params, error] of beyond) {
        for (const [tier, ask] of Object.entries(TIERS)) assert.match((await ask(lab, sql, params)).error ?? "no error", error, `${tier}: ${sql}`);
      }
      for (const [tier, ask] of Object.entries(TIERS)) {
        const { rows, meta } = await ask(lab, "SELECT ? + ? AS n, 'a' LIKE 'a%' AS l, length(hex(zeroblob(40000))) AS h FROM t LIMIT 1", [1, 2]);
        assert.deepEqual([rows, meta.served_by_tier], [[{ n: 3, l: 1, h: 80_000 }], tier]);
      }
    }));

  test("has the limits of docs/limits.md, to the number", { timeout: 120_000 }, () =>
    inLab(undefined, async (lab) => {
      const list = (n, item = "1") => Array(n).fill(item).join(",");
      /** @type {[limit: string, most: number, sql: (n: number) => string, error: RegExp, params?: (n: number) => number[]][]} */
      const documented = [
        ["statement_bytes", 10_000_000, (n) => `SELECT 1 AS n /*${"-".repeat(n - 18)}*/`, /statement too long: SQLITE_TOOBIG/],
        ["bound_parameters", 32_766, (n) => `SELECT count(*) AS n FROM t WHERE id IN (${list(n, "?")})`, /too many SQL variables/, (n) => Array(n).fill(1)],
        ["columns", 2_000, (n) => `SELECT ${list(n)}`, /too many columns in result set/],
        ["compound_select_terms", 500, (n) => `SELECT 1${" UNION ALL SELECT 1".repeat(n - 1)}`, /too many terms in compound SELECT/],
        ["expression_depth", 1_000, (n) => `SELECT 1${"+1".repeat(n - 1)}`, /Expression tree is too large \(maximum depth 1000\)/],
        ["function_arguments", 127, (n) => `SELECT max(${list(n)})`, /too many arguments on function max/],
        ["like_pattern_bytes", 300, (n) => `SELECT 'a' LIKE '${"a".repeat(n)}'`, /LIKE or GLOB pattern too complex/],
        ["value_bytes", 33_554_432, (n) => `SELECT length(zeroblob(${n}))`, /string or blob too big: SQLITE_TOOBIG/],
      ];
      for (const [limit, most, sql, error, params = () => []] of documented) {
        for (const [tier, ask] of Object.entries(TIERS)) {
          const at = await ask(lab, sql(most), params(most));
          assert.equal(at.error, undefined, `${limit} at ${tier}`);
          assert.match((await ask(lab, sql(most + 1), params(most + 1))).error ?? "no error", error, `beyond ${limit} at ${tier}`);
        }
      }
      await lab.write("CREATE TABLE deep (n); CREATE TRIGGER down AFTER INSERT ON deep WHEN new.n > 1 BEGIN INSERT INTO deep VALUES (new.n - 1); END");
      const nested = (n) => TIERS.primary(lab, `PRAGMA recursive_triggers = ON; INSERT INTO deep VALUES (${n})`);
      assert.equal((await nested(100)).error, undefined);
      assert.match((await nested(101)).error, /triggers nested too deep|too many levels of trigger recursion/);
    }));

  test("carries a call as large as the runtime's messages, and says so of a larger one", { timeout: 120_000 }, () =>
    inLab(undefined, async (lab) => {
      for (const [tier, ask] of Object.entries(TIERS)) {
        const text = (n) => ["x".repeat(n)];
        assert.deepEqual((await ask(lab, "SELECT length(?) AS n", text(33_000_000))).rows, [{ n: 33_000_000 }], tier);
        assert.match((await ask(lab, "SELECT length(?) AS n", text(34_000_000))).error, /^D1_ERROR: the request is larger than 32 MiB/, tier);
      }
      // Stored, changed and read, not only carried. An expression may have three copies of a value at once.
      for (const { id, characters, change } of [
        { id: 3, characters: 15_700_000, change: "id = 4" },
        { id: 5, characters: 11_000_000, change: "b = b || 'é', id = 6" },
      ]) {
        await lab.write("INSERT INTO t VALUES (?, ?)", id, "é".repeat(characters));
        await lab.write(`UPDATE t SET ${change} WHERE id = ${id}`);
        const { n, last } = (await lab.read(LONDON, `SELECT length(b) AS n, substr(b, -2) AS last FROM t WHERE id = ${id + 1}`)).rows[0];
        assert.ok(n >= characters && last === "éé", `${id}: ${n} ${last}`);
        await lab.write("DELETE FROM t WHERE id > 2");
      }
    }));

  test("knows what only the primary's connection knows, and nothing that a call before it set", { timeout: 60_000 }, () =>
    inLab(undefined, async (lab) => {
      const like = "SELECT count(*) AS n FROM t WHERE b LIKE 'a'";
      for (const ask of Object.values(TIERS)) {
        assert.deepEqual((await ask(lab, like)).rows, [{ n: 2 }]);
        assert.equal((await ask(lab, "PRAGMA case_sensitive_like = ON")).error, undefined);
        for (const other of Object.values(TIERS)) assert.deepEqual((await other(lab, like)).rows, [{ n: 2 }]);
        await lab.write("INSERT INTO t (b) VALUES ('x')");
        const { max } = (await ask(lab, "SELECT max(id) AS max FROM t")).rows[0];
        assert.ok(max >= 2);
        const [{ last, changed }] = (await ask(lab, "SELECT last_insert_rowid() AS last, changes() AS changed")).rows;
        assert.ok(last > 2 && changed === 1, `${last}, ${changed}`);
        assert.deepEqual((await ask(lab, "PRAGMA foreign_keys")).rows, [{ foreign_keys: 1 }]);
      }
    }));
});

describe("an isolate", () => {
  const DATABASES = Number(process.env.LITTORAL_DATABASES ?? 2_000);
  test(`answers for ${DATABASES} databases in turn`, { timeout: 600_000 }, () =>
    inLab(undefined, async (lab) => {
      const at = (number) => ({ object: { namespace: "DATABASES", name: `many ${number}` }, token: "first-primary", params: [] });
      for (let number = 0; number < DATABASES; number++) {
        await lab.ask({ ...at(number), sql: `CREATE TABLE t (v); INSERT INTO t VALUES (${number})` });
      }
      for (let number = 0; number < DATABASES; number += 7) {
        assert.deepEqual((await lab.ask({ ...at(number), sql: "SELECT v FROM t" })).rows, [{ v: number }]);
      }
      assert.deepEqual(lab.log.filter((line) => /instance|memory/.test(line)), []);
    }));
});
