// The engine inside Littoral's object against native SQLite in memory (node:sqlite), with the same statements on the same rows.
//
// Two measures of each kind of work: many statements in one batch, where each is read from JSON, looked up among the prepared ones, run
// and answered in JSON; and one statement that does the same work inside SQLite, which is the engine alone. Inserts are measured with their
// commit, which Littoral makes durable, and rolled back, which leaves the engine. The time of an empty call is taken off.

import { DatabaseSync } from "node:sqlite";
import { databaseOf } from "./build.mjs";
import { median } from "./stats.mjs";
import { EMPTY_W, FILL, SCHEMA, rowsOf } from "./workload.mjs";

const STATEMENTS = 5_000;
const POINT = "SELECT * FROM t WHERE id = ?";
const INSERT = "INSERT INTO w (name, email, score, body) VALUES (?, ?, ?, ?)";
const COUNTER = `WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < ${STATEMENTS * 10})`;
const SHORT = "the quick brown fox jumps over the lazy dog";
const STRINGS = `${COUNTER} SELECT sum(length(replace(upper(?1 || n), 'O', '00')) + instr(?1 || n, 'lazy') + ((?1 || n) LIKE '%dog%7')) AS s FROM i`;
const LONG_STRINGS = `WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 50), long(h) AS MATERIALIZED (SELECT hex(zeroblob(500000)))
  SELECT sum(instr(h, '00' || n) + length(replace(h, '0' || n, '')) + (h || n < h || 'x')) AS s FROM i, long`;
const TEXT = Array.from({ length: 32_000 }, (_, i) => `INSERT INTO w (name, email, score, body) VALUES ('Customer ${i}', '${i}@example.com', ${i}, '${"0123456789abcdef".repeat(10)}');`).join("\n");
const ROW = ["Customer 12345678", "customer.12345678@example.com", 6172839, "0123456789abcdef".repeat(6)];

/** The work, the statements of one transaction. `isEngine`: no storage is in it, so the target of the engine applies. */
function works(rows) {
  const ids = Array.from({ length: STATEMENTS }, (_, i) => 1 + i * 7_919 % rows);
  const selects = ids.map((id) => ({ sql: POINT, params: [id] }));
  const inserts = ids.map(() => ({ sql: INSERT, params: ROW }));
  const select = { params: [], sql: `${COUNTER} SELECT sum(length(t.body)) AS s FROM i JOIN t ON t.id = 1 + i.n * 7919 % ${rows}` };
  const insert = { params: [], sql: `${COUNTER} INSERT INTO w (name, email, score, body) SELECT 'Customer ' || n, n || '@example.com', n * 0.5, hex(n) || 'abcdefgh' FROM i` };
  const many = STATEMENTS.toLocaleString("en");
  const more = (STATEMENTS * 10).toLocaleString("en");
  return [
    { name: `${many} point selects in one batch`, isEngine: true, statements: selects },
    { name: `${more} point selects inside one statement`, isEngine: true, statements: [select] },
    { name: `${many} inserts in one batch, rolled back`, isEngine: true, statements: inserts, undone: true },
    { name: `${more} inserts by one statement, rolled back`, isEngine: true, statements: [insert], undone: true },
    { name: `string functions on ${more} short texts`, isEngine: true, statements: [{ sql: STRINGS, params: [SHORT] }] },
    { name: "string functions and comparisons on 50 texts of 1 MB", isEngine: true, statements: [{ sql: LONG_STRINGS, params: [] }] },
    { name: "32,000 INSERTs in one text of 8 MB, rolled back", isEngine: true, statements: [{ sql: TEXT, params: [] }], undone: true },
    { name: `${many} inserts in one batch, committed`, isEngine: false, statements: inserts },
    { name: `${more} inserts by one statement, committed`, isEngine: false, statements: [insert] },
  ];
}

/** Answers `{ name, isEngine, littoral_ms, native_ms, ratio }` for each kind of work, on the 1 MB database. */
export async function engine(runtime, { rounds }) {
  const rows = rowsOf(1);
  const database = databaseOf(1);
  const native = new DatabaseSync(":memory:");
  for (const sql of SCHEMA) native.exec(sql);
  native.prepare(FILL).run(1, rows + 1);
  const results = [];
  for (const { name, isEngine, statements, undone } of works(rows)) {
    /** @type {Record<"littoral" | "native", number[]>} */
    const times = { littoral: [], native: [] };
    for (let round = 0; round <= rounds; round++) {
      for (const sql of [EMPTY_W, ...SCHEMA]) {
        await runtime.query("littoral", database, sql);
        native.exec(sql);
      }
      const littoral = await runtime.ask({ do: "engine", database, statements, undone });
      const theirs = runNatively(native, statements, undone);
      if (round === 0) continue; // to warm up
      times.littoral.push(littoral);
      times.native.push(theirs);
    }
    const [littoral_ms, native_ms] = [median(times.littoral), median(times.native)];
    results.push({ name, isEngine, littoral_ms, native_ms, ratio: littoral_ms / native_ms });
  }
  return results;
}

function runNatively(db, statements, undone) {
  const [{ sql }] = statements;
  const prepared = sql === TEXT ? undefined : db.prepare(sql);
  const began = performance.now();
  db.exec("BEGIN");
  if (prepared === undefined) db.exec(sql);
  else for (const { params } of statements) prepared.all(...params);
  db.exec(undone ? "ROLLBACK" : "COMMIT");
  return performance.now() - began;
}
