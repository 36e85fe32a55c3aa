// Resident memory of a workerd in which one system alone has answered: how much it needs beyond the runtime, the caller and the results.

import { BUILT, databaseOf } from "./build.mjs";
import { rowsOf } from "./workload.mjs";

const OPERATIONS = 20_000;

/** Answers `{ when, megabytes }` for a runtime that did nothing, and for one of each system after point selects in the largest database. */
export async function memory(startRuntime, { sizes }) {
  const largest = Math.max(...sizes);
  const found = [];
  for (const system of [undefined, ...BUILT]) {
    const runtime = await startRuntime();
    try {
      await runtime.ask({ do: "ready" });
      if (system) {
        const task = { do: "round", bench: "point-select", shape: "loops", concurrency: 50, operations: OPERATIONS, seed: 1 };
        await runtime.ask({ ...task, system, database: databaseOf(largest), rows: rowsOf(largest) });
      }
      const what = system ? `${system} alone, after ${OPERATIONS.toLocaleString("en")} point selects in ${largest} MB` : "nothing was asked";
      found.push({ when: what, megabytes: runtime.residentMegabytes() });
    } finally {
      await runtime.stop();
    }
  }
  return found;
}
