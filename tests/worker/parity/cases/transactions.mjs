// Parity cases: atomicity of batch, exec and multi-statement texts; foreign keys; exec's lines.

export const setup = [
  "CREATE TABLE a(id INTEGER PRIMARY KEY, v TEXT UNIQUE)",
  "CREATE TABLE p(id INTEGER PRIMARY KEY)",
  "CREATE TABLE c(id INTEGER PRIMARY KEY, pid INTEGER REFERENCES p(id) ON DELETE CASCADE)",
  "CREATE TABLE s(id INTEGER PRIMARY KEY, pid INTEGER REFERENCES p(id) ON DELETE SET NULL)",
  "CREATE TABLE d(id INTEGER PRIMARY KEY, pid INTEGER REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)",
  "INSERT INTO p VALUES(1),(2),(3)",
];

const outcome = async (promise) => {
  try {
    return await promise;
  } catch (error) {
    return [error.name, error.message, error.cause?.message];
  }
};
const both = (why) => ({ DB: why, LITTORAL: why });
// Local D1 breaks its object where a statement or a commit ends the transaction under it.
const atCommit = both(
  "A deferred foreign key that fails at the end of the call is answered as `FOREIGN KEY constraint failed`. Local D1 answers `internal error` and resets its object; both roll back.",
);
const inMigrations = both(
  "`PRAGMA foreign_keys = OFF` is heard in a migration: a call that inserts into `d1_migrations` or `__drizzle_migrations`. It commits only if `PRAGMA foreign_key_check` finds nothing, or fails and names the rows. D1 never hears it: dropping a table deletes the rows that refer to it.",
);
const orRollback = both(
  "`OR ROLLBACK` is answered with the constraint that failed. Local D1 answers `internal error` and resets its object; both roll back.",
);
const lenient = both(
  "A comment or another semicolon after the last statement is fine, in batch and exec too; local D1 answers `SQL code did not contain a statement.`",
);
const atOnce = both("A PRAGMA holds for the statements after it in the same text; D1's `case_sensitive_like` only for later ones.");
const batch = (db, ...sql) => db.batch(sql.map((s) => db.prepare(s)));
const rowsOf = (db, table) => db.prepare(`SELECT * FROM ${table} ORDER BY id`).raw();

export const cases = [
  { name: "batch: results in order", run: (db) => batch(db, "SELECT 1 AS a", "SELECT 2 AS b, 3 AS c", "SELECT 4 AS d WHERE 0") },
  { name: "batch: keys of a result", run: async (db) => Object.keys((await batch(db, "SELECT 1"))[0]) },
  {
    name: "batch: with values",
    run: async (db) => {
      const s = db.prepare("INSERT INTO a VALUES(?,?) RETURNING id");
      return db.batch([s.bind(1, "x"), s.bind(2, "y")]);
    },
  },
  {
    name: "batch: later statements see earlier ones",
    run: (db) =>
      batch(db, "INSERT INTO a VALUES(3,'z')", "SELECT count(*) AS n FROM a", "DELETE FROM a WHERE id=3", "SELECT count(*) AS n FROM a"),
  },
  {
    name: "batch: one statement twice",
    run: async (db) => {
      const s = db.prepare("SELECT count(*) AS n FROM a");
      return db.batch([s, s]);
    },
  },
  {
    name: "batch: a failure undoes the statements before it",
    run: async (db) => [await outcome(batch(db, "INSERT INTO a VALUES(4,'w')", "INSERT INTO a VALUES(5,'x')")), await rowsOf(db, "a")],
  },
  {
    name: "batch: a failure in the first",
    run: async (db) => [await outcome(batch(db, "SELEC", "INSERT INTO a VALUES(6,'v')")), await rowsOf(db, "a")],
  },
  {
    name: "batch: a failure undoes DDL",
    run: async (db) => [
      await outcome(batch(db, "CREATE TABLE gone(x)", "INSERT INTO gone VALUES(1)", "SELECT nope")),
      await db.prepare("SELECT name FROM sqlite_master WHERE name='gone'").all(),
    ],
  },
  { name: "batch: with a comment-only statement", run: (db) => batch(db, "SELECT 1 AS a", "-- nothing", "SELECT 2 AS a") },
  { name: "batch: with an empty statement", run: (db) => batch(db, "SELECT 1 AS a", "", "SELECT 2 AS a") },
  {
    name: "batch: with a block-comment statement",
    run: (db) => batch(db, "SELECT 1 AS a", "/* nothing */", "SELECT 2 AS a"),
    differs: lenient,
  },
  { name: "batch: several statements in one text", run: (db) => batch(db, "SELECT 1 AS a; SELECT 2 AS b", "SELECT 3 AS c") },
  {
    name: "batch: statements of another database go where batch goes",
    run: async (db) => (await db.batch([db.withSession().prepare("SELECT 7 AS a")]))[0].results,
  },
  { name: "batch: BEGIN inside", run: (db) => batch(db, "BEGIN", "SELECT 1", "COMMIT") },
  {
    name: "batch: nested failure of OR ROLLBACK",
    run: async (db) => [
      await outcome(batch(db, "INSERT INTO a VALUES(7,'u')", "INSERT OR ROLLBACK INTO a VALUES(8,'x')")),
      await rowsOf(db, "a"),
    ],
    differs: orRollback,
  },
  {
    name: "OR ROLLBACK alone",
    run: async (db) => [await outcome(db.prepare("INSERT OR ROLLBACK INTO a VALUES(8,'x')").run()), await rowsOf(db, "a")],
    differs: orRollback,
  },
  {
    name: "OR FAIL keeps the rows before it in its own statement",
    run: async (db) => {
      const r = [await outcome(db.prepare("INSERT OR FAIL INTO a VALUES(20,'f1'),(21,'x'),(22,'f3')").run()), await rowsOf(db, "a")];
      await db.prepare("DELETE FROM a WHERE id>=20").run();
      return r;
    },
  },
  {
    name: "OR IGNORE",
    run: async (db) => {
      const r = await db.prepare("INSERT OR IGNORE INTO a VALUES(30,'i1'),(31,'x'),(32,'i3')").run();
      await db.prepare("DELETE FROM a WHERE id>=30").run();
      return r;
    },
  },
  {
    name: "OR REPLACE",
    run: async (db) => {
      const r = await db.prepare("INSERT OR REPLACE INTO a VALUES(1,'y')").run();
      await db.prepare("INSERT OR REPLACE INTO a VALUES(1,'x'),(2,'y')").run();
      return [r, await rowsOf(db, "a")];
    },
  },
  {
    name: "upsert",
    run: async (db) => [
      await db.prepare("INSERT INTO a VALUES(1,'q') ON CONFLICT(id) DO UPDATE SET v=excluded.v||'!' RETURNING *").all(),
      (await db.prepare("UPDATE a SET v='x' WHERE id=1").run()).meta,
    ],
  },
  {
    name: "multi-statement text: all or nothing",
    run: async (db) => [
      await outcome(db.prepare("INSERT INTO a VALUES(9,'m'); INSERT INTO a VALUES(10,'x')").run()),
      await rowsOf(db, "a"),
    ],
  },
  {
    name: "multi-statement text: later statements see earlier ones",
    run: async (db) => {
      const r = await db.prepare("INSERT INTO a VALUES(11,'n'); SELECT count(*) AS n FROM a").all();
      await db.prepare("DELETE FROM a WHERE id=11").run();
      return r;
    },
  },
  {
    name: "multi-statement text: DDL and use of it",
    run: async (db) => {
      const r = await db.prepare("CREATE TABLE mm(x); INSERT INTO mm VALUES(1),(2); SELECT sum(x) AS s FROM mm;").all();
      await db.prepare("DROP TABLE mm").run();
      return r;
    },
  },
  {
    name: "multi-statement text: syntax error at the end undoes the start",
    run: async (db) => [await outcome(db.prepare("INSERT INTO a VALUES(12,'o'); SELEC").run()), await rowsOf(db, "a")],
  },
  {
    name: "multi-statement text: trigger with semicolons",
    run: async (db) => {
      const r = await db
        .prepare(
          "CREATE TABLE tl(x); CREATE TRIGGER tt AFTER INSERT ON a BEGIN INSERT INTO tl VALUES(new.id); SELECT 1; END; INSERT INTO a VALUES(13,'t'); SELECT * FROM tl",
        )
        .all();
      await db.prepare("DROP TRIGGER tt; DROP TABLE tl; DELETE FROM a WHERE id=13").run();
      return r;
    },
  },
  {
    name: "multi-statement text: semicolons in strings and comments",
    run: (db) => db.prepare('SELECT \';\' AS a; -- ; \n /* ; */ SELECT "b;" AS c FROM (SELECT 2 AS "b;")').all(),
  },
  {
    name: "multi-statement text: a pragma and its use",
    run: (db) => db.prepare("PRAGMA case_sensitive_like=on; SELECT 'a' LIKE 'A' AS m").all(),
    differs: atOnce,
  },
  {
    name: "multi-statement text: error offset in the second statement",
    run: (db) => outcome(db.prepare("SELECT 1;   SELECT nope FROM a").all()),
  },
  {
    name: "multi-statement text: syntax error offset in the third",
    run: (db) => outcome(db.prepare("SELECT 1;\nSELECT 2;\nSELEC 3").all()),
  },
  { name: "foreign keys: on", run: (db) => db.prepare("PRAGMA foreign_keys").first() },
  {
    name: "foreign keys: off is not heard",
    run: async (db) => {
      await db.prepare("PRAGMA foreign_keys=off").run();
      return [await db.prepare("PRAGMA foreign_keys").first(), await outcome(db.prepare("INSERT INTO c VALUES(1,99)").run())];
    },
  },
  {
    name: "foreign keys: off is not heard in a batch",
    run: (db) => outcome(batch(db, "PRAGMA foreign_keys=off", "INSERT INTO c VALUES(1,99)")),
  },
  {
    name: "foreign keys: off is not heard in one text",
    run: (db) => outcome(db.prepare("PRAGMA foreign_keys=off; INSERT INTO c VALUES(1,99)").run()),
  },
  {
    name: "foreign keys: cascade",
    run: async (db) => {
      await batch(db, "INSERT INTO c VALUES(1,1),(2,1)", "INSERT INTO s VALUES(1,1)");
      return [await db.prepare("DELETE FROM p WHERE id=1").run(), await rowsOf(db, "c"), await rowsOf(db, "s")];
    },
  },
  { name: "foreign keys: restrict", run: (db) => outcome(db.prepare("INSERT INTO c VALUES(5,77)").run()) },
  { name: "foreign keys: deferred, repaired", run: (db) => batch(db, "INSERT INTO d VALUES(1,50)", "INSERT INTO p VALUES(50)") },
  {
    name: "foreign keys: deferred, not repaired",
    run: async (db) => [await outcome(batch(db, "INSERT INTO d VALUES(2,51)", "SELECT 1")), await rowsOf(db, "d")],
    differs: atCommit,
  },
  {
    name: "foreign keys: deferred, alone",
    run: async (db) => [await outcome(db.prepare("INSERT INTO d VALUES(3,52)").run()), await rowsOf(db, "d")],
    differs: atCommit,
  },
  {
    name: "foreign keys: defer_foreign_keys in a batch, repaired",
    run: async (db) => [
      (await batch(db, "PRAGMA defer_foreign_keys=on", "INSERT INTO c VALUES(60,60)", "INSERT INTO p VALUES(60)")).length,
      await rowsOf(db, "c"),
    ],
  },
  {
    name: "foreign keys: defer_foreign_keys in a batch, not repaired",
    run: async (db) => [await outcome(batch(db, "PRAGMA defer_foreign_keys=on", "INSERT INTO c VALUES(61,61)")), await rowsOf(db, "c")],
    differs: atCommit,
  },
  {
    name: "foreign keys: defer_foreign_keys lasts one call",
    run: async (db) => {
      await db.prepare("PRAGMA defer_foreign_keys=on").run();
      return outcome(db.prepare("INSERT INTO c VALUES(62,62)").run());
    },
  },
  { name: "foreign keys: drop of a parent in use", run: (db) => outcome(db.prepare("DROP TABLE p").run()), differs: atCommit },
  {
    name: "foreign keys: table rebuilt with deferral",
    run: async (db) => [
      await outcome(
        batch(
          db,
          "PRAGMA defer_foreign_keys=on",
          "CREATE TABLE p2(id INTEGER PRIMARY KEY, x)",
          "INSERT INTO p2(id) SELECT id FROM p",
          "DROP TABLE p",
          "ALTER TABLE p2 RENAME TO p",
        ),
      ),
      await rowsOf(db, "p"),
      await rowsOf(db, "c"),
    ],
    differs: atCommit,
  },
  {
    name: "foreign keys: a table rebuilt in a migration",
    run: async (db) => {
      await batch(
        db,
        "CREATE TABLE d1_migrations(id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE TABLE mp(id INTEGER PRIMARY KEY)",
        "CREATE TABLE mc(id INTEGER PRIMARY KEY, p REFERENCES mp ON DELETE CASCADE)",
        "INSERT INTO mp VALUES(1)",
        "INSERT INTO mc VALUES(1,1)",
      );
      await db
        .prepare(
          "PRAGMA foreign_keys=OFF; CREATE TABLE mn(id INTEGER PRIMARY KEY, x); INSERT INTO mn(id) SELECT id FROM mp; DROP TABLE mp; ALTER TABLE mn RENAME TO mp; PRAGMA foreign_keys=ON; INSERT INTO d1_migrations(name) VALUES('1.sql')",
        )
        .run();
      return rowsOf(db, "mc");
    },
    differs: inMigrations,
  },
  {
    name: "exec: count and types",
    run: async (db) => {
      const r = await db.exec("SELECT 1");
      return [Object.keys(r), r.count, typeof r.duration];
    },
  },
  { name: "exec: one statement per line", run: async (db) => (await db.exec("SELECT 1\nSELECT 2\nSELECT 3")).count },
  { name: "exec: several on one line count as one", run: async (db) => (await db.exec("SELECT 1; SELECT 2;\nSELECT 3;")).count },
  { name: "exec: blank lines", run: async (db) => (await db.exec("\n\nSELECT 1;\n\n\nSELECT 2;\n")).count },
  {
    name: "exec: comment lines",
    run: async (db) => (await db.exec("-- one\nSELECT 1;\n  -- two\nSELECT 2; -- three")).count,
    differs: lenient,
  },
  { name: "exec: CRLF", run: async (db) => (await db.exec("SELECT 1;\r\nSELECT 2;\r\n")).count },
  { name: "exec: CRLF blank line", run: async (db) => (await db.exec("SELECT 1;\r\n\r\nSELECT 2;\r\n")).count },
  {
    name: "exec: writes",
    run: async (db) => {
      await db.exec("INSERT INTO a VALUES(40,'e1')\nINSERT INTO a VALUES(41,'e2')");
      const r = await rowsOf(db, "a");
      await db.exec("DELETE FROM a WHERE id>=40");
      return r;
    },
  },
  {
    name: "exec: a failure undoes the lines before it",
    run: async (db) => [await outcome(db.exec("INSERT INTO a VALUES(42,'e3')\nINSERT INTO a VALUES(43,'x')")), await rowsOf(db, "a")],
  },
  { name: "exec: CREATE TABLE over lines", run: (db) => outcome(db.exec("CREATE TABLE zz (\n id INTEGER\n)")) },
  {
    name: "exec: trigger on one line",
    run: async (db) => {
      const r = await db.exec("CREATE TRIGGER tx AFTER INSERT ON a BEGIN SELECT 1; SELECT 2; END;\nDROP TRIGGER tx;");
      return r.count;
    },
  },
  { name: "exec: block comment over lines", run: (db) => outcome(db.exec("/* one\n two */\nSELECT 1")), differs: lenient },
  { name: "exec: string over lines", run: (db) => outcome(db.exec("SELECT 'a\nb'")) },
  {
    name: "at once: writes keep their order",
    run: async (db) => {
      await Promise.all([70, 71, 72].map((id) => db.prepare("INSERT INTO a VALUES(?,?)").bind(id, `o${id}`).run()));
      const r = await db.prepare("SELECT id FROM a WHERE id>=70 ORDER BY rowid").raw();
      await db.prepare("DELETE FROM a WHERE id>=70").run();
      return r;
    },
  },
  {
    name: "at once: a failing write touches no other",
    run: async (db) => {
      const r = (
        await Promise.allSettled(
          [
            [80, "g"],
            [81, "x"],
            [82, "h"],
          ].map(([id, v]) => db.prepare("INSERT INTO a VALUES(?,?)").bind(id, v).run()),
        )
      ).map((x) => x.status);
      const left = await rowsOf(db, "a");
      await db.prepare("DELETE FROM a WHERE id>=80").run();
      return [r, left];
    },
  },
  {
    name: "at once: a batch and a read",
    run: async (db) => {
      const [b, n] = await Promise.all([
        batch(db, "INSERT INTO a VALUES(90,'k')", "SELECT count(*) AS n FROM a WHERE id=90"),
        db.prepare("SELECT count(*) AS n FROM a WHERE id=90").first("n"),
      ]);
      await db.prepare("DELETE FROM a WHERE id=90").run();
      return [b[1].results, n];
    },
  },
  {
    name: "table and index names with odd characters",
    run: async (db) => {
      await db.exec('CREATE TABLE "we;ird \'name"("a b" TEXT)');
      await db.prepare('INSERT INTO "we;ird \'name" VALUES(?)').bind("x").run();
      const r = await db.prepare('SELECT * FROM "we;ird \'name"').all();
      await db.exec('DROP TABLE "we;ird \'name"');
      return r;
    },
  },
  {
    name: "ALTER TABLE in steps",
    run: async (db) => {
      await db.prepare("CREATE TABLE al(x)").run();
      await db.prepare("INSERT INTO al VALUES(1)").run();
      await db.prepare("ALTER TABLE al ADD COLUMN y DEFAULT 2").run();
      await db.prepare("ALTER TABLE al RENAME COLUMN x TO z").run();
      const r = await db.prepare("SELECT * FROM al").all();
      await db.prepare("ALTER TABLE al DROP COLUMN z").run();
      const q = await db.prepare("SELECT * FROM al").all();
      await db.prepare("DROP TABLE al").run();
      return [r.results, q.results];
    },
  },
  {
    name: "AUTOINCREMENT does not reuse",
    run: async (db) => {
      await db.prepare("CREATE TABLE ai(id INTEGER PRIMARY KEY AUTOINCREMENT, v)").run();
      await db.prepare("INSERT INTO ai(v) VALUES(1),(2)").run();
      await db.prepare("DELETE FROM ai").run();
      const r = await db.prepare("INSERT INTO ai(v) VALUES(3) RETURNING id").first();
      const q = await db.prepare("SELECT * FROM sqlite_sequence WHERE name='ai'").all();
      await db.prepare("DROP TABLE ai").run();
      return [r, q.results];
    },
  },
  {
    name: "rows at the end",
    run: async (db) => [await rowsOf(db, "a"), await rowsOf(db, "p"), await rowsOf(db, "c"), await rowsOf(db, "d")],
  },
];
