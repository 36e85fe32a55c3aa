//! `instr` and `replace`, which take time in proportion to what they search; SQLite's own multiply both lengths. Their answers are the same
//! (<https://www.sqlite.org/lang_corefunc.html#instr>).
//!
//! **Not here:** LIKE and GLOB, whose patterns are limited instead: SQLite uses indexes for its own functions only.

use super::work;
use memchr::memmem::Finder;
use rusqlite::{Connection, ffi};
use std::ffi::{CStr, c_int};
use std::ptr;

/// Puts the functions in the place of SQLite's own.
pub(crate) fn install(connection: &Connection) -> Result<(), rusqlite::Error> {
    let flags = ffi::SQLITE_UTF8 | ffi::SQLITE_DETERMINISTIC | ffi::SQLITE_INNOCUOUS;
    let add = |name: &CStr, arguments: c_int, function: Function| {
        // SAFETY: the handle is that of an open connection, the name ends with a zero byte, and the function takes this many arguments.
        let code = unsafe {
            let handle = connection.handle();
            ffi::sqlite3_create_function_v2(handle, name.as_ptr(), arguments, flags, ptr::null_mut(), Some(function), None, None, None)
        };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)) }
    };
    add(c"instr", 2, instr)?;
    add(c"replace", 3, replace)
}

type Function = unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value);

/// An argument of a function that is running.
#[derive(Clone, Copy)]
struct Argument(*mut ffi::sqlite3_value);

impl Argument {
    /// # Safety
    /// `arguments` are those of the running function, and there are more than `index`. The argument is used no longer than it runs.
    unsafe fn at(arguments: *mut *mut ffi::sqlite3_value, index: usize) -> Argument {
        // SAFETY: the caller's promise.
        Argument(unsafe { *arguments.add(index) })
    }

    fn kind(self) -> c_int {
        // SAFETY: the value is alive.
        unsafe { ffi::sqlite3_value_type(self.0) }
    }

    /// The bytes of a BLOB, and of everything else as TEXT. None: it is NULL, or there was no memory.
    fn bytes<'a>(self) -> Option<&'a [u8]> {
        // SAFETY: the value is alive and stays in this form, since it is asked for in this way only; SQLite says how many bytes lie there.
        unsafe {
            let is_blob = self.kind() == ffi::SQLITE_BLOB;
            let address = if is_blob { ffi::sqlite3_value_blob(self.0).cast() } else { ffi::sqlite3_value_text(self.0) };
            let length = ffi::sqlite3_value_bytes(self.0) as usize;
            match (address.is_null(), is_blob && length == 0) {
                (false, _) => Some(std::slice::from_raw_parts(address, length)),
                (true, true) => Some(&[]),
                (true, false) => None,
            }
        }
    }
}

/// Where a needle is found in a text: at its beginning, or at that of a character.
fn find_in_text(needle: &[u8], haystack: &[u8]) -> Option<usize> {
    if needle.first().is_some_and(|first| continues(*first)) {
        return haystack.starts_with(needle).then_some(0);
    }
    Finder::new(needle).find(haystack)
}

/// Whether a byte of UTF-8 belongs to the character before it.
fn continues(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

unsafe extern "C" fn instr(context: *mut ffi::sqlite3_context, _count: c_int, arguments: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite gives the two arguments that the function was made for.
    let (haystack, needle) = unsafe { (Argument::at(arguments, 0), Argument::at(arguments, 1)) };
    let (kinds, none) = ([haystack.kind(), needle.kind()], ffi::SQLITE_NULL);
    if kinds.contains(&none) {
        return;
    }
    let (Some(haystack), Some(needle)) = (haystack.bytes(), needle.bytes()) else {
        // SAFETY: the context is that of the running function.
        unsafe { ffi::sqlite3_result_error_nomem(context) };
        return;
    };
    work::add(haystack.len() + needle.len());
    let position = if needle.is_empty() {
        1
    } else if kinds == [ffi::SQLITE_BLOB; 2] {
        Finder::new(needle).find(haystack).map_or(0, |at| at + 1)
    } else {
        let characters_before = |at: usize| haystack[1..=at].iter().filter(|byte| !continues(**byte)).count();
        find_in_text(needle, haystack).map_or(0, |at| characters_before(at) + 1)
    };
    // SAFETY: the context is that of the running function.
    unsafe { ffi::sqlite3_result_int64(context, position as i64) };
}

unsafe extern "C" fn replace(context: *mut ffi::sqlite3_context, _count: c_int, arguments: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite gives the three arguments that the function was made for.
    let [text, pattern, by] = [0, 1, 2].map(|index| unsafe { Argument::at(arguments, index) });
    let (Some(text), Some(pattern)) = (text.bytes(), pattern.bytes()) else { return };
    work::add(text.len() + pattern.len());
    if matches!(pattern.first(), None | Some(0)) {
        // SAFETY: the context is that of the running function; SQLite copies the bytes before it returns.
        unsafe {
            ffi::sqlite3_result_text64(context, text.as_ptr().cast(), text.len() as u64, ffi::SQLITE_TRANSIENT(), ffi::SQLITE_UTF8 as _)
        };
        return;
    }
    let Some(by) = by.bytes() else { return };
    let finder = Finder::new(pattern);
    let found = finder.find_iter(text).count();
    let length = text.len() - found * pattern.len() + found * by.len();
    // SAFETY: the context is that of the running function; the room has `length` bytes, all of them are written before SQLite reads them, and
    // SQLite frees it.
    unsafe {
        if length > ffi::sqlite3_limit(ffi::sqlite3_context_db_handle(context), ffi::SQLITE_LIMIT_LENGTH, -1) as usize {
            return ffi::sqlite3_result_error_toobig(context);
        }
        let room: *mut u8 = ffi::sqlite3_malloc64(length as u64 + 1).cast();
        if room.is_null() {
            return ffi::sqlite3_result_error_nomem(context);
        }
        let mut written = 0;
        let mut push = |bytes: &[u8]| {
            ptr::copy_nonoverlapping(bytes.as_ptr(), room.add(written), bytes.len());
            written += bytes.len();
        };
        let mut from = 0;
        for at in finder.find_iter(text) {
            push(&text[from..at]);
            push(by);
            from = at + pattern.len();
        }
        push(&text[from..]);
        ffi::sqlite3_result_text64(context, room.cast(), length as u64, Some(ffi::sqlite3_free), ffi::SQLITE_UTF8 as _);
    }
}
