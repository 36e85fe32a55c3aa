//! A prepared statement that owns its pointer, and a text that is compiled statement by statement.
//!
//! rusqlite keeps the pointer of a statement to itself, and the rows that a statement visited are asked of exactly that pointer.
//! Finding it in another way (the statement that SQLite announced last) is not safe: virtual tables prepare and finalize statements of their
//! own while one runs.
//!
//! **Invariants**
//! 1. A pointer is finalized once, by the only [`Statement`] that has it, and before its connection is closed: the statement holds that.
//! 2. Values of a row are borrowed from the statement, and moving it on takes it whole.
//!
//! **Not here:** which statements may run (`engine`).

use super::program::{Written, written};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ffi};
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::rc::Rc;

/// Why SQLite did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqliteError {
    /// The extended result code.
    pub(crate) code: c_int,
    pub(crate) message: String,
    /// The byte, counted from where compiling began, that SQLite complains about.
    pub(crate) offset: Option<usize>,
}

impl SqliteError {
    /// What SQLite says of the last call on the connection.
    fn last(connection: &Connection) -> SqliteError {
        // SAFETY: the handle is that of an open connection; the message is valid until the next call, and copied before.
        unsafe {
            let handle = connection.handle();
            let message = CStr::from_ptr(ffi::sqlite3_errmsg(handle)).to_string_lossy().into_owned();
            let offset = usize::try_from(ffi::sqlite3_error_offset(handle)).ok();
            SqliteError { code: ffi::sqlite3_extended_errcode(handle), message, offset }
        }
    }

    pub(super) fn out_of_memory() -> SqliteError {
        SqliteError { code: ffi::SQLITE_NOMEM, message: "out of memory".into(), offset: None }
    }
}

impl From<SqliteError> for rusqlite::Error {
    fn from(error: SqliteError) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(error.code), Some(error.message))
    }
}

/// An SQL text that is compiled statement by statement.
///
/// It ends with a zero byte: SQLite copies all that is left of a text that does not, once for every statement.
pub(crate) struct SqlText(Vec<u8>);

impl SqlText {
    /// A text without a NUL: SQLite reads no further than the first.
    pub(crate) fn new(sql: &str) -> SqlText {
        let mut text = Vec::with_capacity(sql.len() + 1);
        text.extend_from_slice(sql.as_bytes());
        text.push(0);
        SqlText(text)
    }

    /// Compiles the statement that begins at the byte `from`. Returns it, none if only blanks, comments and a `;` were there, and the byte at
    /// which it ends.
    pub(crate) fn compile(&self, connection: &Rc<Connection>, from: usize) -> Result<(Option<Statement>, usize), SqliteError> {
        let text = &self.0[from..];
        let mut raw = ptr::null_mut();
        let mut tail: *const c_char = ptr::null();
        // SAFETY: the handle is that of an open connection; the text has that many bytes, the last of them zero; both places are valid.
        let code = unsafe {
            let length = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
            ffi::sqlite3_prepare_v3(connection.handle(), text.as_ptr().cast(), length, 0, &mut raw, &mut tail)
        };
        if code != ffi::SQLITE_OK {
            return Err(SqliteError::last(connection));
        }
        // SQLite answers with a place in the text that it was given.
        let end = from + (tail as usize).saturating_sub(text.as_ptr() as usize);
        let statement = NonNull::new(raw).map(|raw| Statement {
            raw,
            connection: connection.clone(),
            lost_value: Cell::default(),
            called: Cell::default(),
        });
        Ok((statement, end.min(self.0.len() - 1)))
    }
}

/// A compiled statement.
pub(crate) struct Statement {
    raw: NonNull<ffi::sqlite3_stmt>,
    connection: Rc<Connection>,
    /// There was no memory for a value that was asked for.
    lost_value: Cell<bool>,
    /// The rows that programs called by it had written when this was last asked.
    called: Cell<u64>,
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: nobody else has the pointer, and its connection is open, since it is held here.
        unsafe { ffi::sqlite3_finalize(self.raw.as_ptr()) };
    }
}

impl Statement {
    /// Whether it writes nothing by itself.
    pub(crate) fn is_read_only(&self) -> bool {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_stmt_readonly(self.raw.as_ptr()) != 0 }
    }

    /// Whether it is an EXPLAIN, which does not notice that the schema has changed.
    pub(crate) fn is_explain(&self) -> bool {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_stmt_isexplain(self.raw.as_ptr()) != 0 }
    }

    pub(crate) fn parameter_count(&self) -> usize {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_bind_parameter_count(self.raw.as_ptr()) as usize }
    }

    /// Binds the parameter of this number, from 1. Longer values than SQLite may keep are an error.
    pub(crate) fn bind(&mut self, number: usize, value: ValueRef<'_>) -> Result<(), SqliteError> {
        let (raw, number) = (self.raw.as_ptr(), c_int::try_from(number).unwrap_or(c_int::MAX));
        // SAFETY: the statement is alive and not running; SQLite copies bytes before it returns (`SQLITE_TRANSIENT`), and is told their length.
        let code = unsafe {
            match value {
                ValueRef::Null => ffi::sqlite3_bind_null(raw, number),
                ValueRef::Integer(value) => ffi::sqlite3_bind_int64(raw, number, value),
                ValueRef::Real(value) => ffi::sqlite3_bind_double(raw, number, value),
                ValueRef::Text(text) => {
                    let (bytes, encoding) = (some_address(text).cast(), ffi::SQLITE_UTF8 as _);
                    ffi::sqlite3_bind_text64(raw, number, bytes, text.len() as u64, ffi::SQLITE_TRANSIENT(), encoding)
                }
                // A null address would be NULL, not a BLOB of no bytes.
                ValueRef::Blob(blob) => {
                    ffi::sqlite3_bind_blob64(raw, number, some_address(blob), blob.len() as u64, ffi::SQLITE_TRANSIENT())
                }
            }
        };
        self.check(code)
    }

    /// Moves on to the next row. False: there are no more.
    pub(crate) fn step(&mut self) -> Result<bool, SqliteError> {
        // SAFETY: the statement is alive.
        match unsafe { ffi::sqlite3_step(self.raw.as_ptr()) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            _ => Err(SqliteError::last(&self.connection)),
        }
    }

    /// Ends what runs, and forgets parameters. What had failed was said by [`Statement::step`].
    pub(crate) fn reset(&mut self) {
        self.lost_value.set(false);
        // SAFETY: the statement is alive.
        unsafe {
            ffi::sqlite3_reset(self.raw.as_ptr());
            ffi::sqlite3_clear_bindings(self.raw.as_ptr());
        }
    }

    pub(crate) fn column_count(&self) -> usize {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_column_count(self.raw.as_ptr()) as usize }
    }

    /// The name of a column; empty if there is none.
    pub(crate) fn column_name(&self, column: usize) -> &str {
        // SAFETY: the statement is alive, and SQLite gives such a text, which stays until the statement is moved on.
        unsafe { text(ffi::sqlite3_column_name(self.raw.as_ptr(), column as c_int)) }.unwrap_or_default()
    }

    /// The type that a column of a table is declared with.
    pub(crate) fn declared_type(&self, column: usize) -> Option<&str> {
        // SAFETY: as for the name.
        unsafe { text(ffi::sqlite3_column_decltype(self.raw.as_ptr(), column as c_int)) }
    }

    /// The name of the parameter of this number, from 1, with what stands before it.
    pub(crate) fn parameter_name(&self, number: usize) -> Option<&str> {
        // SAFETY: as for the name of a column; this one stays for as long as the statement.
        unsafe { text(ffi::sqlite3_bind_parameter_name(self.raw.as_ptr(), c_int::try_from(number).unwrap_or(c_int::MAX))) }
    }

    /// A value of the present row. Where memory is short, NULL: see [`Statement::check_values`].
    pub(crate) fn value(&self, column: usize) -> ValueRef<'_> {
        let (raw, column) = (self.raw.as_ptr(), column as c_int);
        // SAFETY: the statement is alive; the bytes of a value stay until it is moved on or asked for the value in another type, which
        // this does not do: the type is asked first.
        unsafe {
            match ffi::sqlite3_column_type(raw, column) {
                ffi::SQLITE_INTEGER => ValueRef::Integer(ffi::sqlite3_column_int64(raw, column)),
                ffi::SQLITE_FLOAT => ValueRef::Real(ffi::sqlite3_column_double(raw, column)),
                ffi::SQLITE_TEXT => {
                    let bytes = self.bytes(ffi::sqlite3_column_text(raw, column).cast(), column);
                    bytes.map_or(ValueRef::Null, ValueRef::Text)
                }
                ffi::SQLITE_BLOB => {
                    let bytes = self.bytes(ffi::sqlite3_column_blob(raw, column), column);
                    bytes.map_or(ValueRef::Null, ValueRef::Blob)
                }
                _ => ValueRef::Null,
            }
        }
    }

    /// The bytes of a value, whose address SQLite gave just now; none if there was no memory for them.
    ///
    /// # Safety
    /// `address` is SQLite's answer for this column of the present row.
    unsafe fn bytes(&self, address: *const c_void, column: c_int) -> Option<&[u8]> {
        // SAFETY: the statement is alive; SQLite says how many bytes lie at the address that it gave.
        unsafe {
            let length = ffi::sqlite3_column_bytes(self.raw.as_ptr(), column) as usize;
            if !address.is_null() {
                return Some(std::slice::from_raw_parts(address.cast(), length));
            }
            // An empty BLOB has no address, either.
            let failed = ffi::sqlite3_errcode(self.connection.handle()) == ffi::SQLITE_NOMEM;
            self.lost_value.set(self.lost_value.get() || failed);
            (!failed).then_some(&[])
        }
    }

    /// Whether every value asked for since the last reset could be had.
    pub(crate) fn check_values(&self) -> Result<(), SqliteError> {
        if self.lost_value.get() { Err(SqliteError::out_of_memory()) } else { Ok(()) }
    }

    /// Binds another statement, which only the table `bytecode` takes.
    pub(super) fn bind_statement(&mut self, number: c_int, statement: &Statement) -> Result<(), SqliteError> {
        // SAFETY: both statements are alive; the name of the type ends with a zero and lives forever; nothing is to be freed.
        let code =
            unsafe { ffi::sqlite3_bind_pointer(self.raw.as_ptr(), number, statement.raw.as_ptr().cast(), c"stmt-pointer".as_ptr(), None) };
        self.check(code)
    }

    /// The rows that it wrote as D1 counts them, since this and [`Statement::take_rows_visited`] were last asked. It must not be running.
    pub(crate) fn take_rows_written(&self) -> Result<u64, SqliteError> {
        let Written { itself, called, .. } = written(self)?;
        // SAFETY: the statement is alive.
        let is_compiled_anew = unsafe { ffi::sqlite3_stmt_status(self.raw.as_ptr(), ffi::SQLITE_STMTSTATUS_REPREPARE, 1) } > 0;
        let before = if is_compiled_anew { 0 } else { self.called.get() };
        self.called.set(called);
        Ok(itself + called.saturating_sub(before))
    }

    /// The rows of the sequence of AUTOINCREMENT that it wrote since [`Statement::take_rows_visited`] was last asked. It must not be running.
    pub(crate) fn sequences_moved(&self) -> Result<u64, SqliteError> {
        Ok(written(self)?.sequences)
    }

    /// The rows that its scans visited since this was last asked (`SQLITE_SCANSTAT_NVISIT`).
    pub(crate) fn take_rows_visited(&self) -> u64 {
        let mut total = 0;
        for scan in 0.. {
            let mut visits: i64 = 0;
            let out: *mut c_void = ptr::from_mut(&mut visits).cast();
            // SAFETY: the statement is alive; `visits` has the type that NVISIT asks for.
            if unsafe { ffi::sqlite3_stmt_scanstatus_v2(self.raw.as_ptr(), scan, ffi::SQLITE_SCANSTAT_NVISIT, 0, out) } != 0 {
                break;
            }
            total += visits.max(0) as u64;
        }
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_stmt_scanstatus_reset(self.raw.as_ptr()) };
        total
    }

    fn check(&self, code: c_int) -> Result<(), SqliteError> {
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(SqliteError { offset: None, ..SqliteError::last(&self.connection) }) }
    }
}

/// A text that SQLite gave, if it is one.
///
/// # Safety
/// The address is null, or that of bytes that end with a zero and stay for as long as the result is used.
unsafe fn text<'a>(address: *const c_char) -> Option<&'a str> {
    // SAFETY: the caller's promise.
    if address.is_null() { None } else { unsafe { CStr::from_ptr(address) }.to_str().ok() }
}

/// The address of bytes; for none one that is not null.
fn some_address(bytes: &[u8]) -> *const c_void {
    bytes.as_ptr().cast()
}
