// Time to the first row after the runtime has started again on the same files: workerd new, the object new, nothing in memory.
// The files are in the operating system's cache, as they would be near the database.

import { databaseOf } from "./build.mjs";
import { median, percentile } from "./stats.mjs";
import { rounded } from "./rounds.mjs";
import { SYSTEMS } from "./systems.mjs";
import { rowsOf } from "./workload.mjs";

/** Littoral's two ways lead to one object, which only the first call of a runtime finds cold. */
const STARTS = [["littoral", "d1", "do-sql"], ["do-sql", "d1", "littoral-d1class"]];

/** Starts the runtime `restarts` times for each way, by `startRuntime`; answers results of the bench `cold-start`. */
export async function coldStart(startRuntime, { sizes, restarts }) {
  const results = [];
  for (const megabytes of sizes) {
    const times = Object.fromEntries(SYSTEMS.map((system) => [system, []]));
    for (let i = 0; i < restarts * STARTS.length; i++) {
      const runtime = await startRuntime();
      try {
        await runtime.ask({ do: "ready" });
        for (const system of STARTS[i % STARTS.length]) {
          const id = 1 + i * 7_919 % rowsOf(megabytes);
          const { rows, ms } = await runtime.ask({ do: "query", system, database: databaseOf(megabytes), sql: "SELECT * FROM t WHERE id = ?", params: [id] });
          if (rows[0]?.id !== id) throw new Error(`${system} answered ${JSON.stringify(rows)}`);
          times[system].push(ms);
        }
      } finally {
        await runtime.stop();
      }
    }
    for (const system of SYSTEMS) {
      const p50_ms = rounded(median(times[system]));
      const p99_ms = rounded(percentile(times[system], 0.99));
      results.push({ bench: "cold-start", system, database_mb: megabytes, concurrency: 1, p50_ms, p99_ms, ops_per_s: rounded(1_000 / Math.max(p50_ms, 1)) });
    }
  }
  return results;
}
