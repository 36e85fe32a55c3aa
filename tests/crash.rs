//! Crashes: the storage fails at every operation of a workload in turn, for good or once, and nothing acknowledged is lost.
//!
//! The workload has the kinds of commit that the durable store has: small ones in the log, one that folds the log into the page
//! table, a wide one, calls that share a commit, a rollback, and pruning. Each of its steps runs from a copy of the storage before it,
//! once for every operation of the step and each way to fail.
//!
//! **Invariants** after every failure and reopening:
//! 1. The state is that before the step, or that after it; after it if the step was acknowledged.
//! 2. The database's checksum is that of its pages, `integrity_check` says ok, and the oldest kept state is still sound.
//! 3. Where the storage failed once, the same `Database` serves the next call, and nothing was lost.
//!
//! **Not here:** torn writes inside one SQL transaction (the storage's promise), and the process being killed (the Worker tests).

mod common;

use common::{Fixture, assert_sound, copy_of, plain_values, values};
use littoral::engine::{Limits, Statement, Value};
use littoral::store::durable::HostSql;
use littoral::store::{DurableStore, Fault, FaultySql, PageStore};
use littoral::{Checksum, Pgno};
use std::rc::Rc;

/// One thing done to the database: `Err` when any of it was not acknowledged.
type Step = fn(&mut Fixture) -> Result<(), String>;

/// With a cache of two pages: SQLite writes pages before it commits, and reads them again.
const SPILLING_STEPS: [(&str, Step); 3] = [
    ("a spilled commit", |db| sql(db, &["UPDATE a SET v = 's' || substr(v, 2) WHERE id % 9 = 0", "DELETE FROM a WHERE id % 50 = 0"])),
    ("a spilled statement that fails", |db| {
        match sql(db, &["UPDATE a SET v = 'x', id = CASE id WHEN 100 THEN 1 ELSE id END WHERE id <= 100"]) {
            Err(error) if error.contains("UNIQUE") => Ok(()),
            other => other,
        }
    }),
    ("a spilled call that fails beside one that does not", |db| {
        let calls =
            ["UPDATE a SET v = 'y' WHERE id % 8 = 0; INSERT INTO b (id) VALUES (2)", "INSERT INTO b (v) SELECT v FROM a WHERE id % 30 = 0"];
        match &db.run_calls(&calls.map(|sql| vec![Statement::new(sql, vec![])]))[..] {
            [Err(error), Ok(_)] if error.to_string().contains("UNIQUE") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }),
];

const STEPS: [(&str, Step); 11] = [
    ("a small commit", |db| sql(db, &["INSERT INTO b (v) VALUES ('small')"])),
    ("a batch, before which the log is folded", |db| {
        sql(db, &["INSERT INTO b (v) VALUES ('one')", "UPDATE b SET v = v || '!'", "DELETE FROM b WHERE id = 1"])
    }),
    ("a batch that fails", |db| fails(sql(db, &["INSERT INTO b (v) VALUES ('gone')", "INSERT INTO b (id) VALUES (2), (2)"]))),
    ("a commit of many pages", |db| sql(db, &["UPDATE a SET v = 'f' || substr(v, 2) WHERE id % 40 = 0"])),
    ("a small commit after it", |db| sql(db, &["INSERT INTO b (v) VALUES ('folded')"])),
    ("a wide commit", |db| sql(db, &["UPDATE a SET v = 'w' || substr(v, 2)"])),
    ("calls that share a commit", |db| {
        let call = |sql: &str| vec![Statement::new(sql, vec![])];
        let calls = ["INSERT INTO b (v) VALUES ('x')", "INSERT INTO b (id) VALUES (2)", "INSERT INTO b (v) VALUES ('y')"].map(call);
        match &db.run_calls(&calls)[..] {
            [Ok(_), Err(error), Ok(_)] if error.to_string().contains("UNIQUE") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }),
    ("pruning", |db| {
        let head = db.database.state().txid;
        db.database.store().prune(head).map(drop).map_err(|error| error.to_string())
    }),
    ("a small commit after pruning", |db| sql(db, &["INSERT INTO b (v) VALUES ('pruned')"])),
    ("a table dropped", |db| sql(db, &["DROP TABLE a"])),
    ("its pages used again", |db| sql(db, &["CREATE INDEX bv ON b (v, id)", "INSERT INTO b (v) SELECT hex(zeroblob(900)) FROM b"])),
];

/// A step that has to fail, and is acknowledged when it does so by its own fault.
fn fails(answer: Result<(), String>) -> Result<(), String> {
    match answer {
        Ok(()) => Err("it did not fail".into()),
        Err(error) if error.contains("UNIQUE") => Ok(()),
        Err(error) => Err(error),
    }
}

fn sql(db: &mut Fixture, statements: &[&str]) -> Result<(), String> {
    let call = statements.iter().map(|sql| Statement::new(*sql, vec![])).collect();
    db.run_call(call).map(drop).map_err(|error| error.to_string())
}

/// Storage whose log is so long that the second commit from now folds it.
fn storage() -> Rc<HostSql> {
    let storage = Rc::new(HostSql::in_memory().unwrap());
    let mut db = open(&storage, &Fault::default()).unwrap();
    let fill = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 400) INSERT INTO a SELECT x, printf('%0900d', x * x) FROM c";
    sql(&mut db, &["CREATE TABLE a (id INTEGER PRIMARY KEY, v)", "CREATE TABLE b (id INTEGER PRIMARY KEY, v)", fill]).unwrap();
    for round in 0..17 {
        sql(&mut db, &[&format!("UPDATE a SET v = '{round:02}' || substr(v, 3) WHERE id <= 235"), "INSERT INTO b (v) VALUES ('filled')"])
            .unwrap();
    }
    let frames = || count(&storage, "SELECT sum((length(pages) - 8) / 16) FROM commits WHERE txid > (SELECT max(txid) FROM folds)");
    while frames() < 1_022 {
        sql(&mut db, &["UPDATE b SET v = v || '.' WHERE id = 1"]).unwrap();
    }
    assert_eq!(frames(), 1_022);
    storage
}

fn open(storage: &Rc<HostSql>, fault: &Fault) -> Result<Fixture, String> {
    open_with(storage, fault, Limits::default().cache_bytes)
}

fn open_with(storage: &Rc<HostSql>, fault: &Fault, cache_bytes: usize) -> Result<Fixture, String> {
    let store = DurableStore::open(FaultySql::new(storage.clone(), fault.clone())).map_err(|error| error.to_string())?;
    Ok(Fixture::on(Rc::new(store), Limits { cache_bytes, ..Limits::default() }))
}

fn count(storage: &HostSql, sql: &str) -> i64 {
    storage.connection().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Every row of the database, after checking that it is sound. Not the txid: calls that failed together run again one by one.
fn content(db: &Fixture) -> Vec<Vec<Value>> {
    let connection = assert_sound(&db.database);
    let mut rows = Vec::new();
    for table in ["sqlite_schema", "a", "b"] {
        rows.extend(plain_values(&connection, &format!("SELECT * FROM {table} ORDER BY 1, 2"), &[]).unwrap_or_default());
    }
    rows
}

/// Every page of the oldest kept state is readable and the pages are those of that state.
fn assert_oldest_sound(store: &dyn PageStore) {
    let state = store.state(store.oldest()).unwrap();
    let mut sum = Checksum::EMPTY;
    let mut image = vec![0; state.page_size.bytes()];
    for pgno in (1..=state.page_count).map(Pgno) {
        store.read_page(pgno, state.txid, &mut image).unwrap();
        sum ^= Checksum::of_page(pgno, &image);
    }
    assert_eq!(sum, state.checksum);
}

#[derive(Default, Debug)]
struct Tally {
    crashes: u64,
    acknowledged: u64,
    kept_without_answer: u64,
}

/// How the storage fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// One operation fails, the next ones work.
    Once,
    /// The operation fails and so do all after it.
    Stopped,
    /// The operation is done, its answer is lost, and all after it fail.
    StoppedAfter,
}

/// A step, with the storage before it and what has to be found after it.
struct Trial<'a> {
    name: &'a str,
    step: Step,
    before: &'a Rc<HostSql>,
    cache_bytes: usize,
    new: Vec<Vec<Value>>,
}

/// Runs the step on a copy of the storage with a fault armed, and checks what is found afterwards.
fn crash(trial: &Trial<'_>, n: u64, way: Way, tally: &mut Tally) {
    let Trial { name, step, before, cache_bytes, new } = trial;
    let (storage, fault) = (copy_of(before), Fault::default());
    let mut db = open_with(&storage, &fault, *cache_bytes).unwrap();
    let old = content(&db);
    let differ = new.iter().zip(&old).filter(|(a, b)| a != b).take(3).collect::<Vec<_>>();
    if n == 1 && name.contains("fails") { eprintln!("DEBUG {} {} {differ:?}", new.len(), old.len()); }
    match way {
        Way::Once => fault.fail_at(n),
        Way::Stopped => fault.stop_at(n),
        Way::StoppedAfter => fault.stop_after(n),
    }
    let answer = step(&mut db);
    tally.crashes += 1;
    let what = format!("{name}, operation {n}, {way:?}: {answer:?}");
    if way == Way::Once {
        let found = content(&db);
        assert!(&found == new || answer.is_err() && found == old, "{what}: the same database");
        sql(&mut db, &["INSERT INTO b (v) VALUES ('next')"]).unwrap_or_else(|error| panic!("{what}: the next call: {error}"));
        assert_eq!(values(&mut db, "SELECT v FROM b ORDER BY id DESC LIMIT 1"), [[Value::Text("next".into())]], "{what}");
        sql(&mut db, &["DELETE FROM b WHERE v = 'next'"]).unwrap();
        assert_eq!(content(&db), found, "{what}: after the next call");
    }
    drop(db);
    let db = open(&storage, &Fault::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = content(&db);
    assert!(&found == new || answer.is_err() && found == old, "{what}: reopened");
    assert_oldest_sound(&**db.database.store());
    tally.acknowledged += u64::from(answer.is_ok());
    tally.kept_without_answer += u64::from(answer.is_err() && &found == new && *new != old);
}

/// Crashes at every operation of every step.
fn crash_everywhere(steps: &[(&str, Step)], cache_bytes: usize, mut after_step: impl FnMut(&str, &HostSql)) {
    let storage = storage();
    let mut total = Tally::default();
    for (name, step) in steps {
        let (fault, after) = (Fault::default(), copy_of(&storage));
        let mut db = open_with(&after, &fault, cache_bytes).unwrap();
        fault.stop_at(u64::MAX);
        step(&mut db).unwrap_or_else(|error| panic!("{name}: {error}"));
        let operations = fault.operations();
        let mut tally = Tally::default();
        let trial = Trial { name, step: *step, before: &storage, cache_bytes, new: content(&db) };
        for n in 1..=operations {
            for way in [Way::Once, Way::Stopped, Way::StoppedAfter] {
                crash(&trial, n, way, &mut tally);
            }
        }
        println!("{name}: {operations} operations, {tally:?}");
        total.crashes += tally.crashes;
        total.kept_without_answer += tally.kept_without_answer;
        drop(db);
        // Go on from the state after the step.
        step(&mut open(&storage, &Fault::default()).unwrap()).unwrap();
        after_step(name, &storage);
    }
    println!("{} crashes; the commit in flight was found after {} of them", total.crashes, total.kept_without_answer);
    assert!(total.kept_without_answer > 0, "an answer was lost at least once");
}

#[test]
fn after_a_failure_at_any_operation_exactly_the_acknowledged_commits_are_found() {
    crash_everywhere(&STEPS, Limits::default().cache_bytes, |name, storage| {
        let folds = count(storage, "SELECT count(*) FROM folds");
        match name {
            "a batch, before which the log is folded" => assert_eq!(folds, 2, "the step folds"),
            "a wide commit" => assert_eq!(folds, 3, "the step is wide"),
            "pruning" => assert_eq!(folds, 1, "the step prunes"),
            _ => {}
        }
    });
}

#[test]
fn the_same_holds_when_the_cache_spills() {
    crash_everywhere(&SPILLING_STEPS, 8 << 10, |_, _| {});
}

#[test]
fn a_store_whose_opening_failed_at_any_operation_can_be_opened() {
    let full = storage();
    for before in [Rc::new(HostSql::in_memory().unwrap()), full] {
        let expected = content(&open(&copy_of(&before), &Fault::default()).unwrap());
        let fault = Fault::default();
        fault.stop_at(u64::MAX);
        open(&copy_of(&before), &fault).unwrap();
        let operations = fault.operations();
        assert!(operations > 3, "{operations}");
        for n in 1..=operations {
            for arm in [Fault::fail_at, Fault::stop_at, Fault::stop_after] {
                let storage = copy_of(&before);
                arm(&fault, n);
                assert!(open(&storage, &fault).is_err(), "operation {n}");
                assert_eq!(content(&open(&storage, &Fault::default()).unwrap()), expected, "operation {n}");
            }
        }
    }
}
