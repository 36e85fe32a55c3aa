// What others wait while one query reads a whole database: point selects and inserts, one after the other, beside a scan.

import { databaseOf } from "./build.mjs";
import { rounded } from "./rounds.mjs";
import { percentile } from "./stats.mjs";
import { SYSTEMS } from "./systems.mjs";
import { EMPTY_W, SCHEMA, rowsOf } from "./workload.mjs";

/** Megabytes that are scanned, one scan after the other. */
const SCANNED = 1_000;

/** Answers the latencies of each operation, system and size beside a scan: `{ operation, system, database_mb, p50_ms, p99_ms, worst_ms, scan_ms }`. */
export async function besideScan(runtime, { sizes }) {
  const results = [];
  for (const megabytes of sizes.filter((megabytes) => megabytes >= 100)) {
    for (const operation of ["point-select", "insert"]) {
      for (const system of SYSTEMS) results.push(await one(runtime, { operation, system, megabytes }));
    }
  }
  return results;
}

async function one(runtime, { operation, system, megabytes }) {
  const database = databaseOf(megabytes);
  const task = { do: "round", system, database, shape: "loops", concurrency: 1, rows: rowsOf(megabytes) };
  await runtime.query(system, database, EMPTY_W);
  for (const sql of SCHEMA) await runtime.query(system, database, sql);
  const scans = Math.ceil(SCANNED / megabytes);
  let isScanning = true;
  const scan = runtime.ask({ ...task, bench: "aggregate", operations: scans, seed: 1 }).finally(() => { isScanning = false; });
  const latencies = [];
  // Each is a request of its own, timed where it is sent: while the thread is not free, none even begins.
  for (let seed = 2; isScanning; seed++) {
    const began = performance.now();
    await runtime.ask({ ...task, bench: operation, operations: 1, seed });
    latencies.push(Math.round(performance.now() - began));
  }
  const { ms } = await scan;
  return {
    operation,
    system,
    database_mb: megabytes,
    p50_ms: rounded(percentile(latencies, 0.5)),
    p99_ms: rounded(percentile(latencies, 0.99)),
    worst_ms: Math.max(...latencies),
    operations: latencies.length,
    scan_ms: rounded(ms / scans),
  };
}
