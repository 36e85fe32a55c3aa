// Writes with and without followers: two databases take the same inserts in turn; of one, a replica object in each of ten regions is told of
// every commit. All objects of a local runtime share one thread, so what followers do while a write waits counts, too.

import { rounded } from "../rounds.mjs";
import { median } from "../stats.mjs";
import { SCHEMA } from "../workload.mjs";
import { PLACES, start } from "./runtime.mjs";

const DATABASES = ["alone", "followed"];
const SHAPES = [{ concurrency: 1, rows: 400 }, { concurrency: 50, rows: 4_000 }];
const COUNT = "SELECT count(*) AS id, '' AS name FROM w";

/** Answers `{ concurrency, alone_us, followed_us, ratio, told, told_bytes }` for inserts one at a time and 50 at once. */
export async function writes({ persist, log }, { rounds, is_quick }) {
  const runtime = await start({ databases: DATABASES, persist, edges: PLACES.length });
  const results = [];
  try {
    for (const { concurrency, rows } of SHAPES) {
      const result = await ofShape(runtime, { concurrency, rows: is_quick ? rows / 4 : rows, rounds });
      log(`writes, ${concurrency} at once: ${JSON.stringify(result)}`);
      results.push(result);
    }
  } finally {
    await runtime.stop();
  }
  return results;
}

async function ofShape(runtime, { concurrency, rows, rounds }) {
  const each_us = { alone: [], followed: [] };
  const told = { told: 0, told_bytes: 0 };
  for (let round = 0; round <= rounds; round++) {
    for (const database of round % 2 === 0 ? DATABASES : [...DATABASES].reverse()) {
      const bookmark = await runtime.ask({ do: "write", database, statements: ["DROP TABLE IF EXISTS w", SCHEMA[1]] });
      if (database === "followed") await subscribe(runtime, bookmark, 0);
      const began = performance.now();
      const head = await runtime.ask({ do: "inserts", database, rows, from: 0, concurrency });
      const us = (performance.now() - began) * 1_000 / rows;
      if (round > 0) each_us[database].push(us);
      if (database === "alone") continue;
      await new Promise((resolve) => setTimeout(resolve, 100));
      // That they were told and have come there, without asking for the commits.
      for (const { region } of PLACES) {
        const counts = await runtime.object({ database, region, method: "takeCounts" });
        if (counts.told === 0) throw new Error(`the replica object in ${region} was told nothing`);
        for (const name of Object.keys(told)) told[name] += round > 0 ? counts[name] : 0;
      }
      await subscribe(runtime, head, rows);
    }
  }
  const [alone_us, followed_us] = DATABASES.map((database) => rounded(median(each_us[database])));
  const commits = rounds * rows;
  return { concurrency, alone_us, followed_us, ratio: followed_us / alone_us, messages: told.told, bytes_per_insert: rounded(told.told_bytes / commits / PLACES.length) };
}

/** Reads in every region: its replica object asks, and is told from then on. */
async function subscribe(runtime, session, rows) {
  for (const [index, { cf }] of PLACES.entries()) {
    const { answer } = await runtime.edge(index, "/edge", { database: "followed", sql: COUNT, times: 1, session }, cf);
    if (answer.rows[0].id !== rows) throw new Error(`${answer.rows[0].id} rows in ${PLACES[index].region}, not ${rows}`);
  }
}
