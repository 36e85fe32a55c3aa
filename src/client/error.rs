//! What a request handler can meet. Texts and prefixes are D1's.

use littoral_protocol::d1::FailureBody;
use littoral_protocol::sql::{Code, Place};
use std::fmt;

/// Why a call on the binding failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The database refused or failed to run it.
    Sql {
        /// D1's server text, such as `no such table: t: SQLITE_ERROR`.
        message: String,
        /// The same as a code.
        code: Option<Code>,
        /// The statement that failed, where one did.
        place: Option<Place>,
    },
    /// A parameter is of a type that SQLite has no value for.
    Type {
        /// What it was.
        message: String,
    },
    /// `first` was asked for a column that the result does not have.
    ColumnNotFound {
        /// The column.
        column: String,
    },
    /// A row is not of the type asked for.
    Row {
        /// What serde said.
        message: String,
    },
    /// The environment has no such binding, or the database could not be reached.
    Binding {
        /// What happened.
        message: String,
    },
}

impl Error {
    /// Why the database refused or failed to run it, as a code to act on.
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Sql { code, .. } => *code,
            Error::Type { .. } | Error::ColumnNotFound { .. } | Error::Row { .. } | Error::Binding { .. } => None,
        }
    }

    /// Whether a constraint refused the statement: UNIQUE, NOT NULL, CHECK, a foreign key.
    pub fn is_constraint(&self) -> bool {
        self.code().is_some_and(|code| code.is_constraint())
    }

    /// Whether a UNIQUE or PRIMARY KEY constraint refused the statement.
    pub fn is_unique_violation(&self) -> bool {
        self.code().is_some_and(|code| code.is_unique_violation())
    }

    /// Whether the session's bookmark was refused: malformed, or of another database. A session without it will be served.
    pub fn is_bookmark(&self) -> bool {
        self.code().is_some_and(|code| code.is_bookmark())
    }

    pub(super) fn encoding(error: serde_json::Error) -> Error {
        Error::Type { message: error.to_string() }
    }

    pub(crate) fn answer(error: impl fmt::Display) -> Error {
        Error::Binding { message: format!("the answer is not what Littoral sends: {error}") }
    }
}

impl From<FailureBody> for Error {
    fn from(FailureBody { error, code, at, .. }: FailureBody) -> Error {
        Error::Sql { message: error, code, place: at }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Sql { message, .. } | Error::Binding { message } => write!(f, "D1_ERROR: {message}"),
            Error::Type { message } => write!(f, "D1_TYPE_ERROR: {message}"),
            Error::ColumnNotFound { column } => write!(f, "D1_COLUMN_NOTFOUND: Column not found ({column})"),
            Error::Row { message } => write!(f, "D1_ERROR: a row is not of the type asked for: {message}"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(target_arch = "wasm32")]
impl From<Error> for worker::Error {
    fn from(error: Error) -> worker::Error {
        worker::Error::RustError(error.to_string())
    }
}
