//! `rows_written` of a statement, as D1 counts it: each row changed, and each index entry made for it.
//!
//! A row inserted counts one, and one more for every index of its table; a row updated one, and one more for every index with a column
//! of the SET list; a row deleted one. Rows of tables that SQLite keeps for itself (the schema, shadow tables of FTS5) do not count, so
//! DDL counts less than in D1.
//!
//! **Not here:** who else is told of rows (`sqlite::changes`).

use super::authorize::ColumnUpdate;
use crate::sqlite::changes::{Operation, RowChange, Watcher};
use rusqlite::Connection;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Statements and tables remembered before starting afresh.
const REMEMBERED: usize = 1_000;

/// Rows changed in one table.
#[derive(Default)]
struct TableChanges {
    table: Box<str>,
    inserted: u64,
    updated: u64,
}

/// The count of one connection, and what has to be known of statements and tables to count index entries.
#[derive(Default)]
pub(super) struct RowsWritten {
    /// What the running text has changed so far.
    changes: RefCell<Vec<TableChanges>>,
    /// Columns that a statement updates: only compiling it tells.
    updates: RefCell<HashMap<Box<str>, Vec<ColumnUpdate>>>,
    indexes: RefCell<HashMap<Box<str>, Indexes>>,
}

/// The columns of an index.
type Index = HashSet<String>;
/// The indexes of a table.
type Indexes = Rc<Vec<Index>>;

impl Watcher for RowsWritten {
    fn row_changes(&self, change: &RowChange<'_>) {
        let Ok(mut tables) = self.changes.try_borrow_mut() else { return };
        let at = tables.iter().rposition(|known| *known.table == *change.table()).unwrap_or_else(|| {
            tables.push(TableChanges { table: change.table().into(), ..TableChanges::default() });
            tables.len() - 1
        });
        match change.operation() {
            Operation::Insert => tables[at].inserted += 1,
            Operation::Update => tables[at].updated += 1,
            Operation::Delete => {}
        }
    }

    /// SQLite says itself how many rows a statement has deleted.
    fn needs_every_deletion(&self) -> bool {
        false
    }
}

impl RowsWritten {
    /// Forgets what the text before has changed.
    pub(super) fn reset(&self) {
        self.changes.borrow_mut().clear();
    }

    /// Keeps what the authorizer saw when `sql` was compiled. Nothing seen: nothing new is known.
    pub(super) fn remember(&self, sql: &str, updates: Vec<ColumnUpdate>) {
        if updates.is_empty() {
            return;
        }
        let mut known = self.updates.borrow_mut();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(sql.into(), updates);
    }

    /// The count for a text that made `changes` row changes, as SQLite says.
    pub(super) fn count(&self, connection: &Connection, sql: &str, changes: u64) -> rusqlite::Result<u64> {
        let tables = self.changes.borrow();
        if tables.is_empty() {
            // DDL, most likely: what is known of indexes may be out of date.
            self.indexes.borrow_mut().clear();
            return Ok(changes);
        }
        let mut total = changes;
        for TableChanges { table, inserted, updated } in &*tables {
            let indexes = self.indexes_of(connection, table)?;
            total += inserted * indexes.len() as u64;
            if *updated > 0 && !indexes.is_empty() {
                total += updated * self.touched(sql, table, &indexes);
            }
        }
        Ok(total)
    }

    /// How many of the indexes have a column that `sql` sets; all of them where that is not known.
    fn touched(&self, sql: &str, table: &str, indexes: &[Index]) -> u64 {
        let known = self.updates.borrow();
        let updates = known.get(sql).map_or(&[][..], Vec::as_slice);
        let set: Vec<&str> = updates.iter().filter(|update| update.table == table).map(|update| &*update.column).collect();
        indexes.iter().filter(|index| set.is_empty() || set.iter().any(|column| index.contains(*column))).count() as u64
    }

    fn indexes_of(&self, connection: &Connection, table: &str) -> rusqlite::Result<Indexes> {
        if let Some(indexes) = self.indexes.borrow().get(table) {
            return Ok(indexes.clone());
        }
        let indexes = Rc::new(read_indexes(connection, table)?);
        let mut known = self.indexes.borrow_mut();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(table.into(), indexes.clone());
        Ok(indexes)
    }
}

/// The indexes of a table; the primary key of a WITHOUT ROWID table is the table itself.
fn read_indexes(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Index>> {
    // An entry has the rowid as well, whose name is that of the key, if that is one column of the type INTEGER.
    let sql = "WITH of_table AS (SELECT max(wr) AS is_without_rowid FROM pragma_table_list(?1)), \
               indexes AS (SELECT name FROM pragma_index_list(?1) WHERE NOT (origin = 'pk' AND (SELECT is_without_rowid FROM of_table))), \
               rowid AS (SELECT 'ROWID' AS name UNION SELECT max(name) FROM pragma_table_info(?1) WHERE pk > 0 \
                         HAVING count(*) = 1 AND max(type) = 'INTEGER' COLLATE NOCASE) \
               SELECT indexes.name, coalesce(info.name, '') FROM indexes, pragma_index_info(indexes.name) AS info UNION \
               SELECT indexes.name, rowid.name FROM indexes, rowid WHERE NOT (SELECT is_without_rowid FROM of_table)";
    let mut statement = connection.prepare_cached(sql)?;
    let mut indexes: HashMap<String, Index> = HashMap::new();
    let mut rows = statement.query([table])?;
    while let Some(row) = rows.next()? {
        indexes.entry(row.get(0)?).or_default().insert(row.get(1)?);
    }
    Ok(indexes.into_values().collect())
}
