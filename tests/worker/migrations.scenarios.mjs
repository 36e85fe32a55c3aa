// Migrations from JavaScript, on any binding: order, atomicity, and what is told when they fail.
//
// Invariant: scenarios run in order on one database; `reset` puts it back to empty.

import assert from "node:assert/strict";
import { applyMigrations, MigrationError } from "../../js/src/index.js";
import { lineAt, splitStatements } from "../../js/src/sql.js";
import { serve } from "./user.mjs";

const first = {
  name: "0001_users.sql",
  sql: "-- Users\nCREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL);\nINSERT INTO users(name) VALUES('ann; or'),('bob');\n",
};
const second = {
  name: "0002_audit.sql",
  sql: "CREATE TABLE audit(id INTEGER);\nCREATE TRIGGER users_audit AFTER INSERT ON users BEGIN\n  INSERT INTO audit VALUES(new.id);\n  SELECT CASE WHEN new.id THEN 1 END;\nEND;\nINSERT INTO users(name) VALUES('cyd')",
};
const third = { name: "0003_comment.sql", sql: "/* nothing but */ -- a comment;" };

async function reset(db) {
  for (const name of ["users", "audit", "d1_migrations", "littoral_migrations", "late", "x", "posts"])
    await db.prepare(`DROP TABLE IF EXISTS ${name}`).run();
}

/** @returns {Promise<any>} a MigrationError, whose cause is an Error */
async function failure(promise) {
  const error = await promise.then(
    () => assert.fail("no error"),
    (reason) => reason,
  );
  assert.ok(error instanceof MigrationError, error.stack);
  return error;
}

const tables = async (db) =>
  (
    await db.prepare("SELECT name FROM sqlite_master WHERE type='table' AND name IN ('users','audit','late','x') ORDER BY name").raw()
  ).flat();
const rows = async (db) => await db.prepare("SELECT id, name FROM d1_migrations ORDER BY id").raw();

export default serve({
  async "twenty who apply the same files at once"({ db }) {
    await reset(db);
    const applied = await Promise.all(Array.from({ length: 20 }, () => applyMigrations(db, [first, second])));
    assert.deepEqual(applied.flat().sort(), [first.name, second.name]);
    assert.deepEqual((await rows(db)).map(([, name]) => name), [first.name, second.name]);
  },

  async "applies in order, once, and says which"({ db }) {
    await reset(db);
    assert.deepEqual(await applyMigrations(db, [second, first]), [first.name, second.name]);
    assert.deepEqual(await applyMigrations(db, [first, second]), []);
    assert.deepEqual(await applyMigrations(db, [first, second, third]), [third.name]);
    assert.deepEqual(await rows(db), [
      [1, first.name],
      [2, second.name],
      [3, third.name],
    ]);
    assert.deepEqual(await db.prepare("SELECT name FROM users ORDER BY id").raw(), [["ann; or"], ["bob"], ["cyd"]]);
    assert.equal(await db.prepare("SELECT count(*) AS n FROM audit").first("n"), 1);
  },

  async "the table is wrangler's"({ db }) {
    const columns = (await db.prepare("PRAGMA table_info(d1_migrations)").all()).results.map(({ name, type, notnull, dflt_value, pk }) => [
      name,
      type,
      notnull,
      dflt_value,
      pk,
    ]);
    assert.deepEqual(columns, [
      ["id", "INTEGER", 0, null, 1],
      ["name", "TEXT", 0, null, 0],
      ["applied_at", "TIMESTAMP", 1, "CURRENT_TIMESTAMP", 0],
    ]);
    assert.match(
      await db.prepare("SELECT applied_at FROM d1_migrations WHERE id=1").first("applied_at"),
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/,
    );
  },

  async "a table is made anew and what refers to it stays, or nothing happens"({ db, binding }) {
    await reset(db);
    const posts = {
      name: "0002_posts.sql",
      sql: "CREATE TABLE posts(id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users ON DELETE CASCADE);\nINSERT INTO posts VALUES(1,1),(2,2);",
    };
    const rebuild = (condition) =>
      `PRAGMA foreign_keys=OFF;--> statement-breakpoint\nCREATE TABLE __new_users(id INTEGER PRIMARY KEY, name TEXT NOT NULL);--> statement-breakpoint\nINSERT INTO __new_users SELECT * FROM users ${condition};--> statement-breakpoint\nDROP TABLE users;--> statement-breakpoint\nALTER TABLE __new_users RENAME TO users;--> statement-breakpoint\nPRAGMA foreign_keys=ON;`;
    const ids = async () => (await db.prepare("SELECT id FROM posts").raw()).flat();
    await applyMigrations(db, [first, posts]);
    const files = [first, posts, { name: "0003_rebuild.sql", sql: rebuild("") }];
    await applyMigrations(db, files);
    // D1 does not hear the PRAGMA.
    assert.deepEqual(await ids(), binding === "D1" ? [] : [1, 2]);
    if (binding === "D1") return;
    const lost = { name: "0004_lost.sql", sql: rebuild("WHERE id <> 2") };
    const error = await failure(applyMigrations(db, [...files, lost]));
    assert.equal(
      error.message,
      "Migration 0004_lost.sql failed and was rolled back: FOREIGN KEY constraint failed: after PRAGMA foreign_keys = OFF, " +
        "rows refer to rows that do not exist: posts (rowid 2) to users: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)",
    );
    assert.deepEqual(await ids(), [1, 2]);
    assert.equal(await db.prepare("SELECT count(*) AS n FROM users").first("n"), 2);
  },

  async "goes on from what wrangler applied"({ db }) {
    await reset(db);
    await db
      .prepare(
        'CREATE TABLE IF NOT EXISTS "d1_migrations"(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)',
      )
      .run();
    await db.prepare(`${first.sql}\nINSERT INTO "d1_migrations" (name)\nvalues ('${first.name}');`).run();
    assert.deepEqual(await applyMigrations(db, [first, second]), [second.name]);
  },

  async "a changed file is reported and nothing runs"({ db }) {
    await reset(db);
    await applyMigrations(db, [first]);
    const error = await failure(applyMigrations(db, [{ ...first, sql: `${first.sql}-- edited` }, second]));
    assert.equal(error.message, "Migration 0001_users.sql has changed since it was applied to this database");
    assert.equal(error.migration, first.name);
    assert.deepEqual(await tables(db), ["users"]);
  },

  async "a missing file is reported and nothing runs"({ db }) {
    const error = await failure(applyMigrations(db, [second]));
    assert.equal(error.message, "Migration 0001_users.sql was applied to this database and is missing from the files");
    assert.deepEqual(await tables(db), ["users"]);
  },

  async "a late file is reported and nothing runs"({ db }) {
    await applyMigrations(db, [first, { name: "0005_x.sql", sql: "CREATE TABLE x(a)" }]);
    const error = await failure(
      applyMigrations(db, [
        first,
        { name: "0003_late.sql", sql: "CREATE TABLE late(a)" },
        { name: "0005_x.sql", sql: "CREATE TABLE x(a)" },
      ]),
    );
    assert.equal(error.message, "Migration 0003_late.sql comes before 0005_x.sql, which is applied already; give it a later number");
    assert.deepEqual(await tables(db), ["users", "x"]);
  },

  async "numbers count, not letters"({ db }) {
    await reset(db);
    const files = ["10_c.sql", "9_b.sql", "1_a.sql"].map((name) => ({ name, sql: "SELECT 1;" }));
    assert.deepEqual(await applyMigrations(db, files), ["1_a.sql", "9_b.sql", "10_c.sql"]);
    assert.match((await failure(applyMigrations(db, [files[0], files[0]]))).message, /Two migrations are named 10_c.sql/);
  },

  async "the line is found wherever it is, and whatever stands before it"({ db }) {
    const good = (count) => "INSERT INTO t VALUES ('Ä€😀; -- ');\n".repeat(count);
    const table = "CREATE TABLE t (a); CREATE TABLE c (a REFERENCES p DEFERRABLE INITIALLY DEFERRED); CREATE TABLE p (a PRIMARY KEY);\n";
    /** @type {[sql: string, line: number, text: string][]} */
    const bad = [
      ["INSERT INTO nowhere VALUES (1);\n", 1, "INSERT INTO nowhere VALUES (1);"],
      [`\n-- é\nINSERT INTO nowhere VALUES (1)`, 3, "INSERT INTO nowhere VALUES (1)"],
      [`${table}${good(500)}/* € */ INSERT INTO nowhere\nVALUES (1); ${good(3)}`, 502, "INSERT INTO nowhere\nVALUES (1);"],
      [`${table}${good(2)}SELECT 1 FROM t,\n\n nowhere`, 4, "SELECT 1 FROM t,\n\n nowhere"],
      [`${table}${good(2)}SELECT\n\n nothing FROM t;`, 6, "SELECT\n\n nothing FROM t;"],
    ];
    for (const [sql, line, text] of bad) {
      await reset(db);
      let runs = 0;
      const counted = {
        batch: (statements) => db.batch(statements),
        prepare(asked) {
          if (asked.includes(text)) runs += 1;
          return db.prepare(asked);
        },
      };
      const error = await failure(applyMigrations(counted, [{ name: "0001_bad.sql", sql }]));
      assert.deepEqual([error.line, error.sql], [line, text], error.message);
      // The package's classes say where; D1's do not.
      if (error.cause.at !== undefined) assert.equal(runs, 1);
      assert.deepEqual(await tables(db), []);
    }
  },

  async "a failing file is rolled back whole, with file, line and SQL"({ db }) {
    await reset(db);
    const bad = {
      name: "0002_bad.sql",
      sql: "CREATE TABLE x(a UNIQUE);\n\n-- two of one\nINSERT INTO x\n  VALUES(1),(2);\nINSERT INTO x\n  VALUES(2);\nINSERT INTO x VALUES(3);\n",
    };
    const error = await failure(applyMigrations(db, [first, bad, { ...second, name: "0003_audit.sql" }]));
    assert.deepEqual([error.migration, error.line, error.sql], ["0002_bad.sql", 6, "INSERT INTO x\n  VALUES(2);"]);
    assert.equal(
      error.message,
      "Migration 0002_bad.sql failed at line 6 and was rolled back: UNIQUE constraint failed: x.a: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)\nINSERT INTO x\n  VALUES(2);",
    );
    assert.match(error.cause.message, /^D1_ERROR: UNIQUE/);
    assert.deepEqual(await tables(db), ["users"]);
    assert.deepEqual(await rows(db), [[1, first.name]]);
  },

  async "and can be mended and applied again"({ db }) {
    assert.deepEqual(await applyMigrations(db, [first, { name: "0002_bad.sql", sql: "CREATE TABLE x(a)" }]), ["0002_bad.sql"]);
  },

  async "the line of a syntax error is where it is"({ db }) {
    await reset(db);
    const error = await failure(
      applyMigrations(db, [{ name: "1.sql", sql: "CREATE TABLE x(a);\nSELECT a\nFROM x\nWHERE WHERE;\nSELECT 2" }]),
    );
    assert.deepEqual([error.line, error.sql], [4, "SELECT a\nFROM x\nWHERE WHERE;"]);
    const single = await failure(applyMigrations(db, [{ name: "1.sql", sql: "\n\nCREATE TABL x(a)" }]));
    assert.deepEqual([single.line, single.sql], [3, "CREATE TABL x(a)"]);
    const refused = await failure(applyMigrations(db, [{ name: "1.sql", sql: "CREATE TABLE x(a);\nPRAGMA journal_mode=wal;\nSELECT 1;" }]));
    assert.deepEqual([refused.line, refused.sql], [2, "PRAGMA journal_mode=wal;"]);
    assert.deepEqual(await tables(db), []);
  },

  async "a failure in the middle of many"({ db }) {
    await reset(db);
    const lines = Array.from({ length: 200 }, (_, i) =>
      i === 0 ? "CREATE TABLE x(a INTEGER PRIMARY KEY);" : i === 137 ? "INSERT INTO x VALUES(5); -- again" : `INSERT INTO x VALUES(${i});`,
    );
    const error = await failure(applyMigrations(db, [{ name: "1.sql", sql: lines.join("\n") }]));
    assert.deepEqual([error.line, error.sql], [138, "INSERT INTO x VALUES(5);"]);
    assert.deepEqual(await tables(db), []);
  },

  async "names with quotes"({ db }) {
    await reset(db);
    assert.deepEqual(await applyMigrations(db, [{ name: "1_it's.sql", sql: "CREATE TABLE x(a)" }]), ["1_it's.sql"]);
    assert.deepEqual(await rows(db), [[1, "1_it's.sql"]]);
  },

  async "the splitter knows where statements end"() {
    const pieces = (sql) => splitStatements(sql).map(({ text }) => text);
    assert.deepEqual(pieces("SELECT 1; SELECT 2"), ["SELECT 1;", " SELECT 2"]);
    assert.deepEqual(pieces("SELECT ';''' AS \"a;\"\"b\", `c;`, [d;] -- ;\n; /* ; */ SELECT 2;\n"), [
      "SELECT ';''' AS \"a;\"\"b\", `c;`, [d;] -- ;\n;",
      " /* ; */ SELECT 2;\n",
    ]);
    const trigger = "CREATE TEMP TRIGGER t AFTER INSERT ON x BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; SELECT ';END;'; END;";
    assert.deepEqual(pieces(`${trigger}SELECT 1;`), [trigger, "SELECT 1;"]);
    assert.deepEqual(pieces("create trigger if not exists t after delete on x begin select 1; end ; select 2"), [
      "create trigger if not exists t after delete on x begin select 1; end ;",
      " select 2",
    ]);
    assert.deepEqual(pieces("SELECT 'open; SELECT 2"), ["SELECT 'open; SELECT 2"]);
    assert.deepEqual(pieces("-- only; a comment"), []);
    assert.deepEqual(pieces('CREATE TABLE trigger_x(a); CREATE TABLE "create trigger"(b);').length, 2);
    assert.equal(pieces(`INSERT INTO x VALUES('${"y;''".repeat(200_000)}');SELECT 1`).length, 2);
    assert.deepEqual([lineAt("a\nb\nc", 0), lineAt("a\nb\nc", 2), lineAt("a\nb\nc", 4)], [1, 2, 3]);
  },
});
