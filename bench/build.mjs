// Builds the databases that a bench runs on, through each system's own way in. A build that was interrupted goes on where it was.
//
// Not here: what the tables are for (workload.mjs).

import { EMPTY_W, FILL, FILL_SCAN, SCAN_ROWS, SCHEMA, rowsOf } from "./workload.mjs";

const CHUNK_ROWS = 20_000;

/** One Littoral database has two ways in, so it is built once. */
export const BUILT = ["littoral", "d1", "do-sql"];

/** The database of so many megabytes. */
export const databaseOf = (megabytes) => `mb${megabytes}`;

/** Brings the tables of a system's database to their size; answers the seconds it took, or 0 if it was there. */
export async function build(runtime, system, megabytes, log) {
  const database = databaseOf(megabytes);
  const began = Date.now();
  for (const sql of [EMPTY_W, ...SCHEMA]) await runtime.query(system, database, sql);
  const added = await fill(runtime, { system, database, sql: FILL_SCAN, table: "s", rows: SCAN_ROWS }, () => {}) +
    await fill(runtime, { system, database, sql: FILL, table: "t", rows: rowsOf(megabytes) }, (share) => {
      if (megabytes >= 100) log(`building ${system} ${megabytes} MB: ${Math.round(share * 100)} %, ${Math.round((Date.now() - began) / 1000)} s`);
    });
  return added === 0 ? 0 : (Date.now() - began) / 1000;
}

async function fill(runtime, { system, database, sql, table, rows }, progress) {
  const [{ last }] = await runtime.query(system, database, `SELECT coalesce(max(id), 0) AS last FROM ${table}`);
  let shown = Date.now();
  for (let from = last + 1; from <= rows; from += CHUNK_ROWS) {
    const to = Math.min(from + CHUNK_ROWS, rows + 1);
    await runtime.query(system, database, sql, [from, to]);
    if (Date.now() - shown > 5_000) {
      shown = Date.now();
      progress(to / rows);
    }
  }
  return rows - last;
}
