//! Counts of rows written, fed by SQLite's pre-update hook while a statement runs, by table and kind.
//!
//! **Invariant:** the hook is in place only while [`Counters::count_changes`] runs, which borrows the counters.
//!
//! **Not here:** rows read, which each statement knows of itself (`statement`).

use rusqlite::{Connection, ffi};
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

/// Rows changed in one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableChanges {
    pub(crate) table: Box<[u8]>,
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
}

/// The counters of one connection.
#[derive(Default)]
pub(crate) struct Counters {
    tables: RefCell<Vec<TableChanges>>,
}

impl Counters {
    /// Counts row changes while `run` runs.
    ///
    /// Only while statements run and not while they are compiled: with the hook in place SQLite compiles `DELETE FROM t` into visiting every
    /// row, where it otherwise drops whole pages.
    pub(crate) fn count_changes<T>(&self, connection: &Connection, run: impl FnOnce() -> T) -> T {
        let context: *mut c_void = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the handle is that of an open connection; `Hook` takes the hook off before `self` can go, a panic included.
        unsafe { ffi::sqlite3_preupdate_hook(connection.handle(), Some(on_row_change), context) };
        let _hook = Hook(connection);
        run()
    }

    /// Forgets what was counted.
    pub(crate) fn reset(&self) {
        self.tables.borrow_mut().clear();
    }

    /// Rows changed since the last reset, by table. Nothing is counted while the result is borrowed.
    pub(crate) fn tables(&self) -> std::cell::Ref<'_, Vec<TableChanges>> {
        self.tables.borrow()
    }
}

/// Takes the hook off when it goes.
struct Hook<'a>(&'a Connection);

impl Drop for Hook<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is that of an open connection.
        unsafe { ffi::sqlite3_preupdate_hook(self.0.handle(), None, ptr::null_mut()) };
    }
}

unsafe extern "C" fn on_row_change(
    context: *mut c_void,
    _connection: *mut ffi::sqlite3,
    kind: c_int,
    _database: *const c_char,
    table: *const c_char,
    _old_rowid: ffi::sqlite3_int64,
    _new_rowid: ffi::sqlite3_int64,
) {
    // SAFETY: `context` is the `Counters` given with this callback; `table` is a name that ends with a zero byte.
    let (counters, table) = unsafe { (&*context.cast::<Counters>(), CStr::from_ptr(table).to_bytes()) };
    let Ok(mut tables) = counters.tables.try_borrow_mut() else { return };
    let at = tables.iter().rposition(|known| *known.table == *table).unwrap_or_else(|| {
        tables.push(TableChanges { table: table.into(), ..TableChanges::default() });
        tables.len() - 1
    });
    match kind {
        ffi::SQLITE_INSERT => tables[at].inserted += 1,
        ffi::SQLITE_UPDATE => tables[at].updated += 1,
        _ => {}
    }
}
