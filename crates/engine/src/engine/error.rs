//! What can go wrong when SQL runs, and D1's words for it.
//!
//! D1's server texts are SQLite's message, the offset where SQLite knows one, and the names of the result codes:
//! `near "SELEC": syntax error at offset 0: SQLITE_ERROR`. Prefixes such as `D1_ERROR: ` are the client's.
//!
//! **Not here:** how an error travels (`wire`).

use crate::store::StoreError;
use littoral_protocol::Bookmark;
use littoral_protocol::sql::{Code, Place};
use rusqlite::ffi;
use std::fmt;

/// Why a call failed, and where. Its `Display` is that of the error.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What went wrong.
    pub error: Error,
    /// The statement it went wrong in; `None`: at the commit, or before anything ran.
    pub place: Option<Place>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, place: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Failure {}

/// What can go wrong. Its `Display` is D1's server text.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// SQLite refused the statement or failed to run it.
    Sqlite {
        /// SQLite's message.
        message: String,
        /// The extended result code.
        code: i32,
        /// The byte of the statement it complains about.
        offset: Option<usize>,
    },
    /// The store failed underneath SQLite.
    Store {
        /// What the store said.
        error: StoreError,
        /// The extended result code that SQLite made of it.
        code: i32,
    },
    /// The state asked for is no longer kept.
    TooOld {
        /// The oldest that is kept.
        oldest: Bookmark,
    },
    /// The bookmark names no state of this database.
    UnknownBookmark {
        /// The bookmark.
        bookmark: Bookmark,
        /// The newest state.
        newest: Bookmark,
    },
    /// The number of parameters given is not the number in the statement.
    ParameterCount,
    /// A value was given by a name that no parameter has.
    UnknownParameter {
        /// The name.
        name: String,
    },
    /// Several statements in one text, and parameters for one that is not the last.
    ParametersNotLast,
    /// The text holds no statement.
    NoStatement,
    /// The text holds a NUL character.
    NulInText,
    /// BEGIN, COMMIT, SAVEPOINT and their like.
    TransactionStatement,
    /// The call ran for too long.
    RanTooLong {
        /// The limit, in thousands of SQLite's instructions.
        kiloinstructions: u64,
        /// The rows that the statement had read, and those before it in its text.
        rows_read: u64,
    },
    /// The call took longer than its caller wants to wait.
    TimedOut,
    /// The call only reads, and for longer than others are to wait for it: it belongs on a connection of its own.
    LongRead,
    /// The call writes, and for longer than others are to wait for it: it belongs on the write connection alone, with others let in.
    LongWrite,
    /// The call needs the write connection, which another has in its hand.
    HeldUp,
    /// The database has moved on from the state that a branch began with.
    Moved {
        /// That state.
        base: Bookmark,
        /// The newest.
        newest: Bookmark,
    },
    /// The results are larger than one answer may be.
    ResultTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl Error {
    /// What a caller may act on.
    pub fn code(&self) -> Code {
        match self {
            Error::Sqlite { code, .. } => Code::Sqlite(*code),
            Error::Store { .. } => Code::StoreFailed,
            Error::TooOld { .. } => Code::StateExpired,
            Error::UnknownBookmark { .. } => Code::BookmarkUnknown,
            Error::ParameterCount | Error::UnknownParameter { .. } | Error::ParametersNotLast => Code::Parameters,
            Error::NoStatement | Error::NulInText => Code::NoStatement,
            Error::TransactionStatement => Code::TransactionStatement,
            Error::RanTooLong { .. } | Error::LongRead | Error::LongWrite | Error::HeldUp => Code::RanTooLong,
            Error::TimedOut => Code::TimedOut,
            Error::Moved { .. } => Code::Conflict,
            Error::ResultTooLarge { .. } => Code::ResultTooLarge,
        }
    }

    /// An error of the store outside SQLite.
    pub(super) fn store(error: StoreError) -> Error {
        error.into()
    }

    /// Whether SQLite went on after the store had failed: it may have read the schema, or its statistics, in part.
    pub fn was_swallowed(&self) -> bool {
        matches!(self, Error::Store { code: ffi::SQLITE_ERROR, .. })
    }

    /// What SQLite says of an action that the authorizer denies.
    pub(super) fn not_authorized() -> Error {
        Error::Sqlite { message: "not authorized".into(), code: ffi::SQLITE_AUTH, offset: None }
    }

    /// What SQLite says of a text beyond its limit.
    pub(super) fn statement_too_long() -> Error {
        Error::Sqlite { message: "statement too long".into(), code: ffi::SQLITE_TOOBIG, offset: None }
    }

    /// What was to be imported and is no SQL text.
    pub(super) fn not_text(what: &str) -> Error {
        Error::Sqlite { message: format!("this is no SQL text: {what}"), code: ffi::SQLITE_ERROR, offset: None }
    }

    /// Whether the authorizer denied it.
    pub(super) fn is_not_authorized(&self) -> bool {
        matches!(self, Error::Sqlite { code: ffi::SQLITE_AUTH, .. })
    }

    /// A statement that needs more stack than there is.
    pub(super) fn nested_too_deeply() -> Error {
        Error::Sqlite { message: "the statement nests too deeply".into(), code: ffi::SQLITE_ERROR, offset: None }
    }

    /// What COMMIT says while a deferred constraint is violated.
    pub(super) fn deferred_violation() -> Error {
        Error::Sqlite { message: "FOREIGN KEY constraint failed".into(), code: ffi::SQLITE_CONSTRAINT_FOREIGNKEY, offset: None }
    }

    /// Whether SQLite's heap was too small.
    pub(super) fn is_out_of_memory(&self) -> bool {
        matches!(self, Error::Sqlite { code, .. } if *code & 0xff == ffi::SQLITE_NOMEM || *code == ffi::SQLITE_IOERR_NOMEM)
    }

    /// Whether something else wrote to SQLite's memory.
    pub(super) fn is_damaged_memory(&self) -> bool {
        matches!(self, Error::Store { error: StoreError::MemoryDamaged(_), .. })
    }

    /// Whether a page is not here, and has to be fetched by whoever can wait for it.
    pub fn lacks_page(&self) -> bool {
        matches!(self, Error::Store { error: StoreError::Missing(_), .. })
    }

    /// Whether the connection that met it has to be opened anew.
    pub(super) fn poisons(&self) -> bool {
        // What was handed in, and nothing of the store's.
        let is_input = matches!(self, Error::Store { error: StoreError::NotADatabase(_), .. });
        matches!(self, Error::Store { .. }) && !is_input && !self.lacks_page()
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        Error::Store { error, code: ffi::SQLITE_ERROR }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Sqlite { message, code, offset } => {
                f.write_str(message)?;
                if let Some(offset) = offset {
                    write!(f, " at offset {offset}")?;
                }
                write_codes(f, *code)
            }
            Error::Store { error, code } => {
                write!(f, "{error}")?;
                write_codes(f, *code)
            }
            Error::TooOld { oldest } => write!(f, "that state is no longer kept: the oldest kept is {oldest}"),
            Error::UnknownBookmark { bookmark, newest } => {
                write!(f, "the bookmark {bookmark} is not of this database: its newest state is {newest}")
            }
            Error::ParameterCount => f.write_str("Wrong number of parameter bindings for SQL query."),
            Error::UnknownParameter { name } => write!(f, "the statement has no parameter {name}"),
            Error::ParametersNotLast => {
                f.write_str("When executing multiple SQL statements in a single call, only the last statement can have parameters.")
            }
            Error::NoStatement => f.write_str("No SQL statements detected."),
            Error::NulInText => f.write_str("SQL code did not contain a statement."),
            Error::TransactionStatement => f.write_str(
                "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs \
                 instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements. The JavaScript API is safer because it will \
                 automatically roll back on exceptions, and because it interacts correctly with Durable Objects' automatic atomic \
                 write coalescing.",
            ),
            Error::RanTooLong { kiloinstructions, rows_read } => write!(
                f,
                "D1 DB exceeded its CPU time limit and was reset. The request ran {kiloinstructions} thousand instructions of SQLite, which is its \
                 limit, and its last text had read {rows_read} rows. Add an index, do the work in parts, or raise run_kiloinstructions in LIMITS and \
                 limits.cpu_ms in the Worker's configuration."
            ),
            Error::TimedOut => f.write_str("The call took longer than its timeout, and changed nothing."),
            Error::LongRead | Error::LongWrite => f.write_str("D1 DB exceeded its CPU time limit and was reset."),
            Error::HeldUp => f.write_str("another call is writing for long"),
            Error::Moved { base, newest } => write!(
                f,
                "the database has moved on since the branch was made: it was at {base}, and is at {newest}, {} commits later",
                newest.txid.0.saturating_sub(base.txid.0)
            ),
            Error::ResultTooLarge { limit } => write!(f, "the result is larger than {limit} bytes: SQLITE_TOOBIG"),
        }
    }
}

impl std::error::Error for Error {}

fn write_codes(f: &mut fmt::Formatter<'_>, code: i32) -> fmt::Result {
    write!(f, ": {}", Code::primary_name(code))?;
    match Code::extended_name(code) {
        Some(extended) => write!(f, " (extended: {extended})"),
        None => Ok(()),
    }
}
