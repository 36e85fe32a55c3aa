// How far replicas are behind, in the real runtime: what an unconstrained session sees of a write and when, and the staleness that a database
// allows to reads without a session.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LONDON, openLab } from "./replica_objects/lab.mjs";

const TICKS = "SELECT ticks FROM clock";

async function openClock(replication) {
  const lab = await openLab({ replication });
  await lab.write("CREATE TABLE clock (ticks INTEGER)");
  await lab.write("INSERT INTO clock VALUES (0)");
  return lab;
}

describe("behind the primary, while it is read", () => {
  let lab;
  before(async () => {
    lab = await openClock();
  });
  after(() => lab.dispose());

  // Normally less than 100 ms; the bounds are for machines that do other things, too.
  const NORMAL_MS = 250;
  const LONGEST_MS = 3_000;
  for (const { who, ...where } of [{ who: "an isolate", cf: LONDON }, { who: "a replica object", object: { namespace: "REPLICAS", name: "weur/lab-rpc" } }]) {
    test(`${who} is not far`, { timeout: 60_000 }, async (t) => {
      const lags = (await lab.lag({ times: 60, ...where })).sort((a, b) => a - b);
      const at = (part) => lags[Math.ceil(part * lags.length) - 1];
      t.diagnostic(`half of ${lags.length} writes are seen within ${at(0.5)} ms, 95 within ${at(0.95)} ms, all within ${at(1)} ms`);
      assert.ok(at(0.5) < NORMAL_MS && at(1) < LONGEST_MS, lags.join(" "));
    });
  }
});

test("a session that is ahead is answered by the isolate, also where the replica object was not read for a while", { timeout: 30_000 }, async () => {
  const lab = await openClock();
  try {
    await lab.read(LONDON, TICKS);
    for (let ticks = 1; ticks <= 4; ticks++) {
      await sleep(600);
      const { bookmark } = await lab.write("UPDATE clock SET ticks = ticks + 1");
      const { rows, meta } = await lab.read(LONDON, TICKS, bookmark);
      assert.deepEqual([rows, meta.served_by_tier], [[{ ticks }], "isolate"]);
    }
  } finally {
    await lab.dispose();
  }
});

describe("with an allowed staleness, without a session", () => {
  const MAX_STALENESS_MS = 200;
  let lab;
  before(async () => {
    lab = await openClock({ max_staleness_ms: MAX_STALENESS_MS });
  });
  after(() => lab.dispose());

  /** Milliseconds that are not told apart: workerd's clock stands still while it computes. */
  const CLOCK_MS = 20;

  /** Writes on the primary, past the isolate, and reads in it, for a while: how many reads each tier answered. */
  async function writeAndRead(longest_ms) {
    const end = performance.now() + longest_ms;
    const acknowledged = [];
    const tiers = { isolate: 0, replica: 0, primary: 0 };
    const write = async () => {
      while (performance.now() < end) {
        const { meta } = await lab.write("UPDATE clock SET ticks = ticks + 1");
        acknowledged.push({ at: performance.now(), txid: meta.served_at_txid });
        await sleep(5);
      }
    };
    const read = async () => {
      while (performance.now() < end) {
        const began = performance.now();
        const { meta } = await lab.ask({ cf: LONDON, sql: TICKS });
        tiers[meta.served_by_tier] += 1;
        const least = acknowledged.findLast(({ at }) => at < began - MAX_STALENESS_MS - CLOCK_MS)?.txid ?? 0;
        assert.ok(meta.served_at_txid >= least, `commit ${meta.served_at_txid} in place of ${least} from ${meta.served_by_tier}`);
        assert.ok(meta.served_by_tier === "primary" || meta.max_staleness_ms <= MAX_STALENESS_MS, `${meta.max_staleness_ms} ms`);
      }
    };
    await Promise.all([write(), read(), read(), read()]);
    return tiers;
  }

  test("isolates answer, and nothing is older", { timeout: 30_000 }, async (t) => {
    const tiers = await writeAndRead(2_000);
    t.diagnostic(JSON.stringify(tiers));
    assert.ok(tiers.isolate > tiers.primary, JSON.stringify(tiers));
  });

  test("where the replica object fails, the primary answers as soon as the isolate is too old", { timeout: 30_000 }, async (t) => {
    await lab.ask({ cf: LONDON, sql: TICKS });
    await lab.at("weur", "fault", { fails: "on purpose" });
    const tiers = await writeAndRead(1_500);
    await lab.at("weur", "fault", {});
    t.diagnostic(JSON.stringify(tiers));
    assert.ok(tiers.primary > 0, JSON.stringify(tiers));
  });

  test("a read now and then is answered by the isolate, too, after it has asked", { timeout: 30_000 }, async () => {
    await lab.ask({ cf: LONDON, sql: TICKS });
    for (let round = 0; round < 4; round++) {
      await sleep(2 * MAX_STALENESS_MS);
      const { meta } = await lab.ask({ cf: LONDON, sql: TICKS });
      assert.equal(meta.served_by_tier, "isolate");
      assert.ok(meta.max_staleness_ms <= MAX_STALENESS_MS, `${meta.max_staleness_ms} ms`);
    }
  });

  test("a write that went through the isolate is seen by the next read there", { timeout: 30_000 }, async () => {
    for (let round = 0; round < 20; round++) {
      const { meta } = await lab.ask({ cf: LONDON, sql: "UPDATE clock SET ticks = ticks + 1" });
      const read = await lab.ask({ cf: LONDON, sql: TICKS });
      assert.ok(read.meta.served_at_txid >= meta.served_at_txid, `${read.meta.served_at_txid} after ${meta.served_at_txid}`);
    }
  });

  test("a replica object that is asked itself keeps to it, too", { timeout: 30_000 }, async () => {
    const object = { namespace: "REPLICAS", name: `weur/${lab.primary}` };
    await lab.ask({ object, sql: TICKS });
    const { meta } = await lab.ask({ object, sql: TICKS });
    assert.equal(meta.served_by_tier, "replica");
    assert.ok(meta.max_staleness_ms <= MAX_STALENESS_MS, `${meta.max_staleness_ms} ms`);
    await lab.atPrimary("fault", { fails: "on purpose" });
    const { meta: wrote } = await lab.write("UPDATE clock SET ticks = ticks + 1");
    await sleep(MAX_STALENESS_MS + CLOCK_MS);
    const late = await lab.ask({ object, sql: TICKS });
    assert.ok(late.meta.served_at_txid >= wrote.served_at_txid, `${late.meta.served_at_txid} after ${wrote.served_at_txid}`);
    await lab.atPrimary("fault", {});
  });
});
