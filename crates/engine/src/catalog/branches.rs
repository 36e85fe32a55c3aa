//! Which databases are branches, and of what: one row for each.
//!
//! **Invariant:** a database is not deleted while a branch of it lacks pages.
//!
//! **Not here:** where a branch's pages are (`branch`).

use super::{Catalog, Entry, failed};
use crate::store::durable::{Param, Sql, SqlError, StoredValue};
use littoral_protocol::rest::{BranchBody, BranchPoint, Refusal, time_text};
use serde::{Deserialize, Serialize};

/// One row for each branch. `bookmark`: as asked for, then as it is; empty: none. `time_ms`: 0: none.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS branches (
    branch TEXT PRIMARY KEY, parent TEXT NOT NULL, parent_name TEXT NOT NULL, bookmark TEXT NOT NULL, time_ms INTEGER NOT NULL,
    is_full INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID";
const BY_PARENT: &str = "CREATE INDEX IF NOT EXISTS branches_by_parent ON branches (parent) WHERE NOT is_full";

/// What a branch begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentEntry {
    /// The id of its parent.
    pub id: String,
    /// The name of its parent.
    pub name: String,
    /// The state that it begins with; `None`: that of `time_ms`, or the newest.
    pub bookmark: Option<String>,
    /// A time, in milliseconds since 1970.
    pub time_ms: Option<u64>,
    /// It has all of its pages.
    pub is_full: bool,
}

impl ParentEntry {
    /// As the API shows it.
    pub fn body(&self) -> BranchBody {
        BranchBody { uuid: self.id.clone(), name: self.name.clone(), bookmark: self.bookmark.clone(), is_full: self.is_full }
    }
}

pub(super) fn open(sql: &impl Sql) -> Result<(), SqlError> {
    sql.run(TABLE, &[])?;
    sql.run(BY_PARENT, &[])
}

/// The columns of a row from `parent` on.
pub(super) fn parent(row: Vec<StoredValue>) -> Option<ParentEntry> {
    use StoredValue::{Int, Text};
    let [Text(id), Text(name), Text(bookmark), Int(time_ms), Int(is_full)] = <[StoredValue; 5]>::try_from(row).ok()? else { return None };
    let (bookmark, time_ms) = (Some(bookmark).filter(|text| !text.is_empty()), Some(time_ms).filter(|ms| *ms > 0));
    Some(ParentEntry { id, name, bookmark, time_ms, is_full: is_full != 0 })
}

impl<Q: Sql> Catalog<Q> {
    /// The parent that a new branch asks for.
    pub(super) fn parent_of(&self, point: &BranchPoint) -> Result<ParentEntry, Refusal> {
        let time_ms = point.time_ms()?;
        let Entry { id, name, created_ms, .. } = self.find(&point.database)?;
        if let Some(time_ms) = time_ms.filter(|time_ms| *time_ms < created_ms) {
            let (asked, created) = (time_text(time_ms), time_text(created_ms));
            return Err(Refusal::malformed(&format_args!("{name} was not there at {asked}: it was created at {created}")));
        }
        Ok(ParentEntry { id, name, bookmark: point.bookmark.clone(), time_ms, is_full: false })
    }

    pub(super) fn insert_branch(&self, entry: &Entry) -> Result<(), SqlError> {
        let Some(ParentEntry { id, name, bookmark, time_ms, .. }) = &entry.branch_of else { return Ok(()) };
        let (bookmark, time_ms) = (bookmark.as_deref().unwrap_or_default(), time_ms.unwrap_or_default());
        let params = [Param::Text(&entry.id), Param::Text(id), Param::Text(name), Param::Text(bookmark), Param::Int(time_ms)];
        self.sql.run("INSERT INTO branches (branch, parent, parent_name, bookmark, time_ms) VALUES (?, ?, ?, ?, ?)", &params)
    }

    /// A branch has begun with the state of a bookmark.
    pub fn begun(&self, id: &str, bookmark: &str) -> Result<(), Refusal> {
        self.sql.run("UPDATE branches SET bookmark = ? WHERE branch = ?", &[Param::Text(bookmark), Param::Text(id)]).map_err(failed)
    }

    /// A branch has all of its pages.
    pub fn full(&self, id: &str) -> Result<(), Refusal> {
        self.sql.run("UPDATE branches SET is_full = 1 WHERE branch = ?", &[Param::Text(id)]).map_err(failed)
    }

    /// The name and the id of the database that keeps a state for this one, as long as it lacks pages.
    pub fn lender(&self, id: &str) -> Result<Option<(String, String)>, Refusal> {
        let sql = "SELECT parent_name, parent FROM branches WHERE branch = ? AND NOT is_full";
        let row = self.sql.rows(sql, &[Param::Text(id)]).map_err(failed)?.pop();
        Ok(row.and_then(|row| match <[StoredValue; 2]>::try_from(row) {
            Ok([StoredValue::Text(name), StoredValue::Text(id)]) => Some((name, id)),
            _ => None,
        }))
    }

    /// Refuses what would take pages from branches that lack them.
    pub(super) fn check_not_needed(&self, entry: &Entry) -> Result<(), Refusal> {
        let sql = "SELECT name FROM branches JOIN databases ON id = branch WHERE parent = ? AND NOT is_full LIMIT 10";
        let rows = self.sql.rows(sql, &[Param::Text(&entry.id)]).map_err(failed)?;
        let names = rows.into_iter().flatten().filter_map(|cell| if let StoredValue::Text(name) = cell { Some(name) } else { None });
        let names: Vec<String> = names.collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Refusal::conflict(&format_args!(
            "{} cannot be deleted yet: pages of it are still being copied to its branches: {}. Try again soon, or delete these first",
            entry.name,
            names.join(", ")
        )))
    }
}
