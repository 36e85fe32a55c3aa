//! Transactions that are larger than what an isolate keeps in memory: inserted, updated, indexed, and taken back.
//!
//! **Invariants**
//! 1. A transaction may change any number of pages, with SQLite's heap capped as in an isolate.
//! 2. One that fails changes nothing, the next call is served, and what it left in the storage is swept.
//!
//! A test program of its own: SQLite's heap limit is one for the whole process.
//!
//! **Not here:** how long it takes (`make bench`).

mod common;

use common::{Fixture, run, run_err, values};
use littoral_engine::engine::Limits;
use littoral_engine::store::DurableStore;
use littoral_engine::store::durable::HostSql;
use littoral_protocol::sql::Value;
use std::rc::Rc;

const ROWS: i64 = 30_000;
const FILL: &str = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 30000) \
                    INSERT INTO t SELECT x, printf('%04000d', x) FROM c";

fn durable(sql: &Rc<HostSql>, limits: Limits) -> Fixture {
    Fixture::on(Rc::new(DurableStore::open(sql.clone()).unwrap()), limits)
}

/// One after the other: each needs most of the heap that all share.
#[test]
fn transactions_may_be_larger_than_memory() {
    let sql = Rc::new(HostSql::in_memory().unwrap());
    let mut db = durable(&sql, Limits::default());
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    run(&mut db, FILL, vec![]);
    assert!(db.database.state().size_bytes() >= 120_000_000, "{}", db.database.state().size_bytes());
    let sum = "SELECT count(*), sum(length(v)), sum(v) FROM t";
    let expected = [[Value::Integer(ROWS), Value::Integer(ROWS * 4_000), Value::Integer(ROWS * (ROWS + 1) / 2)]];
    assert_eq!(values(&mut db, sum), expected);

    let before = db.database.state();
    let update = run(&mut db, "UPDATE t SET v = 'u' || substr(v, 2)", vec![]);
    assert_eq!(update.meta.changes, ROWS as u64);
    assert_eq!(db.database.state().txid.0, before.txid.0 + 1);
    assert_eq!(values(&mut db, "SELECT count(*) FROM t WHERE v LIKE 'u%'"), [[Value::Integer(ROWS)]]);

    let before = db.database.state();
    let error = run_err(&mut db, "UPDATE t SET v = 'x' || substr(v, 2), id = CASE id WHEN 30000 THEN 1 ELSE id END");
    assert_eq!(error, "UNIQUE constraint failed: t.id: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)");
    assert_eq!(db.database.state(), before);
    assert_eq!(values(&mut db, "SELECT count(*) FROM t WHERE v LIKE 'u%'"), [[Value::Integer(ROWS)]]);
    assert_eq!(values(&mut db, "PRAGMA quick_check"), [[Value::Text("ok".into())]]);
    let garbage = || sql.connection().query_row("SELECT count(*) FROM garbage", [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(garbage() > 10, "the failed one had staged pages");
    run(&mut db, "DELETE FROM t WHERE id % 2", vec![]);
    assert_eq!(values(&mut db, "SELECT count(*) FROM t WHERE v LIKE 'u%'"), [[Value::Integer(ROWS / 2)]]);
    while db.database.store().prune(db.database.state().txid).unwrap() {}
    assert_eq!(garbage(), 0);
    assert_eq!(values(&mut db, "PRAGMA quick_check"), [[Value::Text("ok".into())]]);
    drop(db);
    drop(sql);

    // SQLite keeps what a statement changes for the second time in its heap, if the statement may have to be taken back alone.
    let twice = "UPDATE t SET v = 'y' || substr(v, 2); UPDATE t SET v = 'z' || substr(v, 2), id = -id";
    let sql = Rc::new(HostSql::in_memory().unwrap());
    let limits = Limits { heap_bytes: 24 << 20, cache_bytes: 8 << 20, ..Limits::default() };
    let mut db = durable(&sql, limits.clone());
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (0, 'first')", vec![]);
    run(&mut db, &FILL.replace("30000", "4000"), vec![]);
    for round in 1..=2 {
        let before = db.database.state();
        let error = run_err(&mut db, twice);
        assert!(error.contains("out of memory"), "{error}");
        assert_eq!(db.database.state(), before);
        let found = values(&mut db, "SELECT count(*), sum(length(v)) FROM t WHERE id > 0");
        assert_eq!(found, [[Value::Integer(4_000), Value::Integer(16_000_000)]]);
        run(&mut db, "UPDATE t SET v = v || '!' WHERE id = 0", vec![]);
        assert_eq!(db.database.state().txid.0, before.txid.0 + 1);
        assert_eq!(values(&mut db, "SELECT length(v) FROM t WHERE id = 0"), [[Value::Integer(5 + round)]]);
    }
    drop(db);
    let mut db = durable(&sql, limits);
    assert_eq!(values(&mut db, "PRAGMA quick_check"), [[Value::Text("ok".into())]]);
}
