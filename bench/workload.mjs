// What is measured: the tables, and for each bench the one operation that is repeated.
//
// Every database has three tables. `t` fills it to its size and is read and updated at random ids; `w`, of the same shape, takes the
// inserts and is emptied before each round; `s` has the 100,000 rows of the scan (2.3 MB that the nominal size does not count).

export const SCAN_ROWS = 100_000;
export const BATCH_ROWS = 1_000;

/** Bytes of a row of `t` in a full page. */
const ROW_BYTES = 164;

/** Rows of `t` in a database of so many megabytes. */
export const rowsOf = (megabytes) => Math.floor(megabytes * 1_000_000 / ROW_BYTES);

const COLUMNS = "(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, score REAL, body TEXT)";
export const SCHEMA = [
  `CREATE TABLE IF NOT EXISTS t ${COLUMNS}`,
  `CREATE TABLE IF NOT EXISTS w ${COLUMNS}`,
  "CREATE TABLE IF NOT EXISTS s (id INTEGER PRIMARY KEY, name TEXT NOT NULL, n INTEGER NOT NULL)",
];

/** Makes room for `w` to be created afresh. */
export const EMPTY_W = "DROP TABLE IF EXISTS w";

/** Adds rows `from` up to and without `to` to `t`; half of each row does not compress. */
export const FILL = "WITH RECURSIVE i(n) AS (SELECT CAST(? AS INTEGER) UNION ALL SELECT n + 1 FROM i WHERE n + 1 < ?) " +
  "INSERT INTO t SELECT n, printf('Customer %08d', n), printf('customer.%08d@example.com', n), n * 0.5, hex(randomblob(48)) FROM i";
export const FILL_SCAN = "WITH RECURSIVE i(n) AS (SELECT CAST(? AS INTEGER) UNION ALL SELECT n + 1 FROM i WHERE n + 1 < ?) " +
  "INSERT INTO s SELECT n, printf('item %06d', n), n * 7 % 1000 FROM i";

const INSERT = "INSERT INTO w (name, email, score, body) VALUES (?, ?, ?, ?)";

function newRow(random) {
  const n = random(100_000_000);
  let body = "";
  while (body.length < 96) body += random(0x100000000).toString(16).padStart(8, "0");
  return [`Customer ${n}`, `customer.${n}@example.com`, n * 0.5, body];
}

function check(good, what) {
  if (!good) throw new Error(`the bench got a wrong answer: ${what}`);
}

/** name -> operation on a connected system; `random(n)` is a whole number below n, `rows` those of `t`. */
export const OPERATIONS = {
  "select-1": async (db) => check((await db.first("SELECT 1 AS one", [])).one === 1, "SELECT 1"),
  "point-select": async (db, { random, rows }) => {
    const id = 1 + random(rows);
    const row = await db.first("SELECT * FROM t WHERE id = ?", [id]);
    check(row.id === id, `id ${row.id} for ${id}`);
  },
  insert: (db, { random }) => db.run(INSERT, newRow(random)),
  "batch-insert": async (db, { random }) => {
    const results = await db.batch(Array.from({ length: BATCH_ROWS }, () => ({ sql: INSERT, params: newRow(random) })));
    check(results.length === BATCH_ROWS, `${results.length} results`);
  },
  update: (db, { random, rows }) => db.run("UPDATE t SET score = ? WHERE id = ?", [random(1_000_000), 1 + random(rows)]),
  scan: async (db) => {
    const rows = await db.query("SELECT id, name, n FROM s", []);
    check(rows.length === SCAN_ROWS, `${rows.length} rows`);
  },
  aggregate: async (db, { rows }) => {
    const { n } = await db.first("SELECT count(score) AS n FROM t", []);
    check(n === rows, `${n} rows of ${rows}`);
  },
};
