//! Writes that take longer than others are to wait for them: the write connection in one hand, and what others do meanwhile.
//!
//! **Not here:** who waits for their end (`primary`), and how a stack is put aside (`tests/worker/long_writes.test.mjs`).

mod common;

use common::{Fixture, assert_sound, run, values};
use littoral_engine::answer::{Attempt, Form, Request, answer, answer_together};
use littoral_engine::engine::{CallResult, Engine, Error, Invocation, ResultSet};
use littoral_engine::store::DurableStore;
use littoral_engine::store::durable::HostSql;
use littoral_protocol::sql::{Call, Statement, Value};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const ROWS: i64 = 50_000;
/// More than the turns of anybody's.
const FILL: &str = "INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 50000) SELECT x, hex(x * 7919 % 50000) FROM c";

fn fixture() -> Fixture {
    let mut db = Fixture::durable_with_limits(|limits| limits.uncommitted_bytes = 1 << 20);
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    run(&mut db, "CREATE INDEX tv ON t (v)", vec![]);
    db
}

fn call(sql: &str) -> Call {
    vec![Statement::new(sql, vec![])]
}

fn request(sql: &str) -> Request {
    Request::new(Form::D1 { objects: false }, serde_json::json!({ "sql": sql }).to_string(), None, None)
}

fn briefly(db: &mut Engine, sql: &str) -> CallResult<ResultSet> {
    let call = call(sql);
    db.run_briefly::<ResultSet>(&[Invocation::new(&call, ())]).remove(0)
}

fn error(result: CallResult<ResultSet>) -> Error {
    result.unwrap_err().error
}

fn integer(value: i64) -> Vec<Vec<Value>> {
    vec![vec![Value::Integer(value)]]
}

/// Writes `sql` in turns, with `others` run in between, by their number.
fn in_turns(
    db: &Rc<RefCell<Fixture>>,
    sql: &str,
    others: impl Fn(&mut Fixture, u64) -> Result<(), Error> + 'static,
) -> (CallResult<ResultSet>, u64) {
    let turns = Rc::new(Cell::new(0));
    let (count, theirs) = (turns.clone(), db.clone());
    let lease = db.borrow_mut().database.lease().unwrap();
    let call = call(sql);
    let result = lease.run::<ResultSet>(
        Invocation::new(&call, ()),
        Rc::new(move || {
            count.set(count.get() + 1);
            others(&mut theirs.borrow_mut(), count.get())
        }),
    );
    db.borrow_mut().database.take_back(lease);
    (result, turns.get())
}

#[test]
fn what_took_long_is_not_begun_in_vain_the_next_time() {
    let mut db = fixture();
    run(&mut db, "CREATE TABLE s (x)", vec![]);
    run(
        &mut db,
        "INSERT INTO s WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 50000) SELECT x FROM c",
        vec![],
    );
    let copy = "INSERT INTO t SELECT x, hex(x * 7919 % 50000) FROM s";
    assert!(answer(&mut db.database, request(copy)).body.contains(r#""success":true"#));
    run(&mut db, "DELETE FROM s; DELETE FROM t; INSERT INTO s VALUES (1)", vec![]);
    let calls = ["INSERT INTO t VALUES (2, 'b')", "INSERT INTO t VALUES (3, 'c')", copy, "INSERT INTO t VALUES (4, 'd')"].map(call);
    let results = db.database.run_briefly::<ResultSet>(&calls.each_ref().map(|call| Invocation::new(call, ())));
    assert!(results.len() == 3 && results[..2].iter().all(Result::is_ok));
    assert_eq!(error(results.into_iter().last().unwrap()), Error::LongWrite, "although it has one row only");
    assert_eq!(values(&mut db, "SELECT group_concat(id) FROM t"), vec![vec![Value::Text("2,3".into())]], "those before it share a commit");
    assert!(answer(&mut db.database, request(copy)).body.contains(r#""success":true"#));
    run(&mut db, "DELETE FROM t", vec![]);
    assert!(briefly(&mut db.database, copy).is_ok(), "it did not take long the last time");
}

#[test]
fn a_write_that_takes_long_has_no_answer_and_leaves_nothing() {
    let mut db = fixture();
    let before = db.database.state();
    assert_eq!(error(briefly(&mut db.database, FILL)), Error::LongWrite);
    assert_eq!(db.database.state(), before);
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), integer(0));
    let insert = |id: i64| call(&format!("INSERT INTO t VALUES ({id}, 'b') RETURNING id"));
    let calls = [insert(-1), call(FILL), insert(-2)];
    let calls: Vec<_> = calls.iter().map(|call| Invocation::new(call, ())).collect();
    let results = db.database.run_briefly::<ResultSet>(&calls);
    assert_eq!(results[0].as_ref().unwrap()[0].rows, integer(-1), "what was before it is committed");
    assert!(results.len() == 2 && results[1].as_ref().is_err_and(|failure| failure.error == Error::LongWrite));
    assert_eq!(run(&mut db, FILL, vec![]).meta.changes, ROWS as u64, "where it is asked for as a whole");
}

#[test]
fn others_read_what_was_before_and_do_not_write() {
    let db = Rc::new(RefCell::new(fixture()));
    run(&mut db.borrow_mut(), "INSERT INTO t (id, v) VALUES (-1, 'before')", vec![]);
    let before = db.borrow().database.state();
    let (result, turns) = in_turns(&db, FILL, move |db, _| {
        assert_eq!(db.database.state(), before);
        assert_eq!(values(db, "SELECT count(*) FROM t"), integer(1));
        assert_eq!(values(db, "SELECT v FROM t WHERE v = 'before'"), [[Value::Text("before".into())]]);
        assert_eq!(error(briefly(&mut db.database, "INSERT INTO t (v) VALUES ('x')")), Error::HeldUp);
        assert_eq!(error(briefly(&mut db.database, "SELECT changes()")), Error::HeldUp);
        assert!(db.database.lease().is_err_and(|error| error == Error::HeldUp));
        Ok(())
    });
    assert_eq!(result.unwrap()[0].meta.changes, ROWS as u64);
    assert!(turns > 10, "{turns} turns");
    let mut db = db.borrow_mut();
    assert_eq!(db.database.state().txid, before.txid.next());
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), integer(ROWS + 1));
    run(&mut db, "INSERT INTO t (v) VALUES ('x')", vec![]);
    assert_sound(&db.database);
}

#[test]
fn maintenance_and_long_reads_go_on_beside_it() {
    let db = Rc::new(RefCell::new(fixture()));
    for n in 0..40 {
        run(&mut db.borrow_mut(), "INSERT INTO t (id, v) VALUES (?, 'before')", vec![Value::Integer(-1 - n)]);
    }
    let (result, _) = in_turns(&db, FILL, |db, turn| {
        let head = db.database.state().txid;
        db.database.maintain(1_700_000_000_000 + turn * 10_000_000).unwrap();
        if turn % 3 == 0 {
            while db.database.store().prune(head).unwrap() {}
        }
        let snapshot = db.database.reader(None).unwrap();
        assert_eq!(snapshot.run::<ResultSet>(&call("SELECT count(*) FROM t")).unwrap()[0].rows, integer(40));
        Ok(())
    });
    result.unwrap();
    let mut db = db.borrow_mut();
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), integer(ROWS + 40));
    assert_sound(&db.database);
}

#[test]
fn what_fails_or_is_given_up_changes_nothing() {
    let db = Rc::new(RefCell::new(fixture()));
    run(&mut db.borrow_mut(), "INSERT INTO t (id, v) VALUES (50000, 'there')", vec![]);
    let before = db.borrow().database.state();
    let (failed, _) = in_turns(&db, FILL, |_, _| Ok(()));
    assert!(failed.unwrap_err().to_string().contains("UNIQUE constraint failed"));
    let (late, turns) = in_turns(&db, FILL, |_, turn| if turn == 7 { Err(Error::TimedOut) } else { Ok(()) });
    assert_eq!((error(late), turns), (Error::TimedOut, 7));
    let mut db = db.borrow_mut();
    assert_eq!(db.database.state(), before);
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), integer(1));
    let lease = db.database.lease().unwrap();
    drop(lease);
    run(&mut db, "DELETE FROM t", vec![]);
    assert_sound(&db.database);
}

/// The store below may be another's by then.
#[test]
fn what_is_let_go_does_not_commit() {
    let sql = Rc::new(HostSql::in_memory().unwrap());
    let open = || Fixture::on(Rc::new(DurableStore::open(sql.clone()).unwrap()), Default::default());
    let mut db = open();
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    let before = db.database.state();
    let lease = db.database.lease().unwrap();
    let owner = RefCell::new(Some(db));
    let call = call(FILL);
    let (owner, turns) = (Rc::new(owner), Rc::new(Cell::new(0)));
    let (theirs, count) = (owner.clone(), turns.clone());
    let result = lease.run::<ResultSet>(
        Invocation::new(&call, ()),
        Rc::new(move || {
            count.set(count.get() + 1);
            if count.get() == 5 {
                theirs.borrow_mut().take();
            }
            Ok(())
        }),
    );
    assert!(result.unwrap_err().to_string().contains("let go"));
    assert_eq!(turns.get(), 5);
    drop(lease);
    let mut db = open();
    assert_eq!(db.database.state(), before);
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), integer(0));
}

#[test]
fn requests_that_need_the_write_connection_are_held_up_and_the_others_answered() {
    let mut db = fixture();
    let lease = db.database.lease().unwrap();
    let requests = [request("SELECT 1"), request("DELETE FROM t"), request("SELECT 2")];
    let attempts = answer_together(&mut db.database, &requests);
    assert!(matches!(&attempts[..], [Attempt::Answered(_), Attempt::HeldUp, Attempt::Answered(_)]), "{attempts:?}");
    db.database.take_back(lease);
    assert!(matches!(&answer_together(&mut db.database, &requests)[..], [_, Attempt::Answered(_), _]));
    assert!(matches!(&answer_together(&mut db.database, &[request(FILL)])[..], [Attempt::LongWrite]));
    let done = answer(&mut db.database, request(FILL));
    assert!(done.body.contains("\"changes\":50000") && done.bookmark.is_some(), "{}", done.body);
}
