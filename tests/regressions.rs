//! Bugs that were found, each as a test of a few lines with its story.
//!
//! **Not here:** what the suites find anew by themselves (`model.rs`, `crash.rs`, `store_contract.rs`).

mod common;

use common::{Fixture, run, run_err, values};
use littoral::engine::{Limits, Statement, Value};
use littoral::store::{Fault, FaultyStore, MemoryStore};
use std::rc::Rc;

fn alone(sql: &str) -> Vec<Statement> {
    vec![Statement::new(sql, vec![])]
}

/// Two calls shared a commit. The first left a deferred constraint violated, the second made it good, so the first was answered as if it
/// had been right.
#[test]
fn a_call_does_not_make_good_the_constraints_of_another() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p DEFERRABLE INITIALLY DEFERRED)", vec![]);
    let results = db.run_calls(&["INSERT INTO c VALUES (7)", "INSERT INTO p VALUES (7)", "INSERT INTO c VALUES (7)"].map(alone));
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true]);
    assert!(results[0].as_ref().is_err_and(|failure| failure.to_string().contains("FOREIGN KEY constraint failed")));
    assert_eq!(values(&mut db, "SELECT count(*) FROM c"), [[Value::Integer(1)]]);
}

/// The size after a call that was rolled back beside others was remembered, and told to the next one that only read.
#[test]
fn a_rolled_back_neighbour_leaves_no_size_behind() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (v)", vec![]);
    let size = run(&mut db, "SELECT 1", vec![]).meta.size_after;
    let fails = vec![Statement::new("INSERT INTO t VALUES (zeroblob(100000))", vec![]), Statement::new("SELECT * FROM nowhere", vec![])];
    let results = db.run_calls(&[alone("SELECT 1"), fails, alone("SELECT 1")]);
    assert!(results[1].is_err());
    assert_eq!(results[2].as_ref().unwrap()[0].meta.size_after, size);
}

/// In a batch only the last statement's size is measured; when that one wrote nothing, it told the size before the batch.
#[test]
fn the_size_after_a_batch_counts_all_of_it() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (v)", vec![]);
    let batch = ["INSERT INTO t VALUES (zeroblob(100000))", "SELECT 1"].map(|sql| Statement::new(sql, vec![]));
    let size = db.run_call(batch.into()).unwrap()[1].meta.size_after;
    assert!(size > 100_000, "{size}");
}

/// SQLite calls `PRAGMA optimize` a statement that reads. It writes statistics.
#[test]
fn optimize_changes_the_size() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (v); CREATE INDEX tv ON t (v)", vec![]);
    let fill = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 5000) INSERT INTO t SELECT x % 7 FROM c";
    let before = run(&mut db, fill, vec![]).meta.size_after;
    values(&mut db, "SELECT count(*) FROM t WHERE v = 3");
    let after = run(&mut db, "PRAGMA optimize(0x10002)", vec![]).meta.size_after;
    assert!(after > before, "{after} after {before}");
}

/// Statements in the schema `temp` are denied, and with them went ALTER TABLE, which looks there for triggers.
#[test]
fn columns_and_tables_can_be_renamed() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (a, b)", vec![]);
    for sql in
        ["ALTER TABLE t RENAME COLUMN a TO c", "ALTER TABLE t RENAME TO u", "ALTER TABLE u DROP COLUMN b", "ALTER TABLE u ADD COLUMN d"]
    {
        run(&mut db, sql, vec![]);
    }
    assert_eq!(run(&mut db, "SELECT * FROM u", vec![]).columns, ["c", "d"]);
    assert!(run_err(&mut db, "CREATE TABLE temp.t (v)").contains("not authorized"));
    assert!(run_err(&mut db, "UPDATE sqlite_temp_master SET sql = ''").contains("may not be modified"));
}

/// A snapshot that met an error of the store goes on once the store does.
#[test]
fn readers_survive_a_failing_store() {
    let fault = Fault::default();
    let mut db =
        Fixture::on(Rc::new(FaultyStore::new(MemoryStore::new(), fault.clone())), Limits { cache_bytes: 64 << 10, ..Limits::default() });
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    let fill =
        "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 500) INSERT INTO t SELECT x, zeroblob(900) FROM c";
    run(&mut db, fill, vec![]);
    let snapshot = db.database.snapshot(db.database.state().txid).unwrap();
    let count = alone("SELECT count(*), sum(length(v)) FROM t");
    let expected = [[Value::Integer(500), Value::Integer(450_000)]];
    for n in 1..40 {
        fault.fail_at(n);
        let failed = snapshot.run::<littoral::engine::ResultSet>(&count).unwrap_err().to_string();
        assert!(failed.contains("injected"), "{failed}");
        assert_eq!(snapshot.run::<littoral::engine::ResultSet>(&count).unwrap()[0].rows, expected);
        fault.fail_at(n);
        assert!(db.run_call(count.clone()).unwrap_err().to_string().contains("injected"));
        assert_eq!(db.run_call(count.clone()).unwrap()[0].rows, expected);
    }
}

/// Results of calls that were undone and run again one by one still counted as taken room: the first call was then left without an answer,
/// and whoever waited for at least one waited for ever.
#[test]
fn calls_that_run_again_have_their_room_again() {
    let mut db = Fixture::with_limits(|limits| limits.result_bytes = 10_000);
    run(&mut db, "CREATE TABLE t (v UNIQUE)", vec![]);
    run(&mut db, "INSERT INTO t VALUES (1)", vec![]);
    let results = db.run_calls(&["SELECT zeroblob(6000)", "INSERT OR ROLLBACK INTO t VALUES (1)", "SELECT 1"].map(alone));
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}
