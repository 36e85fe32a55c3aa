//! Bugs that were found, each as a test of a few lines with its story.
//!
//! **Not here:** what the suites find anew by themselves (`model.rs`, `crash.rs`, `store_contract.rs`).

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod common;

use common::{Fixture, run, run_err, values};
use littoral_engine::engine::{Limits, ResultSet};
use littoral_engine::store::{Fault, FaultyStore, MemoryStore};
use littoral_protocol::Pgno;
use littoral_protocol::sql::{Point, Statement, Value};
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
        let failed = snapshot.run::<littoral_engine::engine::ResultSet>(&count).unwrap_err().to_string();
        assert!(failed.contains("injected"), "{failed}");
        assert_eq!(snapshot.run::<littoral_engine::engine::ResultSet>(&count).unwrap()[0].rows, expected);
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

/// FTS5 and R*Tree prepare and finalize statements of their own within the one that runs. Rows read were asked of the statement that SQLite
/// had announced last, which could be one of those, and freed: it corrupted the heap that all databases share.
#[test]
fn rows_read_are_asked_of_the_statement_that_ran_whatever_virtual_tables_do() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE VIRTUAL TABLE ft USING fts5(a)", vec![]);
    run(&mut db, "INSERT INTO ft VALUES ('sea'), ('lake')", vec![]);
    let commented = "-- name: Search\nSELECT a FROM ft WHERE ft MATCH 'sea'";
    for _ in 0..20 {
        // Opened anew, so that the statement's first step makes the virtual table.
        let mut cold = Fixture::on(db.database.store().clone(), Limits::default());
        let result = run(&mut cold, commented, vec![]);
        assert_eq!(result.rows, [[Value::Text("sea".into())]]);
        assert!(result.meta.rows_read > 0, "a text that begins with a comment reads rows, too");
    }
    run(&mut db, "CREATE VIRTUAL TABLE v USING rtree(id, lo, hi)", vec![]);
    for round in 0..50 {
        run(&mut db, "DROP TABLE IF EXISTS p", vec![]);
        run(&mut db, "CREATE TABLE p (k, x0, x1, x2)", vec![]);
        let select = "SELECT v.id, p.x0, p.x1, p.x2 FROM v, p";
        assert!(run(&mut db, select, vec![]).rows.is_empty(), "round {round}");
        run(&mut db, "ALTER TABLE p DROP COLUMN x0", vec![]);
        assert!(run_err(&mut db, select).contains("no such column: p.x0"), "round {round}");
    }
}

/// A text's next statement was compiled before the one before it ran, and PRAGMAs that are flags act when they are compiled.
#[test]
fn a_statement_acts_only_when_its_turn_has_come() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE ck (a, b CHECK (b > 2))", vec![]);
    assert!(run_err(&mut db, "INSERT INTO ck VALUES (5, 1); PRAGMA ignore_check_constraints = ON; SELECT 1").contains("CHECK"));
    assert!(run_err(&mut db, "INSERT INTO ck VALUES (5, 1)").contains("CHECK"), "nothing of a text that failed is left");
    let result = run(&mut db, "CREATE TABLE fresh (x); CREATE INDEX fresh_x ON fresh (x); PRAGMA index_list(fresh)", vec![]);
    assert_eq!(result.rows.len(), 1);
}

/// SQLite copies what is left of a text for every statement, unless the text ends with a zero byte.
#[test]
fn a_text_of_many_statements_takes_time_in_proportion() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (v)", vec![]);
    let text = |count: usize| "INSERT INTO t VALUES ('a row of some length, so that the text is long'); ".repeat(count);
    let mut time = |count: usize| {
        let text = text(count);
        let began = std::time::Instant::now();
        run(&mut db, &text, vec![]);
        began.elapsed()
    };
    time(1_000);
    let (short, long) = (time(2_000), time(32_000));
    assert!(long < short * 16 * 5, "2,000 statements took {short:?}, 16 times as many {long:?}");
}

/// A text may end in blanks and comments, and those only as SQLite knows them.
#[test]
fn what_follows_the_last_statement_is_blank_or_refused() {
    let mut db = Fixture::durable();
    for end in ["", ";", " ;; ", "; -- over", "; /* over */ ;\n", "; /* never closed", ";\u{feff}\t\x0c\r\n"] {
        assert_eq!(run(&mut db, &format!("SELECT 1{end}"), vec![]).rows.len(), 1, "{end:?}");
    }
    for end in [";\u{a0}", "; /*", "; x"] {
        run_err(&mut db, &format!("SELECT 1{end}"));
    }
}

/// The first call of a request whose statements' results were too large together was taken for one that had no room left by calls before it:
/// it was to run again, for ever.
#[test]
fn a_call_whose_results_are_too_large_together_is_refused_and_the_others_are_answered() {
    let mut db = Fixture::durable_with_limits(|limits| limits.result_bytes = 100_000);
    let half = Statement::new("SELECT hex(zeroblob(30000))", vec![]);
    let too_large = vec![half.clone(), half.clone()];
    let alone = std::slice::from_ref(&too_large);
    assert_eq!(db.run_calls(alone).len(), 1);
    assert!(db.run_calls(alone)[0].as_ref().is_err_and(|failure| failure.to_string().contains("the result is larger than 100000 bytes")));
    let mut waiting = vec![too_large.clone(), vec![half.clone()], too_large, vec![half]];
    let mut answered = Vec::new();
    while !waiting.is_empty() {
        let results = db.run_calls(&waiting);
        assert!(!results.is_empty(), "no progress");
        waiting.drain(..results.len());
        answered.extend(results.into_iter().map(|result| result.is_ok()));
    }
    assert_eq!(answered, [false, true, false, true]);
}

/// Three endless queries of one request took three times what one may.
#[test]
fn calls_together_have_one_budget() {
    let mut db = Fixture::durable_with_limits(|limits| limits.run_kiloinstructions = 1_000);
    let slow =
        |n: u32| alone(&format!("WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {n}) SELECT max(x) FROM c"));
    let results = db.run_calls(&[slow(40_000), slow(40_000), slow(10)]);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true], "the next ones are for the next turn");
    // Those that cannot share a transaction, too.
    let results = db.run_calls(&[alone("PRAGMA foreign_keys"), slow(40_000), slow(40_000)]);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true]);
    let results = db.run_calls(&[slow(1_000_000), slow(10)]);
    assert!(results[0].as_ref().is_err_and(|failure| failure.to_string().contains("exceeded its CPU time limit")));
}

/// SQLite does not ask the authorizer about functions in a DEFAULT.
#[test]
fn a_default_tells_nothing_about_the_build() {
    let mut db = Fixture::durable();
    for function in
        ["sqlite_version()", "sqlite_source_id()", "sqlite_compileoption_get(1)", "sqlite_compileoption_used('x')", "fts5_source_id()"]
    {
        let refused = format!("not authorized to use function: {}", function.split('(').next().unwrap());
        assert!(run_err(&mut db, &format!("SELECT {function}")).starts_with(&refused));
        // Some versions refuse the table, others the row.
        let table = format!("CREATE TABLE IF NOT EXISTS t (a, v DEFAULT ({function}))");
        let made = db.run_call(alone(&table)).map(drop);
        let filled = made.and_then(|()| db.run_call(alone("INSERT INTO t (a) VALUES (1)")).map(drop));
        assert!(filled.is_err_and(|failure| failure.to_string().starts_with(&refused)), "{function}");
        run(&mut db, "DROP TABLE IF EXISTS t", vec![]);
    }
}

/// A stray write to SQLite's cache was stored with the rest of the page as soon as anything else on it changed, with a checksum that fitted.
#[test]
fn a_page_damaged_in_memory_is_not_stored() {
    let store = Rc::new(FaultyStore::new(MemoryStore::new(), Fault::default()));
    let mut db = Fixture::on(store.clone(), Limits::default());
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'one'), (2, 'two')", vec![]);
    let head = db.database.state();

    let mut db = Fixture::on(store.clone(), Limits::default());
    store.damage(Some(Pgno(2)));
    // Two statements are for the write connection.
    let seen = values(&mut db, "SELECT 1; SELECT v FROM t WHERE id = 1");
    assert_eq!(seen, [[Value::Text("ond".into())]], "the last byte of the page is the row's");
    store.damage(None);
    let calls = ["INSERT INTO t VALUES (3, 'three')", "DELETE FROM t WHERE id = 7"].map(alone);
    for result in db.run_calls(&calls) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("page 2 was damaged in memory, and was not stored"), "{error}");
    }
    assert!(db.database.memory_damaged());

    let mut db = Fixture::on(store, Limits::default());
    assert_eq!(db.database.state(), head);
    assert_eq!(values(&mut db, "SELECT v FROM t"), [[Value::Text("one".into())], [Value::Text("two".into())]]);
}

/// It was taken for an ANALYZE, made a commit, and failed where nothing can be written.
#[test]
fn explaining_an_analyze_changes_nothing() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (a); CREATE INDEX ta ON t (a); INSERT INTO t VALUES (1)", vec![]);
    let before = db.database.state();
    for _ in 0..2 {
        assert!(!values(&mut db, "EXPLAIN ANALYZE").is_empty());
    }
    assert_eq!(db.database.state(), before);
    let snapshot = db.database.at(Point::Bookmark(before.bookmark())).unwrap();
    assert!(snapshot.run::<ResultSet>(&vec![Statement::new("EXPLAIN ANALYZE", vec![])]).is_ok());
    run(&mut db, "ANALYZE", vec![]);
    assert_eq!(db.database.state().txid.0, before.txid.0 + 1);
}
