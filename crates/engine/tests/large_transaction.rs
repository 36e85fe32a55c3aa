//! One transaction of 96 MB, inserted, updated, and taken back; and one that is too large.
//!
//! **Invariants**
//! 1. Within the default limits a transaction may change 96 MB of pages, with SQLite's heap capped as in an isolate.
//! 2. A transaction beyond a limit is refused with a clear error, changes nothing, and the next call is served.
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

const ROWS: i64 = 24_000;
const FILL: &str = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 24000) \
                    INSERT INTO t SELECT x, printf('%04000d', x) FROM c";

fn durable(limits: Limits) -> Fixture {
    Fixture::on(Rc::new(DurableStore::open(HostSql::in_memory().unwrap()).unwrap()), limits)
}

/// One after the other: each needs most of the heap that all share.
#[test]
fn transactions_of_96_mb_work_and_larger_ones_are_refused() {
    let mut db = durable(Limits::default());
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    run(&mut db, FILL, vec![]);
    assert!(db.database.state().size_bytes() >= 96_000_000, "{}", db.database.state().size_bytes());
    let sum = "SELECT count(*), sum(length(v)), sum(v) FROM t";
    let expected = [[Value::Integer(ROWS), Value::Integer(ROWS * 4_000), Value::Integer(ROWS * (ROWS + 1) / 2)]];
    assert_eq!(values(&mut db, sum), expected);

    let before = db.database.state();
    let update = run(&mut db, "UPDATE t SET v = 'u' || substr(v, 2)", vec![]);
    assert_eq!(update.meta.changes, ROWS as u64);
    assert_eq!(db.database.state().txid.0, before.txid.0 + 1);
    assert_eq!(values(&mut db, "SELECT count(*) FROM t WHERE v LIKE 'u%'"), [[Value::Integer(ROWS)]]);

    let before = db.database.state();
    let error = run_err(&mut db, "UPDATE t SET v = 'x' || substr(v, 2), id = CASE id WHEN 24000 THEN 1 ELSE id END");
    assert_eq!(error, "UNIQUE constraint failed: t.id: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)");
    assert_eq!(db.database.state(), before);
    assert_eq!(values(&mut db, "SELECT count(*) FROM t WHERE v LIKE 'u%'"), [[Value::Integer(ROWS)]]);
    assert_eq!(values(&mut db, "PRAGMA quick_check"), [[Value::Text("ok".into())]]);
    drop(db);

    let beyond = "UPDATE t SET v = zeroblob(9000)";
    // SQLite keeps what a statement changes for the second time in its heap, if the statement may have to be taken back alone.
    let twice = "UPDATE t SET v = 'y' || substr(v, 2); UPDATE t SET v = 'z' || substr(v, 2), id = -id";
    for (limits, huge, words) in [
        (Limits { transaction_bytes: 20 << 20, cache_bytes: 1 << 20, ..Limits::default() }, beyond, "too large"),
        (Limits { heap_bytes: 24 << 20, ..Limits::default() }, twice, "out of memory"),
    ] {
        let mut db = durable(limits);
        run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (0, 'first')", vec![]);
        let small = FILL.replace("24000", "4000");
        run(&mut db, &small, vec![]);
        for round in 1..=2 {
            let before = db.database.state();
            let error = run_err(&mut db, huge);
            assert!(error.contains(words), "{error}");
            assert_eq!(db.database.state(), before, "{words}");
            assert_eq!(
                values(&mut db, "SELECT count(*), sum(length(v)) FROM t WHERE id > 0"),
                [[Value::Integer(4_000), Value::Integer(16_000_000)]]
            );
            run(&mut db, "UPDATE t SET v = v || '!' WHERE id = 0", vec![]);
            assert_eq!(db.database.state().txid.0, before.txid.0 + 1);
            assert_eq!(values(&mut db, "SELECT length(v) FROM t WHERE id = 0"), [[Value::Integer(5 + round)]]);
        }
        assert_eq!(values(&mut db, "PRAGMA quick_check"), [[Value::Text("ok".into())]]);
    }
}
