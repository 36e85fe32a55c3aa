//! `rows_written` of a statement, as D1 counts it: each row changed, and each index entry made for it.
//!
//! A row inserted counts one, and one more for every index of its table; a row updated one, and one more for every index with a column
//! of the SET list; a row deleted one.
//!
//! A sequence of AUTOINCREMENT that is moved counts one. No such rule tells what is written to the schema, to statistics, to an index that is
//! built, and to virtual tables, whose shadow tables D1 does not count. Statements that do so are asked for what their programs did
//! (`sqlite::program`). That costs 10 µs, and so ordinary ones are counted by the rules.
//!
//! **Not here:** who else is told of rows (`sqlite::changes`).

use super::authorize::{ColumnUpdate, Writes};
use crate::sqlite::changes::{Operation, RowChange, Watcher};
use crate::sqlite::statement::Statement;
use rusqlite::{Connection, OptionalExtension};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Tables remembered before starting afresh.
const REMEMBERED: usize = 1_000;

/// Rows changed in one table.
#[derive(Default)]
struct TableChanges {
    table: Box<str>,
    inserted: u64,
    updated: u64,
}

/// The count of one connection, and what has to be known of tables to count index entries.
#[derive(Default)]
pub(super) struct RowsWritten {
    /// What the running statement has changed so far.
    changes: RefCell<Vec<TableChanges>>,
    /// The count of the running text, without the running statement.
    total: Cell<u64>,
    tables: RefCell<HashMap<Box<str>, Rc<Table>>>,
    /// Since the last rollback.
    schema_changed: Cell<bool>,
}

/// What only compiling a statement tells.
#[derive(Default)]
pub(super) struct Known {
    /// Columns that it updates.
    updates: Vec<ColumnUpdate>,
    changes_schema: bool,
    /// Its program has to be asked.
    by_program: bool,
    /// Tables with a sequence into which it inserts.
    sequences: Vec<String>,
    /// It writes the table of the sequences itself.
    sets_sequences: bool,
    /// What it writes, where none of the above is known yet, since it has only failed.
    unread: Writes,
}

/// What is known of a table.
struct Table {
    indexes: Vec<Index>,
    /// Its rows are in other tables.
    is_virtual: bool,
    /// Rows inserted move its sequence on. True as well where the word only stands in a comment.
    is_autoincrement: bool,
    /// Where its sequence is, once that was looked up; it begins with none.
    sequence: Cell<Option<Option<i64>>>,
}

/// The columns of an index.
type Index = HashSet<String>;

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
    /// A text begins.
    pub(super) fn reset(&self) {
        self.changes.borrow_mut().clear();
        self.total.set(0);
    }

    /// The count of the text.
    pub(super) fn total(&self) -> u64 {
        self.total.get()
    }

    /// What statements did is undone, and what was read of tables meanwhile no longer so.
    pub(super) fn rolled_back(&self) {
        if self.schema_changed.take() {
            self.tables.borrow_mut().clear();
        }
        self.forget_sequences();
    }

    fn forget_sequences(&self) {
        self.tables.borrow().values().for_each(|table| table.sequence.set(None));
    }

    /// Counts a statement that has ended, having made `changes` row changes, as SQLite says. `writes` is what the authorizer saw while it ran: it
    /// was compiled anew.
    pub(super) fn count(
        &self,
        connection: &Connection,
        (statement, known): (&Statement, &mut Known),
        writes: Writes,
        changes: u64,
    ) -> rusqlite::Result<()> {
        if !writes.is_empty() {
            *known = self.known(connection, writes)?;
        } else if !known.unread.is_empty() {
            *known = self.known(connection, std::mem::take(&mut known.unread))?;
        }
        if known.changes_schema {
            self.schema_changed.set(true);
            self.tables.borrow_mut().clear();
        }
        if known.by_program || known.sets_sequences {
            self.forget_sequences();
        }
        let written = if known.by_program {
            statement.take_rows_written()?
        } else {
            changes + self.index_entries(connection, &known.updates)? + self.sequences_moved(connection, &known.sequences, statement)?
        };
        self.changes.borrow_mut().clear();
        self.total.set(self.total.get() + written);
        Ok(())
    }

    /// Forgets what a statement did that has failed.
    pub(super) fn failed(&self, (statement, known): (&Statement, &mut Known), writes: Writes) {
        self.changes.borrow_mut().clear();
        if !writes.is_empty() {
            known.unread = writes;
        }
        if known.by_program || !known.unread.is_empty() {
            // What is not taken now would count the next time; nothing can be said of an error beside that of the statement.
            let _ = statement.take_rows_written();
        }
    }

    /// What compiling a statement has told.
    fn known(&self, connection: &Connection, writes: Writes) -> rusqlite::Result<Known> {
        let Writes { updates, tables, schema } = writes;
        if schema {
            return Ok(Known { changes_schema: true, by_program: true, ..Known::default() });
        }
        let mut known = Known { updates, ..Known::default() };
        for (operation, name) in tables {
            let table = self.table(connection, &name)?;
            known.by_program |= table.is_virtual;
            known.sets_sequences |= name == "sqlite_sequence";
            if table.is_autoincrement && operation == Operation::Insert && !known.sequences.contains(&name) {
                known.sequences.push(name);
            }
        }
        Ok(known)
    }

    /// The index entries made for changes.
    fn index_entries(&self, connection: &Connection, updates: &[ColumnUpdate]) -> rusqlite::Result<u64> {
        let mut total = 0;
        for TableChanges { table: name, inserted, updated } in &*self.changes.borrow() {
            let table = self.table(connection, name)?;
            total += inserted * table.indexes.len() as u64;
            if *updated > 0 && !table.indexes.is_empty() {
                total += updated * touched(updates, name, &table.indexes);
            }
        }
        Ok(total)
    }

    /// How many of the tables' sequences the statement has moved: those that are elsewhere than before it.
    fn sequences_moved(&self, connection: &Connection, tables: &[String], statement: &Statement) -> rusqlite::Result<u64> {
        let (mut moved, mut was_known) = (0, true);
        for name in tables {
            let table = self.table(connection, name)?;
            let mut look_up = connection.prepare_cached("SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = ?1")?;
            let now = look_up.query_row([name], |row| row.get(0)).optional()?.flatten();
            match table.sequence.replace(Some(now)) {
                Some(before) => moved += u64::from(before != now),
                None => was_known = false,
            }
        }
        if was_known { Ok(moved) } else { Ok(statement.sequences_moved()?) }
    }

    fn table(&self, connection: &Connection, name: &str) -> rusqlite::Result<Rc<Table>> {
        if let Some(table) = self.tables.borrow().get(name) {
            return Ok(table.clone());
        }
        let table = Rc::new(read_table(connection, name)?);
        let mut known = self.tables.borrow_mut();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(name.into(), table.clone());
        Ok(table)
    }
}

/// How many of the indexes have a column that a statement sets; all of them where that is not known.
fn touched(updates: &[ColumnUpdate], table: &str, indexes: &[Index]) -> u64 {
    let set: Vec<&str> = updates.iter().filter(|update| update.table == table).map(|update| &*update.column).collect();
    indexes.iter().filter(|index| set.is_empty() || set.iter().any(|column| index.contains(*column))).count() as u64
}

fn read_table(connection: &Connection, name: &str) -> rusqlite::Result<Table> {
    // Without LIKE, whose patterns have a limit of the caller's.
    let sql = "SELECT ifnull(max(upper(substr(sql, 1, 14)) = 'CREATE VIRTUAL'), 0), ifnull(max(instr(upper(sql), 'AUTOINCREMENT')), 0) AND \
               EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence') FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    // Asked once a table, and not kept compiled: an isolate may have a thousand connections.
    let kind = connection.query_row(sql, [name], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Table { indexes: read_indexes(connection, name)?, is_virtual: kind.0, is_autoincrement: kind.1, sequence: Cell::default() })
}

/// The indexes of a table; the primary key of a WITHOUT ROWID table is the table itself.
fn read_indexes(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Index>> {
    // An entry has the rowid as well, whose name is that of the key, if that is one column of the type INTEGER.
    // `pragma_table_list` would tell of WITHOUT ROWID, but looks into all views for it, however deep they are: the schema has no such index.
    let sql = "WITH of_table AS (SELECT name, name IN (SELECT name FROM sqlite_schema) AS is_index FROM pragma_index_list(?1)), \
               indexes AS (SELECT name FROM of_table WHERE is_index), \
               rowid AS (SELECT 'ROWID' AS name UNION SELECT max(name) FROM pragma_table_info(?1) WHERE pk > 0 \
                         HAVING count(*) = 1 AND max(type) = 'INTEGER' COLLATE NOCASE) \
               SELECT indexes.name, coalesce(info.name, '') FROM indexes, pragma_index_info(indexes.name) AS info UNION \
               SELECT indexes.name, rowid.name FROM indexes, rowid WHERE (SELECT ifnull(min(is_index), 1) FROM of_table)";
    let mut statement = connection.prepare_cached(sql)?;
    let mut indexes: HashMap<String, Index> = HashMap::new();
    let mut rows = statement.query([table])?;
    while let Some(row) = rows.next()? {
        indexes.entry(row.get(0)?).or_default().insert(row.get(1)?);
    }
    Ok(indexes.into_values().collect())
}
