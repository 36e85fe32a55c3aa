//! What SQLite forgets of its page cache when it finds that a file has changed: all pages, by itself, since nobody can tell it which are other
//! now. Here the file can, and the others stay.
//!
//! SQLite reads the version of the file as a transaction begins, and if it is new, truncates the cache to nothing in the next step
//! (<https://www.sqlite.org/c3ref/pcache_methods2.html>). In between the file says which pages changed ([`forget_only`]), and the truncation
//! drops those. Nobody holds a page then, so each may go at any time.
//!
//! **Invariant:** what was said holds for the next step only: SQLite reads nothing between it and the truncation.
//!
//! **Not here:** which pages changed (`vfs`).

use littoral_protocol::{PageSet, Pgno};
use rusqlite::ffi;
use std::cell::Cell;
use std::ffi::{c_int, c_uint};
use std::sync::OnceLock;

thread_local! {
    static CHANGED: Cell<Option<PageSet>> = const { Cell::new(None) };
}

type Fetch = unsafe extern "C" fn(*mut ffi::sqlite3_pcache, c_uint, c_int) -> *mut ffi::sqlite3_pcache_page;
type Unpin = unsafe extern "C" fn(*mut ffi::sqlite3_pcache, *mut ffi::sqlite3_pcache_page, c_int);
type Truncate = unsafe extern "C" fn(*mut ffi::sqlite3_pcache, c_uint);
type Count = unsafe extern "C" fn(*mut ffi::sqlite3_pcache) -> c_int;

/// SQLite's own.
static PLAIN: OnceLock<(Fetch, Unpin, Truncate, Count)> = OnceLock::new();

/// Lets files say what changed, from now on. Without effect once SQLite has been used: everything is forgotten then.
pub(super) fn forget_less() {
    // SAFETY: numbers, pointers and optional functions: all zeros are a value of it.
    let mut methods: ffi::sqlite3_pcache_methods2 = unsafe { std::mem::zeroed() };
    // SAFETY: the option takes a place for the methods.
    let code = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETPCACHE2, &raw mut methods) };
    let (Some(fetch), Some(unpin), Some(plain), Some(count)) = (methods.xFetch, methods.xUnpin, methods.xTruncate, methods.xPagecount)
    else {
        return;
    };
    if code == ffi::SQLITE_OK && PLAIN.set((fetch, unpin, plain, count)).is_ok() {
        methods.xTruncate = Some(truncate);
        // SAFETY: the option takes complete methods, and copies them.
        unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_PCACHE2, &raw const methods) };
    }
}

/// SQLite is about to forget all pages of a file: it need only forget these. `None`: all.
pub(crate) fn forget_only(changed: Option<PageSet>) {
    CHANGED.set(changed);
}

unsafe extern "C" fn truncate(cache: *mut ffi::sqlite3_pcache, first: c_uint) {
    let Some((fetch, unpin, plain, count)) = PLAIN.get() else { return };
    // During thread shutdown it may be gone already.
    let changed = CHANGED.try_with(Cell::take).ok().flatten().filter(|_| first == 1);
    // SAFETY: SQLite calls its own functions with its own cache, of which it holds no page: one that is there is fetched, which creates
    // none (0), and given back to be dropped (1).
    unsafe {
        match changed.filter(|changed| changed.len() <= count(cache) as usize) {
            None => plain(cache, first),
            Some(changed) => {
                for Pgno(pgno) in changed.iter() {
                    let page = fetch(cache, pgno, 0);
                    if !page.is_null() {
                        unpin(cache, page, 1);
                    }
                }
            }
        }
    }
}
