//! Connections that only read, moved from state to state.
//!
//! **Not here:** states of the past (`past`), which pages a replica has (`replica`).

mod common;

use common::{Fixture, run};
use littoral_engine::engine::{Reader, ResultSet, Setup};
use littoral_protocol::sql::{Statement, Value};
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
