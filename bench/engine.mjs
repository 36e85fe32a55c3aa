// The engine inside Littoral's object against native SQLite in memory (node:sqlite), with the same statements on the same rows.
//
// Two measures of each kind of work: many statements in one batch, where each is read from JSON, looked up among the prepared ones, run
// and answered in JSON; and one statement that does the same work inside SQLite, which is the engine alone. The time of an empty call is
// taken off.

import { DatabaseSync } from "node:sqlite";
import { databaseOf } from "./build.mjs";
import { median } from "./stats.mjs";
import { FILL, SCHEMA, rowsOf } from "./workload.mjs";

const STATEMENTS = 5_000;
const POINT = "SELECT * FROM t WHERE id = ?";
const INSERT = "INSERT INTO w (name, email, score, body) VALUES (?, ?, ?, ?)";
const COUNTER = `WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < ${STATEMENTS * 10})`;
const ROW = ["Customer 12345678", "customer.12345678@example.com", 6172839, "0123456789abcdef".repeat(6)];

/** The work: `statements` make a batch; `one` is a single statement. */
function works(rows) {
  const ids = Array.from({ length: STATEMENTS }, (_, i) => 1 + i * 7_919 % rows);
  return [
    { name: `${STATEMENTS} point selects in one batch`, statements: ids.map((id) => ({ sql: POINT, params: [id] })) },
    { name: `${STATEMENTS} inserts in one batch`, statements: ids.map(() => ({ sql: INSERT, params: ROW })) },
    { name: `${STATEMENTS * 10} point selects inside one statement`, one: `${COUNTER} SELECT sum(length(t.body)) AS s FROM i JOIN t ON t.id = 1 + i.n * 7919 % ${rows}` },
    { name: `${STATEMENTS * 10} inserts by one statement`, one: `${COUNTER} INSERT INTO w (name, email, score, body) SELECT 'Customer ' || n, n || '@example.com', n * 0.5, hex(n) || 'abcdefgh' FROM i` },
  ];
}

/** Answers `{ name, littoral_ms, native_ms, ratio }` for each kind of work, on the 1 MB database. */
export async function engine(runtime, { rounds }) {
  const rows = rowsOf(1);
  const database = databaseOf(1);
  const native = new DatabaseSync(":memory:");
  for (const sql of SCHEMA) native.exec(sql);
  native.prepare(FILL).run(1, rows + 1);
  const results = [];
  for (const { name, statements, one } of works(rows)) {
    const littoral_ms = [];
    const native_ms = [];
    for (let round = 0; round <= rounds; round++) {
      await runtime.query("littoral", database, "DELETE FROM w WHERE id < 60001");
      native.exec("DELETE FROM w");
      const ours = await runtime.ask({ do: "engine", database, statements: statements ?? [{ sql: one, params: [] }] });
      const theirs = statements ? runAll(native, statements) : runOne(native, one);
      if (round === 0) continue; // to warm up
      littoral_ms.push(ours);
      native_ms.push(theirs);
    }
    const figures = { littoral_ms: median(littoral_ms), native_ms: median(native_ms) };
    results.push({ name, ...figures, ratio: figures.littoral_ms / figures.native_ms });
  }
  return results;
}

function runAll(db, statements) {
  const prepared = db.prepare(statements[0].sql);
  const began = performance.now();
  db.exec("BEGIN");
  for (const { params } of statements) prepared.all(...params);
  db.exec("COMMIT");
  return performance.now() - began;
}

function runOne(db, sql) {
  const prepared = db.prepare(sql);
  const began = performance.now();
  prepared.all();
  return performance.now() - began;
}
