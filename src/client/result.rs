//! Answers: rows as Rust types, and `meta`.

use super::Error;
use super::value::{Columns, Row, SerdeValue};
use littoral_protocol::d1::{D1Meta, Response, Responses, ResultBody, Table};
use littoral_protocol::sql::Value;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Reads the answer to a request of one call: the bookmark, and what the call answered.
pub(super) fn parse(json: &str) -> Result<(String, Response), Error> {
    let Responses { bookmark, responses, error, code } = serde_json::from_str(json).map_err(Error::answer)?;
    match (error, responses.into_iter().next()) {
        (Some(message), _) => Err(Error::Sql { message, code, place: None }),
        (None, Some(response)) => Ok((bookmark, response)),
        (None, None) => Err(Error::answer("a response was expected")),
    }
}

/// The result of a statement.
pub(super) fn single(response: Response) -> Result<D1Result, Error> {
    match response {
        Response::Single(result) => Ok(D1Result(result)),
        Response::Failure(failure) => Err(failure.into()),
        Response::Batch(_) => Err(Error::answer("one result was expected")),
    }
}

/// The results of a batch.
pub(super) fn batch(response: Response) -> Result<Vec<D1Result>, Error> {
    match response {
        Response::Batch(results) => Ok(results.into_iter().map(D1Result).collect()),
        Response::Failure(failure) => Err(failure.into()),
        Response::Single(_) => Err(Error::answer("an array of results was expected")),
    }
}

/// The result of one statement.
#[derive(Clone, Debug)]
pub struct D1Result(ResultBody);

impl D1Result {
    /// A result made of values: each row has one for every column, in their order.
    pub fn from_rows(columns: impl Into<Arc<[String]>>, rows: Vec<Vec<Value>>, meta: D1Meta) -> D1Result {
        D1Result(ResultBody { results: Table { columns: columns.into(), rows }, meta })
    }

    /// Always true: a statement that fails is an error. Here because D1's result has it.
    pub fn success(&self) -> bool {
        true
    }

    /// The rows, each as a `T`: a struct or a map with the columns that it wants by name, or a tuple of all of them in order. Of columns
    /// with one name the last has it. A `bool` is an INTEGER 1 or 0.
    pub fn results<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        let columns = Columns::of(&self.0.results.columns);
        self.0.results.rows.iter().map(|values| T::deserialize(Row { columns: &columns, values }).map_err(row_error)).collect()
    }

    /// The rows as sequences of columns.
    pub fn raw<T: DeserializeOwned>(&self) -> Result<Vec<Vec<T>>, Error> {
        self.0.results.rows.iter().map(|row| row.iter().map(read).collect()).collect()
    }

    /// Column names, in order.
    pub fn columns(&self) -> &[String] {
        &self.0.results.columns
    }

    /// The rows as they are.
    pub fn rows(&self) -> &[Vec<Value>] {
        &self.0.results.rows
    }

    /// What the statement did.
    pub fn meta(&self) -> &D1Meta {
        &self.0.meta
    }

    pub(super) fn first<T: DeserializeOwned>(&self, column: Option<&str>) -> Result<Option<T>, Error> {
        let Some(values) = self.0.results.rows.first() else { return Ok(None) };
        let columns = &self.0.results.columns;
        let Some(column) = column else {
            return T::deserialize(Row { columns: &Columns::of(columns), values }).map(Some).map_err(row_error);
        };
        let at = columns.iter().rposition(|name| name == column);
        let at = at.ok_or_else(|| Error::ColumnNotFound { column: column.into() })?;
        values.get(at).map_or(Ok(None), read)
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    T::deserialize(SerdeValue::of(value)).map_err(row_error)
}

fn row_error(error: serde_json::Error) -> Error {
    Error::Row { message: error.to_string() }
}

/// What `exec` answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct D1ExecResult {
    /// Statements that ran.
    pub count: usize,
    /// Milliseconds of SQL.
    pub duration: f64,
}
