// Parity cases: every method of the three classes, with the shapes of what they answer.
//
// Invariant: cases run in order on one database; each leaves `t` as it found it.

export const setup = [
  "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, n INTEGER, r REAL, b BLOB)",
  "INSERT INTO t VALUES(1,'one',10,1.5,x'010203'),(2,'two',20,2.5,NULL),(3,NULL,NULL,NULL,x'')",
];

const blank =
  "A comment or another semicolon after the last statement is fine, in batch and exec too; local D1 answers `SQL code did not contain a statement.`";
const lenient = { DB: blank, LITTORAL: blank };
const META = "Littoral also tells which tier answered, at which txid, how stale at most, and how many pages were fetched";
const all3 = "SELECT * FROM t ORDER BY id";

export const cases = [
  { name: "all: rows as objects in column order", run: (db) => db.prepare(all3).all() },
  { name: "all: no rows", run: (db) => db.prepare("SELECT * FROM t WHERE id=99").all() },
  { name: "all: key order of the result", run: async (db) => Object.keys(await db.prepare("SELECT 1").all()) },
  {
    name: "all: keys of meta",
    run: async (db) => Object.keys((await db.prepare("SELECT 1").all()).meta).sort(),
    differs: { DB: META, LITTORAL: META },
  },
  {
    name: "all: types of meta",
    run: async (db) =>
      Object.entries((await db.prepare("SELECT 1").all()).meta)
        .map(([k, v]) => `${k} ${typeof v}`)
        .sort(),
    differs: { DB: META, LITTORAL: META },
  },
  { name: "all: an insert answers no rows", run: (db) => db.prepare("INSERT INTO t(id,name) VALUES(50,'x')").all() },
  { name: "all: delete", run: (db) => db.prepare("DELETE FROM t WHERE id=50").all() },
  { name: "run: a select still answers rows", run: (db) => db.prepare(all3).run() },
  { name: "run: key order of the result", run: async (db) => Object.keys(await db.prepare("SELECT 1").run()) },
  { name: "run: insert", run: (db) => db.prepare("INSERT INTO t(id,name) VALUES(51,'x')").run() },
  { name: "run: insert returning", run: (db) => db.prepare("INSERT INTO t(id,name) VALUES(52,'y') RETURNING id, name AS n").run() },
  { name: "run: update", run: (db) => db.prepare("UPDATE t SET name='z' WHERE id>=51").run() },
  { name: "run: delete returning", run: (db) => db.prepare("DELETE FROM t WHERE id>=51 RETURNING *").run() },
  {
    name: "run: create and drop",
    run: async (db) => [await db.prepare("CREATE TABLE gone(x)").run(), await db.prepare("DROP TABLE gone").run()],
  },
  { name: "first: whole row", run: (db) => db.prepare(all3).first() },
  { name: "first: one column", run: (db) => db.prepare(all3).first("name") },
  { name: "first: a NULL value is null", run: (db) => db.prepare("SELECT NULL AS x").first("x") },
  { name: "first: no row is null", run: (db) => db.prepare("SELECT * FROM t WHERE id=99").first() },
  { name: "first: no row is null with a column too", run: (db) => db.prepare("SELECT * FROM t WHERE id=99").first("nope") },
  { name: "first: unknown column", run: (db) => db.prepare(all3).first("nope") },
  { name: "first: column null", run: (db) => db.prepare(all3).first(null) },
  { name: "first: empty column name", run: (db) => db.prepare(all3).first("") },
  { name: "first: a name of Object's prototype", run: async (db) => typeof (await db.prepare("SELECT 1").first("toString")) },
  { name: "first: numeric column name", run: (db) => db.prepare("SELECT 7 AS [0]").first(0) },
  { name: "first: does not add LIMIT 1", run: (db) => db.prepare("INSERT INTO t(id) VALUES(60),(61) RETURNING id").first("id") },
  { name: "first: and so both rows are there", run: (db) => db.prepare("DELETE FROM t WHERE id>=60 RETURNING id").all() },
  { name: "raw: arrays", run: (db) => db.prepare(all3).raw() },
  { name: "raw: with column names", run: (db) => db.prepare(all3).raw({ columnNames: true }) },
  { name: "raw: columnNames false", run: (db) => db.prepare("SELECT 1").raw({ columnNames: false }) },
  { name: "raw: no rows", run: (db) => db.prepare("SELECT * FROM t WHERE id=99").raw() },
  { name: "raw: no rows with column names", run: (db) => db.prepare("SELECT id, name FROM t WHERE id=99").raw({ columnNames: true }) },
  { name: "raw: of a statement without columns", run: (db) => db.prepare("UPDATE t SET n=n WHERE id=99").raw({ columnNames: true }) },
  { name: "raw: keeps columns of one name", run: (db) => db.prepare("SELECT 1 AS a, 2 AS a, 3 AS b").raw({ columnNames: true }) },
  { name: "all: columns of one name, the last wins", run: (db) => db.prepare("SELECT 1 AS a, 9 AS b, 2 AS a").all() },
  {
    name: "all: join with columns of one name",
    run: (db) => db.prepare("SELECT x.id, y.id FROM t x JOIN t y ON y.id=x.id+1 ORDER BY 1").all(),
  },
  { name: "all: names of expressions", run: (db) => db.prepare("SELECT 1+1, count(*), 'x', max(n)  FROM t").all() },
  {
    name: "all: a column called __proto__",
    run: async (db) => Object.entries((await db.prepare('SELECT 1 AS "__proto__", 2 AS a').all()).results[0]),
  },
  { name: "all: integer-like column names go first", run: (db) => db.prepare("SELECT 1 AS z, 2 AS [1], 3 AS [0]").all() },
  { name: "all: empty column name", run: (db) => db.prepare('SELECT 1 AS ""').all() },
  { name: "all: non-ASCII column name", run: (db) => db.prepare('SELECT 1 AS "größe 🌊"').all() },
  {
    name: "bind: answers a new statement",
    run: (db) => {
      const s = db.prepare("SELECT ?");
      const b = s.bind(1);
      return [s === b, s.params, b.params, b.statement];
    },
  },
  { name: "bind: replaces all values", run: (db) => db.prepare("SELECT ? AS a, ? AS b").bind(1, 2).bind(3, 4).first() },
  { name: "bind: nothing", run: (db) => db.prepare("SELECT 1 AS a").bind().first() },
  { name: "bind: numbered parameters", run: (db) => db.prepare("SELECT ?2 AS a, ?1 AS b, ?2 AS c").bind("x", "y").first() },
  { name: "bind: mixed numbered and plain", run: (db) => db.prepare("SELECT ?2 AS a, ? AS b, ?1 AS c").bind("x", "y", "z").first() },
  {
    name: "bind: named parameters count as positions",
    run: (db) => db.prepare("SELECT :a AS x, @b AS y, $c AS z, :a AS w").bind(1, 2, 3).first(),
  },
  {
    name: "statement: runs twice",
    run: async (db) => {
      const s = db.prepare("SELECT ? AS a").bind(5);
      return [await s.first(), await s.first("a")];
    },
  },
  {
    name: "statement: two bindings of one statement",
    run: async (db) => {
      const s = db.prepare("SELECT ? AS a");
      return Promise.all([s.bind(1).first("a"), s.bind(2).first("a")]);
    },
  },
  {
    name: "statement: fifty at once, each its own",
    run: (db) => Promise.all(Array.from({ length: 50 }, (_, i) => db.prepare("SELECT ? AS a").bind(String(i)).first("a"))),
  },
  {
    name: "statement: at once, one failing",
    run: async (db) =>
      (
        await Promise.allSettled(
          [1, 2, 3].map((i) =>
            db
              .prepare(i === 2 ? "SELECT nope" : "SELECT ? AS a")
              .bind(...(i === 2 ? [] : [i]))
              .first("a"),
          ),
        )
      ).map((r) => (r.status === "fulfilled" ? r.value : r.reason.message)),
  },
  { name: "statement: constructor name", run: (db) => db.prepare("x").constructor.name },
  { name: "statement: own keys", run: (db) => Object.keys(db.prepare("x")) },
  { name: "database: constructor name", run: (db) => db.constructor.name },
  { name: "database: getBookmark is not there", run: (db) => typeof db.getBookmark },
  { name: "database: methods", run: (db) => ["prepare", "batch", "exec", "dump", "withSession"].map((m) => typeof db[m]) },
  {
    name: "database: toString tag",
    run: (db) => Object.prototype.toString.call(db),
    differs: { LITTORAL: "The wrapped binding is an ordinary JavaScript object; only the runtime can make a `WrappedBinding`." },
  },
  {
    name: "database: low-level query without its flag",
    run: (db) => db.query({ queries: [{ sql: "SELECT 1" }] }),
    differs: { LITTORAL: "The experimental low-level `query()` does nothing in D1 either without the flag `d1_binding_jsrpc`." },
  },
  { name: "prepare: does not look at the text", run: (db) => typeof db.prepare("this is not SQL") },
  { name: "prepare: multiple statements answer the last", run: (db) => db.prepare("SELECT 1 AS a; SELECT 2 AS b").all() },
  { name: "prepare: multiple statements, last one empty", run: (db) => db.prepare("SELECT 1 AS a;  ").all() },
  { name: "prepare: multiple statements, only semicolons after", run: (db) => db.prepare("SELECT 1 AS a;;;").all(), differs: lenient },
  { name: "prepare: comment after the semicolon", run: (db) => db.prepare("SELECT 1 AS a; -- done").all(), differs: lenient },
  { name: "prepare: block comment after the semicolon", run: (db) => db.prepare("SELECT 1 AS a; /* done */").all(), differs: lenient },
  { name: "prepare: last of several writes nothing back", run: (db) => db.prepare("SELECT 1 AS a; UPDATE t SET n=n WHERE id=99").all() },
  { name: "prepare: parameters in the last statement", run: (db) => db.prepare("SELECT 1; SELECT ? AS a").bind(4).all() },
  { name: "prepare: leading comment", run: (db) => db.prepare("-- hello\nSELECT 1 AS a").all() },
  { name: "prepare: leading block comment", run: (db) => db.prepare("/* hello */ SELECT 1 AS a").all() },
  {
    name: "dump",
    run: async (db) => new Uint8Array(await db.dump()).length > 0,
    differs: {
      DB: "`dump()` answers the database as a SQLite file; D1 has withdrawn it.",
      LITTORAL: "`dump()` answers the database as a SQLite file; D1 has withdrawn it.",
    },
  },
];
