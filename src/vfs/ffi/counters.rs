//! Row counts of statements, fed by SQLite while they run.
//!
//! Stock SQLite has no counters of rows read and written, which D1's SQLite has. Rows read are the visits of every scan of a statement
//! (`SQLITE_SCANSTAT_NVISIT`, collected when the statement ends); rows written come from the pre-update hook, by table and kind.

use rusqlite::{Connection, ffi};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

/// Rows changed in one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableChanges {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
}

/// The counters of one connection. They count from one [`Counters::take`] to the next.
#[derive(Default)]
pub(crate) struct Counters {
    rows_read: Cell<u64>,
    tables: RefCell<HashMap<Box<[u8]>, TableChanges>>,
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
            ffi::sqlite3_trace_v2(handle, ffi::SQLITE_TRACE_PROFILE as c_uint, Some(on_statement_end), context);
            ffi::sqlite3_preupdate_hook(handle, Some(on_row_change), context);
            ffi::sqlite3_db_config(handle, ffi::SQLITE_DBCONFIG_STMT_SCANSTATUS, 1 as c_int, ptr::null_mut::<c_int>());
        }
        counters
    }

    /// What was counted since the last call: rows read, and changes by table.
    pub(crate) fn take(&self) -> (u64, HashMap<Box<[u8]>, TableChanges>) {
        (self.rows_read.take(), self.tables.take())
    }
}

unsafe extern "C" fn on_statement_end(_event: c_uint, context: *mut c_void, statement: *mut c_void, _nanoseconds: *mut c_void) -> c_int {
    // SAFETY: `context` is the `Counters` given with this callback; `statement` is the statement that ended, as documented for
    // SQLITE_TRACE_PROFILE; `visits` has the type that NVISIT asks for.
    unsafe {
        let counters = &*context.cast::<Counters>();
        let statement = statement.cast::<ffi::sqlite3_stmt>();
        let mut total = 0;
        for scan in 0.. {
            let mut visits: i64 = 0;
            let out: *mut c_void = ptr::from_mut(&mut visits).cast();
            if ffi::sqlite3_stmt_scanstatus_v2(statement, scan, ffi::SQLITE_SCANSTAT_NVISIT, 0, out) != 0 {
                break;
            }
            total += visits.max(0) as u64;
        }
        ffi::sqlite3_stmt_scanstatus_reset(statement);
        counters.rows_read.set(counters.rows_read.get() + total);
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
    if !tables.contains_key(table) {
        tables.insert(table.into(), TableChanges::default());
    }
    let Some(changes) = tables.get_mut(table) else { return };
    match kind {
        ffi::SQLITE_INSERT => changes.inserted += 1,
        ffi::SQLITE_UPDATE => changes.updated += 1,
        _ => {}
    }
}
