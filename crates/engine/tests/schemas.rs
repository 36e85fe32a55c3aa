//! Schemas that change under statements that are kept compiled, virtual tables, comments and texts that do not compile, in several databases of
//! one process, against plain SQLite. `make test STEPS=memory` runs it with every access to memory checked.
#![allow(missing_docs)]

mod common;

use common::{Fixture, plain_message, plain_values};
use littoral_engine::engine::Limits;
use littoral_engine::store::MemoryStore;
use littoral_protocol::sql::{Statement, Value};
use proptest::prelude::*;
use rusqlite::Connection;
use std::rc::Rc;

const DATABASES: usize = 3;

const TEXTS: [&str; 32] = [
    "CREATE VIRTUAL TABLE IF NOT EXISTS ft USING fts5(a, b)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS voc USING fts5vocab(ft, row)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS v USING rtree(id, lo, hi)",
    "CREATE TABLE IF NOT EXISTS p (k, x0, x1, x2)",
    "CREATE VIEW IF NOT EXISTS w AS SELECT v.id, p.x0 FROM v, p",
    "CREATE TRIGGER IF NOT EXISTS r AFTER INSERT ON p BEGIN INSERT INTO ft VALUES ('sea', new.k); INSERT INTO v VALUES (NULL, 1, 2); END",
    "CREATE INDEX IF NOT EXISTS pk ON p (k)",
    "DROP TABLE IF EXISTS ft",
    "DROP TABLE IF EXISTS voc",
    "DROP TABLE IF EXISTS v",
    "DROP TABLE IF EXISTS p",
    "DROP VIEW IF EXISTS w",
    "DROP TRIGGER IF EXISTS r",
    "ALTER TABLE p DROP COLUMN x0",
    "ALTER TABLE p ADD COLUMN x0",
    "ALTER TABLE p RENAME COLUMN x1 TO x9",
    "INSERT INTO ft VALUES ('sea', 'wave')",
    "INSERT INTO ft (ft) VALUES ('optimize')",
    "INSERT INTO ft (ft) VALUES ('integrity-check')",
    "INSERT INTO v VALUES (NULL, 1, 2)",
    "INSERT INTO p (k) VALUES (7)",
    "DELETE FROM ft",
    "UPDATE ft SET b = 'salt' WHERE ft MATCH 'sea'",
    "SELECT count(*), min(b) FROM ft WHERE ft MATCH 'sea'",
    "SELECT a, highlight(ft, 0, '<', '>') FROM ft WHERE ft MATCH 'sea' ORDER BY rowid",
    "SELECT v.id, p.x0, p.x1, p.x2 FROM v, p",
    "SELECT id FROM v WHERE lo > 0 AND hi < 9 ORDER BY id",
    "SELECT term, doc FROM voc",
    "SELECT * FROM w",
    "SELECT * FROM p WHERE k IN (SELECT id FROM v)",
    "SELECT * FROM nowhere",
    "SELECT 1 +",
];

const BEFORE: [&str; 4] = ["", "-- name: Search\n", "/* a comment */ ", "\n;"];

#[derive(Clone, Debug)]
enum Step {
    Run {
        database: usize,
        text: String,
    },
    /// Nothing in memory stays.
    Reopen {
        database: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let text = (prop::sample::select(&BEFORE[..]), prop::sample::select(&TEXTS[..])).prop_map(|(before, text)| format!("{before}{text}"));
    prop_oneof![
        20 => (0..DATABASES, text).prop_map(|(database, text)| Step::Run { database, text }),
        1 => (0..DATABASES).prop_map(|database| Step::Reopen { database }),
    ]
}

fn run_plain(plain: &Connection, text: &str) -> Result<Vec<Vec<Value>>, String> {
    plain.execute_batch("BEGIN").unwrap();
    let ran = plain_values(plain, text, &[]).and_then(|rows| plain.execute_batch("COMMIT").map(|()| rows));
    if ran.is_err() && !plain.is_autocommit() {
        plain.execute_batch("ROLLBACK").unwrap();
    }
    ran.map_err(plain_message)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn databases_answer_as_plain_sqlite_whatever_happens_beside_them(steps in prop::collection::vec(step(), 1..120)) {
        let stores: Vec<_> = (0..DATABASES).map(|_| Rc::new(MemoryStore::new())).collect();
        let open = |database: usize| Fixture::on(stores[database].clone(), Limits { cached_statements: 8, ..Limits::default() });
        let mut all: Vec<_> = (0..DATABASES).map(|database| (open(database), Connection::open_in_memory().unwrap())).collect();
        for step in steps {
            match step {
                Step::Reopen { database } => all[database].0 = open(database),
                Step::Run { database, text } => {
                    let (db, plain) = &mut all[database];
                    let expected = run_plain(plain, &text);
                    match (db.run_call(vec![Statement::new(&*text, vec![])]), expected) {
                        (Ok(results), Ok(rows)) => prop_assert_eq!(&results[0].rows, &rows, "{}", text),
                        (Err(error), Err(message)) => prop_assert!(error.to_string().starts_with(&message), "{text}: {error}, not {message}"),
                        (ours, theirs) => prop_assert!(false, "{text}: {ours:?}, not {theirs:?}"),
                    }
                }
            }
        }
        for (db, _) in &all {
            common::assert_sound(&db.database);
        }
    }
}
