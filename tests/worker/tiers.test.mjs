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
  isolate: (lab, sql, params) => lab.tryAsk({ cf: LONDON, token: "first-unconstrained", sql, params }),
  replica: (lab, sql, params) => lab.tryAsk({ object: { namespace: "REPLICAS", name: `weur/${lab.primary}` }, token: "first-unconstrained", sql, params }),
  primary: (lab, sql, params) => lab.tryAsk({ object: { namespace: "DATABASES", name: lab.primary }, token: "first-primary", sql, params }),
};

describe("every tier", () => {
  const limits = { bound_parameters: 2, columns: 8, like_pattern_bytes: 5, value_bytes: 100_000, run_kiloinstructions: 3_000, result_bytes: 200_000 };
  test("has the limits of the variable LIMITS", { timeout: 60_000 }, () =>
    inLab(limits, async (lab) => {
      const endless = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
      const fewButLarge = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 1000) SELECT sum(length(hex(zeroblob(48000 + x)))) FROM c";
      for (const [sql, params, error] of [
        ["SELECT ?, ?, ?", [1, 2, 3], /too many SQL variables/],
        ["SELECT 1, 2, 3, 4, 5, 6, 7, 8, 9", [], /too many columns in result set/],
        ["SELECT 'a' LIKE 'abcdef'", [], /LIKE or GLOB pattern too complex/],
        ["SELECT zeroblob(100001)", [], /string or blob too big/],
        ["SELECT hex(zeroblob(49000)) FROM t, t AS u", [], /the result is larger than 200000 bytes/],
        [endless, [], /exceeded its CPU time limit/],
        [fewButLarge, [], /exceeded its CPU time limit/],
      ]) {
        for (const [tier, ask] of Object.entries(TIERS)) assert.match((await ask(lab, sql, params)).error ?? "no error", error, `${tier}: ${sql}`);
      }
      for (const [tier, ask] of Object.entries(TIERS)) {
        const { rows, meta } = await ask(lab, "SELECT ? + ? AS n, 'a' LIKE 'a%' AS l, length(hex(zeroblob(40000))) AS h FROM t LIMIT 1", [1, 2]);
        assert.deepEqual([rows, meta.served_by_tier], [[{ n: 3, l: 1, h: 80_000 }], tier]);
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
