// Parity cases: the counts and flags of `meta`, statement by statement, in order on one database.
//
// Invariant: a failing statement here says so in its answer; none is repeated, so each sees the
// state that the ones before it left.

export const setup = [];

const insertMany = (n, into) => `WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x<${n}) ${into}`;

// What a statement's meta said, by database: three cases look at one run of it.
const seen = new WeakMap();

async function effect(db, sql) {
  const { meta, results } = await db.prepare(sql).all();
  if (!seen.has(db)) seen.set(db, new Map());
  seen.get(db).set(sql, meta);
  const { changes, last_row_id, changed_db } = meta;
  return { rows: results.length, changes, last_row_id, changed_db };
}

const both = (why) => (why ? { differs: { DB: why, LITTORAL: why } } : {});

/** @param {[sql: string, differs?: { effect?: string, written?: string, read?: string }]} statement */
function casesOf([sql, { effect: ofEffect, written, read } = {}]) {
  return [
    { name: sql, run: (db) => effect(db, sql), ...both(ofEffect) },
    { name: `rows_written: ${sql}`, run: (db) => seen.get(db)?.get(sql)?.rows_written, ...both(written) },
    { name: `rows_read: ${sql}`, run: (db) => seen.get(db)?.get(sql)?.rows_read, ...both(read) },
  ];
}

const schema = "Littoral does not count what a statement reads in SQLite's own tables, and while it builds or moves a b-tree.";
const search =
  "D1 counts the entry at which a search ends, and the one that it seeks in vain; Littoral counts the rows that a loop visits, as SQLite itself says: more would have to be asked after every read.";
const lookup =
  "D1 counts what a write looks up on its way (conflicts, parents and children of foreign keys, rows for RETURNING); Littoral counts the rows that a loop visits.";
const temporary = "D1 counts rows as they come out of sorters and temporary tables again; Littoral counts each loop's visits.";
const whole = "`count(*)` and `DELETE` of a whole table are counted by their loops: none in the one, every row in the other.";
const statistics = "Littoral does not count what ANALYZE and `PRAGMA optimize` read of indexes.";
const last = "A text of several statements answers the rows read and written of them all; D1's are of the last.";

// [SQL, reasons why the effect, the rows written or the rows read differ]
const statements = [
  ["SELECT 1"],
  ["CREATE TABLE t0(id INTEGER PRIMARY KEY, a INT, b TEXT)"],
  ["CREATE TABLE t1(id INTEGER PRIMARY KEY, a INT, b TEXT)"],
  ["CREATE INDEX t1a ON t1(a)", { read: schema }],
  ["CREATE TABLE t2(id INTEGER PRIMARY KEY, a INT UNIQUE, b TEXT)"],
  ["CREATE INDEX t2b ON t2(b)", { read: schema }],
  ["CREATE TABLE w(k TEXT PRIMARY KEY, v INT) WITHOUT ROWID"],
  ["CREATE INDEX wv ON w(v)", { read: schema }],
  ["CREATE TABLE p(id INTEGER PRIMARY KEY)"],
  ["CREATE TABLE ch(id INTEGER PRIMARY KEY, pid INT REFERENCES p(id) ON DELETE CASCADE)"],
  ["CREATE TABLE ai(id INTEGER PRIMARY KEY AUTOINCREMENT, v)"],
  ["CREATE TABLE lg(x)"],
  ["CREATE TABLE tt(id INTEGER PRIMARY KEY, v)"],
  ["CREATE TRIGGER tr AFTER INSERT ON tt BEGIN INSERT INTO lg VALUES(new.v); END"],
  ["INSERT INTO t0(a,b) VALUES(1,'x')"],
  ["INSERT INTO t1(a,b) VALUES(1,'x')"],
  ["INSERT INTO t2(a,b) VALUES(1,'x')"],
  ["INSERT INTO t0(a,b) VALUES(2,'y'),(3,'z'),(4,'w')"],
  ["INSERT INTO t1(a,b) VALUES(2,'y'),(3,'z'),(4,'w')"],
  ["INSERT INTO t2(a,b) VALUES(2,'y'),(3,'z'),(4,'w')"],
  ["INSERT INTO w VALUES('a',1)"],
  ["INSERT INTO w VALUES('b',2),('c',3)"],
  ["INSERT INTO p VALUES(1),(2)", { read: lookup }],
  ["INSERT INTO ch VALUES(1,1),(2,1),(3,2)", { read: lookup }],
  ["INSERT INTO ai(v) VALUES(1)", { read: lookup }],
  ["INSERT INTO tt(v) VALUES(5)"],
  ["INSERT INTO tt(v) VALUES(5),(6)", { read: lookup }],
  ["UPDATE t0 SET b='q' WHERE id=1"],
  ["UPDATE t1 SET b='q' WHERE id=1"],
  ["UPDATE t1 SET a=100 WHERE id=1"],
  ["UPDATE t2 SET b='q' WHERE a=1"],
  ["UPDATE t0 SET a=a+1"],
  ["UPDATE t1 SET a=a+1000"],
  ["UPDATE w SET v=10 WHERE k='a'"],
  ["UPDATE t0 SET b='q' WHERE id=999", { read: search }],
  ["UPDATE t0 SET b='same' WHERE b='nothing'"],
  ["UPDATE t1 SET a=a WHERE id=1"],
  ["DELETE FROM t0 WHERE id=4"],
  ["DELETE FROM t1 WHERE id=4"],
  ["DELETE FROM t1 WHERE a=1003", { read: search }],
  ["DELETE FROM w WHERE k='b'"],
  ["DELETE FROM p WHERE id=1", { read: lookup }],
  ["INSERT INTO t2(a,b) VALUES(1,'up') ON CONFLICT(a) DO UPDATE SET b=excluded.b", { read: lookup }],
  ["INSERT INTO t2(a,b) VALUES(50,'up') ON CONFLICT(a) DO UPDATE SET b=excluded.b"],
  ["INSERT INTO t2(a,b) VALUES(1,'no') ON CONFLICT DO NOTHING"],
  ["REPLACE INTO t2(id,a,b) VALUES(1,1,'r')", { read: lookup }],
  ["REPLACE INTO t0(id,a,b) VALUES(1,1,'r')", { read: lookup }],
  ["REPLACE INTO t0(id,a,b) VALUES(77,1,'r')", { read: lookup }],
  ["INSERT INTO t0(a,b) VALUES(9,'ret') RETURNING *", { read: lookup }],
  ["DELETE FROM t0 WHERE id=78 RETURNING id", { read: lookup }],
  ["CREATE TABLE big(id INTEGER PRIMARY KEY, a INT, b TEXT)"],
  [insertMany(1000, "INSERT INTO big(a,b) SELECT x%10, 'v'||x FROM c"), { read: temporary }],
  ["CREATE INDEX biga ON big(a)", { read: schema }],
  ["CREATE INDEX bigb ON big(b)", { read: schema }],
  ["SELECT * FROM big WHERE id=5"],
  ["SELECT * FROM big WHERE id=5555", { read: search }],
  ["SELECT * FROM big WHERE a=5", { read: search }],
  ["SELECT * FROM big WHERE a=5 LIMIT 3"],
  ["SELECT * FROM big WHERE b='v7'", { read: search }],
  ["SELECT * FROM big WHERE b='none'"],
  ["SELECT b FROM big WHERE b>'v99'"],
  ["SELECT * FROM big"],
  ["SELECT * FROM big LIMIT 10"],
  ["SELECT * FROM big LIMIT 10 OFFSET 20"],
  ["SELECT count(*) FROM big", { read: whole }],
  ["SELECT count(*) FROM big WHERE a=3", { read: search }],
  ["SELECT count(a) FROM big"],
  ["SELECT max(id) FROM big"],
  ["SELECT min(a), max(b) FROM big"],
  ["SELECT * FROM big ORDER BY a,id LIMIT 5"],
  ["SELECT * FROM big ORDER BY id DESC LIMIT 5"],
  ["SELECT * FROM big ORDER BY length(b),b LIMIT 5", { read: temporary }],
  ["SELECT a,count(*) FROM big GROUP BY a"],
  ["SELECT DISTINCT a FROM big"],
  ["SELECT length(b),count(*) FROM big GROUP BY 1", { read: temporary }],
  ["SELECT * FROM big WHERE id IN (1,2,3)", { read: search }],
  ["SELECT * FROM big WHERE id BETWEEN 10 AND 19", { read: search }],
  ["SELECT * FROM big WHERE a=1 OR b='v2'", { read: search }],
  ["SELECT * FROM t1 JOIN big ON big.id=t1.id"],
  ["SELECT x.id FROM big x JOIN big y ON x.a=y.a WHERE x.id=3", { read: search }],
  ["SELECT count(*) FROM t0, t1"],
  ["SELECT * FROM t0 LEFT JOIN t2 USING(id)"],
  ["WITH q AS (SELECT * FROM big WHERE a=1) SELECT count(*) FROM q", { read: search }],
  [insertMany(10, "SELECT x FROM c"), { read: temporary }],
  ["SELECT id FROM t0 UNION SELECT id FROM t1"],
  ["SELECT id FROM t0 UNION ALL SELECT id FROM t1"],
  ["SELECT id FROM t0 WHERE a IN (SELECT a FROM big)"],
  ["SELECT id, row_number() OVER (ORDER BY a) FROM t0", { read: temporary }],
  ["SELECT * FROM w WHERE k='c'"],
  ["SELECT * FROM w WHERE v=3", { read: search }],
  ["VALUES(1),(2),(3)"],
  ["SELECT * FROM json_each('[1,2,3]')"],
  ["PRAGMA table_info(t0)"],
  ["EXPLAIN QUERY PLAN SELECT * FROM big WHERE a=1"],
  ["CREATE TABLE sel AS SELECT * FROM big WHERE a=1", { read: schema }],
  ["INSERT INTO t1(a,b) SELECT a,b FROM big WHERE a=2", { read: search }],
  ["UPDATE big SET b=b||'!' WHERE a=1", { read: search }],
  ["DELETE FROM big WHERE a=2", { read: search }],
  ["DELETE FROM big"],
  ["ALTER TABLE t0 ADD COLUMN z INT DEFAULT 5", { read: schema }],
  ["DROP INDEX t1a", { read: schema }],
  ["DROP TABLE t1", { read: schema }],
  ["CREATE VIEW vv AS SELECT * FROM t2"],
  ["SELECT * FROM vv"],
  ["CREATE VIRTUAL TABLE ft USING fts5(body)"],
  ["INSERT INTO ft VALUES('hello world'),('hello moon')"],
  ["SELECT * FROM ft WHERE ft MATCH 'hello'"],
  ["SELECT 1; SELECT count(*) FROM t2", { read: last }],
  ["INSERT INTO t2(a) VALUES(901); INSERT INTO t2(a) VALUES(902)", { written: last }],
  ["REINDEX t2", { read: schema }],
  ["REINDEX", { read: schema }],
  ["ANALYZE t2", { read: statistics }],
  ["ANALYZE", { read: statistics }],
  ["PRAGMA optimize", { read: statistics }],
  ["PRAGMA optimize(0x10002)", { read: statistics }],
  ["SELECT b FROM t2 WHERE b = 'x'"],
];

// Writes of the schema, of what belongs to it, and of virtual tables: rows written alone.
const ofTheSchema = [
  "CREATE TABLE s1(id INTEGER PRIMARY KEY, a, b UNIQUE, c, UNIQUE(a,c))",
  "CREATE TABLE IF NOT EXISTS s1(id)",
  "CREATE TABLE s2(x TEXT, y, PRIMARY KEY(x,y))",
  "CREATE TABLE s3(x TEXT, y UNIQUE, PRIMARY KEY(x)) WITHOUT ROWID",
  "CREATE TABLE s4(id INTEGER PRIMARY KEY AUTOINCREMENT, v INT UNIQUE) STRICT",
  "CREATE TABLE s5 AS SELECT 1 AS a UNION SELECT 1 UNION SELECT 2",
  "CREATE TABLE s6 AS SELECT DISTINCT a FROM s5 ORDER BY a DESC",
  insertMany(20, "INSERT INTO s1(a,b,c) SELECT x, x, nullif(x%5, 0) FROM c"),
  "CREATE INDEX s1partial ON s1(a) WHERE c IS NULL",
  "CREATE INDEX s1expression ON s1(a+c, b)",
  "CREATE UNIQUE INDEX s1unique ON s1(b, a)",
  "CREATE INDEX IF NOT EXISTS s1unique ON s1(b)",
  "CREATE INDEX s3y ON s3(y)",
  "CREATE VIEW IF NOT EXISTS sv(a) AS SELECT a FROM s1",
  "CREATE TRIGGER st INSTEAD OF INSERT ON sv BEGIN INSERT INTO s1(a,b) VALUES(new.a, new.a); END",
  "INSERT INTO sv VALUES(100),(200)",
  "INSERT INTO s4(v) VALUES(1),(2),(3)",
  "INSERT INTO s4(id,v) VALUES(2,20) ON CONFLICT(id) DO UPDATE SET v=excluded.v",
  "INSERT INTO s4(id,v) VALUES(-5,21)",
  "INSERT INTO s4(id,v) VALUES(1000,22)",
  "INSERT INTO s4(v) SELECT a+100 FROM s1 WHERE a<0",
  "INSERT OR IGNORE INTO s4(v) VALUES(22)",
  "UPDATE s4 SET v=v+1000",
  "DELETE FROM s4 WHERE id=2",
  "DELETE FROM s4",
  "UPDATE sqlite_sequence SET seq=0 WHERE name='s4'",
  "CREATE TRIGGER st4 AFTER INSERT ON s2 BEGIN INSERT INTO s4(v) VALUES(new.y); END",
  "INSERT INTO s2 VALUES('a',1),('b',2)",
  "INSERT INTO s2 VALUES('c',3)",
  "INSERT INTO s2 VALUES('d',4)",
  "ALTER TABLE s1 ADD COLUMN d",
  "ALTER TABLE s1 ADD COLUMN e INT NOT NULL DEFAULT 1 CHECK(e > 0)",
  "ALTER TABLE s1 RENAME COLUMN c TO cc",
  "ALTER TABLE s1 RENAME TO s1renamed",
  "ALTER TABLE s1renamed DROP COLUMN d",
  "REINDEX s1unique",
  "REINDEX s1renamed",
  "ANALYZE s1renamed",
  "analyze s1renamed",
  "ANALYZE s3",
  "ANALYZE s1partial",
  "DROP INDEX s1expression",
  "DROP TRIGGER st",
  "DROP VIEW sv",
  "DROP TABLE s1renamed",
  "DROP TABLE IF EXISTS s1renamed",
  "DROP TABLE s4",
  "CREATE VIRTUAL TABLE sf USING fts5(a, b)",
  "INSERT INTO sf VALUES('one','two'),('three','four')",
  "INSERT INTO sf(rowid, a, b) VALUES(10,'five','six')",
  "UPDATE sf SET a='seven' WHERE rowid=10",
  "REPLACE INTO sf(rowid, a, b) VALUES(10,'eight','nine')",
  "INSERT INTO sf(sf) VALUES('optimize')",
  "DELETE FROM sf WHERE rowid=1",
  "CREATE TABLE st5(id INTEGER PRIMARY KEY, a UNIQUE, b)",
  "CREATE TRIGGER st5i AFTER INSERT ON st5 BEGIN INSERT INTO sf(rowid, a, b) VALUES(new.id + 100, new.a, new.b); END",
  "CREATE TRIGGER st5d AFTER DELETE ON st5 BEGIN DELETE FROM sf WHERE rowid = old.id + 100; END",
  "INSERT INTO st5(a,b) VALUES('a','b'),('c','d')",
  "INSERT INTO st5(a,b) VALUES('e','f')",
  "DELETE FROM st5 WHERE id=1",
  "DELETE FROM st5",
  "DROP TABLE sf",
  "CREATE VIRTUAL TABLE sr USING rtree(id, x0, x1)",
  "INSERT INTO sr VALUES(1,0,1),(2,1,2)",
  "UPDATE sr SET x1=5 WHERE id=1",
  "DELETE FROM sr",
];

export const cases = [
  ...statements.flatMap((statement) => casesOf(/** @type {[string]} */ (statement))),
  ...ofTheSchema.map((sql) => ({ name: `rows_written: ${sql}`, run: async (db) => (await db.prepare(sql).all()).meta.rows_written })),
  {
    name: "meta of a batch, statement by statement",
    run: async (db) =>
      (
        await db.batch(
          ["INSERT INTO t0(id,a) VALUES(500,1),(501,2)", "SELECT * FROM t0 WHERE id>=500", "DELETE FROM t0 WHERE id>=500", "SELECT 1"].map(
            (s) => db.prepare(s),
          ),
        )
      ).map((r) => r.meta),
  },
  {
    name: "size_after is whole pages and grows",
    run: async (db) => {
      const before = (await db.prepare("SELECT 1").all()).meta.size_after;
      await db.prepare("CREATE TABLE grow(x)").run();
      const { size_after } = (await db.prepare("INSERT INTO grow VALUES(zeroblob(100000))").run()).meta;
      return [before % 4096, size_after % 4096, size_after - before >= 100_000 && size_after - before < 120_000];
    },
  },
  {
    name: "size_after shrinks when pages are freed at the end",
    run: async (db) => {
      const before = (await db.prepare("SELECT 1").all()).meta.size_after;
      const { size_after, changed_db } = (await db.prepare("DROP TABLE grow").run()).meta;
      return [size_after < before, changed_db];
    },
  },
  {
    name: "last_row_id beyond 2^53",
    run: async (db) => {
      await db.prepare("INSERT INTO t0(id) VALUES(9007199254740995)").run();
      return (await db.prepare("SELECT 1").all()).meta.last_row_id;
    },
  },
];
