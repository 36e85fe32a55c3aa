// bench/RESULTS.md: the figures as tables, and the targets with what was measured.

import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { gzipSync } from "node:zlib";
import { SYSTEMS } from "./systems.mjs";
import { targets } from "./targets.mjs";
import { BATCH_ROWS, SCAN_ROWS } from "./workload.mjs";

const WORDS = {
  "select-1": "`SELECT 1`: the way to the database and back",
  "point-select": "one row by its key, at random, `first()`",
  insert: "one row, its own transaction, `run()`",
  "batch-insert": `one \`batch()\` of ${BATCH_ROWS.toLocaleString("en")} inserts; an operation is a batch`,
  scan: `${SCAN_ROWS.toLocaleString("en")} rows of three columns, \`all()\`; an operation is a scan`,
  aggregate: "`SELECT count(score) FROM t`: every page of the database is read",
  update: "one row by its key, at random, its own transaction, `run()`",
  "cold-start": "time to the first row after the runtime started again on the same files: workerd, isolate and object new (whole milliseconds)",
  "cold-object": "time to the first row of a database whose object is new, in a runtime that has answered for another database (whole milliseconds)",
};

export function wasmSize(path) {
  const bytes = readFileSync(path);
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length };
}

export function report(found, { date, seconds, isFull }) {
  const { results, failures, storage, engine, operations, memory, built, wasm } = found;
  const parts = [
    "# Results of the bench",
    `Made by \`make bench\` on ${date.toISOString().slice(0, 10)} in ${seconds < 120 ? `${Math.round(seconds)} seconds` : `${Math.round(seconds / 60)} minutes`}, on a machine with ${availableParallelism()} cores and ` +
      `${Math.round(totalmem() / 2 ** 30)} GB, in Cloudflare's runtime as it runs locally (workerd through Miniflare). Other work ran on the machine; rounds of the ` +
      "systems alternate, so **ratios within a table mean something, absolute figures little**." + (isFull ? "" : " This is not a full run."),
    "`littoral` is this project's own binding over a service binding, `littoral-object` the same straight to the object, `littoral-d1class` the runtime's `D1Database` class in front of the same database, `d1` Miniflare's local D1, and " +
      "`do-sql` a Durable Object that passes SQL to its own storage. \"50\" are 50 loops in one request, which share a binding; \"50 requests\" are 50 requests " +
      "at once, each with its own. Littoral's binding sends calls of one request that are made at the same time together, which is where its figures at \"50\" come from; " +
      "between requests nothing is shared but the database. Times of single operations are read off a clock that shows whole milliseconds: " +
      "medians below are right, p99 is uncertain by 1 ms.",
    "## Targets",
    table(["", "target", "measured"], targets(found).map(({ target, measured, reached }) => [reached ? "reached" : "**missed**", target, measured])),
    `Several figures are for ${found.plan.sizes.join(", ")} MB. Replicas are in [REPLICAS.md](REPLICAS.md).`,
  ];
  const names = [...new Set(results.map(({ bench }) => bench.replace(/-requests$/, "")))];
  for (const name of names) parts.push(`## ${name}`, `${WORDS[name] ?? ""}`, benchTable(name, results));
  if (found.beside?.length > 0) parts.push("## Beside a scan", besideWords(), besideTable(found.beside));
  if (storage) parts.push("## Storage", storageWords(), storageTable(storage));
  if (engine) {
    parts.push("## Engine", "Littoral's object against native SQLite in memory (node:sqlite, prepared), less the time of an empty call. A batch includes " +
      "the JSON of every statement and result; one statement is the engine alone.");
    parts.push(table(["work", "littoral ms", "native ms", "ratio"], engine.map(({ name, littoral_ms, native_ms, ratio }) => [name, littoral_ms.toFixed(1), native_ms.toFixed(1), `${ratio.toFixed(2)}x`])));
  }
  if (operations) parts.push(...operationsPart(operations));
  parts.push("## Size and memory", `The WebAssembly module has ${kilobytes(wasm.raw)}, ${kilobytes(wasm.gzip)} gzipped. Resident memory of workerd, which holds all the ` +
    "systems, the caller and the results:");
  parts.push(table(["when", "MB"], memory.map(({ when, megabytes }) => [when, megabytes ?? "?"])));
  const fresh = built.filter(({ seconds }) => seconds > 0);
  if (fresh.length > 0) parts.push("## Building the databases", table(["system", "MB", "seconds"], fresh.map((b) => [b.system, b.megabytes, b.seconds.toFixed(1)])));
  if (failures.length > 0) parts.push("## What failed", table(["what", "how"], failures.map(({ what, failure }) => [what, failure])));
  return `${parts.join("\n\n")}\n`;
}

/** A row for each size and way of calling: what each system does in a second, its p50 and p99, and our ratios to D1's throughput. */
function benchTable(name, results) {
  const rows = [];
  const of = (bench, megabytes, concurrency) => results.filter((r) => r.bench === bench && r.database_mb === megabytes && r.concurrency === concurrency);
  for (const megabytes of [...new Set(results.map(({ database_mb }) => database_mb))]) {
    for (const [bench, concurrency, words] of [[name, 1, "1"], [name, 50, "50"], [`${name}-requests`, 50, "50 requests"]]) {
      const group = of(bench, megabytes, concurrency);
      if (group.length === 0) continue;
      const find = (system) => group.find((r) => r.system === system);
      const d1 = find("d1");
      const cells = SYSTEMS.map((system) => {
        const result = find(system);
        return result === undefined && name.startsWith("cold-") ? "" : result ? `${figure(result.ops_per_s)} (${figure(result.p50_ms)} / ${figure(result.p99_ms)})` : "failed";
      });
      const ratio = (system) => (find(system) === undefined && name.startsWith("cold-") ? "" : find(system) && d1 ? `${(find(system).ops_per_s / d1.ops_per_s).toFixed(2)}x` : "?");
      rows.push([megabytes, words, ...cells, ratio("littoral"), ratio("littoral-object"), ratio("littoral-d1class")]);
    }
  }
  const heads = SYSTEMS.map((system) => `${system}: ops/s (p50 / p99 ms)`);
  return table(["MB", "at once", ...heads, "littoral to d1", "object to d1", "d1class to d1"], rows);
}

function besideWords() {
  return "Point selects and inserts of one row, one after the other, while another request has `SELECT count(score) FROM t` read the whole database, again and " +
    "again. Each is a request of its own, timed outside of the runtime in whole milliseconds, so a few are the way there and back.";
}

function besideTable(beside) {
  return table(["MB", "operation", "system", "p50 ms", "p99 ms", "worst ms", "operations", "ms a scan"], beside.map((b) => [
    b.database_mb, b.operation, b.system, figure(b.p50_ms), figure(b.p99_ms), b.worst_ms, b.operations, figure(b.scan_ms),
  ]));
}

function operationsPart({ megabytes, timed, query }) {
  const words = `Over REST, on a database of ${megabytes} MB: rows of 900 random hexadecimal digits, and an index. Native is SQLite on the same disk (node:sqlite): its backup ` +
    `for files, and reading or running the same statements, a line each, in one transaction. A point query by the API takes ${figure(query.rest_ms)} ms, an empty request to the same ` +
    `server ${figure(query.empty_ms)} ms.`;
  const row = ({ name, ms, native_ms }) => [name, figure(ms), native_ms === undefined ? "" : figure(native_ms), native_ms === undefined ? "" : `${(ms / native_ms).toFixed(2)}x`];
  return ["## Operations", words, table(["what", "ms", "native ms", "ratio"], timed.map(row))];
}

function storageWords() {
  return "Rows that single-row inserts write in the object's storage, counted in its file (log rows, folded pages, folds), and bytes by which the file " +
    "grows; D1 and a plain object write one row. Rows deleted so far are in the count once more as deletes; dropped later are those that pruning all history would delete.";
}

function storageTable(storage) {
  const cell = (value) => (value === undefined ? "" : value.toFixed(3));
  return table(["inserts", "system", "rows written per insert", "deleted so far", "dropped later", "pages changed per commit", "log / pages / folds", "bytes per insert"], storage.map((s) => [
    s.name, s.system, cell(s.rows_per_insert), cell(s.deletes_per_insert), cell(s.dropped_later_per_insert), cell(s.pages_per_commit),
    s.tables ? `${s.tables.commits} / ${s.tables.pages} / ${s.tables.folds}` : "", s.bytes_per_insert,
  ]));
}

const kilobytes = (bytes) => `${Math.round(bytes / 1_000).toLocaleString("en")} kB`;
const figure = (value) => (value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));

export function table(heads, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line)].join("\n");
}
