//! A state of the past becomes the newest one: its rows, all of them and no others, by a commit that another restore takes back.
#![allow(missing_docs)]

mod common;

use common::{Fixture, assert_sound, counting_turns, noise, run, run_err, values};
use littoral_engine::engine::{Engine, Error, Failure, Limits, Rewritten};
use littoral_engine::store::durable::HostSql;
use littoral_engine::store::{DurableStore, Fault, FaultySql, MemoryStore, PageStore};
use littoral_protocol::sql::{Point, Value};
use littoral_protocol::{Bookmark, Txid};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

const NOW: u64 = 1_700_000_000_000;

fn restore(engine: &mut Engine, bookmark: Bookmark) -> Result<Rewritten, Failure> {
    let lease = engine.lease().unwrap();
    let restored = lease.restore(Point::Bookmark(bookmark), NOW, &(Rc::new(|| Ok(())) as _));
    let wrote = engine.take_back(lease);
    assert_eq!(wrote, restored.is_ok());
    restored
}

fn rows(db: &mut Fixture) -> Vec<Vec<Value>> {
    values(db, "SELECT * FROM t ORDER BY 1")
}

/// The database file, without what a restore changes of page 1: the change counter and the schema cookie.
fn file(engine: &mut Engine, txid: Txid) -> Vec<u8> {
    let state = engine.store().state(txid).unwrap();
    let mut file = engine.store().read_file(&state, littoral_protocol::Pgno::FIRST, state.page_count).unwrap();
    for field in [24, 40, 92] {
        file[field..field + 4].fill(0);
    }
    file
}

#[test]
fn rows_tables_and_pages_are_as_they_were_and_a_restore_takes_it_back() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'), (2, 'b')", vec![]);
    let then = db.database.state();
    let before = rows(&mut db);
    run(
        &mut db,
        "UPDATE t SET v = 'changed'; INSERT INTO t VALUES (3, zeroblob(100000)); CREATE TABLE more (x); INSERT INTO more VALUES (1)",
        vec![],
    );
    let later = db.database.state();
    let restored = restore(&mut db.database, then.bookmark()).unwrap();
    assert_eq!((restored.previous, restored.bookmark), (later.bookmark(), db.database.state().bookmark()));
    assert_eq!(rows(&mut db), before);
    assert!(run_err(&mut db, "SELECT * FROM more").contains("no such table: more"), "a cached statement, too");
    assert_sound(&db.database);
    let (restored, now) = (file(&mut db.database, then.txid), db.database.state().txid);
    assert!(restored == file(&mut db.database, now));
    run(&mut db, "CREATE TABLE other (y); INSERT INTO other VALUES (2)", vec![]);
    restore(&mut db.database, later.bookmark()).unwrap();
    assert_eq!(values(&mut db, "SELECT x FROM more"), [[Value::Integer(1)]]);
    assert_eq!(values(&mut db, "SELECT count(*), min(v) FROM t WHERE id < 3"), [[Value::Integer(2), Value::Text("changed".into())]]);
    assert!(run_err(&mut db, "SELECT * FROM other").contains("no such table"));
    assert_sound(&db.database);
}

/// SQLite knows a schema by its cookie. A restore that brought back an old one would let it come to a number that stands for another schema.
#[test]
fn a_connection_that_has_not_looked_meanwhile_sees_another_schema() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (a)", vec![]);
    let then = db.database.state();
    run(&mut db, "DROP TABLE t", vec![]);
    run(&mut db, "CREATE TABLE t (b, c)", vec![]);
    assert_eq!(values(&mut db, "SELECT * FROM t"), Vec::<Vec<Value>>::new());
    restore(&mut db.database, then.bookmark()).unwrap();
    run(&mut db, "DROP TABLE t", vec![]);
    run(&mut db, "CREATE TABLE t (x, y, z)", vec![]);
    run(&mut db, "INSERT INTO t VALUES (7, 8, 9)", vec![]);
    assert_eq!(values(&mut db, "SELECT * FROM t"), [[7, 8, 9].map(Value::Integer)]);
}

#[test]
fn the_state_is_kept_while_it_is_restored() {
    let mut db = Fixture::durable_with_limits(|limits| limits.history_ms = 0);
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    for id in 0..400 {
        run(&mut db, "INSERT INTO t VALUES (?, ?)", vec![Value::Integer(id), Value::Blob(noise(id as u64, 3_000))]);
    }
    let then = db.database.state();
    run(&mut db, "UPDATE t SET v = zeroblob(3000)", vec![]);
    let lease = db.database.lease().unwrap();
    let db = Rc::new(RefCell::new(db));
    let others = db.clone();
    let give_way = Rc::new(move || {
        while others.borrow_mut().database.maintain(NOW + 1_000).unwrap().is_some_and(|due_ms| due_ms <= NOW + 1_000) {}
        Ok(())
    });
    lease.restore(Point::Bookmark(then.bookmark()), NOW, &(give_way as _)).unwrap();
    let mut db = db.borrow_mut();
    db.database.take_back(lease);
    assert_eq!(values(&mut db, "SELECT v FROM t WHERE id = 399"), [[Value::Blob(noise(399, 3_000))]]);
    assert_sound(&db.database);
}

#[test]
fn the_beginning_is_an_empty_database() {
    let mut db = Fixture::durable();
    let nothing = db.database.state();
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a')", vec![]);
    restore(&mut db.database, nothing.bookmark()).unwrap();
    assert!(run_err(&mut db, "SELECT * FROM t").contains("no such table"));
    assert_eq!(values(&mut db, "SELECT count(*) FROM sqlite_schema"), [[Value::Integer(0)]]);
    assert_sound(&db.database);
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, other)", vec![]);
    assert_eq!(rows(&mut db), Vec::<Vec<Value>>::new());
    assert_sound(&db.database);
}

#[test]
fn what_is_not_kept_or_of_another_database_is_refused() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY)", vec![]);
    let head = db.database.state();
    for wrong in [Bookmark { checksum: 1, ..head.bookmark() }, Bookmark { txid: Txid(9), ..head.bookmark() }] {
        let failed = restore(&mut db.database, wrong).unwrap_err();
        assert!(matches!(failed.error, Error::UnknownBookmark { .. }), "{failed}");
    }
    assert_eq!(db.database.state(), head);
    run(&mut db, "INSERT INTO t VALUES (1)", vec![]);
}

#[test]
fn what_is_written_is_what_differs_and_memory_holds_a_little_of_it() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    for id in 0..2_000 {
        run(&mut db, "INSERT INTO t VALUES (?, ?)", vec![Value::Integer(id), Value::Blob(noise(id as u64, 3_000))]);
    }
    let then = db.database.state();
    run(&mut db, "UPDATE t SET v = 'x' WHERE id = 700", vec![]);
    let changed = |db: &Fixture, from, to| db.database.store().written_between(from, to).unwrap().len();
    let now = restore(&mut db.database, then.bookmark()).unwrap().bookmark.txid;
    assert!(changed(&db, Txid(now.0 - 1), now) < 5);
    run(&mut db, "UPDATE t SET v = 'x'", vec![]);
    let (give_way, turns) = counting_turns();
    let lease = db.database.lease().unwrap();
    lease.restore(Point::Bookmark(then.bookmark()), NOW, &give_way).unwrap();
    db.database.take_back(lease);
    assert!(turns.get() > 25, "others had {} turns", turns.get());
    assert_eq!(values(&mut db, "SELECT count(*), sum(length(v)) FROM t"), [[Value::Integer(2_000), Value::Integer(6_000_000)]]);
    assert_sound(&db.database);
}

#[test]
fn a_restore_whose_caller_is_late_changes_nothing() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    let then = db.database.state();
    run(&mut db, "INSERT INTO t SELECT value, zeroblob(3000) FROM json_each('[1,2,3,4,5,6,7,8,9]')", vec![]);
    let head = db.database.state();
    let lease = db.database.lease().unwrap();
    let failed = lease.restore(Point::Bookmark(then.bookmark()), NOW, &(Rc::new(|| Err(Error::TimedOut)) as _));
    assert!(!db.database.take_back(lease));
    assert_eq!((failed.unwrap_err().error, db.database.state()), (Error::TimedOut, head));
    assert_sound(&db.database);
}

#[test]
fn a_restore_that_fails_at_any_operation_of_the_storage_leaves_one_state_or_the_other() {
    let sql = Rc::new(HostSql::in_memory().unwrap());
    let fault = Fault::default();
    let open = || -> Rc<dyn PageStore> { Rc::new(DurableStore::open(FaultySql::new(sql.clone(), fault.clone())).unwrap()) };
    let mut db = Fixture::on(open(), Limits::default());
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    let insert =
        "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 300) INSERT INTO t SELECT x, zeroblob(3000) FROM c";
    run(&mut db, insert, vec![]);
    let full = db.database.state();
    run(&mut db, "DELETE FROM t", vec![]);
    drop(db);
    let mut reached_end = false;
    for n in 1..400 {
        let mut db = Fixture::on(open(), Limits::default());
        let before = db.database.state();
        fault.stop_at(n);
        let lease = db.database.lease();
        let restored = lease.map(|lease| {
            let restored = lease.restore(Point::Bookmark(full.bookmark()), NOW, &(Rc::new(|| Ok(())) as _));
            db.database.take_back(lease);
            restored
        });
        let reached = fault.operations() >= n;
        fault.clear();
        drop(db);
        let mut found = Fixture::on(open(), Limits::default());
        assert_sound(&found.database);
        let count = values(&mut found, "SELECT count(*) FROM t");
        let state = found.database.state();
        assert!(
            state == before && count == [[Value::Integer(0)]] || state.txid > before.txid && count == [[Value::Integer(300)]],
            "operation {n}"
        );
        if !reached {
            assert!(restored.unwrap().is_ok());
            reached_end = true;
            break;
        }
        if state.txid > before.txid {
            run(&mut found, "DELETE FROM t", vec![]);
        }
    }
    assert!(reached_end);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Every state that was ever there can be restored, at any time and again, and SQLite finds nothing wrong in between.
    #[test]
    fn any_state_comes_back(steps in prop::collection::vec((0..8_u8, any::<u16>()), 1..25)) {
        let stores: [Rc<dyn PageStore>; 2] = [Rc::new(MemoryStore::new()), Rc::new(DurableStore::open(HostSql::in_memory().unwrap()).unwrap())];
        for store in stores {
            let mut db = Fixture::on(store, Limits::default());
            run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
            let mut known = vec![(db.database.state(), rows(&mut db))];
            for (step, number) in &steps {
                let id = i64::from(*number);
                match step {
                    0..=2 => { run(&mut db, "INSERT OR REPLACE INTO t VALUES (?, ?)", vec![Value::Integer(id % 50), Value::Blob(noise(u64::from(*number), 2_000))]); }
                    3 => { run(&mut db, "DELETE FROM t WHERE id % 7 = ?", vec![Value::Integer(id % 7)]); }
                    4 => { run(&mut db, "CREATE INDEX IF NOT EXISTS tv ON t (v); DROP TABLE IF EXISTS u", vec![]); }
                    5 => { run(&mut db, "CREATE TABLE IF NOT EXISTS u AS SELECT * FROM t; DROP INDEX IF EXISTS tv", vec![]); }
                    _ => {
                        let (state, _) = known[usize::from(*number) % known.len()];
                        prop_assert!(restore(&mut db.database, state.bookmark()).is_ok());
                        let expected = &known[usize::from(*number) % known.len()].1;
                        prop_assert_eq!(&rows(&mut db), expected);
                    }
                }
                assert_sound(&db.database);
                let found = rows(&mut db);
                known.push((db.database.state(), found));
            }
        }
    }
}
