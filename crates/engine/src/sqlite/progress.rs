//! The question that SQLite asks every so many instructions: whether what runs may go on (<https://www.sqlite.org/c3ref/progress_handler.html>).
//!
//! **Invariant:** SQLite asks only as long as [`Progress`] lives.
//!
//! **Not here:** the answer (`engine::budget`).

use rusqlite::{Connection, ffi};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::rc::Rc;

/// Whether what runs may go on. While it is asked, its connection must not be used; others may.
pub(crate) type MayGoOn = Rc<dyn Fn() -> bool>;

/// Has the statements of a connection asked.
pub(crate) struct Progress {
    connection: Rc<Connection>,
    /// In a place of its own: what SQLite keeps is one address.
    _ask: Rc<MayGoOn>,
}

impl Progress {
    /// Has `ask` asked every `instructions`.
    pub(crate) fn watch(connection: &Rc<Connection>, instructions: c_int, ask: MayGoOn) -> Progress {
        let ask = Rc::new(ask);
        let context: *mut c_void = Rc::as_ptr(&ask).cast_mut().cast();
        // SAFETY: the handle is that of an open connection; `ask` stays where it is until `Progress` goes, which takes the handler off before.
        unsafe { ffi::sqlite3_progress_handler(connection.handle(), instructions, Some(on_progress), context) };
        Progress { connection: connection.clone(), _ask: ask }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // SAFETY: the handle is that of a connection that is open, since it is held here.
        unsafe { ffi::sqlite3_progress_handler(self.connection.handle(), 0, None, ptr::null_mut()) };
    }
}

unsafe extern "C" fn on_progress(context: *mut c_void) -> c_int {
    // SAFETY: `context` is the `MayGoOn` given with this callback.
    let ask = unsafe { &*context.cast::<MayGoOn>() };
    c_int::from(!ask())
}
