//! Reads that take longer than others are to wait for them: what moves to a connection of its own, what others do meanwhile, and that nobody
//! notices.
//!
//! **Not here:** how many there are at once (`primary`), and how a stack is put aside (`tests/worker/long_reads.test.mjs`).

mod common;

use common::{Fixture, run, values};
use littoral_engine::answer::{Answer, Attempt, Form, Request, answer, answer_long, answer_together, reader_for};
use littoral_engine::engine::{CallResult, Engine, Error, Invocation, Limits, Reader, ResultSet};
use littoral_engine::store::durable::HostSql;
use littoral_engine::store::{DurableStore, PageReader, PageStore, StoreError};
use littoral_protocol::d1::{BlobFormat, PointBody};
use littoral_protocol::sql::{Call, Point, Statement, Value};
use littoral_protocol::{Bookmark, Pgno, Txid};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// More than a turn of anybody's, with as many rows read as are counted.
const LONG: &str = "SELECT count(*) AS n FROM t AS a, t AS b, t AS c WHERE a.v <> 'x'";
const ROWS: i64 = 100;
/// Few instructions, and work like that of many.
const SEARCH: &str = "SELECT instr(zeroblob(5000000), x'01')";

fn fixture() -> Fixture {
    filled(Fixture::durable())
}

/// A table of as many rows, made by the first two commits.
fn filled(mut db: Fixture) -> Fixture {
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    run(
        &mut db,
        &format!("INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < {ROWS}) SELECT x, 'a' FROM c"),
        vec![],
    );
    db
}

fn call(texts: &[&str]) -> Call {
    texts.iter().map(|sql| Statement::new(*sql, vec![])).collect()
}

fn briefly(db: &mut Engine, calls: &[Call]) -> Vec<CallResult<ResultSet>> {
    let calls: Vec<_> = calls.iter().map(|call| Invocation::new(call, ())).collect();
    db.run_briefly::<ResultSet>(&calls)
}

/// The same for one call, which then has the write connection to itself, if it needs that for long.
fn wholly(db: &mut Engine, texts: &[&str]) -> CallResult<ResultSet> {
    let call = call(texts);
    let result = briefly(db, std::slice::from_ref(&call)).remove(0);
    if !matches!(&result, Err(failure) if failure.error == Error::LongWrite) {
        return result;
    }
    let lease = db.lease().unwrap();
    let result = lease.run::<ResultSet>(Invocation::new(&call, ()), Rc::new(|| Ok(())));
    db.take_back(lease);
    result
}

fn is_long(result: &CallResult<ResultSet>) -> bool {
    matches!(result, Err(failure) if failure.error == Error::LongRead)
}

/// Whether a call that is alone has no answer since it reads for long.
fn moves(db: &mut Fixture, texts: &[&str]) -> bool {
    let result = briefly(&mut db.database, &[call(texts)]).remove(0);
    is_long(&result)
}

fn integer(value: i64) -> Vec<Vec<Value>> {
    vec![vec![Value::Integer(value)]]
}

#[test]
fn a_read_that_is_not_done_after_a_turn_has_no_answer_and_leaves_nothing() {
    let mut db = fixture();
    assert!(moves(&mut db, &[LONG]));
    assert!(moves(&mut db, &[LONG]), "from the cache of statements, too");
    assert!(moves(&mut db, &["SELECT 1", LONG, "SELECT 2"]));
    assert!(moves(&mut db, &[&format!("SELECT 1; {LONG}; SELECT 2")]));
    assert!(!moves(&mut db, &["SELECT * FROM t"]));
    let before = db.database.state().txid;
    assert_eq!(run(&mut db, LONG, vec![]).rows, integer(ROWS.pow(3)), "where it is asked for as a whole");
    run(&mut db, "INSERT INTO t VALUES (NULL, 'b')", vec![]);
    assert_eq!(db.database.state().txid, before.next());
}

#[test]
fn a_call_that_writes_or_knows_its_connection_ends_where_it_began() {
    let mut db = fixture();
    let insert = "INSERT INTO t VALUES (NULL, 'b')";
    let stays: [&[&str]; 7] = [
        &[LONG, insert],
        &[insert, LONG],
        &[&format!("{LONG}; {insert}")],
        &[&format!("INSERT INTO t SELECT NULL, n FROM ({LONG})")],
        &[&format!("SELECT changes() FROM ({LONG})")],
        &[LONG, "SELECT last_insert_rowid()"],
        &["PRAGMA case_sensitive_like = ON", LONG],
    ];
    for texts in stays {
        let results = wholly(&mut db.database, texts).unwrap_or_else(|failure| panic!("{texts:?}: {failure}"));
        assert_eq!(results.len(), texts.len());
    }
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), integer(ROWS + 4));
    let flag = ["SELECT 'a' LIKE 'A'", "PRAGMA case_sensitive_like = ON", LONG];
    let results = wholly(&mut db.database, &flag).unwrap();
    assert_eq!(results[0].rows, integer(1), "it has not begun again with the flag set");
    // What cannot be compiled is for the write connection to say, in its words; and they are not left for the next.
    for (wrong, said) in [("SELEC", "syntax error"), ("BEGIN", "To execute a transaction"), ("SELECT * FROM u", "no such table")] {
        let failure = wholly(&mut db.database, &[LONG, wrong]).unwrap_err();
        assert!(failure.to_string().contains(said), "{failure}");
        let next = briefly(&mut db.database, &[call(&["SELECT * FROM u"])]).remove(0).unwrap_err();
        assert!(next.to_string().contains("no such table"), "{next}");
    }
    let overflow = wholly(&mut db.database, &[LONG, "SELECT abs(-9223372036854775808)", "BEGIN"]).unwrap_err();
    assert!(overflow.to_string().contains("integer overflow"), "{overflow}");
    assert!(moves(&mut db, &[LONG]), "and the next is stopped again");
}

#[test]
fn a_batch_that_begins_again_has_all_the_room_for_results() {
    let mut db = filled(Fixture::durable_with_limits(|limits| limits.result_bytes = 10_000));
    let results = wholly(&mut db.database, &["SELECT zeroblob(6000)", LONG, "DELETE FROM t"]);
    assert_eq!(results.unwrap().len(), 3);
}

#[test]
fn calls_before_a_long_read_are_committed_and_those_after_it_have_not_run() {
    let mut db = fixture();
    let insert = || call(&["INSERT INTO t VALUES (NULL, 'b') RETURNING id"]);
    let before = db.database.state().txid;
    let results = briefly(&mut db.database, &[insert(), insert(), call(&[LONG]), insert()]);
    assert_eq!(results.len(), 3);
    assert_eq!(results[1].as_ref().unwrap()[0].rows, integer(ROWS + 2));
    assert!(is_long(&results[2]));
    assert_eq!(db.database.state().txid, before.next(), "they shared a commit");
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), integer(ROWS + 2));
}

/// Reads `texts` in turns, with `others` run in between, by their number.
fn in_turns(db: &Rc<RefCell<Fixture>>, texts: &[&str], others: impl Fn(&mut Fixture, u64) + 'static) -> (CallResult<ResultSet>, u64) {
    let turns = Rc::new(Cell::new(0));
    let (count, theirs) = (turns.clone(), db.clone());
    let reader = db.borrow_mut().database.reader(None).unwrap();
    let reader = reader.in_turns(Rc::new(move || {
        count.set(count.get() + 1);
        others(&mut theirs.borrow_mut(), count.get());
        Ok(())
    }));
    (reader.run::<ResultSet>(&call(texts)), turns.get())
}

#[test]
fn a_read_in_turns_sees_its_state_and_counts_its_own_whatever_others_do() {
    let db = Rc::new(RefCell::new(fixture()));
    run(&mut db.borrow_mut(), "CREATE INDEX i ON t (v)", vec![]);
    run(&mut db.borrow_mut(), "INSERT INTO t (v) VALUES ('c')", vec![]);
    let rows = ROWS + 1;
    let texts = [LONG, "SELECT v FROM t WHERE id = 1"];
    let (undisturbed, _) = in_turns(&db, &texts, |_, _| {});
    let (result, turns) = in_turns(&db, &texts, move |db, turn| {
        let written = run(db, "INSERT INTO t (v) VALUES ('b')", vec![]).meta;
        assert_eq!((written.changes, written.rows_written, written.rows_read), (1, 2, 0));
        run(db, "UPDATE t SET v = v || 'x' WHERE id = 1", vec![]);
        let read = run(db, "SELECT count(v) FROM t NOT INDEXED", vec![]);
        let there = rows + turn as i64;
        assert_eq!((read.rows, read.meta.rows_read), (integer(there), there as u64), "the cache of the write connection is right");
        run(db, "SELECT zeroblob(1000000)", vec![]);
    });
    assert!(turns > 3, "{turns} turns");
    let (undisturbed, result) = (undisturbed.unwrap(), result.unwrap());
    assert_eq!(result, undisturbed, "rows, and everything that is said of them");
    assert_eq!(result[0].rows, integer(rows.pow(3)));
    assert_eq!(result[0].meta.last_row_id, rows, "as the write connection would have said");
    assert_eq!((result[1].meta.rows_read, result[1].meta.rows_written), (1, 0));
    assert_eq!(values(&mut db.borrow_mut(), "PRAGMA quick_check"), [[Value::Text("ok".into())]]);
}

#[test]
fn what_others_compute_is_not_taken_from_a_read_in_turns() {
    let limits = |kiloinstructions| move |limits: &mut Limits| limits.run_kiloinstructions = kiloinstructions;
    // A read of 5 million instructions, and others that do as much work again in every turn.
    let db = Rc::new(RefCell::new(filled(Fixture::durable_with_limits(limits(6_000)))));
    let (result, turns) = in_turns(&db, &[LONG], |db, _| {
        run(db, SEARCH, vec![]);
    });
    assert_eq!(result.unwrap()[0].rows, integer(ROWS.pow(3)));
    assert!(turns > 10, "{turns} turns");
    // All turns together have one budget.
    let db = Rc::new(RefCell::new(filled(Fixture::durable_with_limits(limits(1_000)))));
    let (result, turns) = in_turns(&db, &[LONG], |_, _| {});
    assert!(matches!(result.unwrap_err().error, Error::RanTooLong { .. }));
    assert!((5..=10).contains(&turns), "{turns} turns");
}

/// Pages for which others have their turn whenever one is read.
struct SlowPages {
    pages: Rc<dyn PageStore>,
    others: RefCell<Fixture>,
}

impl PageReader for SlowPages {
    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError> {
        run(&mut self.others.borrow_mut(), SEARCH, vec![]);
        self.pages.read_page(pgno, at, image)
    }
}

#[test]
fn what_others_compute_is_not_taken_from_who_waits_for_a_page() {
    let db = filled(Fixture::durable());
    let pages = SlowPages { pages: db.database.store().clone(), others: RefCell::new(Fixture::memory()) };
    let limits = Limits { run_kiloinstructions: 100, ..Limits::default() };
    let reader = Reader::open(Rc::new(pages), db.database.state(), &limits.into()).unwrap();
    assert_eq!(reader.run::<ResultSet>(&call(&["SELECT count(v) FROM t"])).unwrap()[0].rows, integer(ROWS));
}

#[test]
fn the_rows_of_a_table_are_counted_in_turns_although_it_is_one_instruction() {
    let mut db = Fixture::durable_with_limits(|limits| limits.cache_bytes = 100_000);
    run(&mut db, "CREATE TABLE t (v)", vec![]);
    run(
        &mut db,
        "INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 2000) SELECT zeroblob(2000) FROM c",
        vec![],
    );
    let count = "SELECT count(*) FROM t";
    assert!(moves(&mut db, &[count]));
    assert_eq!(values(&mut db, count), integer(2_000));
    let db = Rc::new(RefCell::new(db));
    let (result, turns) = in_turns(&db, &[count], |db, _| drop(run(db, "DELETE FROM t WHERE rowid = (SELECT max(rowid) FROM t)", vec![])));
    assert_eq!(result.unwrap()[0].rows, integer(2_000));
    assert!(turns > 3, "{turns} turns");
    assert_eq!(values(&mut db.borrow_mut(), count), integer(2_000 - turns as i64));
    let check = "PRAGMA quick_check";
    assert!(moves(&mut db.borrow_mut(), &[check]));
    let (result, turns) = in_turns(&db, &[check], |_, _| {});
    assert_eq!(result.unwrap()[0].rows, [[Value::Text("ok".into())]]);
    assert!(turns > 3, "{turns} turns");
}

#[test]
fn one_read_in_turns_at_a_time_has_a_large_result() {
    let db = Rc::new(RefCell::new(filled(Fixture::durable_with_limits(|limits| limits.result_bytes = 80_000))));
    let large = format!("SELECT zeroblob(20000) UNION ALL {LONG}");
    let (result, _) = in_turns(&db, &[&large], move |db, turn| {
        if turn > 1 {
            return;
        }
        let patience = Cell::new(3);
        let give_way = move || {
            patience.set(patience.get() - 1);
            if patience.get() > 0 { Ok(()) } else { Err(StoreError::Io("patience has an end".into()).into()) }
        };
        let other = db.database.reader(None).unwrap().in_turns(Rc::new(give_way));
        assert_eq!(other.run::<ResultSet>(&call(&["SELECT zeroblob(5000)"])).unwrap()[0].rows.len(), 1, "there is room for small ones");
        let waited = other.run::<ResultSet>(&call(&["SELECT zeroblob(20000)"])).unwrap_err();
        assert!(waited.to_string().contains("patience has an end"), "{waited}");
    });
    assert_eq!(result.unwrap()[0].rows.len(), 2);
    let (result, _) = in_turns(&db, &[&large], |_, _| {});
    assert_eq!(result.unwrap()[0].rows.len(), 2, "it was given back");
}

#[test]
fn history_is_cut_behind_a_read_in_turns_and_not_below_it() {
    let clock = Rc::new(Cell::new(1_700_000_000_000));
    let (now, limits) = (clock.clone(), Limits { history_ms: 0, history_exact_ms: 0, ..Limits::default() });
    let store = Rc::new(DurableStore::open(HostSql::in_memory().unwrap()).unwrap());
    let db = filled(Fixture { database: Engine::open(store, limits, Rc::new(move || now.get())) });
    let state = db.database.state().txid;
    let db = Rc::new(RefCell::new(db));
    let time = clock.clone();
    let cut = move |db: &mut Engine| {
        while db.maintain(time.get()).unwrap().is_some_and(|due_ms| due_ms <= time.get()) {}
        db.store().oldest()
    };
    let later = cut.clone();
    let (result, turns) = in_turns(&db, &["SELECT sum(length(a.v)) FROM t AS a, t AS b, t AS c"], move |db, turn| {
        clock.set(clock.get() + 60_000);
        run(db, "UPDATE t SET v = ?", vec![Value::Text("longer".repeat(turn as usize))]);
        assert!(cut(&mut db.database) <= state);
    });
    assert_eq!(result.unwrap()[0].rows, integer(ROWS.pow(3)));
    assert!(turns > 3, "{turns} turns");
    assert!(later(&mut db.borrow_mut().database) > state, "nobody reads it any more");
}

#[test]
fn a_read_in_turns_ends_with_its_database() {
    let db = Rc::new(RefCell::new(Some(fixture().database)));
    let reader = db.borrow_mut().as_mut().unwrap().reader(None).unwrap();
    let (turns, theirs) = (Rc::new(Cell::new(0)), db.clone());
    let count = turns.clone();
    let reader = reader.in_turns(Rc::new(move || {
        count.set(count.get() + 1);
        if count.get() == 3 {
            theirs.take();
        }
        Ok(())
    }));
    let failure = reader.run::<ResultSet>(&call(&[LONG])).unwrap_err();
    assert!(failure.to_string().contains("opened anew while this was read"), "{failure}");
    assert_eq!(turns.get(), 3, "it did nothing more");

    let mut db = fixture().database;
    let (request, database) = (d1("SELECT 1", None), Rc::new(RefCell::new(None)));
    let theirs = database.clone();
    let reader = reader_for(&mut db, &request).unwrap().in_turns(Rc::new(move || {
        theirs.take();
        Ok(())
    }));
    database.replace(Some(db));
    let read = answer_long(&request, &reader);
    assert!(read.body.contains("opened anew while this was read"), "not a page of it is read: {}", read.body);
}

fn d1(sql: &str, at: Option<PointBody>) -> Request {
    Request::new(Form::D1 { objects: false }, serde_json::json!({ "sql": sql }).to_string(), None, at)
}

fn answered(outcome: Attempt) -> Answer {
    match outcome {
        Attempt::Answered(answer) => answer,
        other => panic!("it has no answer: {other:?}"),
    }
}

#[test]
fn requests_that_wait_together_are_answered_but_for_the_long_read_among_them() {
    let mut db = fixture();
    let insert = "INSERT INTO t (v) VALUES ('b')";
    let calls = serde_json::json!({ "calls": [{ "sql": insert }, { "sql": LONG }, { "sql": insert }] }).to_string();
    let requests = [d1(insert, None), d1(LONG, None), Request::calls(calls), d1(insert, None)];
    let [first, long, calls, last] = <[Attempt; 4]>::try_from(answer_together(&mut db.database, &requests)).unwrap();
    assert_eq!(long, Attempt::LongRead);
    assert!(answered(first).bookmark < answered(last).bookmark);
    let calls: serde_json::Value = serde_json::from_str(&answered(calls).body).unwrap();
    assert_eq!(calls["responses"].as_array().unwrap().len(), 1, "the client sends the others again: {calls}");
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), integer(ROWS + 3), "they have not run");
    let reader = reader_for(&mut db.database, &requests[1]).unwrap();
    run(&mut db, insert, vec![]);
    let (turns, ran) = (Rc::new(Cell::new(0)), db.database.state().txid);
    let count = turns.clone();
    let reader = reader.in_turns(Rc::new(move || {
        count.set(count.get() + 1);
        Ok(())
    }));
    let read = answer_long(&requests[1], &reader);
    assert!(turns.get() > 1 && ran > reader.state().txid);
    assert_eq!(read.bookmark, Some(reader.state().bookmark().to_string()), "that of the state that was read");
    assert!(read.body.contains(&(ROWS + 3).pow(3).to_string()), "{}", read.body);
}

#[test]
fn of_many_calls_whose_first_reads_for_long_only_that_one_is_answered() {
    let mut db = fixture();
    let calls = serde_json::json!({ "calls": [{ "sql": LONG }, { "sql": "DELETE FROM t" }] }).to_string();
    let answer = answer(&mut db.database, Request::calls(calls));
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["responses"].as_array().unwrap().len(), 1, "{body}");
    assert_eq!(body["responses"][0]["results"]["rows"], serde_json::json!([[ROWS.pow(3)]]), "{body}");
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), integer(ROWS));
}

#[test]
fn the_past_is_read_in_turns_as_well() {
    let mut db = fixture();
    let bookmark: Bookmark = db.database.state().bookmark();
    run(&mut db, "DELETE FROM t", vec![]);
    let past = d1(LONG, Some(PointBody::Bookmark(bookmark.to_string())));
    let requests = [past];
    assert_eq!(answer_together(&mut db.database, &requests), [Attempt::LongRead]);
    let reader = reader_for(&mut db.database, &requests[0]).unwrap();
    assert_eq!(reader.state().bookmark(), bookmark);
    let read = answer_long(&requests[0], &reader);
    assert_eq!(read.bookmark, None, "no session goes on from there");
    assert!(read.body.contains(&ROWS.pow(3).to_string()), "{}", read.body);
    let kept_open = db.database.at(Point::Bookmark(bookmark)).unwrap();
    assert_eq!(kept_open.run::<ResultSet>(&call(&[LONG])).unwrap()[0].rows, integer(ROWS.pow(3)), "a kept snapshot has its full budget");
}

/// Writes until it is stopped.
const ENDLESS_WRITE: &str = "INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1000) UNION ALL SELECT x + 1 FROM c) SELECT x, 'b' FROM c";

#[test]
fn a_call_ends_when_its_own_time_is_over_and_those_beside_it_do_not() {
    let mut db = fixture();
    let before = db.database.state();
    let calls =
        [call(&["UPDATE t SET v = 'b' WHERE id = 1"]), call(&["SELECT 1", ENDLESS_WRITE]), call(&["UPDATE t SET v = 'c' WHERE id = 2"])];
    let asked = |call, kiloinstructions| Invocation { kiloinstructions, ..Invocation::new(call, ()) };
    let alone = db.database.run_with::<ResultSet>(&[asked(&calls[1], Some(100))]).remove(0).unwrap_err();
    assert_eq!((alone.error, alone.place.map(|place| place.text)), (Error::TimedOut, Some(1)));
    assert_eq!(db.database.state(), before, "it has changed nothing");
    let limits = [None, Some(100), Some(100)];
    let together: Vec<_> = calls.iter().zip(limits).map(|(call, limit)| asked(call, limit)).collect();
    let results = db.database.run_with::<ResultSet>(&together);
    let errors: Vec<_> = results.iter().map(|result| result.as_ref().err().map(|failure| failure.error.clone())).collect();
    assert_eq!(errors, [None, Some(Error::TimedOut), None]);
    // SQLite ends the transaction with a write that is interrupted, so they ran once more, one by one.
    assert_eq!(db.database.state().txid.0, before.txid.0 + 2);
    assert_eq!(values(&mut db, "SELECT v, count(*) FROM t GROUP BY v ORDER BY v").len(), 3);
    assert!(db.database.run_with::<ResultSet>(&[asked(&calls[0], None)]).remove(0).is_ok(), "the next call has all the time that there is");
}

#[test]
fn nothing_is_done_of_a_request_that_nobody_waits_for() {
    let mut db = fixture();
    let request = |sql: &str, until_ms| {
        let form = Form::Calls { blobs: BlobFormat::default() };
        Request::new(form, format!(r#"{{"calls":[{{"sql":"{sql}"}}]}}"#), None, None).until(until_ms)
    };
    let now_ms = db.database.now_ms();
    let before = db.database.state();
    let late = answer(&mut db.database, request("DELETE FROM t", Some(now_ms))).body;
    assert!(late.contains("TIMED_OUT") && late.contains("changed nothing"), "{late}");
    let short = answer(&mut db.database, request(ENDLESS_WRITE, Some(now_ms + 5))).body;
    assert!(short.contains("TIMED_OUT"), "{short}");
    assert_eq!(db.database.state(), before);
    let enough = answer(&mut db.database, request("DELETE FROM t", Some(now_ms + 1_000))).body;
    assert!(!enough.contains("error"), "{enough}");
}
