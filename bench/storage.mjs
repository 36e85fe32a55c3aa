// What single-row inserts leave in storage: rows, which production bills one by one, and bytes. Counted in the objects' own SQLite
// files after the runtime has stopped, on new databases.

import { globSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SHAPES } from "./rounds.mjs";
import { BUILT } from "./build.mjs";
import { SCHEMA } from "./workload.mjs";

const DATABASE = "storage";
/** Where Miniflare keeps the objects of each system. */
const FOLDERS = { littoral: "do/littoral-Database", d1: "d1/miniflare-D1DatabaseObject", "do-sql": "do/user-PlainObject" };

/** Inserts `inserts` rows in every shape; answers a result for each shape and system. */
export async function storage(startRuntime, folder, { inserts }) {
  const results = [];
  for (const { concurrency, shape, suffix } of SHAPES) {
    rmSync(folder, { recursive: true, force: true });
    const before = await insertAndStop(startRuntime, folder, { concurrency, shape, operations: 0 });
    const after = await insertAndStop(startRuntime, folder, { concurrency, shape, operations: inserts });
    for (const system of BUILT) {
      const bytes = (after[system].bytes - before[system].bytes) / inserts;
      const result = { system, name: `${concurrency} at once${suffix && ", in requests of their own"}`, bytes_per_insert: Math.round(bytes) };
      if (system === "littoral") Object.assign(result, rowsPerInsert(before.littoral.rows, after.littoral.rows, inserts));
      results.push(result);
    }
  }
  rmSync(folder, { recursive: true, force: true });
  return results;
}

async function insertAndStop(startRuntime, folder, { concurrency, shape, operations }) {
  const runtime = await startRuntime(folder, [DATABASE]);
  try {
    for (const system of BUILT) {
      for (const sql of SCHEMA) await runtime.query(system, DATABASE, sql);
      if (operations === 0) continue;
      await runtime.ask({ do: "round", system, database: DATABASE, bench: "insert", shape, concurrency, operations, rows: 1, seed: 1 });
      const [{ n }] = await runtime.query(system, DATABASE, "SELECT count(*) AS n FROM w");
      if (n !== operations) throw new Error(`${system} has ${n} rows after ${operations} inserts`);
    }
  } finally {
    await runtime.stop();
  }
  return Object.fromEntries(BUILT.map((system) => [system, look(folder, system)]));
}

/** The bytes of a system's only object, and for Littoral the rows of its tables. */
function look(folder, system) {
  const files = globSync(join(folder, FOLDERS[system], "*.sqlite")).filter((file) => !file.endsWith("metadata.sqlite"));
  if (files.length !== 1) throw new Error(`${system} has ${files.length} files in ${FOLDERS[system]}, not 1`);
  const db = new DatabaseSync(files[0]);
  const value = (sql) => Number(Object.values(db.prepare(sql).get() ?? {})[0]);
  const bytes = value("PRAGMA page_count") * value("PRAGMA page_size");
  const rows = system === "littoral" ? {
    commits: value("SELECT count(*) FROM commits"),
    // A page list has 16 bytes for each page, and a seal of 8.
    changed: value("SELECT coalesce(sum((length(pages) - 8) / 16), 0) FROM commits"),
    pages: value("SELECT count(*) FROM pages"),
    folds: value("SELECT count(*) FROM folds"),
    live: value("SELECT count(DISTINCT pgno) FROM pages"),
    deleted: value("SELECT max(txid) - count(*) FROM commits"),
  } : undefined;
  db.close();
  return { bytes, rows };
}

/** `rows`: written to be there now; `deleted`: log rows that are gone again; `dropped_later`: rows that pruning all history would delete. */
function rowsPerInsert(before, after, inserts) {
  const added = (table) => after[table] - before[table];
  const there = added("commits") + added("pages") + added("folds");
  return {
    rows_per_insert: (there + added("deleted")) / inserts,
    deletes_per_insert: added("deleted") / inserts,
    dropped_later_per_insert: (there - added("live")) / inserts,
    pages_per_commit: added("changed") / added("commits"),
    tables: { commits: added("commits"), pages: added("pages"), folds: added("folds") },
  };
}
