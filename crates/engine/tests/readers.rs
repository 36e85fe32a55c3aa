//! Connections that only read, moved from state to state.
//!
//! **Not here:** states of the past (`past`), which pages a replica has (`replica`).

mod common;

use common::{Fixture, run};
use littoral_engine::engine::{Reader, ResultSet, Setup};
use littoral_engine::store::{PageReader, PageStore, StoreError};
use littoral_protocol::sql::{Statement, Value};
use littoral_protocol::{PageSet, Pgno, State, Txid};
use std::cell::RefCell;
use std::rc::Rc;

fn rows(reader: &Reader, sql: &str) -> Result<Vec<Vec<Value>>, String> {
    let results = reader.run::<ResultSet>(&vec![Statement::new(sql, vec![])]);
    results.map(|mut results| results.remove(0).rows).map_err(|failure| failure.to_string())
}

#[test]
fn a_reader_reads_the_state_that_it_was_moved_to_last() {
    let mut db = Fixture::durable();
    let mut states = vec![db.database.state()];
    // Some states differ in the schema, some in rows, some in the number of pages.
    for n in 1..=20 {
        run(&mut db, &format!("CREATE TABLE t{n} (v); INSERT INTO t{n} VALUES ({n})"), vec![]);
        states.push(db.database.state());
        run(&mut db, &format!("UPDATE t{n} SET v = zeroblob(10000)"), vec![]);
        states.push(db.database.state());
        run(&mut db, &format!("DROP TABLE IF EXISTS t{}", n.max(3) - 3), vec![]);
        states.push(db.database.state());
    }
    let store = db.database.store().clone();
    let reader = Reader::open_replica(Rc::new(store), states[0], &Setup::default()).unwrap();
    for step in 0..600_usize {
        let state = states[step * 7919 % states.len()];
        reader.move_to(state);
        if step % 5 == 0 {
            assert!(rows(&reader, "SELECT abs(-9223372036854775808)").is_err(), "what fails leaves the reader usable");
        }
        let snapshot = db.database.snapshot(state.txid).unwrap();
        let names = "SELECT name, rootpage FROM sqlite_schema ORDER BY name";
        assert_eq!(rows(&reader, names), rows(&snapshot, names), "{state:?}");
        for n in 1..=20 {
            let sql = format!("SELECT hex(v), length(v) FROM t{n}");
            assert_eq!(rows(&reader, &sql), rows(&snapshot, &sql), "{state:?} {sql}");
        }
    }
}

/// Notes which pages are read.
struct Noting {
    store: Rc<dyn PageStore>,
    read: RefCell<Vec<u32>>,
}

impl PageReader for Noting {
    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError> {
        self.read.borrow_mut().push(pgno.0);
        self.store.read_page(pgno, at, image)
    }

    fn changed_lately(&self, from: &State, to: &State) -> Option<PageSet> {
        self.store.changed_lately(from, to)
    }
}

/// With every commit a reader forgot all that it had read.
#[test]
fn only_what_changed_is_read_again() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE TABLE u (v)", vec![]);
    let fill =
        "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 2000) INSERT INTO t SELECT x, zeroblob(500) FROM c";
    run(&mut db, fill, vec![]);
    let noting = Rc::new(Noting { store: db.database.store().clone(), read: RefCell::default() });
    let reader = Reader::open_replica(noting.clone(), db.database.state(), &Setup::default()).unwrap();
    let sum = "SELECT count(*), sum(length(v)) FROM t";
    assert_eq!(rows(&reader, sum).unwrap(), [[Value::Integer(2_000), Value::Integer(1_000_000)]]);
    assert!(noting.read.take().len() > 200);
    for n in 1..=10 {
        let before = db.database.state();
        run(&mut db, "UPDATE t SET v = zeroblob(400) WHERE id = ?", vec![Value::Integer(n * 190)]);
        let changed = db.database.store().changed_between(before.txid, db.database.state().txid).unwrap();
        reader.move_to(db.database.state());
        assert_eq!(rows(&reader, sum).unwrap(), [[Value::Integer(2_000), Value::Integer(1_000_000 - 100 * n)]]);
        let read = noting.read.take();
        assert_eq!(read, changed.iter().map(|pgno| pgno.0).collect::<Vec<_>>(), "page 1 is at hand, and the others stay");
        assert!(read.len() < 3);
    }
}
