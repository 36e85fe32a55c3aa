//! The C side: the VFS and file methods that SQLite calls, prepared statements and their programs, rows as they change, its memory, and
//! functions in the place of its own. The only unsafe code of the crate.
//!
//! **Invariants**
//! 1. No callback panics or unwinds into C: each turns every outcome into a result code.
//! 2. A `File` is valid from a successful `x_open` until `x_close`, as SQLite promises, and is touched by one thread.
//! 3. Files are found by name among those of the calling thread, temporary ones by their VFS; no other name is ever opened.
//!
//! **Not here:** decisions. Those are in `vfs`, which has the files (`file::File`).
#![allow(unsafe_code)]

mod callbacks;
pub(crate) mod changes;
pub(crate) mod file;
pub(crate) mod functions;
#[cfg(any(test, target_arch = "wasm32"))]
mod memcmp;
pub(crate) mod page_cache;
mod program;
pub(crate) mod progress;
pub(crate) mod stack;
pub(crate) mod statement;
pub(crate) mod temporary;
#[cfg(test)]
mod tests;
pub(crate) mod work;

use rusqlite::{Connection, ffi};
use std::ffi::c_int;
use std::sync::Once;

/// Lets the statements of a connection count the rows that they visit.
pub(crate) fn count_visits(connection: &Connection) {
    // SAFETY: the handle is that of an open connection, and the option takes a number and a place for its answer, which may be null.
    unsafe {
        ffi::sqlite3_db_config(connection.handle(), ffi::SQLITE_DBCONFIG_STMT_SCANSTATUS, 1 as c_int, std::ptr::null_mut::<c_int>());
    }
}

/// Takes from a connection the tables in which it would show what statements are compiled to: D1 has none of them.
pub(crate) fn hide_programs(connection: &Connection) {
    for module in [c"bytecode", c"tables_used"] {
        // SAFETY: the handle is that of an open connection, and the name ends with a zero. Without methods, a module of that name goes.
        unsafe { ffi::sqlite3_create_module_v2(connection.handle(), module.as_ptr(), std::ptr::null(), std::ptr::null_mut(), None) };
    }
}

/// Lets a connection say that this was the rowid inserted last.
pub(crate) fn set_last_insert_rowid(connection: &Connection, rowid: i64) {
    // SAFETY: the handle is that of an open connection.
    unsafe { ffi::sqlite3_set_last_insert_rowid(connection.handle(), rowid) };
}

/// Whether foreign keys are violated that SQLite checks at the end of the transaction only (`SQLITE_DBSTATUS_DEFERRED_FKS`).
pub(crate) fn has_deferred_violations(connection: &Connection) -> bool {
    let (mut current, mut highest) = (0, 0);
    // SAFETY: the handle is that of an open connection; both places are valid for the call.
    unsafe { ffi::sqlite3_db_status(connection.handle(), ffi::SQLITE_DBSTATUS_DEFERRED_FKS, &mut current, &mut highest, 0) };
    current != 0
}

/// Makes the VFS known to SQLite, and sets what cannot be set once SQLite was used: first of all, once in a process.
pub(crate) fn register_vfs() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        work::count_allocations();
        page_cache::forget_less();
        let data = Box::leak(Box::new(callbacks::AppData { platform: platform_vfs(), temporary: None }));
        let vfs = Box::leak(Box::new(callbacks::vfs(file::VFS_NAME, data)));
        // SAFETY: the structure is complete and lives forever; 0 = not the default.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        assert_eq!(code, ffi::SQLITE_OK, "registering the VFS failed");
    });
}

/// SQLite's own VFS for the platform.
fn platform_vfs() -> *mut ffi::sqlite3_vfs {
    // SAFETY: finding the default VFS (by null name) has no preconditions; SQLite keeps it registered for the whole process.
    let platform = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
    assert!(!platform.is_null(), "SQLite has no default VFS");
    platform
}
