//! Crashes while SQLite's cache spills: it writes pages before it commits, and reads them again (`common::crashing`).
//!
//! A test program of its own: all connections of a process share one pool of pages, and others would lend theirs to the tiny cache.
//!
//! **Not here:** the kinds of commit (`crash.rs`).

mod common;

use common::crashing::{Setting, Step, crash_everywhere, fails, sql};
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
