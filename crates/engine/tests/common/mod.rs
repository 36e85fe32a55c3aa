//! A database for tests, and short ways to ask it.
#![allow(dead_code, missing_docs)]

use rusqlite::fallible_iterator::FallibleIterator;
pub mod branching;
pub mod crashing;

use littoral_engine::engine::{CallResult, Engine, GiveWay, Limits, ResultSet, from_sqlite, to_sqlite};
use littoral_engine::store::durable::HostSql;
use littoral_engine::store::{DurableStore, MemoryStore, PageStore};
use littoral_protocol::sql::{Call, Statement, Value};
use littoral_protocol::{Checksum, Pgno, Txid};
use rusqlite::backup::Backup;
use rusqlite::{Batch, Connection};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub struct Fixture {
    pub database: Engine,
}

impl Fixture {
    pub fn on(store: Rc<dyn PageStore>, limits: Limits) -> Fixture {
        Fixture { database: Engine::open(store, limits, Rc::new(|| 1_700_000_000_000)) }
    }

    pub fn memory() -> Fixture {
        Fixture::on(Rc::new(MemoryStore::new()), Limits::default())
    }

    pub fn durable() -> Fixture {
        Fixture::on(Rc::new(DurableStore::open(HostSql::in_memory().unwrap()).unwrap()), Limits::default())
    }

    pub fn durable_with_limits(change: impl FnOnce(&mut Limits)) -> Fixture {
        let mut limits = Limits::default();
        change(&mut limits);
        Fixture::on(Rc::new(DurableStore::open(HostSql::in_memory().unwrap()).unwrap()), limits)
    }

    pub fn with_limits(change: impl FnOnce(&mut Limits)) -> Fixture {
        let mut limits = Limits::default();
        change(&mut limits);
        Fixture::on(Rc::new(MemoryStore::new()), limits)
    }

    pub fn run_calls(&mut self, calls: &[Call]) -> Vec<CallResult<ResultSet>> {
        self.database.run::<ResultSet>(calls)
    }

    pub fn run_call(&mut self, call: Call) -> CallResult<ResultSet> {
        self.run_calls(&[call]).remove(0)
    }
}

pub fn run(db: &mut Fixture, sql: &str, parameters: Vec<Value>) -> ResultSet {
    db.run_call(vec![Statement::new(sql, parameters)]).unwrap_or_else(|error| panic!("{sql}: {error}")).remove(0)
}

pub fn run_err(db: &mut Fixture, sql: &str) -> String {
    db.run_call(vec![Statement::new(sql, vec![])]).expect_err(sql).to_string()
}

pub fn values(db: &mut Fixture, sql: &str) -> Vec<Vec<Value>> {
    run(db, sql, vec![]).rows
}

/// Turns for others, and how many they had.
pub fn counting_turns() -> (GiveWay, Rc<Cell<u32>>) {
    let turns: Rc<Cell<u32>> = Rc::default();
    let counted = turns.clone();
    let give_way = move || {
        counted.set(counted.get() + 1);
        Ok(())
    };
    (Rc::new(give_way), turns)
}

/// Bytes that cannot be compressed, from a seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A copy of the storage below a store.
pub fn copy_of(sql: &HostSql) -> Rc<HostSql> {
    Rc::new(HostSql::from(copy(sql)))
}

/// The whole storage below a store, as the bytes of a SQLite file.
pub fn storage_bytes(sql: &HostSql) -> Vec<u8> {
    copy(sql).serialize("main").unwrap().to_vec()
}

fn copy(sql: &HostSql) -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    Backup::new(sql.connection(), &mut connection).unwrap().step(-1).unwrap();
    connection
}

/// A database file in plain SQLite.
pub fn plain(file: &[u8]) -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    if !file.is_empty() {
        connection.deserialize_read_exact("main", file, file.len(), false).unwrap();
    }
    connection
}

/// Checks that the database's pages form a file that plain SQLite finds sound, and that its checksum is that of its pages.
pub fn assert_sound(database: &Engine) -> Connection {
    let state = database.state();
    let file = database.dump().unwrap();
    assert_eq!(file.len() as u64, state.size_bytes());
    let mut sum = Checksum::EMPTY;
    for (index, page) in file.chunks_exact(state.page_size.bytes()).enumerate() {
        sum ^= Checksum::of_page(Pgno(index as u32 + 1), page);
    }
    assert_eq!(sum, state.checksum, "the checksum at {}", state.txid);
    let connection = plain(&file);
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    connection
}

/// Prunes until there is nothing to do, and returns the oldest state left.
pub fn prune(store: &dyn PageStore, before: Txid) -> Txid {
    while store.prune(before).unwrap() {}
    store.oldest()
}

/// Runs an SQL text in plain SQLite. It may hold several statements: the last one answers.
pub fn plain_values(connection: &Connection, sql: &str, parameters: &[Value]) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut all = Vec::new();
    let mut batch = Batch::new(connection, sql);
    while let Some(mut statement) = batch.next()? {
        let columns = statement.column_count();
        for (index, value) in parameters.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, rusqlite::types::ToSqlOutput::Borrowed(to_sqlite(value)))?;
        }
        all.clear();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            all.push((0..columns).map(|column| row.get_ref(column).map(from_sqlite)).collect::<rusqlite::Result<_>>()?);
        }
    }
    Ok(all)
}

/// SQLite's message, as the engine reports it.
pub fn plain_message(error: rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        rusqlite::Error::SqliteFailure(_, Some(message)) => message,
        other => other.to_string(),
    }
}

/// A file or folder of the data shared between projects; `None`, and a line that says so, where it is absent.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !path.exists() {
        println!("skipped: there is no ../shared/data/{name}");
        return None;
    }
    Some(path)
}
