//! A database file is loaded into a store as one commit, and everything else is refused and leaves the store as it was.
//!
//! **Not here:** that staged pages are part of no state (`store_contract.rs`).

mod common;

use common::{Fixture, assert_sound, run, values};
use littoral_engine::engine::Limits;
use littoral_engine::store::durable::HostSql;
use littoral_engine::store::{DurableStore, Fault, FaultySql, Load, MemoryStore, PageStore, StoreError};
use littoral_protocol::State;
use littoral_protocol::sql::Value;
use proptest::prelude::*;
use std::rc::Rc;

/// A database file with pages of this size.
fn file(page_bytes: u32, rows: u32) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA page_size = {page_bytes}; PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE INDEX tv ON t (v); \
             WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < {rows}) INSERT INTO t SELECT x, printf('%0200d', x) FROM c"
        ))
        .unwrap();
    drop(connection);
    std::fs::read(&path).unwrap()
}

fn load(store: &Rc<dyn PageStore>, file: &[u8], piece: usize) -> Result<State, StoreError> {
    let mut load = Load::new(store.clone());
    file.chunks(piece).try_for_each(|bytes| load.push(bytes))?;
    assert_eq!(load.taken(), file.len() as u64);
    load.finish(77)
}

fn durable() -> Rc<dyn PageStore> {
    Rc::new(DurableStore::open(HostSql::in_memory().unwrap()).unwrap())
}

#[test]
fn a_file_becomes_the_database() {
    let files = [file(512, 3_000), file(4_096, 90_000), file(65_536, 100)];
    for store in [durable(), Rc::new(MemoryStore::new())] {
        // One after the other into the same store: each takes the place of the one before.
        for (txid, file) in (1..).step_by(2).zip(&files) {
            let state = load(&store, file, 100_000).unwrap();
            assert_eq!((state, state.txid.0, state.size_bytes()), (store.head(), txid, file.len() as u64));
            let mut db = Fixture::on(store.clone(), Limits::default());
            let mut dump = db.database.dump().unwrap();
            // The file said that it has a write-ahead log.
            assert_eq!((&file[18..20], &dump[18..20]), (&[2, 2][..], &[1, 1][..]));
            dump[18..20].fill(2);
            // Page 1 follows that of the database before: its change counter, its schema cookie.
            for field in [24, 40, 92].map(|field| field..field + 4).into_iter().filter(|_| txid > 1) {
                assert_ne!(dump[field.clone()], file[field.clone()]);
                dump[field.clone()].copy_from_slice(&file[field]);
            }
            assert!(dump == *file);
            assert_sound(&db.database);
            let rows = values(&mut db, "SELECT count(*) FROM t");
            run(&mut db, "INSERT INTO t VALUES (0, 'new')", vec![]);
            let Value::Integer(rows) = rows[0][0] else { panic!("{rows:?}") };
            assert_eq!(values(&mut db, "SELECT count(*) FROM t INDEXED BY tv WHERE v > ''"), [[Value::Integer(rows + 1)]]);
        }
    }
}

#[test]
fn what_is_no_database_is_refused_and_leaves_the_store_as_it_was() {
    let store = durable();
    let whole = file(1_024, 500);
    load(&store, &whole, 4_096).unwrap();
    let before = store.head();
    let changed = |at: usize, byte: u8| {
        let mut file = whole.clone();
        file[at] = byte;
        file
    };
    let cases = [
        ("nothing", vec![], "ends before its header"),
        ("a text", b"CREATE TABLE t (v);".to_vec(), "ends before its header"),
        ("a long text", b"CREATE TABLE t (v);".repeat(100), "does not begin as one"),
        ("a file that is cut", whole[..whole.len() - 1].to_vec(), "came"),
        ("a file that is cut between pages", whole[..whole.len() - 1_024].to_vec(), "came"),
        ("a file that is too long", [&whole[..], &[0; 1_024]].concat(), "more came"),
        ("a file with something after it", [&whole[..], &[0]].concat(), "came"),
        ("an impossible page size", changed(17, 7), "no page size"),
        ("a number of pages of another time", changed(95, whole[95] ^ 1), "newer SQLite"),
    ];
    for (what, file, words) in cases {
        let error = load(&store, &file, 300).expect_err(what).to_string();
        assert!(error.contains("no SQLite database") && error.contains(words), "{what}: {error}");
        assert_eq!(store.head(), before, "{what}");
        assert!(store.staged().is_empty(), "{what}");
    }
    while store.prune(before.txid).unwrap() {}
    assert_sound(&Fixture::on(store, Limits::default()).database);
}

#[test]
fn a_load_that_fails_at_any_operation_of_the_storage_leaves_nothing() {
    let sql = Rc::new(HostSql::in_memory().unwrap());
    let fault = Fault::default();
    let open = || -> Rc<dyn PageStore> { Rc::new(DurableStore::open(FaultySql::new(sql.clone(), fault.clone())).unwrap()) };
    let (first, second) = (file(512, 50), file(512, 90));
    load(&open(), &first, 10_000).unwrap();
    for n in 1.. {
        let store = open();
        let before = store.head();
        fault.stop_at(n);
        let loaded = load(&store, &second, 10_000);
        let reached = fault.operations() >= n;
        fault.clear();
        let found = open();
        assert_sound(&Fixture::on(found.clone(), Limits::default()).database);
        if !reached {
            assert_eq!(found.head(), loaded.unwrap());
            break;
        }
        assert_eq!((loaded.is_err(), found.head()), (true, before), "operation {n}");
    }
    let store = open();
    while store.prune(store.head().txid).unwrap() {}
    let rows: i64 = sql.connection().query_row("SELECT count(*) FROM pages", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, i64::from(store.head().page_count), "what the failed ones left is swept");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]
    #[test]
    fn any_bytes_are_loaded_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..3_000), page in 9u32..12, pages in 0u8..4) {
        if bytes.len() > 100 {
            bytes[..16].copy_from_slice(b"SQLite format 3\0");
            bytes[16..18].copy_from_slice(&(1u16 << page).to_be_bytes());
            bytes[28..32].copy_from_slice(&[0, 0, 0, pages]);
            bytes.copy_within(24..28, 92);
        }
        let store = durable();
        match load(&store, &bytes, 512) {
            Ok(state) => prop_assert_eq!(state.size_bytes(), bytes.len() as u64),
            Err(error) => prop_assert!(matches!(error, StoreError::NotADatabase(_)), "{}", error),
        }
    }
}
