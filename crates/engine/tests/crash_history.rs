//! Crashes while the past is put in order: folding by time, thinning and pruning (`common::crashing`).
//!
//! **Not here:** what is left of the past (`history.rs`).

mod common;

use common::Fixture;
use common::crashing::{Setting, Step, count, crash_everywhere, sql};

const HOUR_MS: u64 = 60 * 60 * 1000;

fn insert(db: &mut Fixture) -> Result<(), String> {
    sql(db, &["INSERT INTO b (v) VALUES ('later')", "UPDATE a SET v = 't' || substr(v, 2) WHERE id % 70 = (SELECT max(id) FROM b) % 70"])
}

/// Does what is due when the newest commit is so old.
fn maintain(db: &mut Fixture, age_ms: u64) -> Result<(), String> {
    let now_ms = db.database.state().time_ms + age_ms;
    while db.database.maintain(now_ms).map_err(|error| error.to_string())?.is_some_and(|due| due <= now_ms) {}
    Ok(())
}

const INSERTS: [(&str, Step); 7] = [("a commit twenty seconds later", insert); 7];

const STEPS: [(&str, Step); 8] = [
    ("thinning all but the last minutes", |db| maintain(db, HOUR_MS - 150_000)),
    ("a commit after thinning", insert),
    ("a wide commit", |db| sql(db, &["UPDATE a SET v = 'w' || substr(v, 2)"])),
    ("another in the same step", |db| sql(db, &["UPDATE a SET v = 'x' || substr(v, 2)"])),
    ("thinning everything", |db| maintain(db, 2 * HOUR_MS)),
    ("pruning some", |db| maintain(db, 7 * 24 * HOUR_MS - 300_000)),
    ("pruning all", |db| maintain(db, 8 * 24 * HOUR_MS)),
    ("a commit after it", insert),
];

#[test]
fn after_a_failure_at_any_operation_every_kept_state_is_sound() {
    let setting = Setting { ms_per_commit: 20_000, ..Setting::default() };
    crash_everywhere(&[&INSERTS[..], &STEPS].concat(), &setting, |name, storage| {
        let states = count(storage, "SELECT count(*) FROM commits");
        let folds = count(storage, "SELECT count(*) FROM folds");
        let deltas = count(storage, "SELECT count(*) FROM pages WHERE delta = 1");
        println!("{name}: {states} states, {folds} folds, {deltas} deltas");
        match name {
            "thinning all but the last minutes" => assert_eq!((states, folds), (8, 4), "the step thins"),
            "thinning everything" => {
                assert_eq!(states, folds - 1, "the step thins and folds");
                assert!(deltas > 0, "the step makes deltas");
            }
            "pruning all" => assert_eq!((states, folds), (1, 1), "the step prunes"),
            _ => {}
        }
    });
}
