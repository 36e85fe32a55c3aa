// What an operator waits for, over REST, beside native SQLite (node:sqlite) on the same rows and the same disk: files in and out, a branch,
// a restore, and a point query with all that HTTP adds.
//
// Not here: databases of other systems. D1 has no branches and no files; what its REST API takes over a network says nothing here.

import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, mkdirSync, openAsBlob, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync, backup } from "node:sqlite";
import { pipeline } from "node:stream/promises";
import { startAlone } from "../tests/worker/harness.mjs";
import { d1Client } from "../tests/worker/rest_client.mjs";

const TOKEN = "t";
/** Point queries of a round, and rounds. */
const QUERIES = 300;
const ROUNDS = 5;
/** A row and its place in the index. */
const ROW_BYTES = 1_000;
/** Statements that native SQLite is given at a time. */
const NATIVE_LINES = 1_000;

/** Answers rows `{ name, ms, native_ms, megabytes }`, and `{ rest_ms, empty_ms }` of a point query. */
export async function operations(folder, { operations_megabytes: megabytes }, log) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const littoral = await startAlone({ variables: { LITTORAL_TOKENS: TOKEN }, persist: join(folder, "objects") });
  try {
    const timed = [];
    const time = async (name, run, native) => {
      const [ms, native_ms] = [await took(run), native && (await took(native))];
      timed.push({ name, ms, native_ms });
      log(`operations: ${name}: ${Math.round(ms)} ms${native_ms === undefined ? "" : `, native ${Math.round(native_ms)} ms`}`);
    };
    await run(d1Client(littoral.base, TOKEN), folder, megabytes, time);
    return { megabytes, timed, query: await pointQuery(littoral.base) };
  } finally {
    await littoral.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(d1, folder, megabytes, time) {
  const path = (name) => join(folder, name);
  const source = made(path("source.sqlite"), megabytes);
  const query = (database, sql) => d1.result("POST", `/${database}/query`, { sql });
  for (const name of ["loaded", "read"]) await d1.result("POST", "", { name });
  await time("a SQLite file in", () => imported(d1, "loaded", path("source.sqlite")), () => backup(source, path("copied.sqlite")));
  await time("the file out", () => exported(d1, "loaded", { format: "sqlite" }, path("out.sqlite")), () => backup(source, path("copied.sqlite")));
  await time("SQL text out", () => exported(d1, "loaded", {}, path("out.sql")), () => dumped(source, path("native.sql")));
  await time("SQL text in", () => imported(d1, "read", path("out.sql")), () => executed(path("native.sql"), path("executed.sqlite")));
  await time("a branch, to the end of its first write", async () => {
    await d1.result("POST", "", { name: "branch", branch_of: { database: "loaded" } });
    await query("branch", "UPDATE t SET v = 'changed' WHERE id = 777");
  });
  await time("until it is full", async () => {
    while (!(await d1.result("GET", "/branch")).branch_of.is_full) await new Promise((resolve) => setTimeout(resolve, 50));
  });
  await time("its promotion: 3 pages", () => d1.result("POST", "/branch/promote"));
  const { bookmark } = await d1.result("GET", "/loaded/time_travel/bookmark");
  for (const part of [10_000, 100, 1]) {
    await query("loaded", `UPDATE t SET v = v || '.' WHERE id % ${part} = 0`);
    await time(`a restore after a change of every ${part === 1 ? "row" : `${part}th row`}`, () => d1.result("POST", `/loaded/time_travel/restore?bookmark=${bookmark}`));
  }
}

async function took(run) {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

/** A database file of some size. */
function made(path, megabytes) {
  const db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER, v TEXT)");
  const rows = (megabytes * 1e6) / ROW_BYTES;
  db.exec(`WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${rows}) INSERT INTO t SELECT x, x * 7 % 100003, hex(randomblob(450)) FROM c`);
  db.exec("CREATE INDEX tk ON t (k)");
  return db;
}

/** Imports a file in D1's three steps. */
async function imported(d1, database, path) {
  const hash = createHash("md5");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  const etag = hash.digest("hex");
  const { upload_url, filename } = await d1.result("POST", `/${database}/import`, { action: "init", etag });
  const put = await fetch(upload_url, { method: "PUT", body: await openAsBlob(path) });
  if (!put.ok) throw new Error(`the upload failed: ${await put.text()}`);
  let told = await d1.result("POST", `/${database}/import`, { action: "ingest", etag, filename });
  while (told.status === "active") told = await d1.result("POST", `/${database}/import`, { action: "poll", current_bookmark: told.at_bookmark });
  if (told.status !== "complete") throw new Error(`the import failed: ${told.error}`);
}

async function exported(d1, database, options, path) {
  const { result } = await d1.result("POST", `/${database}/export`, { output_format: "polling", ...options });
  const { body } = await fetch(result.signed_url);
  if (body === null) throw new Error("the export has no body");
  await pipeline(async function* () {
    yield* body;
  }, createWriteStream(path));
}

/** What SQLite's shell does for `.dump`, as far as this table needs it. */
async function dumped(db, path) {
  const out = createWriteStream(path);
  const write = async (text) => out.write(text) || new Promise((resolve) => out.once("drain", () => resolve(true)));
  await write("CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER, v TEXT);\n");
  let lines = "";
  for (const row of db.prepare("SELECT 'INSERT INTO t VALUES(' || id || ',' || k || ',' || quote(v) || ');' AS line FROM t").iterate()) {
    lines += `${row.line}\n`;
    if (lines.length < 1 << 20) continue;
    await write(lines);
    lines = "";
  }
  await write(`${lines}CREATE INDEX tk ON t (k);\n`);
  await new Promise((resolve) => out.end(resolve));
}

/** Runs a text of one statement a line, in one transaction. */
async function executed(path, into) {
  const db = new DatabaseSync(into);
  db.exec("BEGIN");
  let lines = [];
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (lines.push(line) < NATIVE_LINES) continue;
    db.exec(lines.join("\n"));
    lines = [];
  }
  db.exec(`${lines.join("\n")}; COMMIT`);
  db.close();
}

/** Milliseconds of a point query and of an empty request to the same server: medians of rounds that alternate. */
async function pointQuery(base) {
  const d1 = d1Client(base, TOKEN);
  await d1.result("POST", "", { name: "small" });
  await d1.result("POST", "/small/query", { sql: "CREATE TABLE t (id INTEGER PRIMARY KEY, v)" });
  await d1.result("POST", "/small/query", { sql: "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 1000) INSERT INTO t SELECT x, x FROM c" });
  /** @type {Record<"rest_ms" | "empty_ms", number[]>} */
  const times = { rest_ms: [], empty_ms: [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (let number = 0; number < QUERIES; number++) {
      times.empty_ms.push(await took(async () => (await fetch(base)).text()));
      times.rest_ms.push(await took(() => d1.result("POST", "/small/query", { sql: "SELECT v FROM t WHERE id = ?", params: [1 + ((number * 7) % 1000)] })));
    }
  }
  const median = (list) => list.sort((one, other) => one - other)[list.length >> 1];
  return { rest_ms: median(times.rest_ms), empty_ms: median(times.empty_ms) };
}
