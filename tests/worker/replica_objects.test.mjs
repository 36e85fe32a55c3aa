// Replica objects in the real runtime: what they keep, how they come back, who tells them, and what configuration says of them.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LONDON, TOKYO, openLab, until } from "./replica_objects/lab.mjs";

const ROWS = 2_000;
const COUNT = "SELECT count(b) AS n FROM t";
const HELD = "SELECT count(*) AS pages, coalesce(sum(length(image)), 0) AS bytes FROM held";
/** The kinds of questions, as messages say them. */
const [PULL, FETCH] = [1, 4];

const point = (id) => `SELECT id, substr(b, 1, 5) AS b FROM t WHERE id = ${id}`;
const answerOf = (id) => [{ id, b: String(id).padStart(5, "0") }];

/** A table of about 500 pages. */
async function fill(lab) {
  await lab.write("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)");
  const rows = `WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${ROWS}) SELECT x, printf('%05d', x) || hex(randomblob(450)) FROM c`;
  await lab.write(`INSERT INTO t ${rows}`);
}

const heldAt = async (lab, region) => (await lab.at(region, "storage", HELD))[0];

/** Runs a test on a runtime of its own. */
function inLab(name, options, run) {
  test(name, { timeout: 60_000 }, async (t) => {
    const lab = await openLab(options);
    try {
      await run(lab, t);
    } finally {
      await lab.dispose();
    }
  });
}

describe("a read that takes long", () => {
  const counting = (steps) =>
    `WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${steps}) SELECT count(*) AS n, (SELECT count(*) FROM t) AS rows FROM c`;

  inLab("is answered by the replica object, which answers others in between", {}, async (lab) => {
    await fill(lab);
    await lab.readAt("weur", point(7));
    const STEPS = 5_000_000;
    const began = performance.now();
    let took;
    const long = lab.readAt("weur", counting(STEPS)).finally(() => (took = performance.now() - began));
    const others = [];
    while (took === undefined) {
      const asked = performance.now();
      assert.deepEqual((await lab.readAt("weur", point(7))).rows, answerOf(7));
      others.push(performance.now() - asked);
    }
    const { rows, meta } = await long;
    assert.deepEqual([rows, meta.served_by_tier], [[{ n: STEPS, rows: ROWS }], "replica"]);
    const worst = Math.max(...others);
    assert.ok(others.length > 20 && worst < took / 4, `${others.length} others in ${took} ms, ${worst} ms at most`);
  });

  inLab("ends in time, at the object as in an isolate, and where the source does not answer", {}, async (lab) => {
    await fill(lab);
    await lab.readAt("weur", point(7));
    const object = { namespace: "REPLICAS", name: `weur/${lab.primary}` };
    const asked = { token: "first-unconstrained", timeout_ms: 300 };
    const timesOut = async (where) => {
      const began = performance.now();
      await assert.rejects(lab.ask({ ...asked, ...where }), /The call took longer than its timeout/);
      const took = performance.now() - began;
      assert.ok(took < 1_500, `it took ${took} ms`);
    };
    await timesOut({ object, sql: counting(20_000_000) });
    await timesOut({ cf: LONDON, sql: counting(20_000_000) });
    await lab.atPrimary("fault", { delay_ms: 5_000 });
    await timesOut({ cf: TOKYO, sql: "SELECT sum(length(b)) FROM t" });
    await lab.atPrimary("fault", {});
    assert.deepEqual((await lab.ask({ ...asked, cf: LONDON, sql: point(9) })).rows, answerOf(9));
  });

  inLab("leaves the isolate for the replica object", {}, async (lab) => {
    await fill(lab);
    const { rows, meta } = await lab.read(LONDON, counting(2_000_000));
    assert.deepEqual([rows, meta.served_by_tier], [[{ n: 2_000_000, rows: ROWS }], "replica"]);
    const short = await lab.read(LONDON, point(7));
    assert.equal(short.meta.served_by_tier, "isolate");
  });
});

describe("what a replica object keeps", () => {
  inLab("it starts empty, answers at once, and keeps the pages that were read", {}, async (lab) => {
    await fill(lab);
    const { rows, meta } = await lab.readAt("weur", point(700));
    assert.deepEqual(rows, answerOf(700));
    assert.equal(meta.served_by_tier, "replica");
    assert.equal(meta.served_by_primary, false);
    assert.equal(meta.served_by_region, "WEUR");
    assert.ok(meta.pages_fetched > 0 && meta.pages_fetched < 30, `${meta.pages_fetched} pages for a point read`);
    await lab.flush("weur");
    const { pages } = await heldAt(lab, "weur");
    assert.ok(pages > 1 && pages < 30, `${pages} pages are held`);
    assert.deepEqual((await lab.readAt("weur", COUNT)).rows, [{ n: ROWS }]);
    await lab.flush("weur");
    assert.ok((await heldAt(lab, "weur")).pages > 400, "a scan leaves all pages");
  });

  inLab("it keeps to its budget, and answers right all the same", { replication: { held_bytes: 100_000 } }, async (lab) => {
    await fill(lab);
    for (let round = 0; round < 3; round++) {
      assert.deepEqual((await lab.readAt("weur", COUNT)).rows, [{ n: ROWS }]);
      await lab.write("UPDATE t SET b = printf('%05d', id) || hex(randomblob(450)) WHERE id % 100 = ?", round);
      await lab.flush("weur");
      const { pages, bytes } = await heldAt(lab, "weur");
      assert.ok(bytes > 50_000 && bytes <= 100_000, `${pages} pages of ${bytes} bytes are held`);
    }
  });

  inLab("what it does not read of a write it drops or replaces, and nothing of it is stale", {}, async (lab) => {
    await fill(lab);
    await lab.readAt("weur", COUNT);
    for (const { sql, n } of [
      { sql: "DELETE FROM t WHERE id > 1000", n: 1000 },
      { sql: "UPDATE t SET b = hex(randomblob(20))", n: 1000 },
      { sql: "INSERT INTO t SELECT id + 5000, b FROM t", n: 2000 },
    ]) {
      const { bookmark } = await lab.write(sql);
      const { rows, meta } = await lab.readAt("weur", COUNT, bookmark);
      assert.deepEqual([rows, meta.served_by_tier], [[{ n }], "replica"], sql);
      assert.deepEqual((await lab.readAt("weur", "PRAGMA quick_check", bookmark)).rows, [{ quick_check: "ok" }], sql);
    }
  });
});

describe("how a replica object comes back", () => {
  /** It answers from its storage: a pull, and no page. */
  async function answersFromStorage(lab) {
    await lab.atPrimary("counted");
    const { rows, meta } = await lab.readAt("weur", COUNT);
    assert.deepEqual([rows, meta.served_by_tier, meta.pages_fetched], [[{ n: ROWS }], "replica", 0]);
    const { [PULL]: pulls, [FETCH]: fetches } = await lab.atPrimary("counted");
    assert.ok(pulls >= 1, "it has asked what is new");
    assert.equal(fetches, undefined, "and for no page");
  }

  inLab("after an eviction it goes on from what it kept", {}, async (lab) => {
    await fill(lab);
    await lab.readAt("weur", COUNT);
    await lab.flush("weur");
    for (let round = 0; round < 3; round++) {
      await lab.evict("weur");
      await answersFromStorage(lab);
    }
    // What was written meanwhile it learns by asking.
    await lab.evict("weur");
    const { bookmark } = await lab.write("UPDATE t SET b = 'now' WHERE id = 9");
    assert.deepEqual((await lab.readAt("weur", point(9), bookmark)).rows, [{ id: 9, b: "now" }]);
    assert.deepEqual(lab.log, [], "nothing is worth a line");
  });

  inLab("an eviction before anything was written costs the pages only", {}, async (lab) => {
    await fill(lab);
    await lab.readAt("weur", COUNT);
    await lab.evict("weur");
    const { rows, meta } = await lab.readAt("weur", COUNT);
    assert.deepEqual([rows, meta.served_by_tier], [[{ n: ROWS }], "replica"]);
    assert.ok(meta.pages_fetched > 0);
  });

  test("after a restart of the runtime it goes on from what it kept", { timeout: 60_000 }, async () => {
    const persist = mkdtempSync(join(tmpdir(), "littoral-replica-"));
    try {
      const before = await openLab({ persist });
      await fill(before);
      await before.readAt("weur", COUNT);
      await before.flush("weur");
      await before.dispose();
      const lab = await openLab({ persist });
      try {
        await answersFromStorage(lab);
        const { bookmark } = await lab.write("DELETE FROM t WHERE id = 1");
        assert.deepEqual((await lab.readAt("weur", COUNT, bookmark)).rows, [{ n: ROWS - 1 }]);
      } finally {
        await lab.dispose();
      }
    } finally {
      rmSync(persist, { recursive: true, force: true });
    }
  });
});

describe("how a replica object moves on", () => {
  inLab("the primary tells it what is new, and it asks for none of it", {}, async (lab) => {
    await fill(lab);
    await lab.readAt("weur", point(1));
    await lab.at("weur", "counted");
    for (let id = 1; id <= 5; id++) {
      const { meta: wrote } = await lab.write("UPDATE t SET b = 'told' WHERE id = ?", id);
      await until(() => lab.at("weur", "counted"), ({ told }) => told > 0, "the primary tells nothing");
      const read = await until(
        () => lab.readAt("weur", point(id)),
        ({ meta }) => meta.served_at_txid >= wrote.served_at_txid,
        "it has not moved on",
      );
      assert.deepEqual(read.rows, [{ id, b: "told" }]);
    }
  });

  inLab("a request wakes it, its alarm writes what it gathered, and then it sleeps until there is another", {}, async (lab) => {
    await fill(lab);
    assert.equal(await lab.at("weur", "alarmTime"), null, "nobody has read");
    await lab.readAt("weur", point(1));
    const set = await lab.at("weur", "alarmTime");
    assert.ok(set > Date.now() && set <= Date.now() + 10_000, `the alarm is set for ${set}`);
    await lab.flush("weur");
    const [{ value }] = await lab.at("weur", "storage", "SELECT value FROM replica WHERE key = 'position'");
    assert.match(value, /^[0-9a-f]{16} 0*2 /);
    await lab.atPrimary("counted");
    await sleep(700);
    assert.equal(await lab.at("weur", "alarmTime"), null, "no alarm of its own will");
    assert.deepEqual(await lab.atPrimary("counted"), { told: 0 }, "and no question to the primary");
    // An alarm that finds it evicted opens it again, and ends.
    await lab.evict("weur");
    await lab.flush("weur");
    assert.deepEqual((await lab.readAt("weur", point(2))).rows, answerOf(2));
    assert.notEqual(await lab.at("weur", "alarmTime"), null);
  });

  inLab("writes and transactions that reach it go to the primary, and its sessions see them", {}, async (lab) => {
    await fill(lab);
    const object = { namespace: "REPLICAS", name: `weur/${lab.primary}` };
    await lab.readAt("weur", COUNT);
    const write = await lab.ask({ object, token: "first-unconstrained", sql: "INSERT INTO t VALUES (9001, 'one')" });
    assert.deepEqual([write.meta.served_by_tier, write.meta.changes], ["primary", 1]);
    const read = await lab.readAt("weur", "SELECT b FROM t WHERE id = 9001", write.bookmark);
    assert.deepEqual([read.rows, read.meta.served_by_tier], [[{ b: "one" }], "replica"]);
    const batch = await lab.ask({ object, token: read.bookmark, batch: ["DELETE FROM t WHERE id = 9001", "SELECT count(*) AS n FROM t"] });
    assert.deepEqual([batch.rows, batch.meta.served_by_tier], [[{ n: ROWS }], "primary"]);
    const failed = await lab.tryAsk({ object, token: batch.bookmark, batch: ["DELETE FROM t", "INSERT INTO absent VALUES (1)"] });
    assert.match(failed.error, /no such table: absent/);
    assert.deepEqual((await lab.readAt("weur", COUNT, batch.bookmark)).rows, [{ n: ROWS }]);
  });
});

describe("a database that is deleted", () => {
  inLab("is forgotten by its replica objects, and one of the same name starts anew in them", {}, async (lab) => {
    await fill(lab);
    const { bookmark } = await lab.write("DELETE FROM t WHERE id = 1");
    for (const region of ["weur", "oc"]) {
      await lab.readAt(region, COUNT);
      await lab.flush(region);
      // Something is gathered and an alarm is set, too.
      await lab.readAt(region, COUNT);
    }
    await lab.read(LONDON, COUNT);
    await lab.atPrimary("destroy");
    for (const region of ["weur", "oc"]) {
      const tables = await lab.at(region, "storage", "SELECT name FROM sqlite_schema WHERE name IN ('held', 'replica')");
      assert.deepEqual(tables, [], region);
      assert.equal(await lab.at(region, "alarmTime"), null, region);
      assert.match((await lab.tryAsk({ object: { namespace: "REPLICAS", name: `${region}/${lab.primary}` }, token: bookmark, sql: COUNT })).error, /bookmark/);
    }
    await lab.write("CREATE TABLE t (b)");
    const { bookmark: anew } = await lab.write("INSERT INTO t VALUES ('anew')");
    for (const region of ["weur", "oc"]) {
      const { rows, meta } = await lab.readAt(region, "SELECT b FROM t", anew);
      assert.deepEqual([rows[0], meta.served_by_tier], [{ b: "anew" }, "replica"], region);
      await until(() => lab.at(region, "alarmTime"), (time) => time !== null, "what it keeps now is to be written");
      const { meta: wrote } = await lab.write("INSERT INTO t VALUES (?)", region);
      await until(() => lab.at(region, "counted"), ({ told }) => told > 0, "and it is told again");
      await until(() => lab.readAt(region, COUNT), ({ meta }) => meta.served_at_txid >= wrote.served_at_txid, "and moves on");
    }
    const { rows, meta } = await lab.read(LONDON, "SELECT b FROM t", anew);
    assert.deepEqual([rows[0], meta.served_by_tier], [{ b: "anew" }, "isolate"]);
  });
});

describe("regions", () => {
  /** A place in the middle of each: every location hint. */
  const PLACES = {
    wnam: [37.4, -122.1], enam: [39.0, -77.5], sam: [-23.5, -46.6], weur: [50.1, 4.4], eeur: [52.2, 21.0], apac: [22.3, 114.2],
    "apac-ne": [35.7, 139.7], "apac-se": [1.3, 103.8], oc: [-33.9, 151.2], afr: [-26.2, 28.0], me: [25.2, 55.3],
  };

  inLab("every location hint has its replica object, asked by the isolates near it and by no others", {}, async (lab) => {
    await fill(lab);
    for (const [region, [latitude, longitude]] of Object.entries(PLACES)) {
      const { rows, meta } = await lab.read({ colo: "XXX", latitude: String(latitude), longitude: String(longitude) }, point(5));
      assert.deepEqual([rows, meta.served_by_tier, meta.served_by_region], [answerOf(5), "isolate", region.toUpperCase()]);
      for (const other of Object.keys(PLACES)) {
        const { [PULL]: pulls = 0 } = await lab.at(other, "counted");
        assert.equal(pulls > 0, other === region, `${other} when asked at ${region}`);
      }
      const atObject = await lab.readAt(region, point(6));
      assert.deepEqual([atObject.rows, atObject.meta.served_by_tier, atObject.meta.served_by_region], [answerOf(6), "replica", region.toUpperCase()]);
      await lab.at(region, "counted");
    }
  });

  inLab("a list of regions has replica objects there only, and the nearest of them is asked", { replication: { regions: ["weur", "oc"] } }, async (lab) => {
    await fill(lab);
    const read = await lab.read(TOKYO, point(5));
    assert.deepEqual([read.rows, read.meta.served_by_tier, read.meta.served_by_region], [answerOf(5), "isolate", "APAC-NE"]);
    const asked = async (region) => (await lab.at(region, "counted"))[PULL] ?? 0;
    assert.deepEqual([await asked("apac-ne"), await asked("weur")], [0, 0]);
    assert.ok((await asked("oc")) > 0);
  });

  inLab("off has the primary answer everything", { replication: { regions: "off" } }, async (lab) => {
    await fill(lab);
    for (const token of ["first-unconstrained", undefined]) {
      const { rows, meta } = await lab.ask({ cf: LONDON, token, sql: point(5) });
      assert.deepEqual([rows, meta.served_by_tier], [answerOf(5), "primary"]);
    }
    assert.deepEqual(await lab.at("weur", "counted"), { told: 0 });
    assert.deepEqual(await lab.atPrimary("counted"), { told: 0 });
  });

  inLab("one database's own setting stands before the others'", { replication: { regions: "off", databases: { "lab-rpc": { regions: "auto" } } } }, async (lab) => {
    await fill(lab);
    assert.equal((await lab.read(LONDON, point(5))).meta.served_by_tier, "isolate");
    const other = await lab.ask({ way: "d1", token: "first-unconstrained", sql: "SELECT 1 AS one" });
    assert.deepEqual([other.rows, other.meta.served_by_tier], [[{ one: 1 }], "primary"]);
  });

  inLab("a setting that is not understood and a name without a region are named in the error", { replication: { regions: ["mars"] } }, async (lab) => {
    assert.match((await lab.tryAsk({ cf: LONDON, token: "first-unconstrained", sql: "SELECT 1" })).error, /the variable REPLICATION is not understood/);
    for (const name of ["mars/lab-rpc", "lab-rpc"]) {
      const { error } = await lab.tryAsk({ object: { namespace: "REPLICAS", name }, token: "first-unconstrained", sql: "SELECT 1" });
      assert.match(error, /mars is no location hint|a replica's name is a region and a database/);
    }
  });
});
