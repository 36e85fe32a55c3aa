//! Rows as they change: SQLite's one pre-update hook, for all who want to be told (<https://www.sqlite.org/c3ref/preupdate_blobwrite.html>).
//!
//! **Invariants**
//! 1. The hook is in place only within [`Watchers::running`] and [`Watchers::compiling`], which borrow the watchers; without any it never is.
//! 2. A [`RowChange`] and its values are borrowed for one call of a watcher: SQLite takes them back when all were called.
//!
//! **Not here:** what a change means (`engine`).

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ffi};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::rc::Rc;

/// What happens to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It comes.
    Insert,
    /// Its values change, or its rowid.
    Update,
    /// It goes.
    Delete,
}

/// Somebody who is told of each row that a connection's statements change, before it changes.
///
/// Told is what statements do as they do it, changes by triggers and foreign keys included, and a row that makes room for another (`REPLACE`)
/// as a deletion.
///
/// Not told are the schema, and rows of virtual tables; those of the tables in which FTS5 and R*Tree keep them are, by those tables' names.
///
/// **Nothing tells that a change has lasted.** A statement that fails has been told up to there, and so has a call that is undone. Calls that run
/// together may run again, one by one, and are told again.
pub trait Watcher {
    /// A row is about to change. Must not panic: SQLite could not go on, so the process ends.
    fn row_changes(&self, change: &RowChange<'_>);

    /// Whether every deleted row has to be told. Of a `DELETE FROM t` SQLite otherwise frees whole pages, without looking at rows;
    /// where somebody has to be told, it visits each, and `rows_read` counts it.
    fn needs_every_deletion(&self) -> bool {
        true
    }
}

/// A row that is about to change. Columns are numbered from 0, in the order of the table.
pub struct RowChange<'a> {
    connection: *mut ffi::sqlite3,
    operation: Operation,
    table: &'a str,
    old_rowid: i64,
    new_rowid: i64,
}

type Preupdate = unsafe extern "C" fn(*mut ffi::sqlite3, c_int, *mut *mut ffi::sqlite3_value) -> c_int;

impl<'a> RowChange<'a> {
    /// What happens to it.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The table that it is in. Empty if the name is no UTF-8, which only a damaged schema has.
    pub fn table(&self) -> &'a str {
        self.table
    }

    /// Its rowid before. `None`: it is inserted. 0 in a table WITHOUT ROWID.
    pub fn old_rowid(&self) -> Option<i64> {
        (self.operation != Operation::Insert).then_some(self.old_rowid)
    }

    /// Its rowid after. `None`: it is deleted. 0 in a table WITHOUT ROWID.
    pub fn new_rowid(&self) -> Option<i64> {
        (self.operation != Operation::Delete).then_some(self.new_rowid)
    }

    /// How many columns its table has.
    pub fn columns(&self) -> usize {
        // SAFETY: the connection is open, and this change is being told.
        unsafe { ffi::sqlite3_preupdate_count(self.connection) as usize }
    }

    /// How many triggers deep it happens: 0 if a caller's statement does it. What a foreign key does counts as a trigger.
    pub fn depth(&self) -> usize {
        // SAFETY: the connection is open, and this change is being told.
        unsafe { ffi::sqlite3_preupdate_depth(self.connection) as usize }
    }

    /// The value of a column before. `None`: the row is inserted, the column is not stored (it is generated when it is read), or memory is short.
    pub fn old_value(&self, column: usize) -> Option<ValueRef<'_>> {
        self.old_rowid().and_then(|_| self.value(ffi::sqlite3_preupdate_old, column))
    }

    /// The value of a column after. `None`: the row is deleted, the column is not stored, or memory is short.
    pub fn new_value(&self, column: usize) -> Option<ValueRef<'_>> {
        self.new_rowid().and_then(|_| self.value(ffi::sqlite3_preupdate_new, column))
    }

    fn value(&self, ask: Preupdate, column: usize) -> Option<ValueRef<'_>> {
        let column = c_int::try_from(column).ok().filter(|_| column < self.columns())?;
        let mut value = ptr::null_mut();
        // SAFETY: the connection is open, and this change is being told; the place is valid, and stays null where there is no memory.
        let code = unsafe { ask(self.connection, column, &mut value) };
        if code != ffi::SQLITE_OK || value.is_null() {
            return None;
        }
        // SAFETY: the value stays for as long as this change is told, which `self` does not outlive, and it is asked for in this way only, so
        // its bytes stay, too; SQLite says how many they are.
        unsafe {
            let bytes = |address: *const c_void| {
                let length = ffi::sqlite3_value_bytes(value) as usize;
                (!address.is_null()).then(|| std::slice::from_raw_parts(address.cast(), length))
            };
            match ffi::sqlite3_value_type(value) {
                ffi::SQLITE_INTEGER => Some(ValueRef::Integer(ffi::sqlite3_value_int64(value))),
                ffi::SQLITE_FLOAT => Some(ValueRef::Real(ffi::sqlite3_value_double(value))),
                ffi::SQLITE_TEXT => bytes(ffi::sqlite3_value_text(value).cast()).map(ValueRef::Text),
                // An empty BLOB has no address; neither has one for which there was no memory, but that still has its length.
                ffi::SQLITE_BLOB => match bytes(ffi::sqlite3_value_blob(value)) {
                    None if ffi::sqlite3_value_bytes(value) == 0 => Some(ValueRef::Blob(&[])),
                    blob => blob.map(ValueRef::Blob),
                },
                _ => Some(ValueRef::Null),
            }
        }
    }
}

/// Who is told of the changes of one connection, in this order.
#[derive(Default)]
pub(crate) struct Watchers(Vec<Rc<dyn Watcher>>);

impl Watchers {
    pub(crate) fn new(watchers: impl IntoIterator<Item = Rc<dyn Watcher>>) -> Watchers {
        Watchers(watchers.into_iter().collect())
    }

    /// Tells of the row changes that happen while statements run.
    pub(crate) fn running<T>(&self, connection: &Connection, run: impl FnOnce() -> T) -> T {
        let _hook = (!self.0.is_empty()).then(|| self.hook(connection));
        run()
    }

    /// Compiles statements so that they can be told of: with the hook in place SQLite compiles `DELETE FROM t` into visiting every row.
    pub(crate) fn compiling<T>(&self, connection: &Connection, compile: impl FnOnce() -> T) -> T {
        let _hook = self.0.iter().any(|watcher| watcher.needs_every_deletion()).then(|| self.hook(connection));
        compile()
    }

    fn hook<'a>(&'a self, connection: &'a Connection) -> Hook<'a> {
        let context: *mut c_void = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the handle is that of an open connection; `Hook` takes the hook off before `self` can go, a panic included.
        unsafe { ffi::sqlite3_preupdate_hook(connection.handle(), Some(on_row_change), context) };
        Hook(connection)
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

pub(super) unsafe extern "C" fn on_row_change(
    context: *mut c_void,
    connection: *mut ffi::sqlite3,
    operation: c_int,
    _database: *const c_char,
    table: *const c_char,
    old_rowid: ffi::sqlite3_int64,
    new_rowid: ffi::sqlite3_int64,
) {
    // SAFETY: `context` is the `Watchers` given with this callback; `table` is a name that ends with a zero byte.
    let (watchers, table) = unsafe { (&*context.cast::<Watchers>(), CStr::from_ptr(table)) };
    let operation = match operation {
        ffi::SQLITE_INSERT => Operation::Insert,
        ffi::SQLITE_UPDATE => Operation::Update,
        _ => Operation::Delete,
    };
    let change = RowChange { connection, operation, table: table.to_str().unwrap_or_default(), old_rowid, new_rowid };
    watchers.0.iter().for_each(|watcher| watcher.row_changes(&change));
}
