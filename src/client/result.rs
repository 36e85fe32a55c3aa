//! Answers: rows as Rust types, and `meta`.

use super::error::{Error, Place};
use super::value::{Cell, Columns, Row, Value};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::sync::Arc;

/// The answer to a request.
#[derive(Deserialize)]
pub(super) struct Responses {
    #[serde(default)]
    pub(super) bookmark: String,
    #[serde(default)]
    responses: Vec<Response>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Response {
    Batch(Vec<D1Result>),
    Single(D1Result),
    Failure {
        error: String,
        #[serde(default)]
        at: Option<Place>,
    },
}

impl Responses {
    pub(super) fn parse(json: &str) -> Result<Responses, Error> {
        let responses: Responses = serde_json::from_str(json).map_err(Error::answer)?;
        match responses.error {
            Some(message) => Err(Error::Sql { message, place: None }),
            None => Ok(responses),
        }
    }

    pub(super) fn into_single(self) -> Result<D1Result, Error> {
        match self.responses.into_iter().next() {
            Some(Response::Single(result)) => Ok(result),
            Some(Response::Failure { error, at }) => Err(Error::Sql { message: error, place: at }),
            Some(Response::Batch(_)) | None => Err(Error::answer("one result was expected")),
        }
    }

    pub(super) fn into_batch(self) -> Result<Vec<D1Result>, Error> {
        match self.responses.into_iter().next() {
            Some(Response::Batch(results)) => Ok(results),
            Some(Response::Failure { error, at }) => Err(Error::Sql { message: error, place: at }),
            Some(Response::Single(_)) | None => Err(Error::answer("an array of results was expected")),
        }
    }
}

/// The result of one statement.
#[derive(Clone, Debug, Deserialize)]
pub struct D1Result {
    results: Table,
    meta: D1Meta,
}

#[derive(Clone, Debug, Deserialize)]
struct Table {
    columns: Arc<[String]>,
    rows: Vec<Vec<Value>>,
}

impl D1Result {
    /// A result made of values: each row has one for every column, in their order.
    pub fn from_rows(columns: impl Into<Arc<[String]>>, rows: Vec<Vec<Value>>, meta: D1Meta) -> D1Result {
        D1Result { results: Table { columns: columns.into(), rows }, meta }
    }

    /// Always true: a statement that fails is an error. Here because D1's result has it.
    pub fn success(&self) -> bool {
        true
    }

    /// The rows, each as a `T`: a struct or a map with the columns that it wants by name, or a tuple of all of them in order. Of columns
    /// with one name the last has it. A `bool` is an INTEGER 1 or 0.
    pub fn results<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        let columns = Columns::of(&self.results.columns);
        self.results.rows.iter().map(|values| T::deserialize(Row { columns: &columns, values }).map_err(row_error)).collect()
    }

    /// The rows as sequences of columns.
    pub fn raw<T: DeserializeOwned>(&self) -> Result<Vec<Vec<T>>, Error> {
        self.results.rows.iter().map(|row| row.iter().map(read).collect()).collect()
    }

    /// Column names, in order.
    pub fn columns(&self) -> &[String] {
        &self.results.columns
    }

    /// The rows as they are.
    pub fn rows(&self) -> &[Vec<Value>] {
        &self.results.rows
    }

    /// What the statement did.
    pub fn meta(&self) -> &D1Meta {
        &self.meta
    }

    pub(super) fn first<T: DeserializeOwned>(&self, column: Option<&str>) -> Result<Option<T>, Error> {
        let Some(values) = self.results.rows.first() else { return Ok(None) };
        let columns = &self.results.columns;
        let Some(column) = column else {
            return T::deserialize(Row { columns: &Columns::of(columns), values }).map(Some).map_err(row_error);
        };
        let at = columns.iter().rposition(|name| name == column);
        let at = at.ok_or_else(|| Error::ColumnNotFound { column: column.into() })?;
        values.get(at).map_or(Ok(None), read)
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    T::deserialize(Cell::of(value)).map_err(row_error)
}

fn row_error(error: serde_json::Error) -> Error {
    Error::Row { message: error.to_string() }
}

/// D1's `meta`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct D1Meta {
    /// What answered.
    pub served_by: Cow<'static, str>,
    /// The region that answered, by D1's names: `WEUR`.
    pub served_by_region: Option<Cow<'static, str>>,
    /// The data centre that answered: `AMS`.
    pub served_by_colo: Option<Cow<'static, str>>,
    /// Whether the primary answered.
    pub served_by_primary: bool,
    /// Which kind of copy answered.
    pub served_by_tier: Option<Tier>,
    /// The number of the commit whose state was read or made.
    pub served_at_txid: Option<u64>,
    /// How old that state may have been at most, in milliseconds; 0 at the primary.
    pub max_staleness_ms: Option<f64>,
    /// Pages that had to be fetched from another copy.
    pub pages_fetched: Option<u64>,
    /// Milliseconds of SQL.
    pub duration: f64,
    /// Rows inserted, updated and deleted.
    pub changes: u64,
    /// Rowid of the last insert.
    pub last_row_id: i64,
    /// Whether the database changed.
    pub changed_db: bool,
    /// Bytes of the database.
    pub size_after: u64,
    /// Rows visited.
    pub rows_read: u64,
    /// Rows and index entries written.
    pub rows_written: u64,
}

/// A kind of copy of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Tier {
    /// A reader in the asking Worker's own isolate.
    Isolate,
    /// A read replica.
    Replica,
    /// The object that writes.
    Primary,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

/// What `exec` answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct D1ExecResult {
    /// Statements that ran.
    pub count: usize,
    /// Milliseconds of SQL.
    pub duration: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_says_who_answered_where_the_answer_does() {
        let meta = |json| serde_json::from_str::<D1Meta>(json).unwrap();
        assert_eq!(meta("{}"), D1Meta::default());
        let replica = meta(r#"{"served_by_tier":"replica","served_by_colo":"AMS","served_at_txid":42,"max_staleness_ms":12.5,"new":[]}"#);
        assert_eq!((replica.served_by_tier, replica.served_by_colo.as_deref()), (Some(Tier::Replica), Some("AMS")));
        assert_eq!((replica.served_at_txid, replica.max_staleness_ms, replica.pages_fetched), (Some(42), Some(12.5), None));
        assert_eq!(meta(r#"{"served_by_tier":"moon"}"#).served_by_tier, Some(Tier::Other));
    }
}
