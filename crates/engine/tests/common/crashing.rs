//! Crashing on purpose: runs the steps of a workload with the storage failing at each of their operations in turn, and checks what is
//! found afterwards.
//!
//! Each trial begins with a copy of the storage before the step. The storage fails in one of three ways ([`Way`]).
//!
//! **Invariants** after every failure and reopening:
//! 1. The state is that before the step, or that after it; after it if the step was acknowledged.
//! 2. The database's checksum is that of its pages, `integrity_check` says ok, and the kept states that thinning left are still sound.
//! 3. Where the storage failed once, the same `Engine` serves the next call, and nothing was lost.
//!
//! **Not here:** the workloads.

use super::{Fixture, assert_sound, copy_of, plain_values, values};
use littoral_engine::engine::{Engine, Limits};
use littoral_engine::store::durable::HostSql;
use littoral_engine::store::{DurableStore, Fault, FaultySql, PageStore};
use littoral_protocol::sql::{Statement, Value};
use littoral_protocol::{Checksum, Pgno};
use std::rc::Rc;

/// One thing done to the database: `Err` when any of it was not acknowledged.
pub type Step = fn(&mut Fixture) -> Result<(), String>;

/// A step that has to fail, and is acknowledged when it does so by its own fault.
pub fn fails(answer: Result<(), String>) -> Result<(), String> {
    match answer {
        Ok(()) => Err("it did not fail".into()),
        Err(error) if error.contains("UNIQUE") => Ok(()),
        Err(error) => Err(error),
    }
}

pub fn sql(db: &mut Fixture, statements: &[&str]) -> Result<(), String> {
    let call = statements.iter().map(|sql| Statement::new(*sql, vec![])).collect();
    db.run_call(call).map(drop).map_err(|error| error.to_string())
}

/// Storage whose log is so long that the second commit from now folds it.
pub fn storage() -> Rc<HostSql> {
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

/// What databases are opened with.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub cache_bytes: usize,
    pub uncommitted_bytes: usize,
    /// How far apart the commits of the steps are.
    pub ms_per_commit: u64,
}

impl Default for Setting {
    fn default() -> Setting {
        let Limits { cache_bytes, uncommitted_bytes, .. } = Limits::default();
        Setting { cache_bytes, uncommitted_bytes, ms_per_commit: 0 }
    }
}

pub fn open(storage: &Rc<HostSql>, fault: &Fault) -> Result<Fixture, String> {
    open_with(storage, fault, &Setting::default())
}

pub fn open_with(storage: &Rc<HostSql>, fault: &Fault, setting: &Setting) -> Result<Fixture, String> {
    let store = DurableStore::open(FaultySql::new(storage.clone(), fault.clone())).map_err(|error| error.to_string())?;
    let (store, ms_per_commit): (Rc<dyn PageStore>, u64) = (Rc::new(store), setting.ms_per_commit);
    let Setting { cache_bytes, uncommitted_bytes, .. } = *setting;
    let limits = Limits { cache_bytes, uncommitted_bytes, ..Limits::default() };
    let of_commits = store.clone();
    let clock = Rc::new(move || 1_700_000_000_000 + of_commits.head().txid.0 * ms_per_commit);
    Ok(Fixture { database: Engine::open(store, limits, clock) })
}

pub fn count(storage: &HostSql, sql: &str) -> i64 {
    storage.connection().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Every row of the database, after checking that it is sound. Not the txid: calls that failed together run again one by one.
pub fn content(db: &Fixture) -> Vec<Vec<Value>> {
    let connection = assert_sound(&db.database);
    let mut rows = Vec::new();
    for table in ["sqlite_schema", "a", "b"] {
        rows.extend(plain_values(&connection, &format!("SELECT * FROM {table} ORDER BY 1, 2"), &[]).unwrap_or_default());
    }
    rows
}

/// The same as the connection sees it, which has its own cache.
fn seen(db: &mut Fixture) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for table in ["sqlite_schema", "a", "b"] {
        let call = vec![Statement::new(format!("SELECT * FROM {table} ORDER BY 1, 2"), vec![])];
        rows.extend(db.run_call(call).map_or(Vec::new(), |mut sets| sets.remove(0).rows));
    }
    rows
}

/// Every page of the kept states up to the first that is followed by all others is readable and is the page of that state.
fn assert_past_sound(store: &dyn PageStore) {
    let mut next = Some(store.state(store.oldest()).unwrap());
    while let Some(state) = next.filter(|state| state.txid <= store.exact_from()) {
        let mut sum = Checksum::EMPTY;
        let mut image = vec![0; state.page_size.bytes()];
        for pgno in (1..=state.page_count).map(Pgno) {
            store.read_page(pgno, state.txid, &mut image).unwrap();
            sum ^= Checksum::of_page(pgno, &image);
        }
        assert_eq!(sum, state.checksum);
        next = store.next_kept(state.txid).unwrap();
    }
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
    setting: &'a Setting,
    new: Vec<Vec<Value>>,
}

/// Runs the step on a copy of the storage with a fault armed, and checks what is found afterwards. Returns whether the step came as far as
/// the fault: what SQLite's cache holds saves an operation now and then, so the number of them is not fixed.
fn crash(trial: &Trial<'_>, n: u64, way: Way, tally: &mut Tally) -> bool {
    let Trial { name, step, before, setting, new } = trial;
    let (storage, fault) = (copy_of(before), Fault::default());
    let mut db = open_with(&storage, &fault, setting).unwrap();
    let old = content(&db);
    match way {
        Way::Once => fault.fail_at(n),
        Way::Stopped => fault.stop_at(n),
        Way::StoppedAfter => fault.stop_after(n),
    }
    let answer = step(&mut db);
    let reached = fault.operations() >= n;
    if way == Way::Once {
        fault.clear();
    }
    tally.crashes += 1;
    let what = format!("{name}, operation {n}, {way:?}: {answer:?}");
    if way == Way::Once {
        let found = content(&db);
        assert!(&found == new || answer.is_err() && found == old, "{what}: the same database");
        assert_eq!(seen(&mut db), found, "{what}: as the same connection sees it");
        sql(&mut db, &["INSERT INTO b (v) VALUES ('next')"]).unwrap_or_else(|error| panic!("{what}: the next call: {error}"));
        assert_eq!(values(&mut db, "SELECT v FROM b ORDER BY id DESC LIMIT 1"), [[Value::Text("next".into())]], "{what}");
        sql(&mut db, &["DELETE FROM b WHERE v = 'next'"]).unwrap();
        assert_eq!(content(&db), found, "{what}: after the next call");
    }
    drop(db);
    let db = open(&storage, &Fault::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = content(&db);
    assert!(&found == new || answer.is_err() && found == old, "{what}: reopened");
    assert_past_sound(&**db.database.store());
    tally.acknowledged += u64::from(answer.is_ok());
    tally.kept_without_answer += u64::from(answer.is_err() && &found == new && *new != old);
    reached
}

/// Crashes at every operation of every step.
pub fn crash_everywhere(steps: &[(&str, Step)], setting: &Setting, mut after_step: impl FnMut(&str, &HostSql)) {
    let storage = storage();
    let mut total = Tally::default();
    for (name, step) in steps {
        let after = copy_of(&storage);
        let mut db = open_with(&after, &Fault::default(), setting).unwrap();
        step(&mut db).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut tally = Tally::default();
        let trial = Trial { name, step: *step, before: &storage, setting, new: content(&db) };
        let operations = (1..)
            .take_while(|n| [Way::Once, Way::Stopped, Way::StoppedAfter].map(|way| crash(&trial, *n, way, &mut tally)).contains(&true));
        println!("{name}: {} operations, {tally:?}", operations.count());
        total.crashes += tally.crashes;
        total.kept_without_answer += tally.kept_without_answer;
        drop(db);
        // Go on from the state after the step.
        step(&mut open_with(&storage, &Fault::default(), setting).unwrap()).unwrap();
        after_step(name, &storage);
    }
    println!("{} crashes; the commit in flight was found after {} of them", total.crashes, total.kept_without_answer);
    assert!(total.kept_without_answer > 0, "an answer was lost at least once");
}
