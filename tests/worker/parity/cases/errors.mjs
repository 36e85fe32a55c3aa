// Parity cases: what goes wrong, with its exact text.

const both = (why) => ({ DB: why, LITTORAL: why });

export const setup = [
  "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT UNIQUE, n INTEGER NOT NULL DEFAULT 0 CHECK(n < 100))",
  "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
  "CREATE TABLE child(id INTEGER PRIMARY KEY, pid INTEGER REFERENCES parent(id), code TEXT)",
  "CREATE TABLE strict_t(i INTEGER, x TEXT) STRICT",
  "CREATE TABLE wr(k TEXT PRIMARY KEY, v) WITHOUT ROWID",
  "CREATE TABLE gen(a INTEGER, b INTEGER GENERATED ALWAYS AS (a*2) STORED)",
  "CREATE VIEW w AS SELECT id FROM t",
  "CREATE TRIGGER no_ninety BEFORE INSERT ON t WHEN new.n = 90 BEGIN SELECT RAISE(ABORT, 'ninety is not allowed'); END",
  "INSERT INTO t(id,v,n) VALUES(1,'a',1)",
  "INSERT INTO wr VALUES('a',1)",
];

const all =
  (sql, ...values) =>
  (db) =>
    db
      .prepare(sql)
      .bind(...values)
      .all();
const exec = (sql) => (db) => db.exec(sql);

const text = "A call that holds no SQL text is refused in words; local D1 answers the stack of a schema error.";
const shapeless = { DB: text, LITTORAL: text };

const blank =
  "A text without a statement is always `No SQL statements detected.`; D1 says `SQL code did not contain a statement.` where it holds a semicolon or a block comment.";
const empty = { DB: blank, LITTORAL: blank };
const number = "The text names the largest parameter number, which is 32766; D1's is 100.";
const limit = { DB: number, LITTORAL: number };

export const cases = [
  { name: "syntax: misspelt keyword", run: all("SELEC 1") },
  { name: "syntax: further in", run: all("SELECT 1 FROM t WHERE WHERE") },
  { name: "syntax: after multi-byte characters", run: all("SELECT 'é漢🌊' FROM t WHERE WHERE") },
  { name: "syntax: on the second line", run: all("SELECT 1\nFROM t\nWHERE )") },
  { name: "syntax: incomplete", run: all("SELECT * FROM") },
  { name: "syntax: unclosed string", run: all("SELECT 'abc") },
  { name: "syntax: unclosed parenthesis", run: all("SELECT (1") },
  { name: "syntax: unclosed comment is fine", run: all("SELECT 1 AS a /* never ends") },
  { name: "syntax: unrecognized token", run: all("SELECT #") },
  { name: "syntax: in the second statement", run: all("SELECT 1; SELEC 2") },
  { name: "syntax: in the first of two", run: all("SELEC 1; SELECT 2") },
  { name: "empty text", run: all("") },
  { name: "blank text", run: all("  \n\t ") },
  { name: "only a semicolon", run: all(";"), differs: empty },
  { name: "only a line comment", run: all("-- nothing") },
  { name: "only line comments", run: all("-- nothing\n  -- more\n") },
  { name: "only a block comment", run: all("/* nothing */"), differs: empty },
  { name: "missing table", run: all("SELECT * FROM nope") },
  { name: "missing column", run: all("SELECT nope FROM t") },
  { name: "missing column of a table", run: all("SELECT t.nope FROM t") },
  { name: "missing column in insert", run: all("INSERT INTO t(nope) VALUES(1)") },
  { name: "missing function", run: all("SELECT nope(1)") },
  { name: "missing collation", run: all("SELECT 1 ORDER BY 'a' COLLATE nope") },
  { name: "missing index", run: all("DROP INDEX nope") },
  { name: "missing table in drop", run: all("DROP TABLE nope") },
  { name: "missing module", run: all("CREATE VIRTUAL TABLE z USING nope(x)") },
  { name: "ambiguous column", run: all("SELECT id FROM t, child") },
  { name: "wrong number of function arguments", run: all("SELECT abs(1,2)") },
  { name: "misuse of an aggregate", run: all("SELECT * FROM t WHERE count(*) > 1") },
  { name: "table exists already", run: all("CREATE TABLE t(x)") },
  {
    name: "index exists already",
    run: async (db) => {
      await db.prepare("CREATE INDEX ti ON t(n)").run();
      try {
        return await db.prepare("CREATE INDEX ti ON t(n)").run();
      } finally {
        await db.prepare("DROP INDEX ti").run();
      }
    },
  },
  { name: "wrong number of values", run: all("INSERT INTO t(id,v) VALUES(1,2,3)") },
  { name: "wrong number of columns", run: all("INSERT INTO t VALUES(1)") },
  { name: "compound with different widths", run: all("SELECT 1 UNION SELECT 1,2") },
  { name: "ORDER BY out of range", run: all("SELECT 1 ORDER BY 2") },
  { name: "sub-select with two columns", run: all("SELECT (SELECT 1,2)") },
  { name: "unique violation", run: all("INSERT INTO t(id,v) VALUES(2,'a')") },
  { name: "primary key violation", run: all("INSERT INTO t(id) VALUES(1)") },
  { name: "primary key violation without rowid", run: all("INSERT INTO wr VALUES('a',2)") },
  { name: "not null violation", run: all("INSERT INTO t(id,n) VALUES(3,NULL)") },
  { name: "check violation", run: all("INSERT INTO t(id,n) VALUES(3,100)") },
  { name: "foreign key violation", run: all("INSERT INTO child(id,pid) VALUES(1,99)") },
  {
    name: "foreign key mismatch",
    run: async (db) => {
      await db.prepare("CREATE TABLE bad(x REFERENCES t(n))").run();
      try {
        return await db.prepare("INSERT INTO bad VALUES(1)").run();
      } finally {
        await db.prepare("DROP TABLE bad").run();
      }
    },
  },
  { name: "strict table, wrong type", run: all("INSERT INTO strict_t VALUES('abc','x')") },
  { name: "strict table, unknown type", run: all("CREATE TABLE s2(a NOPE) STRICT") },
  { name: "datatype mismatch", run: all("INSERT INTO t(id) VALUES('abc')") },
  { name: "raise in a trigger", run: all("INSERT INTO t(id,n) VALUES(4,90)") },
  { name: "generated column", run: all("INSERT INTO gen(a,b) VALUES(1,2)") },
  { name: "a view cannot be written", run: all("INSERT INTO w VALUES(1)") },
  { name: "integer overflow", run: all("SELECT abs(-9223372036854775808)") },
  { name: "sum overflow", run: all("SELECT sum(x) FROM (SELECT 9223372036854775807 AS x UNION ALL SELECT 1)") },
  { name: "malformed JSON", run: all("SELECT json('{bad')") },
  { name: "bad JSON path", run: all("SELECT json_extract('{}', 'bad')") },
  { name: "bad escape of LIKE", run: all("SELECT 'a' LIKE 'b' ESCAPE 'cc'") },
  { name: "error in the middle of rows", run: all("SELECT abs(x) FROM (SELECT 1 AS x UNION ALL SELECT -9223372036854775808)") },
  { name: "readonly sqlite_master", run: all("INSERT INTO sqlite_master VALUES(1,2,3,4,5)") },
  { name: "update of sqlite_master", run: all("UPDATE sqlite_master SET sql='x'") },
  { name: "too few parameters", run: all("SELECT ?, ?", 1) },
  { name: "too many parameters", run: all("SELECT ?", 1, 2) },
  { name: "parameters where there are none", run: all("SELECT 1", 1) },
  { name: "no parameters where there are some", run: all("SELECT ?") },
  { name: "gap in numbered parameters", run: all("SELECT ?3 AS a", 1, 2, 3) },
  { name: "gap in numbered parameters, too few", run: all("SELECT ?3 AS a", 1) },
  { name: "parameters in the first of two statements", run: all("SELECT ?; SELECT 1", 1) },
  { name: "parameters in both of two statements", run: all("SELECT ?; SELECT ?", 1, 2) },
  { name: "parameter number zero", run: all("SELECT ?0", 1), differs: limit },
  { name: "run: error", run: (db) => db.prepare("SELEC 1").run() },
  { name: "first: error", run: (db) => db.prepare("SELEC 1").first() },
  { name: "raw: error", run: (db) => db.prepare("SELEC 1").raw() },
  { name: "first: error with a column", run: (db) => db.prepare("SELECT * FROM nope").first("x") },
  { name: "batch: error", run: (db) => db.batch([db.prepare("SELEC 1")]) },
  { name: "batch: error in the second", run: (db) => db.batch([db.prepare("SELECT 1"), db.prepare("SELECT nope")]) },
  { name: "batch: empty", run: (db) => db.batch([]) },
  { name: "batch: only comments", run: (db) => db.batch([db.prepare("-- a"), db.prepare("-- b")]) },
  { name: "batch: not an array", run: (db) => db.batch("SELECT 1").catch((error) => error.name) },
  { name: "batch: undefined", run: (db) => db.batch() },
  { name: "batch: holds undefined", run: (db) => db.batch([undefined]) },
  { name: "batch: holds text", run: (db) => db.batch(["SELECT 1"]), differs: shapeless },
  { name: "batch: takes what looks like a statement", run: (db) => db.batch([{ statement: "SELECT ? AS a", params: [1] }]) },
  { name: "exec: error", run: exec("SELECT nope") },
  { name: "exec: syntax error on the second line", run: exec("SELECT 1\nSELEC 2") },
  { name: "exec: statement over two lines", run: exec("SELECT\n1") },
  { name: "exec: empty", run: exec("") },
  { name: "exec: only a comment", run: exec("-- nothing") },
  { name: "exec: undefined", run: exec(undefined) },
  { name: "exec: parameter", run: exec("SELECT ?") },
  { name: "prepare: undefined", run: (db) => db.prepare(undefined).all(), differs: shapeless },
  { name: "prepare: null", run: (db) => db.prepare(null).all(), differs: shapeless },
  { name: "prepare: a number", run: (db) => db.prepare(5).all(), differs: shapeless },
  { name: "prepare: SQL with NUL", run: all("SELECT 1 AS a\0, 2 AS b") },
  { name: "prepare: NUL at the end", run: all("SELECT 1 AS a;\0") },
  { name: "prepare: lone surrogate in SQL", run: all("SELECT '\ud800' AS a"), differs: both("JavaScript's lone surrogates become U+FFFD, since the database holds UTF-8; D1 stores bytes that are none."), },
  { name: "prepare: byte order mark", run: all("\ufeffSELECT 1 AS a") },
  { name: "prepare: no-break space", run: all("SELECT\u00a01") },
  { name: "prepare: no-break space after the semicolon", run: all("SELECT 1;\u00a0") },
  { name: "exec: no-break space after the semicolon", run: (db) => db.exec("SELECT 1;\u00a0").then(({ count }) => count) },
  { name: "prepare: byte order mark first", run: all("\ufeffSELECT 1") },
  { name: "prepare: vertical tab and form feed after the semicolon", run: all("SELECT 1;\u000b\u000c"), differs: both("A vertical tab alone is no blank in SQLite; D1 skips it after a semicolon.") },
  { name: "prepare: CRLF", run: all("SELECT 1 AS a,\r\n2 AS b;\r\n") },
  { name: "after errors, the table is as it was", run: all("SELECT * FROM t") },
];
