//! How a connection is set: the VFS and D1 need it so.
//!
//! **Not here:** the flags of the builds (`.cargo/config.toml`).

use super::connection::Access;
use super::setup::Setup;
use rusqlite::config::DbConfig;
use rusqlite::functions::{Context, FunctionFlags};

/// The flags of a connection that callers may set, and what sets them as they are at the beginning of a call.
pub(super) const FLAGS: [(&str, &str); 7] = [
    ("case_sensitive_like", "PRAGMA case_sensitive_like = OFF"),
    ("defer_foreign_keys", "PRAGMA defer_foreign_keys = OFF"),
    ("foreign_keys", "PRAGMA foreign_keys = ON"),
    ("ignore_check_constraints", "PRAGMA ignore_check_constraints = OFF"),
    ("legacy_alter_table", "PRAGMA legacy_alter_table = OFF"),
    ("recursive_triggers", "PRAGMA recursive_triggers = OFF"),
    ("reverse_unordered_selects", "PRAGMA reverse_unordered_selects = OFF"),
];

/// Lets every connection read the schema again, and with it the statistics of ANALYZE, of which SQLite tells only the connection that made
/// them: replicas would plan with the old ones. Callers cannot have a view of that name.
pub(super) const NEW_SCHEMA: [&str; 2] = ["CREATE VIEW _cf_statistics AS SELECT 1", "DROP VIEW _cf_statistics"];

/// Sets a connection that has just been opened.
pub(super) fn configure(sqlite: &mut rusqlite::Connection, access: Access, setup: &Setup, has_scratch: bool) -> rusqlite::Result<()> {
    let limits = &setup.limits;
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    let cache_kib = limits.cache_bytes / 1024;
    let (locking, journal) = if access == Access::Write { ("EXCLUSIVE", "TRUNCATE") } else { ("NORMAL", "MEMORY") };
    let temp_store = if has_scratch { "FILE" } else { "MEMORY" };
    // Order matters: the locking mode has to be set before the first access.
    sqlite.execute_batch(&format!(
        "PRAGMA locking_mode = {locking}; PRAGMA journal_mode = {journal}; PRAGMA synchronous = OFF; PRAGMA temp_store = {temp_store}; \
         PRAGMA foreign_keys = ON; PRAGMA cache_size = -{cache_kib}; PRAGMA hard_heap_limit = {}",
        limits.heap_bytes
    ))?;
    limits.apply(sqlite)?;
    setup.profile.failing_functions().try_for_each(|(name, arguments, message)| {
        let fail = move |_: &Context<'_>| -> rusqlite::Result<i64> { Err(rusqlite::Error::UserFunctionError(message.clone().into())) };
        sqlite.create_scalar_function(name, arguments, FunctionFlags::SQLITE_UTF8, fail)
    })
}
