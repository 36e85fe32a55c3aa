// Results that are too large together, in every tier: a clear error for that call, the others are answered, and the runtime goes on.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LONDON, openLab } from "./replica_objects/lab.mjs";

const TOO_LARGE = /the result is larger than 31457280 bytes/;
const bytes = (count) => `SELECT hex(zeroblob(${count / 2})) AS b`;
const times = (count, sql) => Array.from({ length: count }, () => sql);

const BATCHES = {
  "one small, one large": ["SELECT 1", `WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x<50000) SELECT hex(zeroblob(500)) FROM c`],
  "two of 16 MB": times(2, bytes(16_000_000)),
  "63 of 500 KB": times(63, bytes(500_000)),
};

describe("a batch whose results are too large together", () => {
  test("is refused, whoever answers", { timeout: 120_000 }, async () => {
    const lab = await openLab();
    try {
      await lab.write("CREATE TABLE t (a)");
      const primary = { object: { namespace: "DATABASES", name: lab.primary }, token: "first-primary" };
      const replica = { object: { namespace: "REPLICAS", name: `weur/${lab.primary}` }, token: "first-unconstrained" };
      const isolate = { cf: LONDON, token: "first-unconstrained" };
      const d1 = { way: "d1" };
      for (const [tier, where] of Object.entries({ primary, replica, isolate, d1 })) {
        for (const [name, batch] of Object.entries(BATCHES)) {
          const small = times(5, { ...where, batch: ["SELECT 1 AS one"] });
          const [{ error }, ...others] = await lab.askAll([{ ...where, batch }, ...small]);
          assert.match(error ?? "no error", TOO_LARGE, `${tier}: ${name}`);
          for (const other of others) assert.deepEqual(other.rows, [{ one: 1 }], `${tier}: ${name}: ${other.error}`);
        }
        // The last that fits.
        const { rows, error } = await lab.tryAsk({ ...where, batch: times(62, bytes(500_000)) });
        assert.equal(rows?.[0].b.length, 500_000, `${tier}: ${error}`);
      }
    } finally {
      await lab.dispose();
    }
  });
});
