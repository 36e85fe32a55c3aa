//! Branches: what a store does that lacks pages of the state that it began with. (`model.rs` runs any SQL on them.)
#![allow(missing_docs)]

mod common;

use common::branching::{Parent, bring_schema, fill, run_as_object, storage};
use common::{Fixture, assert_sound, copy_of, run, values};
use littoral_engine::branch::{BranchStore, Promotion};
use littoral_engine::commit_log::{Body, Message, StoredFrame};
use littoral_engine::engine::{Error, Limits, ResultSet};
use littoral_engine::fetch::Fetcher;
use littoral_engine::store::durable::HostSql;
use littoral_engine::store::{DurableStore, Fault, FaultySql, PageStore, Rewrite, StoreError};
use littoral_protocol::sql::{Statement, Value};
use littoral_protocol::{Frame, Pgno, Txid};
use std::rc::Rc;

type Faulty = BranchStore<FaultySql<Rc<HostSql>>>;

/// A parent, the way to it, and its newest state.
fn parent_of(rows: u32) -> (Fixture, Parent, Txid) {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE INDEX tv ON t (v)", vec![]);
    run(
        &mut db,
        &format!(
            "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < {rows}) INSERT INTO t SELECT x, printf('%0500d', x) FROM c"
        ),
        vec![],
    );
    let (parent, at) = (Parent::new(db.database.store().clone()), db.database.state().txid);
    (db, parent, at)
}

const SUM: &str = "SELECT count(*), sum(id), sum(length(v)), max(v) FROM t";

fn ask(db: &mut Fixture, parent: &Parent, sql: &str) -> Result<Vec<Vec<Value>>, String> {
    let call = vec![Statement::new(sql, vec![])];
    run_as_object(db, parent, &[call]).remove(0).map(|mut sets: Vec<ResultSet>| sets.remove(0).rows).map_err(|error| error.to_string())
}

fn open(parent: &Parent, branch: Rc<dyn PageStore>) -> Fixture {
    bring_schema(branch.clone(), parent);
    Fixture::on(branch, Limits::default())
}

#[test]
fn a_few_pages_come_for_a_row_and_each_page_once() {
    let (mut original, parent, at) = parent_of(1_000);
    let expected = values(&mut original, SUM);
    let branch = parent.branch(storage(), at);
    let mut db = open(&parent, branch.clone());
    let asked = || parent.asked.replace(0);
    assert!(asked() <= 1, "the schema");
    ask(&mut db, &parent, "UPDATE t SET v = 'x' WHERE id = 500").unwrap();
    assert!((3..=8).contains(&asked()), "the way to a row, and to its places in the index");
    ask(&mut db, &parent, "UPDATE t SET v = printf('%0500d', 500) WHERE id = 500").unwrap();
    assert_eq!(asked(), 0);
    assert_eq!(ask(&mut db, &parent, SUM).unwrap(), expected);
    assert!((2..=12).contains(&asked()), "a scan comes in windows");
    assert_eq!(ask(&mut db, &parent, SUM).unwrap(), expected);
    assert_eq!(asked(), 0);
    while fill(&branch, &parent) {}
    assert!(!branch.lacks_pages());
    assert!(branch.ask_more().unwrap().is_none());
    parent.can_wait.set(false);
    assert_eq!(values(&mut db, SUM), expected);
    assert_sound(&db.database);
}

#[test]
fn who_cannot_wait_is_told_so_and_nothing_is_done() {
    let (_original, parent, at) = parent_of(1_000);
    let mut db = open(&parent, parent.branch(storage(), at));
    let before = db.database.state();
    parent.can_wait.set(false);
    for sql in ["SELECT v FROM t WHERE id = 999", "UPDATE t SET v = 'x' WHERE id = 999"] {
        let error = db.run_call(vec![Statement::new(sql, vec![])]).unwrap_err().error;
        assert!(matches!(error, Error::Store { error: StoreError::Missing(_), .. }), "{error}");
    }
    assert_eq!(db.database.state(), before);
    assert!(!db.database.store_failed());
    let (mut page, store) = (vec![0; 4_096], db.database.store().clone());
    assert!(matches!(store.read_page(Pgno(90), at, &mut page), Err(StoreError::Missing(_))));
    parent.can_wait.set(true);
    store.read_page(Pgno(90), at, &mut page).unwrap();
}

/// A call that wrote before it met a missing page is a long write, although as a text it would find nothing left to do. (A check goes on after an
/// error of the file, so its transaction is still there.)
#[test]
fn what_a_call_wrote_before_a_page_was_missing_is_done_again() {
    let (_original, parent, at) = parent_of(1_000);
    let mut db = open(&parent, parent.branch(storage(), at));
    let trigger = "CREATE TRIGGER IF NOT EXISTS g AFTER DELETE ON t BEGIN SELECT 1; END";
    let call = [trigger, "PRAGMA quick_check"].map(|sql| Statement::new(sql, vec![])).to_vec();
    run_as_object(&mut db, &parent, &[call]).remove(0).unwrap();
    assert_eq!(ask(&mut db, &parent, "SELECT count(*) FROM sqlite_schema WHERE name = 'g'").unwrap(), [[Value::Integer(1)]]);
}

#[test]
fn a_state_is_kept_for_as_long_as_it_is_lent() {
    let mut db = Fixture::durable_with_limits(|limits| {
        (limits.history_ms, limits.history_exact_ms) = (0, 0);
    });
    run(&mut db, "CREATE TABLE t (v)", vec![]);
    let lent = db.database.state_at(None).unwrap();
    db.database.keep_states([lent.txid]);
    let drop_the_past = |engine: &mut Fixture| {
        run(engine, "INSERT INTO t VALUES (1)", vec![]);
        for _ in 0..50 {
            engine.database.maintain(1_900_000_000_000).unwrap();
        }
        engine.database.store().state(lent.txid)
    };
    assert_eq!(drop_the_past(&mut db), Ok(lent));
    db.database.keep_states([]);
    assert!(matches!(drop_the_past(&mut db), Err(StoreError::Pruned { .. })));
}

/// Every operation of a branch's storage fails in turn, in three ways: from its first moment to its last page.
#[test]
fn whatever_fails_a_branch_is_opened_again_with_all_that_was_acknowledged() {
    let (mut original, parent, at) = parent_of(200);
    let before = values(&mut original, SUM);
    run(&mut original, "UPDATE t SET v = 'changed' WHERE id = 7", vec![]);
    let after = values(&mut original, SUM);
    // A branch with half of its pages, and one write.
    let whole = storage();
    let work = |storage: &Rc<HostSql>, fault: &Fault| -> Result<(), StoreError> {
        let own = DurableStore::open_as(FaultySql::new(storage.clone(), fault.clone()), littoral_protocol::DatabaseId(9))?;
        if own.head().txid == Txid::EMPTY {
            own.begin_at(parent.base(at))?;
        }
        let Some(branch) = Faulty::new(Rc::new(own), Rc::new(parent.clone())).map(Rc::new) else { return Ok(()) };
        littoral_engine::engine::bring_schema(branch.clone()).map_err(|error| StoreError::Io(error.to_string()))?;
        let mut db = Fixture::on(branch.clone(), Limits::default());
        ask(&mut db, &parent, "UPDATE t SET v = 'changed' WHERE id = 7").map_err(StoreError::Io)?;
        while let Some(question) = branch.ask_more()? {
            branch.take(&parent.answer(&question))?;
        }
        Ok(())
    };
    let fault = Fault::default();
    fault.fail_at(u64::MAX);
    work(&whole, &fault).unwrap();
    let operations = fault.operations();
    assert!(operations > 40, "{operations}");
    for arm in [Fault::fail_at, Fault::stop_at, Fault::stop_after] {
        for operation in 1..=operations {
            let (storage, fault) = (storage(), Fault::default());
            arm(&fault, operation);
            let acknowledged = work(&storage, &fault).is_ok();
            fault.clear();
            let branch = parent.branch_if(copy_of(&storage), at);
            let mut db = match branch {
                Ok(branch) => open(&parent, branch),
                Err(whole) => Fixture::on(whole, Limits::default()),
            };
            let found = ask(&mut db, &parent, SUM).unwrap();
            assert!(found == after || found == before && !acknowledged, "operation {operation}");
            work(&storage, &Fault::default()).unwrap();
            let store = DurableStore::open(storage).unwrap();
            assert_eq!(store.base(), None, "operation {operation}");
            let mut db = Fixture::on(Rc::new(store), Limits::default());
            assert_eq!(values(&mut db, SUM), after);
            assert_sound(&db.database);
        }
    }
}

fn promote(db: &mut Fixture, branch: &Fixture) -> Result<littoral_engine::engine::Rewritten, String> {
    let way = Parent::new(branch.database.store().clone());
    let id = branch.database.store().id();
    let lease = db.database.lease().unwrap();
    let promoted = lease.rewrite(
        |store| Ok(Box::new(Promotion::new(store.clone(), Rc::new(way), id)?) as Box<dyn Rewrite>),
        1_700_000_000_001,
        &(Rc::new(|| Ok(())) as _),
    );
    db.database.take_back(lease);
    promoted.map_err(|error| error.to_string())
}

const CHANGES: [&str; 6] = [
    "UPDATE t SET v = 'changed' WHERE id % 7 = 1",
    "CREATE TABLE more (x); INSERT INTO more SELECT v FROM t LIMIT 300",
    "DELETE FROM t WHERE id > 40",
    "ALTER TABLE t ADD COLUMN w DEFAULT 'added'",
    "DROP INDEX tv",
    "INSERT INTO t (v) VALUES (zeroblob(100000))",
];

#[test]
fn what_a_branch_changed_becomes_the_next_commit_of_its_parent() {
    for count in 0..=CHANGES.len() {
        let (mut original, parent, at) = parent_of(1_000);
        let mut db = open(&parent, parent.branch(storage(), at));
        for sql in &CHANGES[..count] {
            ask(&mut db, &parent, sql).unwrap();
        }
        parent.can_wait.set(true);
        let before = original.database.state();
        let promoted = promote(&mut original, &db).unwrap();
        assert_eq!((promoted.previous, promoted.bookmark), (before.bookmark(), original.database.state().bookmark()));
        assert_eq!(original.database.state().txid.0, before.txid.0 + u64::from(count > 0), "one commit");
        assert_eq!(original.database.state().checksum, db.database.state().checksum);
        assert_eq!(values(&mut original, SUM), ask(&mut db, &parent, SUM).unwrap());
        assert_sound(&original.database);
        // It is undone by a restore, and the parent goes on.
        let lease = original.database.lease().unwrap();
        lease.restore(littoral_protocol::sql::Point::Bookmark(promoted.previous), 0, &(Rc::new(|| Ok(())) as _)).unwrap();
        original.database.take_back(lease);
        run(&mut original, "INSERT INTO t (v) VALUES ('goes on')", vec![]);
        assert_eq!(values(&mut original, "SELECT count(*) FROM t"), [[Value::Integer(1_001)]]);
        assert_sound(&original.database);
    }
}

/// Where the branch has forgotten what it changed, every page is asked for, and those that are the same are not written.
#[test]
fn a_branch_that_has_dropped_its_past_is_promoted_all_the_same() {
    let (mut original, parent, at) = parent_of(1_000);
    let mut db = open(&parent, parent.branch(storage(), at));
    ask(&mut db, &parent, "UPDATE t SET v = 'changed' WHERE id < 20").unwrap();
    ask(&mut db, &parent, "INSERT INTO t (v) VALUES ('one more')").unwrap();
    common::prune(&**db.database.store(), db.database.state().txid);
    assert!(db.database.store().oldest() > at);
    parent.can_wait.set(true);
    let before = original.database.state();
    promote(&mut original, &db).unwrap();
    let store = original.database.store();
    let written = store.written_between(before.txid, original.database.state().txid).unwrap();
    assert!(written.len() < before.page_count as usize / 2, "{} of {}", written.len(), before.page_count);
    assert_eq!(values(&mut original, SUM), ask(&mut db, &parent, SUM).unwrap());
    assert_sound(&original.database);
}

#[test]
fn a_promotion_of_another_databases_pages_changes_nothing() {
    let (mut original, parent, at) = parent_of(1_000);
    let mut db = open(&parent, parent.branch(storage(), at));
    ask(&mut db, &parent, "UPDATE t SET v = 'changed' WHERE id < 20").unwrap();
    parent.can_wait.set(true);
    run(&mut original, "UPDATE t SET v = 'meanwhile' WHERE id = 900", vec![]);
    let before = (original.database.state(), values(&mut original, SUM));
    promote(&mut original, &db).unwrap_err();
    assert_eq!((original.database.state(), values(&mut original, SUM)), before);
    run(&mut original, "INSERT INTO t (v) VALUES ('goes on')", vec![]);
    assert_sound(&original.database);
}

/// A way to a branch that answers with each page twice, and with one that it was not asked for.
struct Twice {
    way: Parent,
    /// Whether it answers with a page of another state.
    is_wrong: bool,
}

impl Fetcher for Twice {
    fn fetch(&self, question: &Message) -> Result<Message, StoreError> {
        let mut answer = self.way.answer(question);
        if let Body::Pages(pages) = &mut answer.body {
            let first = pages.frames[0].clone();
            pages.frames.extend(pages.frames.clone());
            if self.is_wrong {
                let image = vec![7; pages.state.page_size.bytes()].into();
                pages.frames[0] = StoredFrame::pack(&Frame::new(first.pgno, image));
            }
        }
        Ok(answer)
    }

    fn wait(&self) -> Result<bool, StoreError> {
        panic!("nobody else asks")
    }

    fn wake(&self) {}
}

#[test]
fn of_what_comes_in_the_background_a_page_counts_once_and_a_wrong_one_is_refused() {
    let (_original, parent, at) = parent_of(1_000);
    let storage = storage();
    let branch = parent.branch(storage.clone(), at);
    let count = || storage.connection().query_row("SELECT count(*) FROM pages", [], |row| row.get::<_, u32>(0)).unwrap();
    let question = branch.ask_more().unwrap().unwrap();
    let mut wrong = parent.answer(&question);
    let Body::Pages(pages) = &mut wrong.body else { panic!("{wrong:?}") };
    pages.frames[3].stored[0] ^= 1;
    branch.take(&wrong).unwrap_err();
    assert_eq!(count(), 0);
    while let Some(question) = branch.ask_more().unwrap() {
        branch.take(&Twice { way: parent.clone(), is_wrong: false }.fetch(&question).unwrap()).unwrap();
    }
    assert_eq!(count(), branch.head().page_count);
    assert_sound(&open(&parent, branch).database);
}

/// What no state has any more does not come.
#[test]
fn a_branch_that_became_smaller_is_filled_as_far_as_it_goes() {
    let (_original, parent, at) = parent_of(1_000);
    let storage = storage();
    let branch = parent.branch(storage.clone(), at);
    let mut db = open(&parent, branch.clone());
    let mut small = Fixture::memory();
    run(&mut small, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", vec![]);
    let mut file = Some(small.database.dump().unwrap());
    let lease = db.database.lease().unwrap();
    lease.load(&mut || Ok(file.take()), 1_700_000_000_000, &(Rc::new(|| Ok(())) as _)).unwrap();
    db.database.take_back(lease);
    ask(&mut db, &parent, "INSERT INTO t (v) VALUES ('more')").unwrap();
    common::prune(&*branch, db.database.state().txid);
    while fill(&branch, &parent) {}
    let beyond = "SELECT count(*) FROM pages WHERE pgno > 10";
    assert_eq!(storage.connection().query_row(beyond, [], |row| row.get::<_, u32>(0)), Ok(0));
    assert_eq!(ask(&mut db, &parent, SUM).unwrap()[0][0], Value::Integer(1));
    assert_sound(&db.database);
}

#[test]
fn a_page_that_comes_twice_counts_once_and_a_wrong_one_ends_the_promotion() {
    let (mut original, parent, at) = parent_of(1_000);
    let mut db = open(&parent, parent.branch(storage(), at));
    ask(&mut db, &parent, CHANGES[0]).unwrap();
    parent.can_wait.set(true);
    let (id, before) = (db.database.store().id(), original.database.state());
    for is_wrong in [true, false] {
        let way = Rc::new(Twice { way: Parent::new(db.database.store().clone()), is_wrong });
        let begin = |store: &Rc<dyn PageStore>| Ok(Box::new(Promotion::new(store.clone(), way.clone(), id)?) as Box<dyn Rewrite>);
        let lease = original.database.lease().unwrap();
        let promoted = lease.rewrite(begin, 0, &(Rc::new(|| Ok(())) as _));
        original.database.take_back(lease);
        match promoted {
            Ok(_) => assert!(!is_wrong),
            Err(failure) => {
                assert!(is_wrong && failure.to_string().contains("do not fit together"), "{failure}");
                assert_eq!(original.database.state(), before);
            }
        }
    }
    assert_eq!(values(&mut original, SUM), ask(&mut db, &parent, SUM).unwrap());
    assert_sound(&original.database);
}
