//! Crashes while SQLite's cache spills: it writes pages before it commits, and reads them again (`common::crashing`). What is more than a
//! budget goes on into the store, staged.
//!
//! A test program of its own: all connections of a process share one pool of pages, and others would lend theirs to the tiny cache.
//!
//! **Not here:** the kinds of commit (`crash.rs`).

mod common;

use common::crashing::{Setting, Step, count, crash_everywhere, fails, sql};
use littoral_protocol::sql::Statement;

const STEPS: [(&str, Step); 3] = [
    ("a spilled commit", |db| sql(db, &["UPDATE a SET v = 's' || substr(v, 2) WHERE id % 9 = 0", "DELETE FROM a WHERE id % 50 = 0"])),
    ("a spilled statement that fails", |db| {
        fails(sql(db, &["UPDATE a SET v = 'x', id = CASE id WHEN 99 THEN 1 ELSE id END WHERE id <= 99"]))
    }),
    ("a spilled call that fails beside one that does not", |db| {
        let calls =
            ["UPDATE a SET v = 'y' WHERE id % 8 = 0; INSERT INTO b (id) VALUES (2)", "INSERT INTO b (v) SELECT v FROM a WHERE id % 30 = 0"];
        match &db.run_calls(&calls.map(|sql| vec![Statement::new(sql, vec![])]))[..] {
            [Err(error), Ok(_)] if error.to_string().contains("UNIQUE") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }),
];

#[test]
fn after_a_failure_with_a_cache_of_two_pages_exactly_the_acknowledged_commits_are_found() {
    crash_everywhere(&STEPS, &Setting { cache_bytes: 8 << 10, ..Setting::default() }, |_, _| {});
}

#[test]
fn after_a_failure_of_a_transaction_that_is_staged_exactly_the_acknowledged_commits_are_found() {
    let setting = Setting { cache_bytes: 8 << 10, uncommitted_bytes: 30_000, ..Setting::default() };
    crash_everywhere(&STEPS, &setting, |name, storage| {
        let last = "SELECT frames IS NULL FROM commits ORDER BY txid DESC LIMIT 1";
        if name == "a spilled commit" {
            assert_eq!(count(storage, last), 1, "the step stages");
        }
    });
}
