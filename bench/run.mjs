// The bench: Littoral by its two ways in, Miniflare's D1 and a plain Durable Object, side by side in one workerd; then replicas.
//
//   node bench/run.mjs [--quick] [--only point-select,insert] [--sizes 1,100,1000] [--rebuild]
//
// A full run writes bench/RESULTS.md and bench/results.json; any other writes the same two files to .wrangler/bench/. Benches of replicas
// (--only replicas for all of them) have bench/REPLICAS.md and bench/replicas.json, and each that runs in full takes its old figures' place
// there. Databases are built once for each build of Littoral and kept in .wrangler/bench/ (BENCH_FOLDER names another place).

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { besideScan } from "./beside.mjs";
import { BUILT, build, databaseOf } from "./build.mjs";
import { COLD_DATABASES, coldStart } from "./cold.mjs";
import { engine } from "./engine.mjs";
import { memory } from "./memory.mjs";
import { operations } from "./operations.mjs";
import { REPLICA_BENCHES, replicas } from "./replicas.mjs";
import { report, wasmSize } from "./report.mjs";
import { SHAPES, measure } from "./rounds.mjs";
import { start } from "./runtime.mjs";
import { storage } from "./storage.mjs";
import { OPERATIONS } from "./workload.mjs";

process.removeAllListeners("warning"); // node:sqlite says at every start that it is experimental

const local = (path) => fileURLToPath(new URL(path, import.meta.url));
const FOLDER = process.env.BENCH_FOLDER ?? local("../.wrangler/bench");
const EXTRA = ["beside-scan", "engine", "cold-start", "memory", "storage", "operations"];
const FULL = { sizes: [1, 100, 1_000], rounds: 7, round_ms: 250, restarts: 5, inserts: 5_000, warm_sizes: [1, 16], cold_megabytes: 1_000, commits: 10_000, databases: 1_000, operations_megabytes: 1_000 };
const QUICK = { sizes: [1], rounds: 3, round_ms: 60, restarts: 1, inserts: 500, warm_sizes: [1], cold_megabytes: 20, commits: 300, databases: 30, operations_megabytes: 20 };
/** Rounds of these are long with 50 at once, however few operations each loop has: how many there are, in a full run and in a quick one. */
const LONG = { "batch-insert": [3, 1], scan: [2, 0] };
/** Rounds of one operation, and only one at once: these read the whole database. */
const WHOLE = { aggregate: 3 };

const { values: args } = parseArgs({
  options: { quick: { type: "boolean" }, only: { type: "string" }, sizes: { type: "string" }, rebuild: { type: "boolean" } },
});
const plan = { ...(args.quick ? QUICK : FULL), is_quick: Boolean(args.quick) };
if (args.sizes) plan.sizes = args.sizes.split(",").map(Number);
const KNOWN = [...Object.keys(OPERATIONS), ...EXTRA, ...REPLICA_BENCHES];
const asked = args.only?.split(",").flatMap((name) => (name === "replicas" ? REPLICA_BENCHES : [name])) ?? KNOWN;
for (const bench of asked) {
  if (!KNOWN.includes(bench)) throw new Error(`no bench is named ${bench}; there are ${KNOWN.join(", ")}, and replicas for all that begin so`);
}
const benches = asked.filter((bench) => !REPLICA_BENCHES.includes(bench));
const ofReplicas = asked.filter((bench) => REPLICA_BENCHES.includes(bench));
const isFull = !args.quick && !args.only && !args.sizes;

const began = Date.now();
const log = (line) => console.log(`${String(Math.round((Date.now() - began) / 1_000)).padStart(5)} s  ${line}`);
const persist = join(FOLDER, databasesKey());
for (const name of existsSync(FOLDER) ? readdirSync(FOLDER) : []) {
  const outdated = /^[0-9a-f]{12}$/.test(name) && join(FOLDER, name) !== persist;
  if (outdated || (args.rebuild && join(FOLDER, name) === persist)) rmSync(join(FOLDER, name), { recursive: true });
}

/** @type {Record<"results" | "failures" | "memory" | "built", object[]> & Record<string, unknown>} */
const found = { results: [], failures: [], memory: [], built: [], plan, wasm: wasmSize(local("../build/index_bg.wasm")) };
const databases = [...plan.sizes.map(databaseOf), ...COLD_DATABASES];
const startRuntime = (folder = persist, names = databases) => start({ databases: names, persist: folder });

if (benches.some((bench) => bench !== "storage" && bench !== "operations")) await onDatabases();
if (benches.includes("storage")) {
  log("storage of single-row inserts");
  found.storage = await storage(startRuntime, join(FOLDER, "storage"), plan);
}
if (benches.includes("operations")) {
  log("operations");
  found.operations = await operations(join(FOLDER, "operations"), plan, log);
}
if (benches.length > 0) write();
if (ofReplicas.length > 0) {
  const folder = args.quick ? FOLDER : local(".");
  const { text, failed } = await replicas(ofReplicas, plan, { databases: join(persist, "replicas"), folder, log });
  console.log(`\n${text}`);
  if (failed) process.exitCode = 1;
}

async function onDatabases() {
  const runtime = await startRuntime();
  try {
    const remember = (when) => found.memory.push({ when, megabytes: runtime.residentMegabytes() });
    await buildAll(runtime);
    remember("all systems, with the databases open");
    for (const bench of benches.filter((bench) => bench in OPERATIONS)) {
      for (const shape of SHAPES) await runBench(runtime, bench, shape);
      remember(`all systems, after ${bench}`);
    }
    if (benches.includes("beside-scan")) {
      log("beside a scan");
      found.beside = await besideScan(runtime, plan);
    }
    if (benches.includes("engine") && plan.sizes.includes(1)) {
      log("engine");
      found.engine = await engine(runtime, plan);
    }
  } finally {
    await runtime.stop();
  }
  if (benches.includes("cold-start")) {
    log("cold-start");
    found.results.push(...await coldStart(startRuntime, plan));
  }
  if (benches.includes("memory")) {
    log("memory");
    found.memory.push(...await memory(startRuntime, plan));
  }
}

async function buildAll(runtime) {
  for (const megabytes of plan.sizes) {
    for (const system of BUILT) {
      try {
        const seconds = await build(runtime, system, megabytes, log);
        if (seconds > 0) log(`built ${system} ${megabytes} MB in ${seconds.toFixed(1)} s`);
        found.built.push({ system, megabytes, seconds });
      } catch (error) {
        found.failures.push({ what: `building ${megabytes} MB on ${system}`, failure: error.message.split("\n")[0] });
        log(`building ${megabytes} MB on ${system} failed: ${error.message.split("\n")[0]}`);
      }
    }
  }
}

async function runBench(runtime, bench, shape) {
  const { rounds, round_ms } = roundsOf(bench, shape);
  if (rounds === 0) return;
  const results = await measure(runtime, bench, shape, { ...plan, rounds, round_ms });
  for (const result of results) {
    const { system, database_mb, concurrency, failure } = result;
    if (failure) found.failures.push({ what: `${result.bench} on ${system}, ${database_mb} MB, ${concurrency} at once`, failure });
    else found.results.push(result);
  }
  for (const megabytes of plan.sizes) {
    const ofSize = results.filter(({ database_mb }) => database_mb === megabytes);
    const cell = ({ system, failure, ops_per_s }) => `${system} ${failure ? "failed" : `${Math.round(ops_per_s * 10) / 10}/s`}`;
    log(`${`${bench}${shape.suffix}`.padEnd(22)} ${String(shape.concurrency).padStart(2)} at once, ${megabytes} MB: ${ofSize.map(cell).join(", ")}`);
  }
}

/**
 * How many rounds a bench has in a shape, and how long they are; without `round_ms`, each loop does one operation.
 * @returns {{ rounds: number, round_ms?: number }}
 */
function roundsOf(bench, { concurrency }) {
  if (bench in WHOLE) return { rounds: concurrency === 1 ? WHOLE[bench] : 0 };
  if (bench in LONG && concurrency > 1) return { rounds: LONG[bench][args.quick ? 1 : 0] };
  return plan;
}

/** Where databases are kept that this build made as this workload wants them: what another build stored may mean something else. */
function databasesKey() {
  const hash = createHash("sha256");
  for (const path of ["workload.mjs", "replicas/workload.mjs", "../build/index_bg.wasm"]) hash.update(readFileSync(local(path)));
  return hash.digest("hex").slice(0, 12);
}

function write() {
  const folder = isFull ? local(".") : FOLDER;
  mkdirSync(folder, { recursive: true });
  const text = report(found, { date: new Date(), seconds: (Date.now() - began) / 1_000, isFull });
  writeFileSync(join(folder, "RESULTS.md"), text);
  writeFileSync(join(folder, "results.json"), `[\n${found.results.map((result) => `  ${JSON.stringify(result)}`).join(",\n")}\n]\n`);
  console.log(`\n${text}`);
  if (found.failures.length > 0) process.exitCode = 1;
}
