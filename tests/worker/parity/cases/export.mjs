// Parity cases: the database as SQL, which clients of local D1 ask for with a PRAGMA of their own.

export const setup = [
  "CREATE TABLE parent(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)",
  'CREATE TABLE "quoted name"(id INTEGER PRIMARY KEY, parent INT REFERENCES parent(id), b BLOB)',
  "CREATE INDEX pn ON parent(name)",
  "CREATE VIEW both AS SELECT * FROM parent",
  "CREATE TRIGGER tr AFTER INSERT ON parent BEGIN SELECT 1; END",
  "INSERT INTO parent(name) VALUES('it''s'),(NULL),('two\nlines\r\n')",
  "INSERT INTO \"quoted name\" VALUES(1,1,x'00ff'),(2,NULL,NULL)",
];

const EXPORT = "PRAGMA miniflare_d1_export(?,?,?);";
const exported = (db, ...parameters) => db.prepare(EXPORT).bind(...parameters).raw();
const both = (why) => ({ DB: why, LITTORAL: why });
const tablesFirst = both("An export makes all tables before it fills the first; D1's fails where rows refer to a table made later.");

const viewsFirst = both("An export makes views before triggers, which may be on them; D1's fails where one is.");

export const cases = [
  { name: "export: everything", run: async (db) => (await exported(db, false, false))[0].toSorted() },
  { name: "export: the order", run: (db) => exported(db, false, false), differs: tablesFirst },
  { name: "export: no schema", run: (db) => exported(db, true, false) },
  { name: "export: no data", run: async (db) => (await exported(db, false, true))[0].toSorted() },
  { name: "export: no data, the order", run: (db) => exported(db, false, true), differs: viewsFirst },
  { name: "export: one table", run: (db) => exported(db, false, false, "quoted name") },
  {
    name: "export: a REAL that is a whole number",
    run: async (db) => {
      await db.prepare("CREATE TABLE r(v)").run();
      await db.prepare("INSERT INTO r VALUES(2.0),(9007199254740993),(1e300)").run();
      try {
        return await exported(db, true, false, "r");
      } finally {
        await db.prepare("DROP TABLE r").run();
      }
    },
    differs: both("REALs stay REALs and INTEGERs keep all their digits in an export; D1's come as JavaScript's numbers."),
  },
  {
    name: "export: a virtual table",
    run: async (db) => {
      await db.prepare("CREATE VIRTUAL TABLE f USING fts5(a)").run();
      try {
        return await exported(db, false, false);
      } catch (error) {
        return error.message.split(" (")[0];
      } finally {
        await db.prepare("DROP TABLE f").run();
      }
    },
    differs: both("An export has the virtual tables; D1 refuses a database that has any."),
  },
];
