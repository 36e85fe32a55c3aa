//! Row counts of statements, fed by SQLite while they run.
//!
//! Stock SQLite has no counters of rows read and written, which D1's SQLite has. Rows read are the visits of every scan of a statement
//! (`SQLITE_SCANSTAT_NVISIT`); rows written come from the pre-update hook, by table and kind.
//!
//! **Invariant:** `running` is read only while the statement that SQLite announced last is alive: see [`Counters::collect`].

use rusqlite::{Connection, Statement, ffi};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
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
    /// The statement that began last.
    running: Cell<*mut ffi::sqlite3_stmt>,
    rows_read: Cell<u64>,
    tables: RefCell<Vec<TableChanges>>,
}

impl Counters {
    /// Lets SQLite feed counters of `connection`.
    ///
    /// The counters have to outlive the connection: whoever keeps both drops the connection first.
    pub(crate) fn attach(connection: &Connection) -> Box<Counters> {
        let counters = Box::new(Counters::default());
        let context: *mut c_void = ptr::from_ref(&*counters).cast_mut().cast();
        // SAFETY: the handle is that of an open connection; the context is a heap address that lives as long as the connection, as
        // this function asks of its caller; both callbacks take it for what it is.
        unsafe {
            let handle = connection.handle();
            ffi::sqlite3_trace_v2(handle, ffi::SQLITE_TRACE_STMT as c_uint, Some(on_statement_begin), context);
            ffi::sqlite3_db_config(handle, ffi::SQLITE_DBCONFIG_STMT_SCANSTATUS, 1 as c_int, ptr::null_mut::<c_int>());
        }
        counters
    }

    /// Counts row changes while `run` runs.
    ///
    /// Only while statements run and not while they are compiled: with the hook in place SQLite compiles `DELETE FROM t` into visiting every
    /// row, where it otherwise drops whole pages.
    pub(crate) fn count_changes<T>(&self, connection: &Connection, run: impl FnOnce() -> T) -> T {
        let context: *mut c_void = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the handle is that of an open connection; the hook is taken off before `self` can go.
        unsafe { ffi::sqlite3_preupdate_hook(connection.handle(), Some(on_row_change), context) };
        let result = run();
        // SAFETY: as above.
        unsafe { ffi::sqlite3_preupdate_hook(connection.handle(), None, ptr::null_mut()) };
        result
    }

    /// Forgets what was counted.
    pub(crate) fn reset(&self) {
        self.rows_read.set(0);
        self.tables.borrow_mut().clear();
    }

    /// Adds the rows that a statement read. To be called with the statement that ran last, before another one runs.
    pub(crate) fn collect(&self, _alive: &Statement<'_>) {
        let statement = self.running.replace(ptr::null_mut());
        if statement.is_null() {
            return;
        }
        let mut total = 0;
        for scan in 0.. {
            let mut visits: i64 = 0;
            let out: *mut c_void = ptr::from_mut(&mut visits).cast();
            // SAFETY: SQLite announced this statement when it began; the caller holds it alive; `visits` has the type NVISIT asks for.
            if unsafe { ffi::sqlite3_stmt_scanstatus_v2(statement, scan, ffi::SQLITE_SCANSTAT_NVISIT, 0, out) } != 0 {
                break;
            }
            total += visits.max(0) as u64;
        }
        // SAFETY: as above.
        unsafe { ffi::sqlite3_stmt_scanstatus_reset(statement) };
        self.rows_read.set(self.rows_read.get() + total);
    }

    /// Rows read by the statements collected since the last reset.
    pub(crate) fn rows_read(&self) -> u64 {
        self.rows_read.get()
    }

    /// Rows changed since the last reset, by table. Nothing is counted while the result is borrowed.
    pub(crate) fn tables(&self) -> std::cell::Ref<'_, Vec<TableChanges>> {
        self.tables.borrow()
    }
}

unsafe extern "C" fn on_statement_begin(_event: c_uint, context: *mut c_void, statement: *mut c_void, text: *mut c_void) -> c_int {
    // SAFETY: `context` is the `Counters` given with this callback; `text` is a string that ends with a zero byte. A trigger is announced
    // too, with its own name as a comment: it runs within the statement that is known already.
    unsafe {
        let is_trigger = !text.is_null() && *text.cast::<u8>() == b'-' && *text.cast::<u8>().add(1) == b'-';
        if !is_trigger {
            (*context.cast::<Counters>()).running.set(statement.cast());
        }
    }
    0
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
