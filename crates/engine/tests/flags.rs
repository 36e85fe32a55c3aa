//! What a PRAGMA sets holds for the statements after it, to the end of its call, and no longer: random texts with PRAGMAs against plain
//! SQLite, where each call has a connection of its own.
#![allow(missing_docs)]

mod common;

use common::{Fixture, plain, plain_values, values};
use littoral_protocol::sql::{Statement, Value};
use proptest::prelude::*;

const SETUP: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY, v CHECK (v > 0)); CREATE TABLE c (p REFERENCES p); \
    CREATE TABLE log (v); CREATE TRIGGER r AFTER INSERT ON log WHEN new.v < 3 BEGIN INSERT INTO log VALUES (new.v + 1); END; \
    INSERT INTO p VALUES (1, 1), (2, 2); INSERT INTO c VALUES (1)";

const FLAGS: [&str; 7] = [
    "case_sensitive_like",
    "defer_foreign_keys",
    "foreign_keys",
    "ignore_check_constraints",
    "legacy_alter_table",
    "recursive_triggers",
    "reverse_unordered_selects",
];

const STATEMENTS: [&str; 14] = [
    "INSERT INTO p VALUES (NULL, -1)",
    "INSERT INTO p VALUES (NULL, 1)",
    "INSERT INTO c VALUES (9)",
    "INSERT INTO c VALUES (2)",
    "DELETE FROM p WHERE id = 1",
    "INSERT OR IGNORE INTO p VALUES (1, 1)",
    "DELETE FROM c",
    "INSERT INTO log VALUES (1)",
    "SELECT 'A' LIKE 'a'",
    "SELECT id FROM p",
    "SELECT count(*) FROM log",
    "ALTER TABLE log RENAME TO log2; ALTER TABLE log2 RENAME TO log",
    "CREATE TABLE IF NOT EXISTS n (x REFERENCES p); CREATE INDEX IF NOT EXISTS nx ON n (x); PRAGMA index_list(n)",
    "PRAGMA foreign_key_list(n)",
];

fn statement() -> impl Strategy<Value = String> {
    let pragma = (prop::sample::select(&FLAGS[..]), any::<Option<bool>>()).prop_map(|(flag, on)| match on {
        Some(on) => format!("PRAGMA {flag} = {}", if on { "ON" } else { "OFF" }),
        None => format!("PRAGMA {flag}"),
    });
    prop_oneof![2 => pragma, 3 => prop::sample::select(&STATEMENTS[..]).prop_map(String::from)]
}

/// What a text answers in plain SQLite on a connection of its own, and the file after it. `None`: it failed.
fn plain_call(file: &[u8], text: &str) -> (Option<Vec<Vec<Value>>>, Vec<u8>) {
    let mut connection = plain(file);
    connection.execute_batch("PRAGMA foreign_keys = ON; BEGIN").unwrap();
    let ran = plain_values(&connection, text, &[]);
    let ran = ran.and_then(|rows| connection.execute_batch("COMMIT").map(|()| rows)).ok();
    if ran.is_none() {
        connection.execute_batch("ROLLBACK").unwrap();
    }
    (ran, connection.serialize("main").unwrap().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_flag_outlives_its_call(calls in prop::collection::vec(prop::collection::vec(statement(), 1..6), 1..12)) {
        let mut db = Fixture::memory();
        common::run(&mut db, SETUP, vec![]);
        let mut file = db.database.dump().unwrap();
        for call in calls {
            let text = call.join("; ");
            let (expected, after) = plain_call(&file, &text);
            file = after;
            let result = db.run_call(vec![Statement::new(&*text, vec![])]).map(|mut results| results.remove(0).rows);
            prop_assert_eq!(&result.as_ref().ok(), &expected.as_ref(), "{}: {:?}", text, result);
            for table in ["p", "c", "log"] {
                let all = format!("SELECT rowid, * FROM {table} ORDER BY rowid");
                prop_assert_eq!(values(&mut db, &all), plain_values(&plain(&file), &all, &[]).unwrap(), "{} after {}", table, text);
            }
        }
    }
}
