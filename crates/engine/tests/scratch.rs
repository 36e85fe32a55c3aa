//! Sorters, temporary trees and statement journals that are longer than memory: indexes, DISTINCT, GROUP BY, ORDER BY, and a statement that is
//! taken back, with SQLite's heap capped well below the data (the storage's own has to fit, too).
//!
//! **Invariants**
//! 1. The answers are those of plain SQLite on the same rows.
//! 2. Nothing of it is left in the storage afterwards, also after a failure of the storage.
//!
//! A test program of its own: SQLite's heap limit is one for the whole process.
//!
//! **Not here:** temporary files as files (`vfs`), and as blocks of a store (`store_contract.rs`).

mod common;

use common::{Fixture, run, run_err, values};
use littoral_engine::engine::{Engine, Limits};
use littoral_engine::store::durable::HostSql;
use littoral_engine::store::{DurableStore, Fault, FaultySql, PageStore};
use littoral_protocol::sql::{Statement, Value};
use std::rc::Rc;

const ROWS: i64 = 150_000;

fn limits() -> Limits {
    Limits { heap_bytes: 52 << 20, cache_bytes: 5 << 20, uncommitted_bytes: 4 << 20, ..Limits::default() }
}

fn one(db: &mut Fixture, sql: &str) -> Value {
    values(db, sql).remove(0).remove(0)
}

/// One after the other: each needs most of the heap that all share.
#[test]
fn temporary_files_may_be_longer_than_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (sql, fault) = (Rc::new(HostSql::open(folder.path().join("storage")).unwrap()), Fault::default());
    let blocks = || sql.connection().query_row("SELECT count(*) FROM scratch", [], |row| row.get::<_, i64>(0)).unwrap();
    let store: Rc<dyn PageStore> = Rc::new(DurableStore::open(FaultySql::new(sql.clone(), fault.clone())).unwrap());
    let mut db = Fixture { database: Engine::open(store, limits(), Rc::new(|| 1)) };
    // Every value twice, in no order, and not to be compressed.
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    let fill = format!(
        "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < {}) INSERT INTO t (v) SELECT randomblob(600) FROM c",
        ROWS / 2
    );
    run(&mut db, &fill, vec![]);
    run(&mut db, "INSERT INTO t (v) SELECT v FROM t ORDER BY v DESC", vec![]);
    assert!(db.database.state().size_bytes() > 90_000_000);

    assert_eq!(one(&mut db, "SELECT count(*) FROM (SELECT DISTINCT v FROM t)"), Value::Integer(ROWS / 2));
    assert_eq!(one(&mut db, "SELECT count(*) FROM (SELECT v, count(*) AS n FROM t GROUP BY v) WHERE n = 2"), Value::Integer(ROWS / 2));
    let sorted = "SELECT sum(v < before) FROM (SELECT v, lag(v, 1, x'') OVER (ORDER BY v) AS before FROM t)";
    assert_eq!(one(&mut db, sorted), Value::Integer(0));
    assert_eq!(blocks(), 0);
    run(&mut db, "CREATE INDEX tv ON t (v)", vec![]);
    assert_eq!(one(&mut db, "SELECT count(*) FROM t INDEXED BY tv WHERE v >= x''"), Value::Integer(ROWS));
    assert_eq!(one(&mut db, "PRAGMA quick_check"), Value::Text("ok".into()));

    // What the second statement changes was changed by the first, so SQLite keeps it to take the second one back alone.
    let before = db.database.state();
    let twice = "UPDATE t SET v = zeroblob(600) WHERE id % 2; UPDATE t SET v = zeroblob(500), id = CASE id WHEN 150000 THEN 1 ELSE id END";
    assert!(run_err(&mut db, twice).contains("UNIQUE"), "the second statement is taken back");
    assert_eq!((db.database.state(), blocks()), (before, 0));

    // The storage fails in the middle of a sort.
    fault.fail_at(400);
    let distinct = vec![Statement::new("SELECT count(*) FROM (SELECT DISTINCT v FROM t NOT INDEXED)", vec![])];
    let error = db.run_call(distinct).expect_err("the storage fails").to_string();
    assert!(error.contains("injected failure"), "{error}");
    assert_eq!(one(&mut db, "SELECT count(*) FROM t"), Value::Integer(ROWS));
    drop(db);
    let store: Rc<dyn PageStore> = Rc::new(DurableStore::open(sql.clone()).unwrap());
    while store.prune(store.head().txid).unwrap() {}
    assert_eq!(blocks(), 0);
    assert_eq!(store.head(), before);
    assert_eq!(one(&mut Fixture::on(store, limits()), "PRAGMA quick_check"), Value::Text("ok".into()));
}
