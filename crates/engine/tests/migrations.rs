//! Migrations as wrangler, drizzle and Littoral send them: what they say of foreign keys is done, and no row is left that refers to none.
//!
//! **Not here:** which files are applied, and in which order (`tests/worker/migrations.test.mjs`).

mod common;

use common::{Fixture, run, values};
use littoral_engine::engine::{Failure, ResultSet};
use littoral_protocol::sql::{Statement, Value};

const TABLES: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); \
    CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE); \
    CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE); \
    CREATE TABLE __drizzle_migrations (id INTEGER PRIMARY KEY, hash TEXT NOT NULL); \
    INSERT INTO users VALUES (1, 'ann'), (2, 'bob'); INSERT INTO posts VALUES (1, 1), (2, 1), (3, 2)";

/// As drizzle-kit writes it where a column gets a constraint.
const REBUILD: &str = "PRAGMA foreign_keys=OFF;--> statement-breakpoint\n\
    CREATE TABLE `__new_users` (`id` integer PRIMARY KEY, `name` text NOT NULL);--> statement-breakpoint\n\
    INSERT INTO `__new_users`(\"id\", \"name\") SELECT \"id\", \"name\" FROM `users`;--> statement-breakpoint\n\
    DROP TABLE `users`;--> statement-breakpoint\n\
    ALTER TABLE `__new_users` RENAME TO `users`;--> statement-breakpoint\n\
    PRAGMA foreign_keys=ON;\n";
const NOTED: &str = "INSERT INTO \"d1_migrations\" (name)\nvalues ('0001_users.sql');\n";

fn fixture() -> Fixture {
    let mut db = Fixture::durable();
    run(&mut db, TABLES, vec![]);
    db
}

fn migrate(db: &mut Fixture, texts: &[&str]) -> Result<Vec<ResultSet>, Failure> {
    db.run_call(texts.iter().map(|sql| Statement::new(*sql, vec![])).collect())
}

fn integers(db: &mut Fixture, sql: &str) -> Vec<i64> {
    let integer = |row: Vec<Value>| if let Value::Integer(value) = row[0] { value } else { panic!("{row:?}") };
    values(db, sql).into_iter().map(integer).collect()
}

/// That a call finds foreign keys as every call does.
fn assert_enforced(db: &mut Fixture) {
    let error = migrate(db, &["INSERT INTO posts VALUES (NULL, 99)"]).unwrap_err().to_string();
    assert!(error.starts_with("FOREIGN KEY constraint failed"), "{error}");
}

#[test]
fn a_table_is_made_anew_and_those_that_refer_to_it_keep_their_rows() {
    let parts: Vec<&str> = REBUILD.split("--> statement-breakpoint").collect();
    let drizzle: Vec<&str> = parts.iter().copied().chain(["INSERT INTO `__drizzle_migrations` (\"hash\") VALUES ('h')"]).collect();
    let (wrangler, ours) = (format!("{REBUILD}{NOTED}"), format!("{NOTED}{REBUILD}SELECT 1;"));
    let off = REBUILD.replace("PRAGMA foreign_keys=ON;", "");
    let unended = format!("{off}{NOTED}");
    let calls: [&[&str]; 5] = [&[&wrangler], &[&ours], &[NOTED, REBUILD], &drizzle, &[&unended]];
    for call in calls {
        let mut db = fixture();
        migrate(&mut db, call).unwrap();
        assert_eq!(integers(&mut db, "SELECT id FROM posts"), [1, 2, 3], "{call:?}");
        assert_eq!(integers(&mut db, "SELECT \"notnull\" FROM pragma_table_info('users') WHERE name = 'name'"), [1]);
        assert_enforced(&mut db);
        run(&mut db, "DELETE FROM users WHERE id = 1", vec![]);
        assert_eq!(integers(&mut db, "SELECT id FROM posts"), [3], "the children follow their parents again");
    }
}

#[test]
fn elsewhere_the_pragma_is_ignored_as_in_d1() {
    let mut db = fixture();
    migrate(&mut db, &[REBUILD]).unwrap();
    assert_eq!(integers(&mut db, "SELECT count(*) FROM posts"), [0]);
}

#[test]
fn a_migration_that_leaves_rows_without_parents_is_rolled_back_and_names_them() {
    let mut db = fixture();
    let before = db.database.state();
    let lost = format!("PRAGMA foreign_keys=OFF; DELETE FROM users WHERE id = 1; PRAGMA foreign_keys = ON; {NOTED}");
    assert_eq!(
        migrate(&mut db, &[&lost]).unwrap_err().to_string(),
        "FOREIGN KEY constraint failed: after PRAGMA foreign_keys = OFF, rows refer to rows that do not exist: \
         posts (rowid 1) to users, posts (rowid 2) to users: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)"
    );
    assert_eq!((db.database.state(), integers(&mut db, "SELECT count(*) FROM d1_migrations")), (before, vec![0]));
    assert_enforced(&mut db);
    let many = format!("PRAGMA foreign_keys=0; INSERT INTO posts SELECT value + 10, 99 FROM json_each('[1,2,3,4,5,6,7]'); {NOTED}");
    let error = migrate(&mut db, &[&many]).unwrap_err().to_string();
    assert!(error.contains("posts (rowid 15) to users and 2 more: "), "{error}");
    let keyed = format!(
        "PRAGMA foreign_keys=OFF; CREATE TABLE keyed (k TEXT PRIMARY KEY, u REFERENCES users) WITHOUT ROWID; INSERT INTO keyed VALUES ('k', 9); {NOTED}"
    );
    let error = migrate(&mut db, &[&keyed]).unwrap_err().to_string();
    assert!(error.contains("do not exist: keyed to users: "), "{error}");
    let repaired = format!("{} DELETE FROM posts WHERE user_id = 1", lost);
    migrate(&mut db, &[&repaired]).unwrap();
    assert_eq!(integers(&mut db, "SELECT id FROM posts"), [3]);
}

#[test]
fn foreign_keys_that_are_on_again_are_enforced_at_once() {
    let mut db = fixture();
    let error = migrate(&mut db, &[&format!("PRAGMA foreign_keys=OFF; PRAGMA foreign_keys=ON; INSERT INTO posts VALUES (9, 99); {NOTED}")]);
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)");
    assert!(error.place.is_some(), "the statement is named");
    let cascade = format!("PRAGMA foreign_keys=OFF; PRAGMA foreign_keys=ON; DELETE FROM users WHERE id = 1; {NOTED}");
    migrate(&mut db, &[&cascade]).unwrap();
    assert_eq!(integers(&mut db, "SELECT id FROM posts"), [3]);
}

#[test]
fn what_other_flags_do_and_what_is_refused_is_what_the_author_expects() {
    let mut db = fixture();
    let deferred = format!("PRAGMA defer_foreign_keys=ON; INSERT INTO posts VALUES (9, 99); INSERT INTO users VALUES (99, 'zoe'); {NOTED}");
    migrate(&mut db, &[&deferred]).unwrap();
    // What refers to a renamed table goes on naming it as before.
    let legacy = "PRAGMA legacy_alter_table=ON; PRAGMA foreign_keys=OFF; ALTER TABLE users RENAME TO old_users; \
        CREATE TABLE users AS SELECT * FROM old_users; DROP TABLE users; ALTER TABLE old_users RENAME TO users; \
        INSERT INTO d1_migrations (name) VALUES ('0002')";
    migrate(&mut db, &[legacy]).unwrap();
    assert_eq!(values(&mut db, "SELECT \"table\" FROM pragma_foreign_key_list('posts')"), [[Value::Text("users".into())]]);
    let refused = |db: &mut Fixture, pragma: &str| {
        let text = format!("PRAGMA {pragma}; INSERT INTO d1_migrations (name) VALUES ('0003')");
        migrate(db, &[&text]).unwrap_err().to_string()
    };
    let error = refused(&mut db, "writable_schema = ON");
    assert!(
        error.starts_with(
            "not authorized: PRAGMA writable_schema: make the table anew (create, copy, drop, rename) after PRAGMA foreign_keys = OFF"
        ),
        "{error}"
    );
    let error = refused(&mut db, "user_version = 7");
    assert!(error.starts_with("not authorized: PRAGMA user_version: a migration may set "), "{error}");
    assert!(["foreign_keys", "defer_foreign_keys", "legacy_alter_table"].iter().all(|flag| error.contains(flag)), "{error}");
    assert!(error.ends_with(": SQLITE_AUTH"), "{error}");
    let error = migrate(&mut db, &["PRAGMA writable_schema = ON"]).unwrap_err().to_string();
    assert_eq!(error, "not authorized: SQLITE_AUTH", "as in D1");
}
