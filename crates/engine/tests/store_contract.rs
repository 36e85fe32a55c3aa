//! The contract of page stores, over every store that runs natively, and what only a hand on the storage can show of the durable one.
//!
//! 1. Every case of `store::suite` holds for the memory store, the durable store (in memory, and in a file that is closed and opened
//!    again) and the faulty store without a fault.
//! 2. Storage that is not ours, or newer than we are, is refused and not changed by a byte.
//! 3. Damage of a stored row is answered with an error that says where; other pages are still read, and the next call is served.
//!
//! **Not here:** crashes (`crash.rs`) and the Durable Object's own storage (the Worker tests).

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod common;

use common::{Fixture, noise, run, storage_bytes, values};
use littoral_engine::engine::Limits;
use littoral_engine::store::durable::{HostSql, Sql};
use littoral_engine::store::{DurableStore, Fault, FaultyStore, MemoryStore, PageStore, StoreError, suite};
use littoral_protocol::sql::Value;
use littoral_protocol::{Pgno, State, Txid};
use std::collections::HashMap;
use std::rc::Rc;

fn assert_holds(open: &mut suite::Open<'_>) {
    for name in suite::names() {
        let started = std::time::Instant::now();
        let outcome = suite::run_case(name, open);
        println!("{name}: {:.2?}", started.elapsed());
        assert_eq!(outcome, Ok(()), "{name}");
    }
}

/// Stores in memory, by name. What is opened again is the same one, without what was staged.
fn in_memory<S: PageStore + 'static>(new: fn() -> S) -> impl FnMut(&str) -> Result<Rc<dyn PageStore>, StoreError> {
    let mut stores: HashMap<String, Rc<dyn PageStore>> = HashMap::new();
    move |name| {
        let store = stores.entry(name.into()).or_insert_with(|| Rc::new(new()));
        store.discard_staged();
        Ok(store.clone())
    }
}

#[test]
fn the_memory_store_keeps_the_contract() {
    assert_holds(&mut in_memory(MemoryStore::new));
}

#[test]
fn the_durable_store_keeps_the_contract_in_memory() {
    let mut storages: HashMap<String, Rc<HostSql>> = HashMap::new();
    assert_holds(&mut |name| {
        let sql = storages.entry(name.into()).or_insert_with(|| Rc::new(HostSql::in_memory().unwrap()));
        Ok(Rc::new(DurableStore::open(sql.clone())?))
    });
}

#[test]
fn the_durable_store_keeps_the_contract_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    assert_holds(&mut |name| Ok(Rc::new(DurableStore::open(HostSql::open(folder.path().join(name.replace([' ', ','], "_")))?)?)));
}

#[test]
fn a_faulty_store_without_a_fault_keeps_the_contract() {
    assert_holds(&mut in_memory(|| FaultyStore::new(MemoryStore::new(), Fault::default())));
}

fn assert_refused_untouched(setup: &str, words: &[&str]) {
    let sql = Rc::new(HostSql::in_memory().unwrap());
    sql.connection().execute_batch(setup).unwrap();
    let before = storage_bytes(&sql);
    let Err(StoreError::Schema(message)) = DurableStore::open(sql.clone()).map(drop) else { panic!("not refused: {setup}") };
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
    assert_eq!(storage_bytes(&sql), before, "{setup}");
}

#[test]
fn storage_of_somebody_else_is_refused_and_untouched() {
    assert_refused_untouched("CREATE TABLE customers (id); INSERT INTO customers VALUES (1)", &["customers", "nothing was changed"]);
    assert_refused_untouched("CREATE TABLE commits (id); CREATE TABLE pages (id)", &["commits", "pages", "nothing was changed"]);
    assert_refused_untouched("CREATE TABLE littoral (key, value)", &["version", "nothing was changed"]);
    assert_refused_untouched("CREATE TABLE littoral (key, value); INSERT INTO littoral VALUES ('schema', 'one')", &["unreadable"]);
}

#[test]
fn a_newer_schema_is_refused_and_untouched() {
    let newer = "CREATE TABLE littoral (key TEXT PRIMARY KEY, value) WITHOUT ROWID; INSERT INTO littoral VALUES ('schema', 7); \
                 CREATE TABLE commits (txid INTEGER PRIMARY KEY, something_new)";
    assert_refused_untouched(newer, &["version 7", "deploy a newer", "nothing was changed"]);
}

#[test]
fn tables_of_the_runtime_are_not_somebody_elses() {
    let sql = HostSql::in_memory().unwrap();
    sql.connection().execute_batch("CREATE TABLE _cf_KV (key, value)").unwrap();
    assert_eq!(DurableStore::open(sql).unwrap().head(), State::EMPTY);
}

/// A durable store with a wide commit (pages in the table) and small ones (pages in the log).
struct Damaged {
    sql: Rc<HostSql>,
}

const ROWS_OF_A: i64 = 2_000;

impl Damaged {
    fn new() -> Damaged {
        let sql = Rc::new(HostSql::in_memory().unwrap());
        let damaged = Damaged { sql };
        let mut db = damaged.open();
        run(&mut db, "CREATE TABLE a (id INTEGER PRIMARY KEY, v); CREATE TABLE b (id INTEGER PRIMARY KEY, v)", vec![]);
        let fill = format!(
            "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < {ROWS_OF_A}) INSERT INTO a SELECT x, hex(randomblob(200)) FROM c"
        );
        run(&mut db, &fill, vec![]);
        for id in 1..=5 {
            run(&mut db, "INSERT INTO b VALUES (?, ?)", vec![Value::Integer(id), Value::Blob(noise(id as u64, 6_000))]);
        }
        assert!(damaged.count("SELECT count(*) FROM pages") > 100, "some pages are in the table");
        assert!(damaged.count("SELECT count(*) FROM commits WHERE frames IS NOT NULL") > 4, "some are in the log");
        damaged
    }

    fn open(&self) -> Fixture {
        Fixture::on(Rc::new(DurableStore::open(self.sql.clone()).unwrap()), Limits::default())
    }

    fn count(&self, sql: &str) -> i64 {
        self.sql.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Flips a byte of a stored value.
    fn flip(&self, table: &str, column: &str, row: &str, at: usize) {
        let select = format!("SELECT {column} FROM {table} WHERE {row}");
        let mut bytes: Vec<u8> = self.sql.connection().query_row(&select, [], |row| row.get(0)).unwrap();
        bytes[at] ^= 0x40;
        let update = format!("UPDATE {table} SET {column} = ?1 WHERE {row}");
        assert_eq!(self.sql.connection().execute(&update, [bytes]).unwrap(), 1);
    }
}

const LEAF: &str = "pgno = (SELECT max(pgno) - 40 FROM pages)";

fn assert_damage_is_reported(db: &mut Fixture, damaged_sql: &str, words: &str) {
    let error = db.run_call(vec![littoral_protocol::sql::Statement::new(damaged_sql, vec![])]).expect_err("damage is reported").to_string();
    assert!(error.contains("damaged") && error.contains(words), "{error}");
}

#[test]
fn a_damaged_image_in_the_table_is_reported_and_the_rest_still_served() {
    for (column, at, words) in [("image", 100, "page"), ("image", 0, "page"), ("checksum", 3, "checksum")] {
        let damaged = Damaged::new();
        damaged.flip("pages", column, LEAF, at);
        let mut db = damaged.open();
        assert_damage_is_reported(&mut db, "SELECT sum(length(v)) FROM a", words);
        assert_eq!(values(&mut db, "SELECT count(*), sum(length(v)) FROM b"), [[Value::Integer(5), Value::Integer(30_000)]]);
        assert_eq!(values(&mut db, "SELECT length(v) FROM a WHERE id = 1"), [[Value::Integer(400)]]);
        // The others can still be written.
        run(&mut db, "INSERT INTO b VALUES (6, 'new')", vec![]);
        assert_eq!(values(&mut damaged.open(), "SELECT count(*) FROM b"), [[Value::Integer(6)]]);
    }
}

#[test]
fn a_damaged_image_in_the_log_is_reported_and_the_rest_still_served() {
    let damaged = Damaged::new();
    let last = "txid = (SELECT max(txid) FROM commits)";
    let length = damaged.count(&format!("SELECT length(frames) FROM commits WHERE {last}"));
    damaged.flip("commits", "frames", last, length as usize - 500);
    let mut db = damaged.open();
    assert_damage_is_reported(&mut db, "SELECT sum(length(v)), max(hex(v)) FROM b", "page");
    assert_eq!(values(&mut db, "SELECT count(*) FROM a"), [[Value::Integer(ROWS_OF_A)]]);
    assert!(matches!(db.database.dump(), Err(StoreError::Corrupt { .. })));
    assert!(matches!(db.database.store().log_after(Txid(6), 1_000), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_row_cut_short_is_reported() {
    let damaged = Damaged::new();
    let connection = damaged.sql.connection();
    connection
        .execute("UPDATE commits SET frames = substr(frames, 1, length(frames) - 300) WHERE txid = (SELECT max(txid) FROM commits)", [])
        .unwrap();
    connection.execute(&format!("UPDATE pages SET image = x'' WHERE {LEAF}"), []).unwrap();
    let mut db = damaged.open();
    assert_damage_is_reported(&mut db, "SELECT sum(length(v)), max(hex(v)) FROM b", "page");
    assert_damage_is_reported(&mut db, "SELECT sum(length(v)) FROM a", "page");
    assert_eq!(values(&mut db, "SELECT v FROM a WHERE id = 0"), [[Value::Null; 1]; 0]);
}

#[test]
fn no_flipped_byte_of_a_page_list_goes_unnoticed() {
    let reference = Damaged::new();
    let last: i64 = reference.count("SELECT max(txid) FROM commits");
    let expected = reference.open().database.dump().unwrap();
    let bytes = reference.count(&format!("SELECT length(pages) FROM commits WHERE txid = {last}"));
    let row = format!("txid = {last}");
    for at in 0..bytes as usize {
        reference.flip("commits", "pages", &row, at);
        // Refused when opened or when read; never an older version of a page in place of the newest.
        if let Ok(store) = DurableStore::open(reference.sql.clone()) {
            let dump = Fixture::on(Rc::new(store), Limits::default()).database.dump();
            assert!(matches!(dump, Err(StoreError::Corrupt { .. })), "byte {at}: {}", dump.is_ok_and(|dump| dump == expected));
        }
        reference.flip("commits", "pages", &row, at);
    }
    assert_eq!(reference.open().database.dump().unwrap(), expected);
}

#[test]
fn a_damaged_page_list_of_the_past_leaves_the_present_readable() {
    let damaged = Damaged::new();
    // Commit 1 is older than the fold that the wide commit made.
    damaged.flip("commits", "pages", "txid = 1", 0);
    let mut db = damaged.open();
    assert_eq!(values(&mut db, "SELECT count(*) FROM a"), [[Value::Integer(ROWS_OF_A)]]);
    common::assert_sound(&db.database);
    let mut image = [0; 4096];
    assert!(matches!(db.database.store().read_page(Pgno(1), Txid(1), &mut image), Err(StoreError::Corrupt { .. })));
    assert!(matches!(db.database.store().log_after(Txid(0), 1), Err(StoreError::Corrupt { .. })));
    run(&mut db, "INSERT INTO b VALUES (6, 'new')", vec![]);
}

#[test]
fn a_damaged_state_is_refused_when_the_store_is_opened() {
    for (column, value) in
        [("page_count", "page_count + 1"), ("page_size", "8192"), ("page_size", "4097"), ("checksum", "zeroblob(8)"), ("checksum", "x'00'")]
    {
        let damaged = Damaged::new();
        damaged.sql.rows(&format!("UPDATE commits SET {column} = {value} WHERE txid = (SELECT max(txid) FROM commits)"), &[]).unwrap();
        let opened = DurableStore::open(damaged.sql.clone()).map(drop);
        assert!(matches!(opened, Err(StoreError::Corrupt { .. })), "{column} = {value}: {opened:?}");
    }
}
