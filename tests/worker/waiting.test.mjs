// Queries that wait for pages, in the real runtime: a thousand at once in one isolate, sources that fail or never answer, and callers that
// go away. Every answer is right, each comes within a stated time, and the isolate works afterwards.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LONDON, TOKYO, openLab } from "./replica_objects/lab.mjs";

/** A row fills a page. */
const ROWS = 1_000;
const [PULL, FETCH] = [1, 4];
const NEVER_MS = 60_000;
/** In each tier a pull is given up after 3 s, and the wait for a page after 2 s, and the next tier answers: 7 s in all. */
const LONGEST_MS = 12_000;

const TOKEN = "first-unconstrained";
const point = (id) => `SELECT id, substr(b, 1, 5) AS b FROM t WHERE id = ${id}`;
const answerOf = (id) => [{ id, b: String(id).padStart(5, "0") }];
const ids = Array.from({ length: ROWS }, (_, index) => index + 1);

/** Runs a test on a runtime of its own, whose isolate and replica objects hold nothing. */
function inLab(name, run) {
  test(name, { timeout: 60_000 }, async (t) => {
    const lab = await openLab();
    try {
      await lab.write("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)");
      await lab.write(`INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${ROWS}) SELECT x, printf('%05d', x) || hex(randomblob(1800)) FROM c`);
      await run(lab, t);
    } finally {
      await lab.dispose();
    }
  });
}

/** Checks answers to questions for these ids; says how many each tier gave. */
function checked(answers, asked) {
  const tiers = { isolate: 0, replica: 0, primary: 0 };
  answers.forEach((answer, index) => {
    assert.deepEqual(answer.rows, answerOf(asked[index]), answer.error);
    tiers[answer.meta.served_by_tier] += 1;
  });
  return tiers;
}

const inOneRequest = (lab, asked, cf = LONDON) => lab.askAll(asked.map((id) => ({ cf, token: TOKEN, sql: point(id) })));
const inManyRequests = (lab, asked, cf = LONDON) => Promise.all(asked.map((id) => lab.read(cf, point(id))));

/** The milliseconds that it took, and what came. */
async function timed(work) {
  const began = performance.now();
  const value = await work;
  return [performance.now() - began, value];
}

async function worksAfterwards(lab) {
  for (const cf of [LONDON, TOKYO]) {
    const { rows, meta } = await lab.read(cf, point(77));
    assert.deepEqual([rows, meta.served_by_tier], [answerOf(77), "isolate"], `${cf.colo}: ${lab.log.join("\n")}`);
  }
  const { bookmark } = await lab.write("UPDATE t SET b = '00077 after' WHERE id = 77");
  const { rows, meta } = await lab.read(LONDON, point(77), bookmark);
  assert.deepEqual([rows, meta.served_by_tier], [answerOf(77), "isolate"]);
  const wrong = lab.log.filter((line) => /panicked|unreachable|RuntimeError|was lost|Critical|hung/.test(line));
  assert.deepEqual(wrong, []);
}

describe("a thousand queries at once, in an isolate that holds nothing", () => {
  const same = ids.map(() => 500);
  /** @type {[how: string, ask: (lab: any, asked: number[]) => Promise<any[]>, asked: number[], delay_ms: number][]} */
  const ways = [
    ["in one request, each its own page", inOneRequest, ids, 0],
    ["in one request, each its own page, from a source that is far away", inOneRequest, ids, 30],
    ["in one request, all the same page", inOneRequest, same, 0],
    ["in one request, all the same page, from a source that is far away", inOneRequest, same, 30],
    ["in a request each, each its own page", inManyRequests, ids, 0],
    ["in a request each, all the same page", inManyRequests, same, 0],
  ];
  for (const [how, ask, asked, delay_ms] of ways) {
    inLab(how, async (lab, t) => {
      if (delay_ms > 0) await lab.at("weur", "fault", { delay_ms });
      const [took_ms, answers] = await timed(ask(lab, asked));
      const tiers = checked(answers, asked);
      t.diagnostic(`${Math.round(took_ms)} ms, answered by ${JSON.stringify(tiers)}`);
      // A page that many want is waited for, and fetched once; of those that want many pages most go on to the next tier.
      assert.ok(tiers.isolate >= (asked === same ? ROWS / 2 : 1), JSON.stringify(tiers));
      const again = checked(await ask(lab, asked.slice(0, 300)), asked.slice(0, 300));
      t.diagnostic(`again, 300 of them: ${JSON.stringify(again)}`);
      if (asked === same) assert.equal(again.isolate, 300);
      await worksAfterwards(lab);
    });
  }
});

describe("a source that fails or never answers", { concurrency: 4 }, () => {
  const FAULTS = [{ how: "fails", fault: { fails: "on purpose" } }, { how: "never answers", fault: { delay_ms: NEVER_MS } }];
  for (const { how, fault } of FAULTS) {
    for (const [what, kind] of [["pulls", PULL], ["fetches", FETCH], ["all questions", undefined]]) {
      inLab(`the replica object ${how}: ${what}`, async (lab, t) => {
        await lab.read(LONDON, point(1));
        await lab.at("weur", "fault", { kind, ...fault });
        // Another region knows nothing yet; this one does, but lacks the page.
        await lab.at("apac-ne", "fault", { kind, ...fault });
        for (const cf of [LONDON, TOKYO]) {
          const [took_ms, answers] = await timed(inOneRequest(lab, ids.slice(300, 400), cf));
          const tiers = checked(answers, ids.slice(300, 400));
          t.diagnostic(`${cf.colo}: ${Math.round(took_ms)} ms, answered by ${JSON.stringify(tiers)}`);
          assert.ok(took_ms < LONGEST_MS, `${took_ms} ms`);
        }
        await lab.at("weur", "fault", {});
        await lab.at("apac-ne", "fault", {});
        await worksAfterwards(lab);
      });
    }

    inLab(`the primary ${how}, as a source`, async (lab, t) => {
      await lab.read(LONDON, point(1));
      await lab.atPrimary("fault", fault);
      const asked = ids.slice(300, 400);
      const atObject = async () => [await lab.readAt("weur", point(301))];
      for (const [took_ms, answers] of await Promise.all([timed(inOneRequest(lab, asked)), timed(inOneRequest(lab, asked, TOKYO)), timed(atObject())])) {
        const tiers = checked(answers, asked);
        t.diagnostic(`${Math.round(took_ms)} ms, answered by ${JSON.stringify(tiers)}`);
        assert.ok(took_ms < LONGEST_MS, `${took_ms} ms`);
      }
      await lab.atPrimary("fault", {});
      await worksAfterwards(lab);
    });
  }
});

describe("a caller that goes away while its query waits", { concurrency: true }, () => {
  for (const [what, kind] of [["a pull", PULL], ["a page", FETCH]]) {
    inLab(`leaves nobody waiting who needs the same: ${what}`, async (lab) => {
      if (kind === FETCH) await lab.read(LONDON, point(1));
      await lab.at("weur", "fault", { kind, delay_ms: 700 });
      const gone = await Promise.all(
        [1, 2, 3].map(() => {
          const body = JSON.stringify({ binding: "LITTORAL", database: lab.name, body: { cf: LONDON, token: TOKEN, sql: point(500) } });
          const request = lab.harness.miniflare.dispatchFetch("http://user/ask", { method: "POST", body, signal: AbortSignal.timeout(200) });
          return request.then(() => "answered", () => "gone");
        }),
      );
      assert.deepEqual(gone, ["gone", "gone", "gone"]);
      const asked = ids.map(() => 500).slice(0, 50);
      const [took_ms, answers] = await timed(inManyRequests(lab, asked));
      checked(answers, asked);
      assert.ok(took_ms < LONGEST_MS, `${took_ms} ms`);
      await lab.at("weur", "fault", {});
      await sleep(800);
      await worksAfterwards(lab);
    });
  }
});
