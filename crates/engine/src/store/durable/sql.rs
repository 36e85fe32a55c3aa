//! The SQL storage below the durable store: what a Durable Object's `storage.sql` offers, as a trait.
//!
//! **Invariants**
//! 1. One statement is atomic; the statements of one [`Sql::transaction`] are atomic together, and none stays if it fails.
//! 2. No value is longer than [`MAX_VALUE_BYTES`]: production refuses more, so [`Sql`]'s callers never send more.
//!
//! **Not here:** the tables (`durable`).

use crate::store::StoreError;

/// The longest value that a Durable Object stores, in bytes (2 MB for key and value together; some is left for the other columns).
pub const MAX_VALUE_BYTES: usize = 2_000_000 - 4_096;

/// A bound parameter.
#[derive(Clone, Copy, Debug)]
pub enum Param<'a> {
    /// An integer below 2^53: JavaScript's numbers carry it.
    Int(u64),
    /// Bytes.
    Blob(&'a [u8]),
    /// Text.
    Text(&'a str),
}

/// A value of a result row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredValue {
    /// NULL.
    Null,
    /// An integer below 2^53.
    Int(u64),
    /// Bytes.
    Blob(Vec<u8>),
    /// Text.
    Text(String),
}

/// Why SQL storage failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// No space is left.
    #[error("{0}")]
    Full(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> StoreError {
        match error {
            SqlError::Full(message) => StoreError::Full(message),
            SqlError::Failed(message) => StoreError::Io(message),
        }
    }
}

/// Synchronous SQL storage.
pub trait Sql {
    /// Runs one statement and returns its rows.
    fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<StoredValue>>, SqlError>;

    /// Runs one statement that has no rows, which storage may do for less.
    fn run(&self, sql: &str, params: &[Param<'_>]) -> Result<(), SqlError> {
        self.rows(sql, params).map(drop)
    }

    /// Runs `body` in a transaction: all of its statements are kept, or, when it fails, none.
    fn transaction(&self, body: &mut dyn FnMut() -> Result<(), StoreError>) -> Result<(), StoreError>;
}

/// Storage that outlives the store on it: a test closes the store and opens the storage again.
impl<Q: Sql + ?Sized> Sql for std::rc::Rc<Q> {
    fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<StoredValue>>, SqlError> {
        (**self).rows(sql, params)
    }

    fn run(&self, sql: &str, params: &[Param<'_>]) -> Result<(), SqlError> {
        (**self).run(sql, params)
    }

    fn transaction(&self, body: &mut dyn FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
        (**self).transaction(body)
    }
}
