// Parity cases: DELETE and UPDATE with ORDER BY and LIMIT, on tables of every kind; answers, counts and what is left.

const TABLES = {
  // A rowid under its own name, with an index.
  plain: "CREATE TABLE plain(id INTEGER PRIMARY KEY, a INT, b TEXT); CREATE INDEX plain_a ON plain(a)",
  // Columns hide the rowid's first name.
  hidden: "CREATE TABLE hidden(rowid TEXT, a INT, b TEXT)",
  keyed: "CREATE TABLE keyed(id TEXT PRIMARY KEY, a INT, b TEXT) WITHOUT ROWID",
  paired: 'CREATE TABLE paired(a INT, "b ""x""" TEXT, c INT, PRIMARY KEY("b ""x""", a)) WITHOUT ROWID',
  logged:
    "CREATE TABLE logged(id INTEGER PRIMARY KEY, a INT, b TEXT); CREATE TABLE log(id INTEGER PRIMARY KEY, n INT); CREATE TRIGGER logged_gone AFTER DELETE ON logged BEGIN INSERT INTO log(n) VALUES(old.id); END",
  nameless: "CREATE TABLE nameless(rowid INT, oid INT, _rowid_ INT)",
  search: "CREATE VIRTUAL TABLE search USING fts5(a, b)",
};
export const setup = [
  ...Object.values(TABLES),
  "CREATE VIEW seen AS SELECT * FROM plain",
  "CREATE TRIGGER seen_gone INSTEAD OF DELETE ON seen BEGIN DELETE FROM plain WHERE id = old.id; END",
];

const numbers = (values) =>
  `WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM n WHERE x<12) SELECT ${values} FROM n`;
const FILL = {
  plain: `INSERT INTO plain ${numbers("x, x*7%5, 'b' || (x%3)")}`,
  hidden: `INSERT INTO hidden ${numbers("'r' || x, x*7%5, 'b' || (x%3)")}`,
  keyed: `INSERT INTO keyed ${numbers("'k' || (x*5%12), x*7%5, 'b' || (x%3)")}`,
  paired: `INSERT INTO paired ${numbers("x*7%5, 'b' || x, x")}`,
  logged: `INSERT INTO logged ${numbers("x, x*7%5, 'b' || (x%3)")}`,
  nameless: `INSERT INTO nameless ${numbers("x, x, x")}`,
  search: `INSERT INTO search ${numbers("x*7%5, 'b' || (x%3)")}`,
};

/** @type {[table: keyof typeof FILL, sql: string, ...values: unknown[]][]} */
const STATEMENTS = [
  ["plain", "DELETE FROM plain LIMIT 3"],
  ["plain", "DELETE FROM plain ORDER BY a DESC, id LIMIT 3"],
  ["plain", "DELETE FROM plain ORDER BY id LIMIT 2 OFFSET 3"],
  ["plain", "DELETE FROM plain ORDER BY id LIMIT 3, 2"],
  ["plain", "DELETE FROM plain WHERE a > 1 ORDER BY b, id LIMIT 4"],
  ["plain", "DELETE FROM plain WHERE a > 1 RETURNING id, b || '!' ORDER BY b, id LIMIT 4"],
  ["plain", "DELETE FROM plain WHERE a > ? RETURNING id, ? AS given ORDER BY id LIMIT ? OFFSET ?", 1, "x", 2, 1],
  ["plain", "DELETE FROM plain WHERE a > ?2 RETURNING id, ?1 AS given ORDER BY id LIMIT ?3", "x", 1, 2],
  ["plain", "DELETE FROM plain AS p WHERE p.a IN (SELECT a FROM plain WHERE id < 4) ORDER BY p.id LIMIT 3"],
  ["plain", "DELETE FROM main.plain INDEXED BY plain_a WHERE a = 2 ORDER BY id LIMIT 1"],
  ["plain", "DELETE FROM plain NOT INDEXED WHERE a = 2 ORDER BY id LIMIT 1"],
  ["plain", "WITH few AS (SELECT id FROM plain ORDER BY id LIMIT 5) DELETE FROM plain WHERE id IN few ORDER BY id DESC LIMIT 2"],
  ["plain", "DELETE FROM plain LIMIT 0"],
  ["plain", "DELETE FROM plain ORDER BY id LIMIT -1"],
  ["plain", "DELETE FROM plain ORDER BY id LIMIT (SELECT count(*) FROM plain) / 2"],
  ["plain", "DELETE FROM plain ORDER BY 1 DESC LIMIT 2"],
  ["plain", "DELETE FROM plain ORDER BY 2 LIMIT 2"],
  ["plain", "DELETE FROM plain ORDER BY id"],
  ["plain", "UPDATE plain SET a = 9 ORDER BY id"],
  ["plain", "DELETE FROM plain ORDER BY nothing LIMIT 1"],
  ["plain", "DELETE FROM plain WHERE nothing = 1 ORDER BY id LIMIT 1"],
  ["plain", "DELETE FROM nothing ORDER BY id LIMIT 1"],
  ["plain", "DELETE FROM plain ORDER BY id LIMIT 'x'"],
  ["plain", "DELETE FROM plain ORDER BY id LIMIT"],
  ["plain", "DELETE FROM plain ORDER BY id LIMIT 1 WHERE id = 1"],
  ["plain", "DELETE FROM plain ORDER BY id LIMIT 1 2"],
  ["plain", "DELETE FROM plain ORDER BY id LIMIT 1 -- and a comment"],
  ["plain", "DELETE FROM plain WHERE id > 2 -- and a comment\nORDER BY id LIMIT 1"],
  ["plain", "SELECT 1; DELETE FROM plain ORDER BY id LIMIT 1; SELECT count(*) AS n FROM plain"],
  ["plain", "EXPLAIN QUERY PLAN DELETE FROM plain WHERE a > 1 ORDER BY a LIMIT 2"],
  ["plain", "UPDATE plain SET a = a + 10, b = 'LIMIT' WHERE b = 'b1' ORDER BY id DESC LIMIT 2"],
  ["plain", "UPDATE plain SET a = ?, b = ? WHERE a < ? RETURNING id, a, b ORDER BY id LIMIT ?", 50, "new", 3, 2],
  ["plain", "UPDATE OR IGNORE plain SET id = 1 ORDER BY id LIMIT 3"],
  ["plain", "UPDATE OR REPLACE plain SET id = id + 1 WHERE id > 3 ORDER BY id LIMIT 2"],
  ["plain", "UPDATE plain SET (a, b) = (SELECT max(a), min(b) FROM plain) ORDER BY id LIMIT 2"],
  ["plain", "UPDATE plain SET a = a IS DISTINCT FROM 2 ORDER BY id LIMIT 5"],
  ["plain", "UPDATE plain SET nothing = 1 LIMIT 1"],
  ["hidden", 'DELETE FROM "hidden" ORDER BY rowid LIMIT 2'],
  ["hidden", "UPDATE [hidden] SET rowid = 'changed' WHERE a = 2 ORDER BY b LIMIT 2"],
  ["keyed", "DELETE FROM keyed WHERE a > 0 ORDER BY b, id LIMIT 4"],
  ["keyed", "UPDATE keyed SET a = -1 RETURNING id ORDER BY id LIMIT 3"],
  ["paired", "DELETE FROM paired WHERE c > 2 ORDER BY c DESC LIMIT 3"],
  ["paired", "UPDATE `paired` SET c = -c ORDER BY a, c LIMIT 3"],
  ["logged", "DELETE FROM logged ORDER BY b, id DESC LIMIT 3"],
  ["search", "DELETE FROM search WHERE search MATCH 'b1' ORDER BY rowid LIMIT 2"],
  ["search", "UPDATE search SET a = 'z' WHERE a = 2 ORDER BY rowid LIMIT 1"],
];

const REFUSED = [
  ["plain", "UPDATE plain SET a = 7 FROM hidden WHERE hidden.a = plain.a ORDER BY id LIMIT 1"],
  ["plain", "DELETE FROM seen ORDER BY id LIMIT 1"],
  ["nameless", "DELETE FROM nameless ORDER BY oid LIMIT 1"],
];
const why =
  "ORDER BY and LIMIT in an UPDATE with FROM, in one of a view, and in one of a table whose columns hide all three names of the rowid, are refused: SQLite's published source has no grammar for them, and the subquery that takes their place elsewhere has nothing to choose rows by.";

const rowsOf = async (db, table) => (await db.prepare(`SELECT rowid, * FROM ${table}`).raw().catch(() => db.prepare(`SELECT * FROM ${table}`).raw()));

async function effect(db, table, sql, values) {
  await db.batch([`DELETE FROM ${table}`, "DELETE FROM log", FILL[table]].map((sql) => db.prepare(sql)));
  let answer;
  try {
    const { results, meta } = await db
      .prepare(sql)
      .bind(...values)
      .all();
    answer = { results, changes: meta.changes, changed_db: meta.changed_db };
    // Those of several statements and of FTS5 are compared in meta.mjs.
    if (!sql.includes(";") && table !== "search") answer.rows_written = meta.rows_written;
  } catch (error) {
    answer = error.message;
  }
  return [answer, await rowsOf(db, table), await rowsOf(db, "log")];
}

export const cases = [
  ...STATEMENTS.map(([table, sql, ...values]) => ({ name: sql, run: (db) => effect(db, table, sql, values) })),
  ...REFUSED.map(([table, sql]) => ({ name: sql, run: (db) => effect(db, table, sql, []), differs: { DB: why, LITTORAL: why } })),
];
