// A user's own Rust Worker with the feature `edge` (bench/edge-worker): reads are answered in its isolate, by a replica of its own, which
// follows the region's replica object, or the primary itself where none is bound.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { COMPATIBILITY_DATE, bundle, littoralWorker } from "./harness.mjs";

const WORKER = fileURLToPath(new URL("../../bench/edge-worker/build/index.js", import.meta.url));
const OBJECTS = { DATABASES: { className: "Database", scriptName: "littoral" }, REPLICAS: { className: "Replica", scriptName: "littoral" } };
const LONDON = { colo: "LHR", continent: "EU", latitude: "51.5", longitude: "-0.1" };
const SYDNEY = { colo: "SYD", continent: "OC", latitude: "-33.9", longitude: "151.2" };
const ROWS = 2_000;
const POINT = { sql: "SELECT id, name FROM t WHERE id = ?", modulus: ROWS, times: 1 };

for (const [way, durableObjects] of [["with replica objects", OBJECTS], ["following the primary itself", { DATABASES: OBJECTS.DATABASES }]]) {
  describe(`a Rust Worker ${way}`, () => {
    let miniflare;
    before(async () => {
      assert.ok(existsSync(WORKER), "run scripts/build bench/edge-worker first");
      /** @type {any} Miniflare's types want all namespaces to have the same names. */
      const edge = { name: "edge", modules: await bundle(WORKER), compatibilityDate: COMPATIBILITY_DATE, durableObjects, serviceBindings: { DB: { name: "littoral", props: { database: "edge" } } }, bindings: { LIMITS: { like_pattern_bytes: 50_000 } } };
      miniflare = new Miniflare(convertV4MiniflareOptions({ workers: [edge, await littoralWorker()] }));
      await ask({ sql: "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)", times: 1 });
      const fill = `INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${ROWS}) SELECT x, printf('row %300d', x) FROM c`;
      await ask({ sql: fill, times: 1 });
    });
    after(() => miniflare?.dispose());

    async function ask(run, cf = LONDON, way = "edge") {
      const body = JSON.stringify({ database: "edge", session: "first-unconstrained", ...run });
      const response = await miniflare.dispatchFetch(`http://edge/${way}`, { method: "POST", body, cf });
      const text = await response.text();
      if (!response.ok) throw new Error(text);
      return JSON.parse(text);
    }

    test("a cold read fetches pages, warm ones none, and all are its own isolate's", async () => {
      // In another region, where nothing was read before.
      const cold = await ask({ ...POINT, from: 1 }, SYDNEY);
      assert.equal(cold.tier, "isolate");
      const all = await ask({ ...POINT, times: ROWS }, SYDNEY);
      assert.deepEqual([all.tier, all.txid], ["isolate", 2]);
      assert.ok(all.pages_fetched > 100, `${all.pages_fetched} pages`);
      const again = await ask({ ...POINT, times: ROWS }, SYDNEY);
      assert.deepEqual([again.tier, again.pages_fetched], ["isolate", 0]);
    });

    test("a session reads its own writes at once, from a request to the next", async () => {
      let session = "first-unconstrained";
      for (let round = 1; round <= 20; round++) {
        const id = ROWS + round;
        const written = await ask({ session, sql: `INSERT INTO t VALUES (${id}, 'row ${id}')`, times: 1 });
        assert.equal(written.tier, "primary");
        const read = await ask({ session: written.bookmark, sql: "SELECT id, name FROM t ORDER BY id DESC LIMIT 1", times: 1 }, round % 2 ? LONDON : SYDNEY);
        assert.deepEqual([read.rows, read.tier], [[{ id, name: `row ${id}` }], "isolate"]);
        assert.ok(read.txid >= written.txid && read.bookmark >= written.bookmark);
        session = read.bookmark;
      }
    });

    test("a session that asks for the primary first is answered by it, and then in the isolate", async () => {
      const tierAfter = async (times) => (await ask({ ...POINT, session: "first-primary", times })).tier;
      assert.deepEqual([await tierAfter(1), await tierAfter(2)], ["primary", "isolate"]);
    });

    test("errors are the primary's, and so is what is too much", async () => {
      await assert.rejects(ask({ sql: "SELECT absent FROM t", times: 1 }), /no such column: absent/);
      await assert.rejects(ask({ session: "00ffffff-0000002a-00000003-0123456789abcdef0000019a00000000", ...POINT }), /bookmark/);
    });

    test("a call ends with its caller's time, in the isolate and over the service binding", async () => {
      const counting = (steps) => `WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${steps}) SELECT 1 AS id, 'counted ' || count(*) AS name FROM c`;
      for (const way of ["edge", "service"]) {
        await assert.rejects(ask({ sql: counting(40_000_000), timeout_ms: 200, times: 1 }, LONDON, way), /took longer than its timeout/, way);
        const { rows } = await ask({ sql: counting(100_000), timeout_ms: 20_000, times: 1 }, LONDON, way);
        assert.deepEqual(rows, [{ id: 1, name: "counted 100000" }], way);
      }
    });

    test("a statement that ends the isolate's instance leaves no request open, and the next ones are answered", { timeout: 60_000 }, async () => {
      const deep = `SELECT '${"a".repeat(24_000)}' LIKE '${"%a".repeat(24_000)}b'`;
      for (const longitude of [-60, 0, 60]) {
        const cf = { ...SYDNEY, colo: `X${longitude + 60}`, longitude: String(longitude) };
        const settled = (run) => ask(run, cf).then(({ rows }) => rows.length, ({ message }) => message);
        const began = performance.now();
        const open = Array.from({ length: 20 }, (_, from) => settled({ ...POINT, from: from * 50, times: 5 }));
        const lost = settled({ sql: deep, times: 1 });
        await Promise.all(open);
        assert.doesNotMatch(String(await lost), /^\d+$|SQLITE_/, "the instance is not lost");
        assert.ok(performance.now() - began < 7_000);
        const again = await ask({ ...POINT, from: 7, times: 10 }, cf);
        assert.equal(again.rows.length, 1);
      }
    });

    test("many requests at once are each answered rightly", async () => {
      const answers = await Promise.all(Array.from({ length: 100 }, (_, from) => ask({ ...POINT, from, times: 50 })));
      const tiers = answers.map(({ tier }) => tier);
      assert.ok(tiers.filter((tier) => tier === "isolate").length > 90, tiers.join());
    });
  });
}
