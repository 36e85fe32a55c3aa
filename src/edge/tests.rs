//! A replica answering requests over a primary in the same process: which tier answers, and what.

use super::*;
use crate::client::StatementNow;
use littoral_engine::answer::{Answer, Form, Request, answer_calls};
use littoral_engine::commit_log::Message;
use littoral_engine::engine::{Engine, Error, GiveWay};
use littoral_engine::fetch::Fetcher;
use littoral_engine::replica::{Later, Link, LinkError, Sizes, Source};
use littoral_engine::session::Freshness;
use littoral_engine::store::{MemoryStore, PageStore, StoreError};
use littoral_protocol::Txid;
use littoral_protocol::d1::{BlobFormat, PointBody};
use littoral_protocol::sql::{Served, Tier};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

/// A primary, and the way to it.
struct Primary {
    store: Rc<MemoryStore>,
    database: RefCell<Engine>,
    asked: Cell<u32>,
    now_ms: Cell<u64>,
    /// It does not answer.
    hangs: Cell<bool>,
    log: RefCell<Vec<String>>,
}

impl Primary {
    fn new() -> Rc<Primary> {
        let store = Rc::new(MemoryStore::new());
        let database = Engine::open(store.clone(), Limits::default(), Rc::new(|| 1_000));
        let database = RefCell::new(database);
        Rc::new(Primary {
            store,
            database,
            asked: Cell::new(0),
            now_ms: Cell::new(10_000),
            hangs: Cell::new(false),
            log: RefCell::default(),
        })
    }

    fn run(&self, sql: &str) -> String {
        answer_calls(&mut self.database.borrow_mut(), &format!(r#"{{"calls":[{{"sql":{}}}]}}"#, serde_json::to_string(sql).unwrap()))
    }

    fn bookmark(&self) -> String {
        self.store.head().bookmark().to_string()
    }

    fn asked(&self) -> u32 {
        self.asked.replace(0)
    }
}

#[derive(Clone)]
struct Way(Rc<Primary>);

impl Link for Way {
    fn ask(&self, question: Vec<u8>) -> Later<Result<Vec<u8>, LinkError>> {
        self.0.asked.set(self.0.asked.get() + 1);
        if self.0.hangs.get() {
            return Box::pin(std::future::pending());
        }
        let answer = Source::new(&*self.0.store, self.0.store.id()).with_sizes(Sizes::TINY).answer(&question);
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn run_waiting(&self, job: Box<dyn FnOnce()>) -> Later<Result<(), LinkError>> {
        job();
        Box::pin(std::future::ready(Ok(())))
    }

    fn fetcher(&self) -> Rc<dyn Fetcher> {
        Rc::new(self.clone())
    }

    fn wait(&self) -> Later<()> {
        Box::pin(std::future::ready(()))
    }

    fn wake(&self) {}

    fn turn(&self, longest_ms: u64) -> (Box<dyn FnOnce()>, Later<()>) {
        self.0.now_ms.set(self.0.now_ms.get() + longest_ms);
        (Box::new(|| {}), Box::pin(std::future::ready(())))
    }

    fn now_ms(&self) -> u64 {
        self.0.now_ms.get()
    }

    fn log(&self, line: &str) {
        self.0.log.borrow_mut().push(line.into());
    }
}

impl Fetcher for Way {
    fn fetch(&self, question: &Message) -> Result<Message, StoreError> {
        self.0.asked.set(self.0.asked.get() + 1);
        Ok(Message::decode(&Source::new(&*self.0.store, self.0.store.id()).with_sizes(Sizes::TINY).answer(&question.encode())).unwrap())
    }

    fn wait(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn wake(&self) {}
}

const SERVED: Served = Served { tier: Tier::Isolate, region: None, colo: None, staleness_ms: None };

fn request(sql: &str, session: Option<String>, at: Option<PointBody>) -> Rc<Request> {
    let form = Form::Calls { blobs: BlobFormat::default() };
    Rc::new(Request::new(form, format!(r#"{{"calls":[{{"sql":"{sql}"}}]}}"#), session, at))
}

fn ask(replica: &Replica, primary: &Rc<Primary>, token: &str, sql: &str) -> Outcome {
    let request = request(sql, Some(token.into()), None);
    pollster::block_on(replica.answer(request, SERVED, None, Rc::new(Way(primary.clone()))))
}

fn answered(outcome: Outcome) -> serde_json::Value {
    let Outcome::Answered(Answer { body, .. }) = outcome else { panic!("{outcome:?}") };
    serde_json::from_str(&body).unwrap()
}

fn value(answer: &serde_json::Value) -> i64 {
    answer["responses"][0]["results"]["rows"][0][0].as_i64().unwrap()
}

#[test]
fn a_cold_replica_answers_then_a_warm_one_without_asking() {
    let primary = Primary::new();
    primary.run("CREATE TABLE t (a)");
    primary.run("INSERT INTO t SELECT value FROM generate_series(1, 1000)");
    primary.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO t SELECT i FROM n");
    let replica = Edge::new(Budget::default()).replica(64);
    let first = answered(ask(&replica, &primary, "first-unconstrained", "SELECT count(*) FROM t"));
    assert_eq!(value(&first), 1000);
    let meta = &first["responses"][0]["meta"];
    assert_eq!(meta["served_by_tier"], "isolate");
    assert_eq!(meta["served_by_primary"], false);
    assert!(meta["pages_fetched"].as_u64().unwrap() > 1);
    assert!(primary.asked() > 1);
    let again = answered(ask(&replica, &primary, "first-unconstrained", "SELECT count(*) FROM t"));
    assert_eq!((value(&again), primary.asked()), (1000, 0));
    assert_eq!(again["bookmark"], primary.bookmark());
}

#[test]
fn a_session_that_is_ahead_is_answered_after_a_pull() {
    let primary = Primary::new();
    primary.run("CREATE TABLE t (a)");
    primary.run("INSERT INTO t VALUES (1)");
    let replica = Edge::new(Budget::default()).replica(64);
    assert_eq!(value(&answered(ask(&replica, &primary, "first-unconstrained", "SELECT sum(a) FROM t"))), 1);
    primary.run("INSERT INTO t VALUES (2)");
    let stale = answered(ask(&replica, &primary, "first-unconstrained", "SELECT sum(a) FROM t"));
    assert_eq!(value(&stale), 1);
    let fresh = answered(ask(&replica, &primary, &primary.bookmark(), "SELECT sum(a) FROM t"));
    assert_eq!(value(&fresh), 3);
    let ahead = primary.bookmark().replacen("00000003", "00000009", 1);
    assert!(matches!(ask(&replica, &primary, &ahead, "SELECT 1"), Outcome::Primary));
}

#[test]
fn what_is_no_good_read_goes_to_the_primary() {
    let primary = Primary::new();
    primary.run("CREATE TABLE t (a)");
    let replica = Edge::new(Budget::default()).replica(64);
    for (token, sql) in [
        ("first-unconstrained", "INSERT INTO t VALUES (1)"),
        ("first-unconstrained", "SELECT nothing"),
        ("first-unconstrained", "CREATE TABLE u (a)"),
        ("first-primary", "SELECT 1"),
        ("nonsense", "SELECT 1"),
    ] {
        assert!(matches!(ask(&replica, &primary, token, sql), Outcome::Primary), "{token} {sql}");
    }
    assert_eq!(value(&answered(ask(&replica, &primary, "first-unconstrained", "SELECT count(*) FROM t"))), 0);
}

#[test]
fn schema_changes_and_vacuum_arrive() {
    let primary = Primary::new();
    primary.run("CREATE TABLE t (a)");
    primary.run("INSERT INTO t VALUES (1)");
    let replica = Edge::new(Budget::default()).replica(64);
    answered(ask(&replica, &primary, "first-unconstrained", "SELECT * FROM t"));
    for (write, sum) in
        [("ALTER TABLE t ADD COLUMN b DEFAULT 5", 6), ("INSERT INTO t VALUES (2, 7)", 15), ("VACUUM", 15), ("DELETE FROM t", 0)]
    {
        primary.run(write);
        let sum_now = answered(ask(&replica, &primary, &primary.bookmark(), "SELECT coalesce(sum(a + b), 0) FROM t"));
        assert_eq!(value(&sum_now), sum, "after {write}");
    }
}

#[test]
fn the_past_is_read_on_a_replica() {
    let primary = Primary::new();
    primary.run("CREATE TABLE t (a)");
    primary.run("INSERT INTO t VALUES (1)");
    let then = primary.bookmark();
    let replica = Edge::new(Budget::default()).replica(64);
    for _ in 0..3 {
        primary.run("UPDATE t SET a = a + 1");
        answered(ask(&replica, &primary, &primary.bookmark(), "SELECT a FROM t"));
    }
    let at = |bookmark: &str| {
        let request = request("SELECT a FROM t", None, Some(PointBody::Bookmark(bookmark.into())));
        pollster::block_on(replica.answer(request, SERVED, None, Rc::new(Way(primary.clone()))))
    };
    let past = answered(at(&then));
    assert_eq!((value(&past), past["bookmark"].as_str().unwrap()), (1, &*then));
    assert_eq!(value(&answered(ask(&replica, &primary, &primary.bookmark(), "SELECT a FROM t"))), 4);
    let forged = then.replacen("00000002-", "00000003-", 1);
    assert!(matches!(at(&forged), Outcome::Primary));
}

#[test]
fn a_tiny_cache_and_no_connection_are_no_error() {
    let primary = Primary::new();
    primary.run("CREATE TABLE t (a)");
    primary.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i FROM n");
    let replica = Edge::new(Budget { cache_bytes: 5_000, ..Budget::default() }).replica(64);
    assert_eq!(value(&answered(ask(&replica, &primary, "first-unconstrained", "SELECT count(a) FROM t"))), 5000);
    let none = Edge::new(Budget { connections: 0, ..Budget::default() }).replica(64);
    assert!(matches!(ask(&none, &primary, "first-unconstrained", "SELECT 1"), Outcome::NextTier));
}

#[test]
fn a_replica_that_began_before_the_first_commit_reads_on() {
    let primary = Primary::new();
    let replica = Edge::new(Budget::default()).replica(64);
    assert!(matches!(ask(&replica, &primary, "first-unconstrained", "SELECT a FROM t"), Outcome::Primary));
    primary.run("CREATE TABLE t (a)");
    primary.run("INSERT INTO t VALUES (7)");
    assert_eq!(value(&answered(ask(&replica, &primary, &primary.bookmark(), "SELECT a FROM t"))), 7);
}

/// SQLite tells schemas by a counter and states by the txid, and two databases have the same ones.
#[test]
fn a_database_that_took_the_name_of_another_is_not_read_as_that_one() {
    let (old, new) = (Primary::new(), Primary::new());
    old.run("CREATE TABLE t (a, b)");
    old.run("INSERT INTO t VALUES (1, 2)");
    let replica = Edge::new(Budget::default()).replica(64);
    assert_eq!(value(&answered(ask(&replica, &old, "first-unconstrained", "SELECT b FROM t"))), 2);
    new.run("CREATE TABLE t (b, a)");
    new.run("INSERT INTO t VALUES (3, 4)");
    new.now_ms.set(20_000);
    assert_eq!(value(&answered(ask(&replica, &new, "first-unconstrained", "SELECT b FROM t"))), 3);
}

#[test]
fn many_reads_before_the_pull_begins_ask_for_one_pull() {
    let primary = Primary::new();
    primary.run("CREATE TABLE t (a)");
    let replica = Edge::new(Budget::default()).replica(64);
    answered(ask(&replica, &primary, "first-unconstrained", "SELECT count(*) FROM t"));
    let now_ms = primary.now_ms.get() + ASKING_POLL_MS;
    assert_eq!((0..1000).filter(|_| replica.driver().should_poll(now_ms)).count(), 1);
    assert!(replica.driver().should_poll(now_ms + ASKING_POLL_MS), "a pull that never began is asked for again");
}

/// What the connection did before, and not what is in the database, was told by the isolate's connection.
#[test]
fn a_replica_answers_only_what_every_copy_answers() {
    let primary = Primary::new();
    primary.run("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    let replica = Edge::new(Budget::default()).replica(64);
    let others = [
        "SELECT last_insert_rowid()",
        "SELECT a, changes() FROM t",
        "SELECT total_changes()",
        "PRAGMA case_sensitive_like = ON",
        "PRAGMA foreign_keys",
        "SELECT * FROM pragma_foreign_keys",
        "PRAGMA data_version",
        "PRAGMA optimize",
    ];
    for sql in others {
        assert!(matches!(ask(&replica, &primary, "first-unconstrained", sql), Outcome::Primary), "{sql}");
    }
    for sql in ["PRAGMA table_info(t)", "SELECT * FROM pragma_table_list", "PRAGMA page_size", "SELECT 'A' LIKE 'a'"] {
        answered(ask(&replica, &primary, "first-unconstrained", sql));
    }
}

/// SQLite answers `quick_check` whatever the file's errors, so a page that was not here yet was reported as damage.
#[test]
fn a_cold_replica_finds_no_damage() {
    let primary = Primary::new();
    primary.run("CREATE TABLE t (a); CREATE INDEX ta ON t (a)");
    primary.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i FROM n");
    let replica = Edge::new(Budget::default()).replica(0);
    // The table's pages are there, and the index's are not: only those does the check read without asking for their rows.
    answered(ask(&replica, &primary, "first-unconstrained", "SELECT sum(a) FROM t NOT INDEXED"));
    let answer = answered(ask(&replica, &primary, "first-unconstrained", "PRAGMA quick_check"));
    assert_eq!(answer["responses"][0]["results"]["rows"], serde_json::json!([["ok"]]));
}

/// It ran again at the primary, for as long.
#[test]
fn a_query_that_runs_too_long_is_stopped_once() {
    let primary = Primary::new();
    let edge = Edge::new(Budget::default());
    edge.set_limits(&Limits { run_kiloinstructions: 100, like_pattern_bytes: 3, ..Limits::default() });
    let replica = edge.replica(64);
    primary.run("CREATE TABLE t (a)");
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    let answer = answered(ask(&replica, &primary, "first-unconstrained", endless));
    assert!(answer["responses"][0]["error"].as_str().unwrap().contains("exceeded its CPU time limit"), "{answer}");
    assert!(matches!(ask(&replica, &primary, "first-unconstrained", "SELECT 'abcd' LIKE 'abcd'"), Outcome::Primary));
    let at_once = |sql: &str| {
        let statement = StatementNow { sql, params: &[], session: None };
        replica.answer_statement(&statement, Freshness::Anywhere, Served::default(), None, primary.now_ms.get())
    };
    assert!(matches!(at_once(endless), Some(Err(failure)) if matches!(failure.error, Error::RanTooLong { kiloinstructions: 100, .. })));
    assert!(at_once("SELECT 'abcd' LIKE 'abcd'").is_none(), "the primary decides");
    assert!(matches!(at_once("SELECT count(*) FROM t"), Some(Ok(_))));
}

#[test]
fn a_read_that_takes_long_moves_to_where_others_have_their_turn() {
    let primary = Primary::new();
    primary.run("CREATE TABLE t (a)");
    let edge = Edge::new(Budget { long_reads: 2, ..Budget::default() });
    let replica = edge.replica(64);
    let long = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 200000) SELECT count(*) + (SELECT count(*) FROM t) FROM c";
    assert!(matches!(ask(&replica, &primary, "first-unconstrained", long), Outcome::LongRead));
    let long_request = request(long, Some("first-unconstrained".into()), None);
    let at_once = replica.answer_now(&long_request, SERVED, None, primary.now_ms.get());
    assert!(matches!(at_once, Some(Outcome::LongRead)), "{at_once:?}");
    let in_turns = |give_way: GiveWay| {
        pollster::block_on(replica.answer_in_turns(long_request.clone(), SERVED, None, Rc::new(Way(primary.clone())), give_way))
    };
    // Each turn others are answered, and two more begin to read for long: one has a place, and none has one beside it.
    let (turns, places) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
    let (count, seen, other, its_primary) = (turns.clone(), places.clone(), replica.clone(), primary.clone());
    let (asked, link) = (long_request.clone(), Rc::new(Way(primary.clone())));
    let outcome = in_turns(Rc::new(move || {
        count.set(count.get() + 1);
        assert_eq!(value(&answered(ask(&other, &its_primary, "first-unconstrained", "SELECT count(*) FROM t"))), 0);
        let within = seen.clone();
        let (third, third_link, third_asked) = (other.clone(), link.clone(), asked.clone());
        let second = other.answer_in_turns(
            asked.clone(),
            SERVED,
            None,
            link.clone(),
            Rc::new(move || {
                let refused = third.answer_in_turns(third_asked.clone(), SERVED, None, third_link.clone(), Rc::new(|| Ok(())));
                within.borrow_mut().push(matches!(pollster::block_on(refused), Outcome::NextTier));
                Ok(())
            }),
        );
        if seen.borrow().is_empty() {
            assert!(matches!(pollster::block_on(second), Outcome::Answered(_)));
        }
        Ok(())
    }));
    assert_eq!(value(&answered(outcome)), 200_000);
    assert!(turns.get() > 10, "{}", turns.get());
    assert!(!places.borrow().is_empty() && places.borrow().iter().all(|refused| *refused), "{:?}", places.borrow());
    let failed = in_turns(Rc::new(|| Err(StoreError::Io("the instance is gone".into()).into())));
    assert!(matches!(failed, Outcome::NextTier), "{failed:?}");
    assert!(matches!(in_turns(Rc::new(|| Ok(()))), Outcome::Answered(_)), "places are given back");
}

/// It did not pull for an hour, and said that it was not stale.
#[test]
fn a_clock_that_goes_back_ends_no_following() {
    let primary = Primary::new();
    primary.now_ms.set(10_000_000);
    primary.run("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    let replica = Edge::new(Budget::default()).replica(64);
    let sql = "SELECT count(*) FROM t";
    assert_eq!(value(&answered(ask(&replica, &primary, "first-unconstrained", sql))), 1);
    primary.run("INSERT INTO t VALUES (2)");
    primary.now_ms.set(10_000_000 - 3_600_000);
    assert!(replica.driver().should_poll(primary.now_ms.get()));
    assert_eq!(replica.driver().follower().borrow().staleness_ms(primary.now_ms.get()), None);
    assert_eq!(value(&answered(ask(&replica, &primary, "first-unconstrained", sql))), 2);
    primary.asked();
    let again = answered(ask(&replica, &primary, "first-unconstrained", sql));
    assert_eq!((value(&again), primary.asked()), (2, 0), "it knows again how stale it is");
    primary.now_ms.set(primary.now_ms.get() + ASKING_POLL_MS);
    assert!(replica.driver().should_poll(primary.now_ms.get()));
    assert!(!replica.driver().should_poll(primary.now_ms.get()));
}

/// Whoever asks for a page may go; what was asked for then counted as under way until the clock was there again.
#[test]
fn a_pull_that_nobody_waits_for_ends_no_following() {
    let primary = Primary::new();
    primary.now_ms.set(10_000_000);
    let replica = Edge::new(Budget::default()).replica(64);
    primary.hangs.set(true);
    let (gone, way) = (replica.clone(), Way(primary.clone()));
    let mut pull = Box::pin(async move { gone.driver().pull(&way, Txid::EMPTY).await });
    assert!(pull.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(pull);
    assert!(!replica.driver().should_poll(primary.now_ms.get()), "it is pulling");
    primary.now_ms.set(10_000_000 - 3_600_000);
    assert!(replica.driver().should_poll(primary.now_ms.get()));
}

/// SQLite reads the statistics with the schema, and goes on without them if they cannot be read: so it did where their page was missing.
#[test]
fn a_cold_replica_plans_as_the_primary_does() {
    let primary = Primary::new();
    primary.run("CREATE TABLE t (a, b, c); CREATE INDEX tb ON t (b); CREATE INDEX ta ON t (a)");
    primary.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i % 2, i, i FROM n");
    let plan = "EXPLAIN QUERY PLAN SELECT c FROM t WHERE a = 1 AND b = 7";
    let edge = Edge::new(Budget::default());
    let warm = edge.replica(64);
    let planned =
        |replica: &Replica| answered(ask(replica, &primary, "first-unconstrained", plan))["responses"][0]["results"]["rows"][0][3].clone();
    assert_eq!(planned(&warm), "SEARCH t USING INDEX ta (a=?)", "without statistics the newest index is as good");
    primary.run("ANALYZE");
    primary.now_ms.set(primary.now_ms.get() + 60_000);
    for replica in [&edge.replica(64), &warm] {
        assert_eq!(planned(replica), "SEARCH t USING INDEX tb (b=?)");
    }
    // Again, with statistics that were there before, and as a statement that is known.
    for (sql, expected) in [("UPDATE t SET a = c, b = c % 2", "ta (a=?)"), ("UPDATE t SET a = c % 2, b = c", "tb (b=?)")] {
        primary.run(sql);
        primary.run("ANALYZE");
        primary.now_ms.set(primary.now_ms.get() + 60_000);
        assert_eq!(planned(&warm), format!("SEARCH t USING INDEX {expected}"));
    }
}
