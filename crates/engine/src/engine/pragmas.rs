//! How SQLite was compiled and the write connection is set, as SQLite says itself: the native and the WebAssembly build have to be alike, and
//! tests compare both with one list.
//!
//! **Not here:** the settings (`configuration`) and the flags of the builds (`.cargo/config.toml`).

use super::{Engine, Error, Failure};

/// Every PRAGMA with a value that could make a difference.
const PRAGMAS: [&str; 26] = [
    "PRAGMA analysis_limit",
    "PRAGMA auto_vacuum",
    "PRAGMA automatic_index",
    "PRAGMA busy_timeout",
    "PRAGMA cache_size",
    "PRAGMA cache_spill",
    "PRAGMA cell_size_check",
    "PRAGMA defer_foreign_keys",
    "PRAGMA encoding",
    "PRAGMA foreign_keys",
    "PRAGMA hard_heap_limit",
    "PRAGMA ignore_check_constraints",
    "PRAGMA journal_mode",
    "PRAGMA legacy_alter_table",
    "PRAGMA locking_mode",
    "PRAGMA max_page_count",
    "PRAGMA page_size",
    "PRAGMA query_only",
    "PRAGMA recursive_triggers",
    "PRAGMA reverse_unordered_selects",
    "PRAGMA secure_delete",
    "PRAGMA soft_heap_limit",
    "PRAGMA synchronous",
    "PRAGMA temp_store",
    "PRAGMA trusted_schema",
    "PRAGMA writable_schema",
];

/// The options that SQLite was compiled with.
pub fn compile_options() -> Result<Vec<String>, Error> {
    let failed = |error: rusqlite::Error| Error::Sqlite { message: error.to_string(), code: rusqlite::ffi::SQLITE_ERROR, offset: None };
    let connection = rusqlite::Connection::open_in_memory().map_err(failed)?;
    let mut statement = connection.prepare("PRAGMA compile_options").map_err(failed)?;
    let options = statement.query_map([], |row| row.get(0)).map_err(failed)?;
    options.collect::<Result<_, _>>().map_err(failed)
}

impl Engine {
    /// The settings of the write connection, each as `name = value`.
    pub fn pragmas(&mut self) -> Result<Vec<String>, Failure> {
        let writer = self.writer()?;
        let line = |pragma: &&'static str| {
            let rows =
                writer.trusted(pragma, |statement| statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>())?;
            let text = |value| match value {
                rusqlite::types::Value::Text(text) => text,
                rusqlite::types::Value::Integer(number) => number.to_string(),
                other => format!("{other:?}"),
            };
            let values: Vec<String> = rows.into_iter().map(text).collect();
            Ok(format!("{} = {}", pragma.trim_start_matches("PRAGMA "), values.join(" ")))
        };
        PRAGMAS.iter().map(line).collect()
    }
}
