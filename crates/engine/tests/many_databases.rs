//! Any number of databases in one isolate, whose heap they share. (A process of its own: the limit of the heap is the process's.)

mod common;

use common::{Fixture, run, values};
use littoral_protocol::sql::Value;

#[test]
fn those_that_are_idle_give_way() {
    idle_writers_give_way();
    idle_snapshots_give_way();
}

/// Each database that was ever used kept a connection, until the heap was full and none of them answered any more.
fn idle_writers_give_way() {
    let mut all: Vec<Fixture> = (0..1_200).map(|_| Fixture::with_limits(|limits| limits.heap_bytes = 32 << 20)).collect();
    for round in 1..=3 {
        for (number, db) in (0..).zip(&mut all) {
            if round == 1 {
                run(db, "CREATE TABLE t (v)", vec![]);
            }
            run(db, "INSERT INTO t VALUES (?)", vec![Value::Integer(number)]);
            assert_eq!(values(db, "SELECT sum(v) FROM t"), [[Value::Integer(round * number)]]);
        }
    }
}

/// Snapshots of the past are connections, too.
fn idle_snapshots_give_way() {
    let mut all: Vec<Fixture> = (0..600).map(|_| Fixture::with_limits(|limits| limits.heap_bytes = 32 << 20)).collect();
    for (number, db) in (0..).zip(&mut all) {
        run(db, "CREATE TABLE t (v)", vec![]);
        let before = db.database.state().bookmark();
        run(db, "INSERT INTO t VALUES (?)", vec![Value::Integer(number)]);
        let snapshot = db.database.at(littoral_protocol::sql::Point::Bookmark(before)).unwrap();
        let call = vec![littoral_protocol::sql::Statement::new("SELECT count(*) FROM t", vec![])];
        let rows = snapshot.run::<littoral_engine::engine::ResultSet>(&call).unwrap().remove(0).rows;
        assert_eq!(rows, [[Value::Integer(0)]]);
    }
    for (number, db) in (0..).zip(&mut all) {
        assert_eq!(values(db, "SELECT v FROM t"), [[Value::Integer(number)]]);
    }
}
