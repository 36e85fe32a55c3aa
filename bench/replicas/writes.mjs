// Writes with and without followers: three databases take the same inserts in turn. Of one, a replica object in each of ten regions is told of
// every commit. All objects of a local runtime share one thread, so what followers do while a write waits counts, too; the objects of the
// third database do nothing with the news, as if they were on other machines.

import { rounded } from "../rounds.mjs";
import { median } from "../stats.mjs";
import { SCHEMA } from "../workload.mjs";
import { PLACES, start } from "./runtime.mjs";

const DATABASES = ["alone", "followed", "elsewhere"];
const SHAPES = [{ concurrency: 1, rows: 1_000 }, { concurrency: 50, rows: 20_000 }];
const COUNT = "SELECT count(*) AS id, '' AS name FROM w";

/** Answers `{ concurrency, alone_us, followed_us, elsewhere_us, messages, bytes_per_insert }` for inserts one at a time and 50 at once. */
export async function writes({ persist, log }, { rounds, is_quick }) {
  const runtime = await start({ databases: DATABASES, persist, edges: PLACES.length });
  const results = [];
  try {
    for (const { concurrency, rows } of SHAPES) {
      const result = await ofShape(runtime, { concurrency, rows: is_quick ? rows / 10 : rows, rounds });
      log(`writes, ${concurrency} at once: ${JSON.stringify(result)}`);
      results.push(result);
    }
  } finally {
    await runtime.stop();
  }
  return results;
}

async function ofShape(runtime, { concurrency, rows, rounds }) {
  const each_us = Object.fromEntries(DATABASES.map((database) => [database, /** @type {number[]} */ ([])]));
  const told = { told: 0, told_bytes: 0 };
  for (let round = 0; round <= rounds; round++) {
    for (const [i] of DATABASES.entries()) {
      const database = DATABASES[(i + round) % DATABASES.length];
      const bookmark = await runtime.ask({ do: "write", database, statements: ["DROP TABLE IF EXISTS w", SCHEMA[1]] });
      if (database !== "alone") await subscribe(runtime, { database, session: bookmark, rows: 0 });
      if (database === "elsewhere") await setElsewhere(runtime, true);
      const began = performance.now();
      const head = await runtime.ask({ do: "inserts", database, rows, from: 0, concurrency });
      const us = (performance.now() - began) * 1_000 / rows;
      if (round > 0) each_us[database].push(us);
      if (database === "alone") continue;
      await new Promise((resolve) => setTimeout(resolve, 100));
      // That they were told and have come there, without asking for the commits.
      for (const { region } of PLACES) {
        const counts = await runtime.object({ database, region, method: "takeCounts" });
        if (counts.told < us * rows / 500_000) throw new Error(`the replica object in ${region} was told ${counts.told} times only`);
        for (const name of Object.keys(told)) told[name] += round > 0 && database === "followed" ? counts[name] : 0;
      }
      if (database === "elsewhere") await setElsewhere(runtime, false);
      else await subscribe(runtime, { database, session: head, rows });
    }
  }
  const [alone_us, followed_us, elsewhere_us] = DATABASES.map((database) => rounded(median(each_us[database])));
  const commits = rounds * rows;
  return { concurrency, alone_us, followed_us, elsewhere_us, messages: told.told / PLACES.length / rounds, bytes_per_insert: rounded(told.told_bytes / commits / PLACES.length) };
}

/** Reads in every region: its replica object asks, and is told from then on. */
async function subscribe(runtime, { database, session, rows }) {
  for (const [index, { cf }] of PLACES.entries()) {
    const { answer } = await runtime.edge(index, "/edge", { database, sql: COUNT, times: 1, session }, cf);
    if (answer.rows[0].id !== rows) throw new Error(`${answer.rows[0].id} rows in ${PLACES[index].region}, not ${rows}`);
  }
}

const setElsewhere = (runtime, elsewhere) =>
  Promise.all(PLACES.map(({ region }) => runtime.object({ database: "elsewhere", region, method: "setElsewhere", args: [elsewhere] })));
