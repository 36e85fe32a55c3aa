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

function casesOf([sql, { effect: ofEffect, written, read } = {}]) {
  return [
    { name: sql, run: (db) => effect(db, sql), ...both(ofEffect) },
    { name: `rows_written: ${sql}`, run: (db) => seen.get(db)?.get(sql)?.rows_written, ...both(written) },
    { name: `rows_read: ${sql}`, run: (db) => seen.get(db)?.get(sql)?.rows_read, ...both(read) },
  ];
}

// [SQL, reasons why the effect, the rows written or the rows read differ]
const statements = [
  ["SELECT 1"],
  ["CREATE TABLE t0(id INTEGER PRIMARY KEY, a INT, b TEXT)"],
  ["CREATE TABLE t1(id INTEGER PRIMARY KEY, a INT, b TEXT)"],
  ["CREATE INDEX t1a ON t1(a)"],
  ["CREATE TABLE t2(id INTEGER PRIMARY KEY, a INT UNIQUE, b TEXT)"],
  ["CREATE INDEX t2b ON t2(b)"],
  ["CREATE TABLE w(k TEXT PRIMARY KEY, v INT) WITHOUT ROWID"],
  ["CREATE INDEX wv ON w(v)"],
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
  ["INSERT INTO p VALUES(1),(2)"],
  ["INSERT INTO ch VALUES(1,1),(2,1),(3,2)"],
  ["INSERT INTO ai(v) VALUES(1)"],
  ["INSERT INTO tt(v) VALUES(5)"],
  ["INSERT INTO tt(v) VALUES(5),(6)"],
  ["UPDATE t0 SET b='q' WHERE id=1"],
  ["UPDATE t1 SET b='q' WHERE id=1"],
  ["UPDATE t1 SET a=100 WHERE id=1"],
  ["UPDATE t2 SET b='q' WHERE a=1"],
  ["UPDATE t0 SET a=a+1"],
  ["UPDATE t1 SET a=a+1000"],
  ["UPDATE w SET v=10 WHERE k='a'"],
  ["UPDATE t0 SET b='q' WHERE id=999"],
  ["UPDATE t0 SET b='same' WHERE b='nothing'"],
  ["UPDATE t1 SET a=a WHERE id=1"],
  ["DELETE FROM t0 WHERE id=4"],
  ["DELETE FROM t1 WHERE id=4"],
  ["DELETE FROM t1 WHERE a=1003"],
  ["DELETE FROM w WHERE k='b'"],
  ["DELETE FROM p WHERE id=1"],
  ["INSERT INTO t2(a,b) VALUES(1,'up') ON CONFLICT(a) DO UPDATE SET b=excluded.b"],
  ["INSERT INTO t2(a,b) VALUES(50,'up') ON CONFLICT(a) DO UPDATE SET b=excluded.b"],
  ["INSERT INTO t2(a,b) VALUES(1,'no') ON CONFLICT DO NOTHING"],
  ["REPLACE INTO t2(id,a,b) VALUES(1,1,'r')"],
  ["REPLACE INTO t0(id,a,b) VALUES(1,1,'r')"],
  ["REPLACE INTO t0(id,a,b) VALUES(77,1,'r')"],
  ["INSERT INTO t0(a,b) VALUES(9,'ret') RETURNING *"],
  ["DELETE FROM t0 WHERE id=78 RETURNING id"],
  ["CREATE TABLE big(id INTEGER PRIMARY KEY, a INT, b TEXT)"],
  [insertMany(1000, "INSERT INTO big(a,b) SELECT x%10, 'v'||x FROM c")],
  ["CREATE INDEX biga ON big(a)"],
  ["CREATE INDEX bigb ON big(b)"],
  ["SELECT * FROM big WHERE id=5"],
  ["SELECT * FROM big WHERE id=5555"],
  ["SELECT * FROM big WHERE a=5"],
  ["SELECT * FROM big WHERE a=5 LIMIT 3"],
  ["SELECT * FROM big WHERE b='v7'"],
  ["SELECT * FROM big WHERE b='none'"],
  ["SELECT b FROM big WHERE b>'v99'"],
  ["SELECT * FROM big"],
  ["SELECT * FROM big LIMIT 10"],
  ["SELECT * FROM big LIMIT 10 OFFSET 20"],
  ["SELECT count(*) FROM big"],
  ["SELECT count(*) FROM big WHERE a=3"],
  ["SELECT count(a) FROM big"],
  ["SELECT max(id) FROM big"],
  ["SELECT min(a), max(b) FROM big"],
  ["SELECT * FROM big ORDER BY a,id LIMIT 5"],
  ["SELECT * FROM big ORDER BY id DESC LIMIT 5"],
  ["SELECT * FROM big ORDER BY length(b),b LIMIT 5"],
  ["SELECT a,count(*) FROM big GROUP BY a"],
  ["SELECT DISTINCT a FROM big"],
  ["SELECT length(b),count(*) FROM big GROUP BY 1"],
  ["SELECT * FROM big WHERE id IN (1,2,3)"],
  ["SELECT * FROM big WHERE id BETWEEN 10 AND 19"],
  ["SELECT * FROM big WHERE a=1 OR b='v2'"],
  ["SELECT * FROM t1 JOIN big ON big.id=t1.id"],
  ["SELECT x.id FROM big x JOIN big y ON x.a=y.a WHERE x.id=3"],
  ["SELECT count(*) FROM t0, t1"],
  ["SELECT * FROM t0 LEFT JOIN t2 USING(id)"],
  ["WITH q AS (SELECT * FROM big WHERE a=1) SELECT count(*) FROM q"],
  [insertMany(10, "SELECT x FROM c")],
  ["SELECT id FROM t0 UNION SELECT id FROM t1"],
  ["SELECT id FROM t0 UNION ALL SELECT id FROM t1"],
  ["SELECT id FROM t0 WHERE a IN (SELECT a FROM big)"],
  ["SELECT id, row_number() OVER (ORDER BY a) FROM t0"],
  ["SELECT * FROM w WHERE k='c'"],
  ["SELECT * FROM w WHERE v=3"],
  ["VALUES(1),(2),(3)"],
  ["SELECT * FROM json_each('[1,2,3]')"],
  ["PRAGMA table_info(t0)"],
  ["EXPLAIN QUERY PLAN SELECT * FROM big WHERE a=1"],
  ["CREATE TABLE sel AS SELECT * FROM big WHERE a=1"],
  ["INSERT INTO t1(a,b) SELECT a,b FROM big WHERE a=2"],
  ["UPDATE big SET b=b||'!' WHERE a=1"],
  ["DELETE FROM big WHERE a=2"],
  ["DELETE FROM big"],
  ["ALTER TABLE t0 ADD COLUMN z INT DEFAULT 5"],
  ["DROP INDEX t1a"],
  ["DROP TABLE t1"],
  ["CREATE VIEW vv AS SELECT * FROM t2"],
  ["SELECT * FROM vv"],
  ["CREATE VIRTUAL TABLE ft USING fts5(body)"],
  ["INSERT INTO ft VALUES('hello world'),('hello moon')"],
  ["SELECT * FROM ft WHERE ft MATCH 'hello'"],
  ["SELECT 1; SELECT count(*) FROM t2"],
  ["INSERT INTO t2(a) VALUES(901); INSERT INTO t2(a) VALUES(902)"],
];

export const cases = [
  ...statements.flatMap(casesOf),
  { name: "meta of a batch, statement by statement", run: async (db) => (await db.batch(["INSERT INTO t0(id,a) VALUES(500,1),(501,2)", "SELECT * FROM t0 WHERE id>=500", "DELETE FROM t0 WHERE id>=500", "SELECT 1"].map((s) => db.prepare(s)))).map((r) => r.meta) },
  { name: "size_after is whole pages and grows", run: async (db) => { const before = (await db.prepare("SELECT 1").all()).meta.size_after; await db.prepare("CREATE TABLE grow(x)").run(); const { size_after } = (await db.prepare("INSERT INTO grow VALUES(zeroblob(100000))").run()).meta; return [before % 4096, size_after % 4096, size_after - before >= 100_000 && size_after - before < 120_000]; } },
  { name: "size_after shrinks when pages are freed at the end", run: async (db) => { const before = (await db.prepare("SELECT 1").all()).meta.size_after; const { size_after, changed_db } = (await db.prepare("DROP TABLE grow").run()).meta; return [size_after < before, changed_db]; } },
  { name: "last_row_id beyond 2^53", run: async (db) => { await db.prepare("INSERT INTO t0(id) VALUES(9007199254740995)").run(); return (await db.prepare("SELECT 1").all()).meta.last_row_id; } },
];
