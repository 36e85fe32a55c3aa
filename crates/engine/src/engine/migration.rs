//! Migrations: calls that note in a table which file they apply. In them `PRAGMA foreign_keys` is honoured.
//!
//! A file that makes a table anew (create, copy, drop, rename: <https://www.sqlite.org/lang_altertable.html#otheralter>) turns foreign keys off
//! first, or dropping the table deletes the rows that refer to it. SQLite ignores the PRAGMA within a transaction, and every call is one; D1 leaves
//! it at that. Here it takes effect at once, and what it let through is looked for before the commit.
//!
//! **Invariant:** a migration that turned foreign keys off commits only if no row of the database refers to a row that does not exist.
//!
//! **Not here:** which files are applied (the package and the crate `littoral`, wrangler, drizzle).

use super::Failure;
use super::configuration::FLAGS;
use super::connection::Connection;
use super::error::Error;
use super::text::{mentions_pragma, names_after_into};
use littoral_protocol::sql::Call;
use rusqlite::config::DbConfig;
use rusqlite::ffi;

/// Where applied files are noted: by wrangler and Littoral's own, and by drizzle.
const TABLES: [&str; 2] = ["d1_migrations", "__drizzle_migrations"];
/// The most rows that an error names.
const NAMED_ROWS: usize = 5;

/// What the running call is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Migration {
    /// No migration.
    #[default]
    None,
    /// One that has left foreign keys alone.
    Running,
    /// One that has turned foreign keys off, maybe for some of its statements.
    WithoutForeignKeys,
}

/// Whether a call is a migration in which a PRAGMA could make a difference.
fn is_migration(call: &Call) -> bool {
    let is_noted = |sql: &str| names_after_into(sql).any(|name| TABLES.iter().any(|table| name.eq_ignore_ascii_case(table)));
    call.iter().any(|text| mentions_pragma(&text.sql)) && call.iter().any(|text| is_noted(&text.sql))
}

impl Connection {
    /// Runs a call in its transaction, as a migration if it is one.
    pub(super) fn migrating<T>(&self, call: &Call, run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        if !is_migration(call) {
            return run();
        }
        self.authorizer.take_foreign_keys();
        self.authorizer.take_refused_pragma();
        self.migration.set(Migration::Running);
        let result = run();
        let without_foreign_keys = self.migration.take() == Migration::WithoutForeignKeys;
        if result.is_ok() && without_foreign_keys {
            self.no_row_is_orphaned()?;
        }
        result
    }

    /// Does what the statement that ran last says of foreign keys.
    pub(super) fn honour_foreign_keys(&self) -> Result<(), Error> {
        let Some(on) = self.authorizer.take_foreign_keys() else { return Ok(()) };
        if !on {
            self.migration.set(Migration::WithoutForeignKeys);
        }
        self.set_foreign_keys(on)
    }

    /// Has foreign keys enforced or not, at once, within a transaction too.
    pub(super) fn set_foreign_keys(&self, on: bool) -> Result<(), Error> {
        let set = self.sqlite().set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, on);
        set.map(drop).map_err(|error| self.describe(&error))
    }

    /// An error, if a row refers to one that does not exist.
    pub(super) fn no_row_is_orphaned(&self) -> Result<(), Error> {
        let mut count = 0;
        let named = self.trusted("PRAGMA foreign_key_check", |statement| {
            let mut rows = statement.raw_query();
            let mut named = Vec::new();
            while let Some(row) = rows.next()? {
                count += 1;
                if count <= NAMED_ROWS {
                    let (table, rowid, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    let rowid = rowid.map(|rowid| format!(" (rowid {rowid})")).unwrap_or_default();
                    named.push(format!("{table}{rowid} to {parent}"));
                }
            }
            Ok(named.join(", "))
        })?;
        if count == 0 {
            return Ok(());
        }
        let more = if count > NAMED_ROWS { format!(" and {} more", count - NAMED_ROWS) } else { String::new() };
        let message =
            format!("FOREIGN KEY constraint failed: after PRAGMA foreign_keys = OFF, rows refer to rows that do not exist: {named}{more}");
        Err(Error::Sqlite { message, code: ffi::SQLITE_CONSTRAINT_FOREIGNKEY, offset: None })
    }

    /// Why a migration may not set what SQLite could.
    pub(super) fn why_refused(&self, pragma: &str) -> Option<String> {
        if self.migration.get() == Migration::None {
            return None;
        }
        let why = if pragma.eq_ignore_ascii_case("writable_schema") {
            "make the table anew (create, copy, drop, rename) after PRAGMA foreign_keys = OFF; a schema written to by hand may be one that nobody can \
             read"
                .into()
        } else {
            format!("a migration may set {}", FLAGS.map(|(flag, _)| flag).join(", "))
        };
        Some(format!("not authorized: PRAGMA {pragma}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::is_migration;
    use littoral_protocol::sql::Statement;

    #[test]
    fn a_migration_is_known_by_the_table_that_it_writes_to() {
        let is = |texts: &[&str]| is_migration(&texts.iter().map(|sql| Statement::new(*sql, vec![])).collect());
        for noted in [
            "INSERT INTO \"d1_migrations\" (name)\nvalues ('0001_a.sql');",
            "insert or ignore into main.d1_migrations VALUES (1)",
            "REPLACE INTO [D1_Migrations] SELECT 1",
            "INSERT INTO `main` . `__drizzle_migrations` (\"hash\") VALUES ('x')",
        ] {
            assert!(is(&["PRAGMA foreign_keys=OFF; SELECT 1;", noted]), "{noted}");
            assert!(is(&[&format!("{noted}; PRAGMA foreign_keys=OFF")]), "{noted}");
            assert!(!is(&[noted]), "no PRAGMA: {noted}");
        }
        for other in [
            "INSERT INTO t VALUES ('INTO d1_migrations')",
            "-- INSERT INTO d1_migrations\nSELECT 1",
            "SELECT * FROM d1_migrations",
            "INSERT INTO other.d1_migrations VALUES (1)",
            "INSERT INTO d1_migrations_too VALUES (1)",
        ] {
            assert!(!is(&["PRAGMA foreign_keys=OFF", other]), "{other}");
        }
    }
}
