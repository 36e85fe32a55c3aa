// What a user's Worker sees of replicas: who answers, how fresh, and that sessions never go back.

import { bind } from "../../js/src/index.js";
import { serve } from "./user.mjs";

const LONDON = { colo: "LHR", continent: "EU", latitude: "51.5", longitude: "-0.1" };
const TOKYO = { colo: "NRT", continent: "AS", latitude: "35.7", longitude: "139.7" };

function equal(actual, expected, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`);
}

function ok(condition, what) {
  if (!condition) throw new Error(what);
}

const count = (session) => session.prepare("SELECT count(*) AS n, max(a) AS top FROM t").run();

/** Asks until the answer is as wanted, for a second at most. */
async function until(ask, wanted, what) {
  const end = Date.now() + 1000;
  let answer;
  do {
    answer = await ask();
    if (wanted(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 10));
  } while (Date.now() < end);
  throw new Error(`${what}: ${JSON.stringify(answer)}`);
}

export default serve({
  "a session is answered in the isolate, a plain query and a write by the primary": async ({ stub }) => {
    const db = bind(stub, { cf: LONDON });
    const created = await db.prepare("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)").run();
    equal([created.meta.served_by_tier, created.meta.served_by_primary], ["primary", true], "a write");
    await db.prepare("INSERT INTO t VALUES (1, 'one')").run();
    const session = db.withSession();
    const first = await count(session);
    equal(first.results, [{ n: 1, top: 1 }], "rows");
    const { meta } = first;
    equal([meta.served_by_tier, meta.served_by_primary, meta.served_by_region, meta.served_by_colo], ["isolate", false, "WEUR", "LHR"], "who");
    equal(meta.pages_fetched, 0, "the database's two pages came with its position");
    equal(meta.served_at_txid, 2, "txid");
    const again = await count(session);
    equal([again.meta.served_by_tier, again.meta.pages_fetched], ["isolate", 0], "a warm read");
    equal((await count(db)).meta.served_by_tier, "primary", "without a session");
    equal((await count(db.withSession("first-primary"))).meta.served_by_tier, "primary", "first-primary");
  },

  "a session reads its own writes, wherever it is": async ({ stub }) => {
    for (const cf of [LONDON, TOKYO, undefined]) {
      const session = bind(stub, { cf }).withSession();
      for (let i = 0; i < 20; i++) {
        const { meta } = await session.prepare("INSERT INTO t (b) VALUES (?)").bind("x").run();
        const read = await count(session);
        equal([read.results[0].top, read.meta.served_by_tier], [meta.last_row_id, "isolate"], `write ${i}`);
        ok(Number(read.meta.served_at_txid) >= Number(meta.served_at_txid), "txid");
      }
    }
  },

  "an unconstrained session sees a write soon": async ({ stub }) => {
    const db = bind(stub, { cf: LONDON });
    const { meta } = await db.prepare("INSERT INTO t (b) VALUES ('soon')").run();
    const began = Date.now();
    await until(() => count(db.withSession()), ({ results }) => results[0].top >= meta.last_row_id, "a write is not seen");
    return Date.now() - began;
  },

  "errors are the primary's": async ({ stub }) => {
    const session = bind(stub, { cf: LONDON }).withSession();
    const failed = await session.prepare("SELECT absent FROM t").run().then(() => "no error", (error) => error.message);
    ok(failed.includes("no such column: absent"), failed);
  },

  "a schema change and a large table arrive": async ({ stub }) => {
    const db = bind(stub, { cf: TOKYO });
    const session = db.withSession();
    await session.prepare("CREATE TABLE big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i, hex(randomblob(50)) AS h FROM n").run();
    const scan = await session.prepare("SELECT count(h) AS n, sum(i) AS s FROM big").run();
    equal(scan.results, [{ n: 20000, s: 200010000 }], "rows");
    ok(Number(scan.meta.pages_fetched) > 100, `pages fetched: ${scan.meta.pages_fetched}`);
    const point = await session.prepare("SELECT i FROM big WHERE rowid = 19000").run();
    equal([point.results, point.meta.served_by_primary], [[{ i: 19000 }], false], "a point read");
    return [scan.meta.served_by_tier, scan.meta.pages_fetched, point.meta.served_by_tier, point.meta.pages_fetched];
  },

  "the past is read on a replica": async ({ stub }) => {
    const db = bind(stub, { cf: LONDON });
    const session = db.withSession("first-primary");
    const before = await count(session);
    const bookmark = session.getBookmark() ?? "none";
    await db.prepare("DELETE FROM t").run();
    const past = await db.at(bookmark).prepare("SELECT count(*) AS n, max(a) AS top FROM t").run();
    equal(past.results, before.results, "the past");
    equal(past.meta.served_by_tier, "isolate", "who");
    const written = await db.at(bookmark).prepare("DELETE FROM t").run().then(() => "no error", (error) => error.message);
    ok(written.includes("readonly"), written);
  },

  "a bookmark of the future is refused": async ({ stub }) => {
    const db = bind(stub, { cf: LONDON });
    const session = db.withSession("00ffffff-0000002a-00000003-0123456789abcdef0000019a00000000");
    const failed = await session.prepare("SELECT 1").run().then(() => "no error", (error) => error.message);
    ok(failed.includes("bookmark"), failed);
  },
});
