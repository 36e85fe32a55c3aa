//! Reading a past that is thinned and pruned: what a bookmark and a time are answered with, and what snapshots hold.
//!
//! **Not here:** which states the store keeps (`history.rs`).

mod common;

use common::{Fixture, run, values};
use littoral_engine::engine::{Engine, Error, Limits, ResultSet, Snapshot};
use littoral_engine::store::DurableStore;
use littoral_engine::store::durable::HostSql;
use littoral_protocol::Bookmark;
use littoral_protocol::sql::{Point, Statement, Value};
use std::cell::Cell;
use std::rc::Rc;

const BEGIN_MS: u64 = 1_700_000_040_000;
const HOUR_MS: u64 = 60 * 60 * 1000;
const COMMITS: u64 = 600;
const APART_MS: u64 = 10_000;

/// A table with a row for each commit, ten seconds apart, and the bookmark of each state.
struct Past {
    db: Fixture,
    sql: Rc<HostSql>,
    clock: Rc<Cell<u64>>,
    bookmarks: Vec<Bookmark>,
}

impl Past {
    fn new(change: impl FnOnce(&mut Limits)) -> Past {
        let clock = Rc::new(Cell::new(BEGIN_MS));
        let (now, mut limits) = (clock.clone(), Limits::default());
        change(&mut limits);
        let sql = Rc::new(HostSql::in_memory().unwrap());
        let store = Rc::new(DurableStore::open(sql.clone()).unwrap());
        let db = Fixture { database: Engine::open(store, limits, Rc::new(move || now.get())) };
        let mut past = Past { db, sql, clock, bookmarks: Vec::new() };
        run(&mut past.db, "CREATE TABLE t (v)", vec![]);
        past.bookmarks.push(past.db.database.state().bookmark());
        past.write(COMMITS);
        past
    }

    fn write(&mut self, commits: u64) {
        for _ in 0..commits {
            self.clock.set(self.clock.get() + APART_MS);
            run(&mut self.db, "INSERT INTO t VALUES (?)", vec![Value::Integer(self.bookmarks.len() as i64)]);
            self.bookmarks.push(self.db.database.state().bookmark());
        }
    }

    /// Does what is due so much later, and returns when to look again.
    fn maintain(&mut self, later_ms: u64) -> Option<u64> {
        self.clock.set(self.clock.get() + later_ms);
        loop {
            let due = self.db.database.maintain(self.clock.get()).unwrap();
            if due.is_none_or(|due| due > self.clock.get()) {
                return due;
            }
        }
    }

    /// The rows that were there, and the bookmark of the state that was read.
    fn at(&mut self, point: Point) -> Result<(i64, Bookmark), Error> {
        self.db.database.at(point).map(|snapshot| (rows(&snapshot), snapshot.state().bookmark()))
    }
}

fn rows(snapshot: &Snapshot) -> i64 {
    match snapshot.run::<ResultSet>(&vec![Statement::new("SELECT count(*) FROM t", vec![])]).unwrap()[0].rows[0][0] {
        Value::Integer(rows) => rows,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_bookmark_of_a_thinned_state_is_answered_with_the_one_before_and_says_so() {
    let mut past = Past::new(|_| {});
    past.maintain(0);
    let exact_from = past.db.database.store().exact_from().0;
    assert!(COMMITS - exact_from >= HOUR_MS / APART_MS, "the newest hour is exact");
    let mut thinned = 0;
    // Before the first minute is over, the state before is the empty database.
    for (index, bookmark) in past.bookmarks.clone().into_iter().enumerate().skip(5) {
        let by_time = past.at(Point::Time(bookmark.time_ms));
        let (rows, found) = past.at(Point::Bookmark(bookmark)).unwrap();
        assert_eq!(found, past.bookmarks[rows as usize], "the state read is the one that it says");
        assert_eq!(by_time, Ok((rows, found)));
        assert!(found.txid <= bookmark.txid && (found == bookmark || bookmark.txid.0 < exact_from));
        assert!(index as i64 - rows <= (60_000 / APART_MS) as i64, "{index} is answered with {rows}");
        thinned += u64::from(found != bookmark);
    }
    assert!(thinned * 6 > exact_from * 4, "{thinned} of {exact_from} are thinned out");
}

#[test]
fn a_forged_bookmark_is_refused_where_it_can_be_told() {
    let mut past = Past::new(|_| {});
    past.maintain(0);
    let newest = past.db.database.state().bookmark();
    let kept: Vec<bool> = past.bookmarks.iter().map(|bookmark| past.db.database.store().state(bookmark.txid).is_ok()).collect();
    for (index, bookmark) in past.bookmarks.clone().into_iter().enumerate().skip(6).step_by(7) {
        let other_time = Bookmark { time_ms: bookmark.time_ms + 3 * 60_000, ..bookmark };
        let future = Bookmark { txid: newest.txid.next(), ..bookmark };
        let mut forged = vec![other_time, future, Bookmark { time_ms: 0, ..bookmark }];
        if kept[index] {
            forged.push(Bookmark { checksum: bookmark.checksum ^ 1, ..bookmark });
            forged.push(Bookmark { page_count: bookmark.page_count + 1, ..bookmark });
        }
        for bookmark in forged {
            assert_eq!(past.at(Point::Bookmark(bookmark)), Err(Error::UnknownBookmark { bookmark, newest }));
        }
    }
}

#[test]
fn what_is_too_old_is_an_error_that_names_the_oldest_kept() {
    let mut past = Past::new(|limits| limits.history_ms = HOUR_MS);
    past.maintain(0);
    let oldest = past.db.database.store().oldest();
    assert!(oldest.0 > 200, "{oldest}");
    let oldest = past.bookmarks[oldest.0 as usize - 1];
    for point in [Point::Bookmark(past.bookmarks[9]), Point::Time(past.bookmarks[99].time_ms), Point::Time(0)] {
        let error = past.at(point).unwrap_err();
        assert_eq!(error, Error::TooOld { oldest });
        assert_eq!(error.to_string(), format!("that state is no longer kept: the oldest kept is {oldest}"));
    }
    assert!(past.at(Point::Bookmark(oldest)).is_ok());
}

#[test]
fn the_past_cannot_be_written() {
    let mut past = Past::new(|_| {});
    let snapshot = past.db.database.at(Point::Bookmark(past.bookmarks[50])).unwrap();
    for sql in ["INSERT INTO t VALUES (1)", "DELETE FROM t", "CREATE TABLE u (v)"] {
        let error = snapshot.run::<ResultSet>(&vec![Statement::new(sql, vec![])]).unwrap_err().to_string();
        assert!(error.contains("attempt to write a readonly database"), "{error}");
    }
    assert_eq!(values(&mut past.db, "SELECT count(*) FROM t"), [[Value::Integer(COMMITS as i64)]]);
}

#[test]
fn what_a_snapshot_reads_is_kept_until_it_is_dropped() {
    let mut past = Past::new(|_| {});
    let early = past.db.database.snapshot(past.bookmarks[100].txid).unwrap();
    let late = past.db.database.snapshot(past.bookmarks[203].txid).unwrap();
    past.maintain(2 * HOUR_MS);
    assert_eq!((rows(&early), rows(&late)), (100, 203));
    past.maintain(10 * 24 * HOUR_MS);
    assert_eq!((rows(&early), rows(&late)), (100, 203));
    drop(early);
    past.write(10);
    past.maintain(10 * 24 * HOUR_MS);
    assert_eq!(rows(&late), 203);
    assert!(past.at(Point::Bookmark(past.bookmarks[100])).is_err());
    drop(late);
    past.maintain(0);
    assert!(past.at(Point::Bookmark(past.bookmarks[203])).is_err());
}

/// The answer or the error of a count at a point.
fn rows_or_error(past: &mut Past, point: Point) -> Result<i64, String> {
    let snapshot = past.db.database.at(point).map_err(|error| error.to_string())?;
    let counted = snapshot.run::<ResultSet>(&vec![Statement::new("SELECT count(*) FROM t", vec![])]);
    match counted.map_err(|failure| failure.to_string())?[0].rows[0][0] {
        Value::Integer(rows) => Ok(rows),
        ref other => Err(format!("{other:?}")),
    }
}

#[test]
fn damaged_versions_of_the_past_are_reported_and_the_rest_is_kept_in_order() {
    let mut past = Past::new(|_| {});
    past.maintain(0);
    let damaged = past.sql.connection().execute("UPDATE pages SET image = zeroblob(length(image)) WHERE delta = 1", []).unwrap();
    assert!(damaged > 5, "{damaged} versions are deltas");
    let whole = "id NOT IN (SELECT max(id) FROM pages GROUP BY pgno) AND delta IS NULL AND id % 3 = 0";
    past.sql.connection().execute(&format!("UPDATE pages SET image = zeroblob(length(image)) WHERE {whole}"), []).unwrap();
    let (mut told, mut read) = (0, 0);
    // Before the first minute is over, the state before is the empty database.
    for bookmark in past.bookmarks.clone().into_iter().skip(5) {
        match rows_or_error(&mut past, Point::Bookmark(bookmark)) {
            Ok(rows) => {
                assert!((bookmark.txid.0 as i64 - 10..bookmark.txid.0 as i64).contains(&rows), "{rows} rows at {}", bookmark.txid);
                read += 1;
            }
            Err(error) => {
                assert!(error.contains("damaged"), "{error}");
                told += 1;
            }
        }
    }
    assert!(told > 10 && read > 10, "{told} were damaged, {read} were not");
    past.write(COMMITS);
    past.maintain(HOUR_MS);
    assert!(
        past.sql.connection().query_row("SELECT count(*) FROM pages WHERE delta = 1", [], |row| row.get::<_, i64>(0)).unwrap()
            > damaged as i64
    );
    assert_eq!(values(&mut past.db, "SELECT count(*) FROM t"), [[Value::Integer(2 * COMMITS as i64)]]);
    past.maintain(9 * 24 * HOUR_MS);
    assert_eq!(past.db.database.store().oldest(), past.db.database.state().txid);
}

#[test]
fn maintenance_says_when_it_is_due_and_comes_to_an_end() {
    let mut past = Past::new(|_| {});
    let mut wakes = 0;
    while let Some(due) = past.maintain(0) {
        assert!(due >= past.clock.get() + 60_000, "at most once a minute");
        let wait = due - past.clock.get();
        past.clock.set(past.clock.get() + wait);
        wakes += 1;
    }
    assert!(past.clock.get() >= BEGIN_MS + 7 * 24 * HOUR_MS);
    assert!(wakes < 60, "{wakes} times for a hundred minutes of commits");
    let store = past.db.database.store();
    assert_eq!((store.oldest(), store.history_bytes()), (store.head().txid, Ok(0)));
    assert_eq!(values(&mut past.db, "SELECT count(*) FROM t"), [[Value::Integer(COMMITS as i64)]]);
    past.write(1);
    assert!(past.maintain(0).is_some());
}

#[test]
fn history_stays_within_its_bytes_under_constant_writes_without_maintenance() {
    let mut past = Past::new(|limits| limits.history_bytes = 1_000_000);
    run(&mut past.db, "CREATE TABLE wide (id INTEGER PRIMARY KEY, v)", vec![]);
    for round in 0..100 {
        past.write(20);
        let wide = "INSERT OR REPLACE INTO wide WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 100) SELECT x, randomblob(3500) FROM c";
        run(&mut past.db, wide, vec![]);
        let bytes = past.db.database.store().history_bytes().unwrap();
        assert!(bytes < 3_000_000, "{bytes} bytes after round {round}");
    }
}
