//! The tables of the durable store, and the check that storage holds them and nothing else.
//!
//! **Invariant:** storage that this version cannot use is refused before anything is written to it.
//!
//! **Not here:** what the columns mean (`durable`).

use super::sql::{Sql, StoredValue};
use crate::store::StoreError;
use littoral_protocol::DatabaseId;

/// The version of the tables. A change to a table is a new version, and code here that brings the old one forward.
const SCHEMA: u64 = 2;

/// What the names of tables begin with that SQLite, the runtime and its local simulator keep beside ours.
const PLATFORM: [&str; 3] = ["sqlite_", "_cf_", "__miniflare_"];

const FOLDS: &str = "CREATE TABLE folds (txid INTEGER PRIMARY KEY, number INTEGER NOT NULL, bytes INTEGER NOT NULL)";
const GARBAGE: &str =
    "CREATE TABLE garbage (number INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, pages TEXT NOT NULL)";
const FOLD_0: &str = "INSERT INTO folds (txid, number, bytes) VALUES (0, 0, 0)";

const NEW: [&str; 8] = [
    "CREATE TABLE littoral (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE commits (txid INTEGER PRIMARY KEY, page_size INTEGER NOT NULL, page_count INTEGER NOT NULL, \
     time_ms INTEGER NOT NULL, checksum BLOB NOT NULL, pages BLOB NOT NULL, frames BLOB)",
    "CREATE TABLE pages (id INTEGER PRIMARY KEY, pgno INTEGER NOT NULL, txid INTEGER NOT NULL, checksum BLOB NOT NULL, \
     image BLOB NOT NULL, delta INTEGER)",
    FOLDS,
    GARBAGE,
    FOLD_0,
    "INSERT INTO littoral (key, value) VALUES ('oldest', 0), ('exact_from', 0), ('shrunk', 0)",
    "INSERT INTO littoral (key, value) VALUES ('schema', 2)",
];

/// From version 1: its log was whole from the oldest state on, and began with commit 1 until it was pruned.
const FROM_1: [&str; 10] = [
    "ALTER TABLE pages ADD COLUMN delta INTEGER",
    "ALTER TABLE folds RENAME TO folds_1",
    FOLDS,
    GARBAGE,
    FOLD_0,
    "INSERT INTO folds (txid, number, bytes) SELECT txid, number, log_bytes FROM folds_1",
    "DROP TABLE folds_1",
    "INSERT INTO littoral (key, value) SELECT column1, (SELECT coalesce(min(txid) * (min(txid) > 1), 0) FROM commits) \
     FROM (VALUES ('oldest'), ('exact_from'), ('shrunk'))",
    "DELETE FROM folds WHERE txid < (SELECT value FROM littoral WHERE key = 'oldest')",
    "UPDATE littoral SET value = 2 WHERE key = 'schema'",
];

/// Creates the tables in empty storage; refuses storage of another version or of somebody else. Returns the database's id.
pub(super) fn open(sql: &impl Sql) -> Result<DatabaseId, StoreError> {
    open_tables(sql)?;
    if let Some(id) = read_id(sql)? {
        return Ok(id);
    }
    sql.rows("INSERT INTO littoral (key, value) VALUES ('id', lower(hex(randomblob(8))))", &[])?;
    read_id(sql)?.ok_or_else(|| StoreError::Corrupt { what: "the database's id cannot be read".into() })
}

fn read_id(sql: &impl Sql) -> Result<Option<DatabaseId>, StoreError> {
    let id = sql.rows("SELECT value FROM littoral WHERE key = 'id'", &[])?.into_iter().flatten().next().and_then(text);
    Ok(id.and_then(|id| u64::from_str_radix(&id, 16).ok()).map(DatabaseId))
}

fn open_tables(sql: &impl Sql) -> Result<(), StoreError> {
    let names = sql.rows("SELECT name FROM sqlite_schema WHERE type = 'table'", &[])?.into_iter().flatten().filter_map(text);
    let tables: Vec<String> = names.filter(|name| !PLATFORM.iter().any(|prefix| name.starts_with(prefix))).collect();
    if tables.is_empty() {
        return run(sql, &NEW);
    }
    if !tables.iter().any(|name| name == "littoral") {
        let message = format!("it has tables that are not Littoral's ({}); nothing was changed", tables.join(", "));
        return Err(StoreError::Schema(message));
    }
    let version = sql.rows("SELECT value FROM littoral WHERE key = 'schema'", &[])?.into_iter().flatten().next();
    match version {
        Some(StoredValue::Int(SCHEMA)) => Ok(()),
        Some(StoredValue::Int(1)) => run(sql, &FROM_1),
        Some(StoredValue::Int(newer)) if newer > SCHEMA => Err(StoreError::Schema(format!(
            "its schema is version {newer} and this Littoral knows versions up to {SCHEMA}: deploy a newer Littoral; nothing was changed"
        ))),
        other => Err(StoreError::Schema(format!("its schema version is unreadable ({other:?}); nothing was changed"))),
    }
}

/// Runs statements that belong together.
fn run(sql: &impl Sql, statements: &[&str]) -> Result<(), StoreError> {
    sql.transaction(&mut || {
        for statement in statements {
            sql.rows(statement, &[])?;
        }
        Ok(())
    })
}

fn text(cell: StoredValue) -> Option<String> {
    match cell {
        StoredValue::Text(text) => Some(text),
        StoredValue::Null | StoredValue::Int(_) | StoredValue::Blob(_) => None,
    }
}
