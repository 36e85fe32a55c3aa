// A WebAssembly instance that is lost while others wait for it: everybody gets an answer, and what comes after is right.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LONDON, openLab } from "./replica_objects/lab.mjs";

const ROWS = 400;
const FETCH = 4;
/** What docs/replication.md promises. */
const LONGEST_MS = 7_000;

/** A limit raised so far that a pattern is deeper than the stack. */
const limits = { like_pattern_bytes: 50_000 };
const DEEP = `SELECT '${"a".repeat(24_000)}' LIKE '${"%a".repeat(24_000)}b'`;
const point = (id) => `SELECT id FROM t WHERE id = ${id}`;

async function inLab(run) {
  const lab = await openLab({ limits });
  try {
    await lab.write("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)");
    await lab.write(`INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${ROWS}) SELECT x, hex(randomblob(1800)) FROM c`);
    await run(lab);
  } finally {
    await lab.dispose();
  }
}

describe("an instance that is lost", () => {
  test("reads that wait for pages are answered", { timeout: 60_000 }, () =>
    inLab(async (lab) => {
      await lab.read(LONDON, point(1));
      await lab.at("weur", "fault", { kind: FETCH, delay_ms: 2_000 });
      const began = performance.now();
      const ids = Array.from({ length: 30 }, (_, index) => 100 + index * 7);
      const reads = Promise.all(ids.map((id) => lab.read(LONDON, point(id))));
      await sleep(100);
      await assert.rejects(lab.write(DEEP), /D1_ERROR: the Worker's instance was lost while this ran.*LITTORAL_OUTCOME_UNKNOWN/);
      const answers = await reads;
      assert.deepEqual(answers.map(({ rows }) => rows), ids.map((id) => [{ id }]));
      assert.ok(performance.now() - began < LONGEST_MS);
      assert.ok(answers.some(({ meta }) => meta.served_by_tier === "primary"), "nobody was waiting");
      await lab.at("weur", "fault", {});
      const { bookmark } = await lab.write("INSERT INTO t VALUES (1000, '')");
      assert.deepEqual((await lab.read(LONDON, point(1_000), bookmark)).rows, [{ id: 1_000 }]);
    }));

  for (const [whose, other] of [["", ""], ["of another database ", " other"]]) {
    test(`writes ${whose}that were answered or waited meanwhile are made, once each`, { timeout: 60_000 }, () =>
      inLab(async (lab) => {
        const of = (name) => ({ object: { namespace: "DATABASES", name }, token: "first-primary" });
        const primary = of(lab.primary);
        for (let round = 1; round <= 5; round++) {
          // The first makes the others wait while it is made durable.
          const ids = Array.from({ length: 40 }, (_, index) => round * 1_000 + index);
          const asked = ids.map((id) => ({ ...primary, sql: "INSERT INTO t VALUES (?, 'innocent')", params: [id] }));
          asked.splice(20, 0, { ...of(lab.primary + other), sql: DEEP, params: [] });
          const answers = await lab.askAll(asked);
          assert.match(answers[20].error, /LITTORAL_OUTCOME_UNKNOWN/);
          assert.deepEqual(answers.toSpliced(20, 1).map(({ error }) => error).filter(Boolean), []);
          const { rows } = await lab.ask({ ...primary, sql: `SELECT count(*) AS n FROM t WHERE id >= ${round * 1_000} AND b = 'innocent'`, params: [] });
          assert.deepEqual(rows, [{ n: ids.length }]);
        }
      }));
  }
});
