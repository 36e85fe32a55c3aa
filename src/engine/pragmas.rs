//! How the write connection is set, as SQLite says itself: the native and the WebAssembly build have to be alike, and tests compare both
//! with one list.
//!
//! **Not here:** the settings (`connection`) and the flags of the builds (`.cargo/config.toml`).

use super::{Database, Failure};

/// Every PRAGMA with a value that could make a difference, each after the engine's mark.
const PRAGMAS: [&str; 26] = [
    "/*littoral*/PRAGMA analysis_limit",
    "/*littoral*/PRAGMA auto_vacuum",
    "/*littoral*/PRAGMA automatic_index",
    "/*littoral*/PRAGMA busy_timeout",
    "/*littoral*/PRAGMA cache_size",
    "/*littoral*/PRAGMA cache_spill",
    "/*littoral*/PRAGMA cell_size_check",
    "/*littoral*/PRAGMA defer_foreign_keys",
    "/*littoral*/PRAGMA encoding",
    "/*littoral*/PRAGMA foreign_keys",
    "/*littoral*/PRAGMA hard_heap_limit",
    "/*littoral*/PRAGMA ignore_check_constraints",
    "/*littoral*/PRAGMA journal_mode",
    "/*littoral*/PRAGMA legacy_alter_table",
    "/*littoral*/PRAGMA locking_mode",
    "/*littoral*/PRAGMA max_page_count",
    "/*littoral*/PRAGMA page_size",
    "/*littoral*/PRAGMA query_only",
    "/*littoral*/PRAGMA recursive_triggers",
    "/*littoral*/PRAGMA reverse_unordered_selects",
    "/*littoral*/PRAGMA secure_delete",
    "/*littoral*/PRAGMA soft_heap_limit",
    "/*littoral*/PRAGMA synchronous",
    "/*littoral*/PRAGMA temp_store",
    "/*littoral*/PRAGMA trusted_schema",
    "/*littoral*/PRAGMA writable_schema",
];

impl Database {
    /// The settings of the write connection, each as `name = value`.
    pub fn pragmas(&mut self) -> Result<Vec<String>, Failure> {
        let writer = self.writer()?;
        let line = |pragma: &&'static str| {
            let name = pragma.trim_start_matches("/*littoral*/PRAGMA ");
            Ok(format!("{name} = {}", writer.control_texts(pragma)?.join(" ")))
        };
        PRAGMAS.iter().map(line).collect()
    }
}
