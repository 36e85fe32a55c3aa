//! Crashes: the storage fails at every operation of a workload in turn, and nothing acknowledged is lost (`common::crashing`).
//!
//! The workload has the kinds of commit that the durable store has: small ones in the log, one that folds the log into the page
//! table, a wide one, calls that share a commit, a rollback, and pruning.
//!
//! **Not here:** caches that spill (`crash_spilling.rs`), torn writes inside one SQL transaction (the storage's promise), and the process
//! being killed (the Worker tests).

mod common;

use common::copy_of;
use common::crashing::{Setting, Step, content, count, crash_everywhere, fails, open, sql, storage};
use littoral_engine::store::Fault;
use littoral_engine::store::durable::HostSql;
use littoral_protocol::sql::Statement;
use std::rc::Rc;

const STEPS: [(&str, Step); 11] = [
    ("a small commit", |db| sql(db, &["INSERT INTO b (v) VALUES ('small')"])),
    ("a batch, before which the log is folded", |db| {
        sql(db, &["INSERT INTO b (v) VALUES ('one')", "UPDATE b SET v = v || '!'", "DELETE FROM b WHERE id = 1"])
    }),
    ("a batch that fails", |db| fails(sql(db, &["INSERT INTO b (v) VALUES ('gone')", "INSERT INTO b (id) VALUES (2), (2)"]))),
    ("a commit of many pages", |db| sql(db, &["UPDATE a SET v = 'f' || substr(v, 2) WHERE id % 40 = 0"])),
    ("a small commit after it", |db| sql(db, &["INSERT INTO b (v) VALUES ('folded')"])),
    ("a wide commit", |db| sql(db, &["UPDATE a SET v = 'w' || substr(v, 2)"])),
    ("calls that share a commit", |db| {
        let call = |sql: &str| vec![Statement::new(sql, vec![])];
        let calls = ["INSERT INTO b (v) VALUES ('x')", "INSERT INTO b (id) VALUES (2)", "INSERT INTO b (v) VALUES ('y')"].map(call);
        match &db.run_calls(&calls)[..] {
            [Ok(_), Err(error), Ok(_)] if error.to_string().contains("UNIQUE") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }),
    ("pruning", |db| {
        let head = db.database.state().txid;
        while db.database.store().prune(head).map_err(|error| error.to_string())? {}
        Ok(())
    }),
    ("a small commit after pruning", |db| sql(db, &["INSERT INTO b (v) VALUES ('pruned')"])),
    ("a table dropped", |db| sql(db, &["DROP TABLE a"])),
    ("its pages used again", |db| sql(db, &["CREATE INDEX bv ON b (v, id)", "INSERT INTO b (v) SELECT hex(zeroblob(900)) FROM b"])),
];

#[test]
fn after_a_failure_at_any_operation_exactly_the_acknowledged_commits_are_found() {
    crash_everywhere(&STEPS, &Setting::default(), |name, storage| {
        let folds = count(storage, "SELECT count(*) FROM folds");
        match name {
            "a batch, before which the log is folded" => assert_eq!(folds, 3, "the step folds"),
            "a wide commit" => assert_eq!(folds, 4, "the step is wide"),
            "pruning" => assert_eq!(folds, 1, "the step prunes"),
            _ => {}
        }
    });
}

#[test]
fn a_store_whose_opening_failed_at_any_operation_can_be_opened() {
    let full = storage();
    for before in [Rc::new(HostSql::in_memory().unwrap()), full] {
        let expected = content(&open(&copy_of(&before), &Fault::default()).unwrap());
        let fault = Fault::default();
        fault.stop_at(u64::MAX);
        open(&copy_of(&before), &fault).unwrap();
        let operations = fault.operations();
        assert!(operations > 3, "{operations}");
        for n in 1..=operations {
            for arm in [Fault::fail_at, Fault::stop_at, Fault::stop_after] {
                let storage = copy_of(&before);
                arm(&fault, n);
                assert!(open(&storage, &fault).is_err(), "operation {n}");
                assert_eq!(content(&open(&storage, &Fault::default()).unwrap()), expected, "operation {n}");
            }
        }
    }
}
