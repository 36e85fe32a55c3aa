//! What is behind an error that SQLite reports: the store, the authorizer, the budget, the stack, or the statement itself.
//!
//! **Not here:** what errors there are, and their words (`error`).

use super::connection::Connection;
use super::error::Error;
use crate::sqlite::stack::take_too_deep;
use crate::sqlite::statement::SqliteError;
use crate::store::StoreError;
use crate::vfs::DatabaseFile;
use rusqlite::ffi;

impl Connection {
    /// SQLite goes on after some errors of the file, as `PRAGMA quick_check` does, which then reports a damaged database.
    pub(super) fn no_swallowed_error(&self) -> Result<(), Error> {
        self.file().take_error().map_or(Ok(()), |error| Err(Error::store(error)))
    }

    /// An error of a statement that was stopped, with the rows that it read.
    pub(super) fn how_far(&self, error: Error) -> Error {
        match error {
            Error::RanTooLong { kiloinstructions, .. } => Error::RanTooLong { kiloinstructions, rows_read: self.rows_read() },
            other => other,
        }
    }

    /// The engine's error for one of its own statements.
    pub(super) fn describe(&self, error: &rusqlite::Error) -> Error {
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted)
            && let Some(error) = self.budget.take_stopped()
        {
            return error;
        }
        describe(error, self.file())
    }

    /// The engine's error for a caller's statement.
    pub(super) fn describe_caller(&self, error: SqliteError) -> Error {
        let SqliteError { code, message, offset } = error;
        if self.authorizer.take_refused_transaction() {
            return Error::TransactionStatement;
        }
        if code == ffi::SQLITE_INTERRUPT
            && let Some(error) = self.budget.take_stopped()
        {
            return error;
        }
        if take_too_deep() && matches!(code & 0xff, ffi::SQLITE_NOMEM | ffi::SQLITE_AUTH) {
            return Error::nested_too_deeply();
        }
        let several = self.file().had_several_errors();
        match self.file().take_error() {
            Some(error @ StoreError::Missing(_)) if several => Error::store(error),
            Some(error) => Error::Store { error, code },
            None => {
                let refused = if code == ffi::SQLITE_AUTH { self.authorizer.take_refused_pragma() } else { None };
                let message = refused.and_then(|pragma| self.why_refused(&pragma)).unwrap_or(message);
                Error::Sqlite { message, code, offset }
            }
        }
    }
}

/// SQLite's error in the engine's terms; the store's where the store failed underneath.
pub(super) fn describe(error: &rusqlite::Error, file: &DatabaseFile) -> Error {
    let code = error.sqlite_extended_error_code().unwrap_or(ffi::SQLITE_ERROR);
    if let Some(error) = file.take_error() {
        return Error::Store { error, code };
    }
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            Error::Sqlite { message: msg.clone(), code, offset: usize::try_from(*offset).ok() }
        }
        rusqlite::Error::SqliteFailure(_, Some(message)) => Error::Sqlite { message: message.clone(), code, offset: None },
        other => Error::Sqlite { message: other.to_string(), code, offset: None },
    }
}
