//! The tables of the durable store, and the check that storage holds them and nothing else.
//!
//! **Invariant:** storage that this version cannot use is refused before anything is written to it.
//!
//! **Not here:** what the columns mean (`durable`).

use super::sql::{Cell, Param, Sql};
use crate::position::DatabaseId;
use crate::store::StoreError;

/// The version of the tables. A change to a table is a new version, and code here that brings the old one forward.
const SCHEMA: u64 = 1;

/// What the names of tables begin with that SQLite, the runtime and its local simulator keep beside ours.
const PLATFORM: [&str; 3] = ["sqlite_", "_cf_", "__miniflare_"];

const TABLES: [&str; 4] = [
    "CREATE TABLE littoral (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE commits (txid INTEGER PRIMARY KEY, page_size INTEGER NOT NULL, page_count INTEGER NOT NULL, \
     time_ms INTEGER NOT NULL, checksum BLOB NOT NULL, pages BLOB NOT NULL, frames BLOB)",
    "CREATE TABLE pages (id INTEGER PRIMARY KEY, pgno INTEGER NOT NULL, txid INTEGER NOT NULL, checksum BLOB NOT NULL, \
     image BLOB NOT NULL)",
    "CREATE TABLE folds (number INTEGER PRIMARY KEY, txid INTEGER NOT NULL, log_bytes INTEGER NOT NULL)",
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
        return sql.transaction(&mut || {
            for table in TABLES {
                sql.rows(table, &[])?;
            }
            sql.rows("INSERT INTO littoral (key, value) VALUES ('schema', ?1)", &[Param::Int(SCHEMA)])?;
            Ok(())
        });
    }
    if !tables.iter().any(|name| name == "littoral") {
        let message = format!("it has tables that are not Littoral's ({}); nothing was changed", tables.join(", "));
        return Err(StoreError::Schema(message));
    }
    let version = sql.rows("SELECT value FROM littoral WHERE key = 'schema'", &[])?.into_iter().flatten().next();
    match version {
        Some(Cell::Int(SCHEMA)) => Ok(()),
        Some(Cell::Int(newer)) if newer > SCHEMA => Err(StoreError::Schema(format!(
            "its schema is version {newer} and this Littoral knows versions up to {SCHEMA}: deploy a newer Littoral; nothing was changed"
        ))),
        other => Err(StoreError::Schema(format!("its schema version is unreadable ({other:?}); nothing was changed"))),
    }
}

fn text(cell: Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text),
        Cell::Null | Cell::Int(_) | Cell::Blob(_) => None,
    }
}
