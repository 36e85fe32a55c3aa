//! Work that SQLite's instructions do not show: one of them may fill or search millions of bytes.
//!
//! Counted are the bytes that SQLite asks memory for, which everything that makes a large value does, and those that a function searches
//! ([`super::functions`]). The Workers runtime lets no clock go on while a request computes, so time cannot be measured.
//!
//! Being asked at every level of SQLite's recursions, this is also where those end that are too deep ([`super::stack`]).
//!
//! **Not here:** how much may be done (`engine`).

use super::stack::{self, is_too_deep};
use rusqlite::ffi;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

thread_local! {
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

type Malloc = unsafe extern "C" fn(c_int) -> *mut c_void;
type Realloc = unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void;
type Size = unsafe extern "C" fn(*mut c_void) -> c_int;

/// SQLite's own.
static PLAIN: OnceLock<(Malloc, Realloc, Size)> = OnceLock::new();

/// Counts what SQLite allocates from now on, and refuses it where the stack is too deep. Without effect once SQLite has been used, which
/// happens in programs that use it for other things.
pub(super) fn count_allocations() {
    // SAFETY: numbers, pointers and optional functions: all zeros are a value of it.
    let mut methods: ffi::sqlite3_mem_methods = unsafe { std::mem::zeroed() };
    // SAFETY: the option takes a place for the methods.
    let code = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut methods) };
    let (Some(plain_malloc), Some(plain_realloc), Some(size)) = (methods.xMalloc, methods.xRealloc, methods.xSize) else { return };
    if code == ffi::SQLITE_OK && PLAIN.set((plain_malloc, plain_realloc, size)).is_ok() {
        methods.xMalloc = Some(malloc);
        methods.xRealloc = Some(realloc);
        // SAFETY: the option takes complete methods, and copies them.
        unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const methods) };
    }
}

/// Counts bytes that were worked on.
pub(crate) fn add(bytes: usize) {
    BYTES.set(BYTES.get().saturating_add(bytes as u64));
}

/// The bytes worked on in this thread since this was last asked, in whole units of `unit`: the rest counts the next time.
pub(crate) fn take(unit: u64) -> u64 {
    let bytes = BYTES.get();
    BYTES.set(bytes % unit);
    bytes / unit
}

/// Runs what is no work of the statement that runs, though it is called by it: a file that reads, others that have their turn. They may use SQLite
/// themselves, and what they did is then not counted as the statement's.
pub(crate) fn apart<T>(run: impl FnOnce() -> T) -> T {
    let (bytes, too_deep) = (BYTES.get(), stack::take_too_deep());
    let result = run();
    BYTES.set(bytes);
    stack::set_too_deep(too_deep);
    result
}

unsafe extern "C" fn malloc(bytes: c_int) -> *mut c_void {
    let Some((plain, ..)) = PLAIN.get().filter(|_| !is_too_deep()) else { return ptr::null_mut() };
    add(bytes as usize);
    // SAFETY: SQLite calls its own function with what it would have called it with.
    unsafe { plain(bytes) }
}

/// Only what is added counts: some functions make their room larger for every row.
unsafe extern "C" fn realloc(memory: *mut c_void, bytes: c_int) -> *mut c_void {
    let Some((_, plain, size)) = PLAIN.get().filter(|_| !is_too_deep()) else { return ptr::null_mut() };
    // SAFETY: SQLite calls its own function with what it would have called it with; what is made larger was allocated by it.
    unsafe {
        add(bytes.saturating_sub(size(memory)).max(0) as usize);
        plain(memory, bytes)
    }
}
