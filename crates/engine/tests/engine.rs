//! The engine natively: D1's behaviour over the memory store and over the durable store's tables.

mod common;

use common::{Fixture, prune, run, run_err, values};
use littoral_engine::engine::{Engine, Error, Limits, ResultSet};
use littoral_engine::store::DurableStore;
use littoral_engine::store::durable::HostSql;
use littoral_protocol::sql::{Point, Statement, Value};
use std::cell::Cell;
use std::rc::Rc;

#[test]
fn a_row_written_is_read_back() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)", vec![]);
    let insert = run(&mut db, "INSERT INTO t (name) VALUES (?)", vec![Value::Text("ada".into())]);
    assert_eq!((insert.meta.changes, insert.meta.last_row_id, insert.meta.changed_db), (1, 1, true));
    assert_eq!(values(&mut db, "SELECT id, name FROM t"), [[Value::Integer(1), Value::Text("ada".into())]]);
}

#[test]
fn errors_are_in_the_words_of_d1() {
    let mut db = Fixture::memory();
    run(&mut db, "CREATE TABLE t (v UNIQUE)", vec![]);
    run(&mut db, "INSERT INTO t VALUES (1)", vec![]);
    for (sql, text) in [
        ("SELEC 1", "near \"SELEC\": syntax error at offset 0: SQLITE_ERROR"),
        ("  SELEC 1", "near \"SELEC\": syntax error at offset 2: SQLITE_ERROR"),
        ("SELECT * FROM nope", "no such table: nope: SQLITE_ERROR"),
        ("INSERT INTO t VALUES (1)", "UNIQUE constraint failed: t.v: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)"),
        ("SELECT ?", "Wrong number of parameter bindings for SQL query."),
        ("SELECT ?; SELECT 1", "When executing multiple SQL statements in a single call, only the last statement can have parameters."),
        ("SELECT sqlite_version()", "not authorized to use function: sqlite_version at offset 7: SQLITE_ERROR"),
        ("PRAGMA journal_mode", "not authorized: SQLITE_AUTH"),
        ("ATTACH 'x' AS y", "not authorized: SQLITE_AUTH"),
        ("CREATE TEMP TABLE x (y)", "not authorized: SQLITE_AUTH"),
        ("SELECT * FROM _cf_KV", "no such table: _cf_KV: SQLITE_ERROR"),
        ("VACUUM", "cannot VACUUM from within a transaction: SQLITE_ERROR"),
        ("", "No SQL statements detected."),
        ("-- nothing", "No SQL statements detected."),
    ] {
        assert_eq!(run_err(&mut db, sql), text, "{sql}");
    }
    assert!(run_err(&mut db, "/*littoral*/BEGIN").starts_with("To execute a transaction"));
    assert!(run_err(&mut db, "BEGIN").starts_with("To execute a transaction"));
    assert!(run_err(&mut db, "SAVEPOINT s").starts_with("To execute a transaction"));
    assert_eq!(values(&mut db, "SELECT v FROM t"), [[Value::Integer(1)]]);
}

#[test]
fn the_last_of_several_statements_answers() {
    let mut db = Fixture::memory();
    let result =
        run(&mut db, "CREATE TABLE t (v); INSERT INTO t VALUES (1), (2); SELECT count(*) AS n FROM t WHERE v > ?", vec![Value::Real(1.0)]);
    assert_eq!(result.columns, ["n"]);
    assert_eq!(result.rows, [[Value::Integer(1)]]);
}

#[test]
fn a_batch_is_all_or_nothing() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (v UNIQUE)", vec![]);
    let batch = ["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (1)"].map(|sql| Statement::new(sql, vec![]));
    assert!(db.run_call(batch.into()).is_err());
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), [[Value::Integer(0)]]);
}

#[test]
fn calls_that_arrive_together_share_a_commit_and_stand_alone() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (v UNIQUE)", vec![]);
    let before = db.database.state().txid;
    let calls: Vec<_> = [1, 2, 1, 3].map(|v| vec![Statement::new("INSERT INTO t VALUES (?)", vec![Value::Integer(v)])]).into();
    let results = db.run_calls(&calls);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
    assert_eq!(db.database.state().txid.0, before.0 + 1);
    assert_eq!(values(&mut db, "SELECT v FROM t"), [1, 2, 3].map(|v| [Value::Integer(v)]));
}

#[test]
fn a_call_that_rolls_everything_back_does_not_take_its_neighbours_along() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (v UNIQUE)", vec![]);
    let calls: Vec<_> = ["INSERT INTO t VALUES (1)", "INSERT OR ROLLBACK INTO t VALUES (1)", "INSERT INTO t VALUES (2)"]
        .map(|sql| vec![Statement::new(sql, vec![])])
        .into();
    let results = db.run_calls(&calls);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(values(&mut db, "SELECT v FROM t"), [1, 2].map(|v| [Value::Integer(v)]));
}

#[test]
fn deferred_constraints_fail_their_own_call_only() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p DEFERRABLE INITIALLY DEFERRED)", vec![]);
    let calls: Vec<_> = ["INSERT INTO p VALUES (1)", "INSERT INTO c VALUES (9)", "INSERT INTO c VALUES (1)"]
        .map(|sql| vec![Statement::new(sql, vec![])])
        .into();
    let results = db.run_calls(&calls);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(values(&mut db, "SELECT count(*) FROM c"), [[Value::Integer(1)]]);
}

#[test]
fn rows_read_and_written_are_counted() {
    let mut db = Fixture::memory();
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); CREATE INDEX ta ON t (a); CREATE INDEX tb ON t (b)", vec![]);
    run(&mut db, "CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE INDEX wv ON w (v)", vec![]);
    let fill =
        "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 100) INSERT INTO t SELECT x, x % 10, 'v' || x FROM c";
    for (sql, read, written) in [
        (fill, 200, 300),
        ("SELECT * FROM t", 100, 0),
        ("SELECT * FROM t WHERE id = 5", 1, 0),
        ("SELECT * FROM t WHERE a = 5", 10, 0),
        ("SELECT * FROM t LIMIT 10", 10, 0),
        ("UPDATE t SET b = 'x' WHERE id = 1", 1, 2),
        ("UPDATE t SET b = 'y' WHERE id = 1", 1, 2),
        ("UPDATE t SET a = 1, b = 'z' WHERE id = 1", 1, 3),
        ("DELETE FROM t WHERE id = 2", 1, 1),
        ("REPLACE INTO t VALUES (1, 1, 'r')", 0, 3),
        ("INSERT INTO w VALUES ('a', 1)", 0, 2),
        ("DELETE FROM t", 0, 99),
    ] {
        let meta = run(&mut db, sql, vec![]).meta;
        assert_eq!((meta.rows_read, meta.rows_written), (read, written), "{sql}");
    }
}

#[test]
fn a_snapshot_stays_where_it_is() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (v)", vec![]);
    run(&mut db, "INSERT INTO t VALUES (1)", vec![]);
    let snapshot = db.database.snapshot(db.database.state().txid).unwrap();
    for v in 2..3000 {
        run(&mut db, "INSERT INTO t VALUES (?)", vec![Value::Integer(v)]);
    }
    let select = vec![Statement::new("SELECT count(*) FROM t", vec![])];
    let seen = &snapshot.run::<ResultSet>(&select).unwrap()[0];
    assert_eq!(seen.rows, [[Value::Integer(1)]]);
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), [[Value::Integer(2999)]]);
    let write = vec![Statement::new("INSERT INTO t VALUES (0)", vec![])];
    let error = snapshot.run::<ResultSet>(&write).unwrap_err();
    assert_eq!(error.to_string(), "attempt to write a readonly database: SQLITE_READONLY");
}

#[test]
fn endless_statements_end() {
    let mut db = Fixture::with_limits(|limits| limits.run_kiloinstructions = 1_000);
    let endless = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    assert_eq!(
        run_err(&mut db, endless),
        "D1 DB exceeded its CPU time limit and was reset. The request ran 1000 thousand instructions of SQLite, which is its limit, and its last \
         text had read 116104 rows. Add an index, do the work in parts, or raise run_kiloinstructions in LIMITS and limits.cpu_ms in the Worker's \
         configuration."
    );
    assert_eq!(values(&mut db, "SELECT 1"), [[Value::Integer(1)]]);
}

#[test]
fn large_results_are_refused() {
    let mut db = Fixture::with_limits(|limits| limits.result_bytes = 10_000);
    assert!(run_err(&mut db, "SELECT zeroblob(20000)").contains("larger than 10000 bytes"));
    assert_eq!(values(&mut db, "SELECT 1"), [[Value::Integer(1)]]);
}

#[test]
fn the_past_is_found_by_time_and_by_bookmark() {
    let clock = Rc::new(Cell::new(1_000));
    let now = clock.clone();
    let store = Rc::new(DurableStore::open(HostSql::in_memory().unwrap()).unwrap());
    let mut db = Fixture { database: Engine::open(store, Limits::default(), Rc::new(move || now.get())) };
    run(&mut db, "CREATE TABLE t (v)", vec![]);
    for v in 1..=3_000 {
        clock.set(1_000 + v);
        run(&mut db, "INSERT INTO t VALUES (?)", vec![Value::Integer(v as i64)]);
    }
    let count = vec![Statement::new("SELECT count(*) FROM t", vec![])];
    let mut seen = |point| Ok::<_, Error>(db.database.at(point)?.run::<ResultSet>(&count).unwrap()[0].rows[0][0].clone());
    for v in [0, 1, 2, 1_500, 2_999, 3_000] {
        assert_eq!(seen(Point::Time(1_000 + v)).unwrap(), Value::Integer(v as i64));
    }
    assert_eq!(seen(Point::Time(9_999)).unwrap(), Value::Integer(3_000));
    let head = db.database.state();
    assert!(db.database.at(Point::Time(999)).unwrap().run::<ResultSet>(&count).unwrap_err().to_string().starts_with("no such table"));
    let oldest = prune(&**db.database.store(), head.txid);
    assert!(oldest.0 > 1_000);
    let error = db.database.at(Point::Time(1_001)).err().unwrap();
    let oldest = db.database.store().state(oldest).unwrap().bookmark();
    assert_eq!(error, Error::TooOld { oldest });
    assert!(db.database.at(Point::Bookmark(oldest)).is_ok());
}

#[test]
fn history_stays_within_its_limits_and_keeps_what_snapshots_read() {
    let mut db = Fixture::durable_with_limits(|limits| limits.history_bytes = 200_000);
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    let fill = |db: &mut Fixture, rows: i64| {
        for _ in 0..rows {
            run(db, "INSERT INTO t (v) VALUES (randomblob(100))", vec![]);
        }
    };
    fill(&mut db, 10);
    let snapshot = db.database.snapshot(db.database.state().txid).unwrap();
    fill(&mut db, 8_000);
    let count = vec![Statement::new("SELECT count(*) FROM t", vec![])];
    assert_eq!(snapshot.run::<ResultSet>(&count).unwrap()[0].rows, [[Value::Integer(10)]]);
    assert!(db.database.store().oldest() <= snapshot.state().txid);
    drop(snapshot);
    fill(&mut db, 12_000);
    assert!(db.database.store().oldest().0 > 10_000, "{}", db.database.store().oldest());
    assert!(db.database.store().history_bytes().unwrap() < 20_000_000);
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), [[Value::Integer(20_010)]]);
}

#[test]
fn scans_find_the_newest_version_of_every_page_and_snapshots_their_own() {
    let mut db = Fixture::durable_with_limits(|limits| limits.cache_bytes = 8 << 10);
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, v)", vec![]);
    let fill = "INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 3000) SELECT x, 0, randomblob(300) FROM c";
    run(&mut db, fill, vec![]);
    let mut past = Vec::new();
    for step in 1..=4_000_i64 {
        // Every page is rewritten now and then, so folds leave several versions of each.
        run(&mut db, "UPDATE t SET n = n + 1 WHERE id = ?", vec![Value::Integer(1 + step * 7 % 3_000)]);
        if step % 1_000 == 500 {
            past.push((step, db.database.snapshot(db.database.state().txid).unwrap()));
        }
    }
    // Not `count(*)`: the whole rows have to be read, one page after the other.
    let sum = "SELECT sum(n), sum(length(v)) FROM t NOT INDEXED";
    assert_eq!(values(&mut db, sum), [[Value::Integer(4_000), Value::Integer(900_000)]]);
    for (step, snapshot) in past {
        let seen = &snapshot.run::<ResultSet>(&vec![Statement::new(sum, vec![])]).unwrap()[0];
        assert_eq!(seen.rows, [[Value::Integer(step), Value::Integer(900_000)]]);
    }
}
