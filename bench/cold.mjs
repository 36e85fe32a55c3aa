// Time to the first row after the runtime has started again on the same files: workerd new, the object new, nothing in memory.
// The files are in the operating system's cache, as they would be near the database.

import { databaseOf } from "./build.mjs";
import { median, percentile } from "./stats.mjs";
import { rounded } from "./rounds.mjs";
import { SYSTEMS } from "./systems.mjs";
import { rowsOf } from "./workload.mjs";

/** Littoral's two ways lead to one object, which only the first call of a runtime finds cold. */
const STARTS = [["littoral", "d1", "do-sql"], ["do-sql", "d1", "littoral-d1class"]];
/** A database of one row. */
const OTHER = "other";
export const COLD_DATABASES = [OTHER];
const ROW = "SELECT * FROM t WHERE id = ?";

/** `cold-start`: nothing runs. `cold-object`: each system has answered the same of another database, so only this one's object is new. */
const BENCHES = ["cold-start", "cold-object"];

/** Starts the runtime `restarts` times for each bench, size and way, by `startRuntime`; answers the benches' results. */
export async function coldStart(startRuntime, { sizes, restarts }) {
  const results = [];
  for (const bench of BENCHES) {
    for (const megabytes of sizes) {
      const times = Object.fromEntries(SYSTEMS.map((system) => [system, []]));
      for (let i = 0; i < restarts * STARTS.length; i++) {
        const id = 1 + i * 7_919 % rowsOf(megabytes);
        await startOnce(startRuntime, STARTS[i % STARTS.length], { bench, database: databaseOf(megabytes), id }, times);
      }
      results.push(...SYSTEMS.filter((system) => times[system].length > 0).map((system) => resultOf(bench, system, megabytes, times[system])));
    }
  }
  return results;
}

async function startOnce(startRuntime, systems, { bench, database, id }, times) {
  const runtime = await startRuntime();
  try {
    await runtime.ask({ do: "ready" });
    if (bench === "cold-object") {
      for (const system of systems) {
        await runtime.query(system, OTHER, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, name TEXT)");
        await runtime.query(system, OTHER, "INSERT OR IGNORE INTO t VALUES (1, 'other')");
        await runtime.query(system, OTHER, ROW, [1]);
      }
    }
    for (const system of systems) {
      const { rows, ms } = await runtime.ask({ do: "query", system, database, sql: ROW, params: [id] });
      if (rows[0]?.id !== id) throw new Error(`${system} answered ${JSON.stringify(rows)}`);
      times[system].push(ms);
    }
  } finally {
    await runtime.stop();
  }
}

function resultOf(bench, system, megabytes, times) {
  const p50_ms = rounded(median(times));
  const p99_ms = rounded(percentile(times, 0.99));
  return { bench, system, database_mb: megabytes, concurrency: 1, p50_ms, p99_ms, ops_per_s: rounded(1_000 / Math.max(p50_ms, 1)) };
}
