// Parity cases: D1's limits, at and past each; where Littoral is more generous the case says so.

const wider = (text) => ({ DB: text, LITTORAL: text });
const compound = wider("Compound SELECTs may have 500 terms, as SQLite allows; D1 stops at 5.");
const columns = wider("A table may have 2,000 columns, as SQLite allows; D1 stops at 100.");
const variables = wider("A statement may have 32,766 bound parameters, as SQLite allows; D1 stops at 100.");
const length = wider("A statement may be 10,000,000 bytes long; D1 stops at 100,000.");
const pattern = wider("A LIKE or GLOB pattern may have 300 bytes; D1 stops at 50.");

export const setup = ["CREATE TABLE t(a)"];

const all =
  (sql, ...values) =>
  (db) =>
    db
      .prepare(sql)
      .bind(...values)
      .all();
const list = (n, item) => Array.from({ length: n }, (_, i) => item(i)).join(",");
const union = (n) => Array.from({ length: n }, (_, i) => `SELECT ${i} AS a`).join(" UNION ALL ");
const counted = async (db, sql, values) =>
  Object.keys(
    await db
      .prepare(sql)
      .bind(...values)
      .first(),
  ).length;
const nested = (n) => "(".repeat(n) + "1" + ")".repeat(n);

export const cases = [
  { name: "100 bound parameters", run: (db) => counted(db, `SELECT ${list(100, (i) => `? AS c${i}`)}`, Array(100).fill(1)) },
  {
    name: "101 bound parameters",
    run: (db) =>
      db
        .prepare(`SELECT ${list(101, () => "?")}`)
        .bind(...Array(101).fill(1))
        .raw()
        .then((rows) => rows[0].length),
    differs: variables,
  },
  { name: "parameter number 100", run: all("SELECT ?100 AS a", ...Array(100).fill("x")) },
  { name: "parameter number 101", run: all("SELECT ?101 AS a", ...Array(101).fill("x")), differs: variables },
  {
    name: "parameter number 40000",
    run: all("SELECT ?40000 AS a", 1),
    differs: wider("The largest parameter number is 32766, and the text says so; D1's is 100."),
  },
  { name: "compound of 5", run: all(union(5)) },
  { name: "compound of 6", run: all(union(6)), differs: compound },
  { name: "VALUES with 600 rows", run: async (db) => (await db.prepare(`VALUES ${list(600, (i) => `(${i})`)}`).raw()).length },
  {
    name: "100 columns in a table",
    run: async (db) => {
      await db.prepare(`CREATE TABLE c100(${list(100, (i) => `c${i}`)})`).run();
      return db.prepare("DROP TABLE c100").run();
    },
  },
  {
    name: "101 columns in a table",
    run: async (db) => {
      const r = await db.prepare(`CREATE TABLE c101(${list(101, (i) => `c${i}`)})`).run();
      await db.prepare("DROP TABLE c101").run();
      return r.success;
    },
    differs: columns,
  },
  {
    name: "101 columns in a result",
    run: async (db) => (await db.prepare(`SELECT ${list(101, () => "1")}`).raw())[0].length,
    differs: columns,
  },
  { name: "statement of 100,000 bytes", run: async (db) => (await db.prepare(`SELECT '${"x".repeat(99_991)}'`).raw())[0][0].length },
  {
    name: "statement of 100,001 bytes",
    run: async (db) => (await db.prepare(`SELECT '${"x".repeat(99_992)}'`).raw())[0][0].length,
    differs: length,
  },
  { name: "LIKE pattern of 50", run: (db) => db.prepare("SELECT 'x' LIKE ? AS m").bind("x".repeat(50)).first() },
  { name: "LIKE pattern of 51", run: (db) => db.prepare("SELECT 'x' LIKE ? AS m").bind("x".repeat(51)).first(), differs: pattern },
  { name: "GLOB pattern of 51", run: (db) => db.prepare("SELECT 'x' GLOB ? AS m").bind("x".repeat(51)).first(), differs: pattern },
  { name: "100 function arguments", run: (db) => db.prepare(`SELECT max(${list(100, (i) => i)}) AS m`).first() },
  { name: "128 function arguments", run: (db) => db.prepare(`SELECT max(${list(128, (i) => i)}) AS m`).first() },
  { name: "expression depth 90", run: all(`SELECT ${nested(90)} AS a`) },
  { name: "expression depth, sum of 99", run: all(`SELECT ${Array(99).fill("1").join("+")} AS a`) },
  {
    name: "expression depth, sum of 150",
    run: all(`SELECT ${Array(150).fill("1").join("+")} AS a`),
    differs: wider("Expressions may be 1,000 deep; D1 stops at 100."),
  },
  {
    name: "trigger depth",
    run: async (db) => {
      await db.batch(
        ["CREATE TABLE d(n)", "CREATE TRIGGER dt AFTER INSERT ON d WHEN new.n < 30 BEGIN INSERT INTO d VALUES(new.n + 1); END"].map((s) =>
          db.prepare(s),
        ),
      );
      try {
        const r = await db.batch([db.prepare("PRAGMA recursive_triggers=on"), db.prepare("INSERT INTO d VALUES(0)")]);
        return r[1].meta.changes;
      } finally {
        await db.prepare("DROP TABLE d").run();
      }
    },
    differs: wider("Triggers may nest 100 deep; D1 stops at 10."),
  },
  { name: "text of 2,000,000 characters", run: (db) => db.prepare("SELECT length(?) AS n").bind("x".repeat(2_000_000)).first() },
  { name: "zeroblob past the limit", run: (db) => db.prepare("SELECT length(zeroblob(2147483647)) AS n").first() },
  {
    name: "printf past the limit",
    run: (db) => db.prepare("SELECT length(printf('%.*c', 200000, 'x')) AS n").first(),
    differs: wider("`printf` pads to any width; D1 stops at 100,000."),
  },
  {
    name: "row of 1 MB stored and read",
    run: async (db) => {
      await db.prepare("INSERT INTO t VALUES(?)").bind("x".repeat(1_000_000)).run();
      const n = (await db.prepare("SELECT a FROM t").first("a")).length;
      await db.prepare("DELETE FROM t").run();
      return n;
    },
  },
  { name: "join of 64 tables", run: (db) => db.prepare(`SELECT count(*) AS n FROM ${list(64, (i) => `t AS t${i}`)}`).first() },
  { name: "join of 65 tables", run: (db) => db.prepare(`SELECT count(*) AS n FROM ${list(65, (i) => `t AS t${i}`)}`).first() },
  {
    name: "batch of 200 statements",
    run: async (db) =>
      (await db.batch(Array.from({ length: 200 }, (_, i) => db.prepare("SELECT ? AS a").bind(i)))).map((r) => r.results[0].a),
  },
  {
    name: "10,000 rows",
    run: async (db) => {
      const r = await db.prepare("WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x<10000) SELECT x FROM c").all();
      return [r.results.length, r.results[9999]];
    },
  },
];
