//! Any number of databases in one isolate, whose heap they share. (A process of its own: the limit of the heap is the process's.)

mod common;

use common::{Fixture, run, values};
use littoral_protocol::sql::Value;

#[test]
fn those_that_are_idle_give_way() {
    idle_writers_give_way();
    idle_snapshots_give_way();
    caches_give_way_to_a_long_read();
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

/// What others have read before takes all of the heap; a read on a connection of its own, which sorts, needs some of it.
fn caches_give_way_to_a_long_read() {
    let fill =
        "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 12000) INSERT INTO t SELECT randomblob(700) FROM c";
    let mut all: Vec<Fixture> = (0..4)
        .map(|_| {
            Fixture::with_limits(|limits| {
                (limits.heap_bytes, limits.cache_bytes, limits.uncommitted_bytes) = (32 << 20, 12 << 20, 1 << 20);
            })
        })
        .collect();
    for db in &mut all {
        run(db, "CREATE TABLE t (v)", vec![]);
        run(db, fill, vec![]);
    }
    for round in 0..8 {
        let db = &mut all[round % 4];
        assert_eq!(values(db, "SELECT count(DISTINCT length(v)) FROM t"), [[Value::Integer(1)]]);
        let reader = db.database.reader(None).unwrap();
        let call = vec![littoral_protocol::sql::Statement::new("SELECT count(*) FROM (SELECT v FROM t ORDER BY v LIMIT 9000)", vec![])];
        let rows = reader
            .run::<littoral_engine::engine::ResultSet>(&call)
            .unwrap_or_else(|failure| panic!("round {round}: {failure}"))
            .remove(0)
            .rows;
        assert_eq!(rows, [[Value::Integer(9_000)]], "round {round}");
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
