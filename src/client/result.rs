//! Answers: rows as Rust types, and `meta`.

use super::error::{Error, Place};
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde_json::Value;

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
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl D1Result {
    /// Always true: a statement that fails is an error. Here because D1's result has it.
    pub fn success(&self) -> bool {
        true
    }

    /// The rows, each as a `T` with a field for every column that it wants. Of columns with one name the last counts.
    pub fn results<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        self.results.rows.iter().map(|row| self.read(row)).collect()
    }

    /// The rows as sequences of columns.
    pub fn raw<T: DeserializeOwned>(&self) -> Result<Vec<Vec<T>>, Error> {
        let rows = self.results.rows.iter();
        rows.map(|row| row.iter().cloned().map(serde_json::from_value).collect::<Result<_, _>>().map_err(row_error)).collect()
    }

    /// Column names, in order.
    pub fn columns(&self) -> &[String] {
        &self.results.columns
    }

    /// What the statement did.
    pub fn meta(&self) -> &D1Meta {
        &self.meta
    }

    pub(super) fn first<T: DeserializeOwned>(&self, column: Option<&str>) -> Result<Option<T>, Error> {
        let Some(row) = self.results.rows.first() else { return Ok(None) };
        let Some(column) = column else { return self.read(row).map(Some) };
        let at = self.results.columns.iter().rposition(|name| name == column);
        let at = at.ok_or_else(|| Error::ColumnNotFound { column: column.into() })?;
        let value = row.get(at).cloned().unwrap_or(Value::Null);
        serde_json::from_value::<Option<T>>(value).map_err(row_error)
    }

    fn read<T: DeserializeOwned>(&self, row: &[Value]) -> Result<T, Error> {
        // A map, not an iterator: of columns with one name the last counts.
        let fields: serde_json::Map<String, Value> = self.results.columns.iter().cloned().zip(row.iter().cloned()).collect();
        let fields = fields.into_iter().map(|(name, value)| (name, value.into_deserializer()));
        T::deserialize(MapDeserializer::new(fields)).map_err(row_error)
    }
}

fn row_error(error: serde_json::Error) -> Error {
    Error::Row { message: error.to_string() }
}

/// D1's `meta`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct D1Meta {
    /// What answered.
    pub served_by: String,
    /// Whether the primary answered.
    pub served_by_primary: bool,
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

/// What `exec` answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct D1ExecResult {
    /// Statements that ran.
    pub count: usize,
    /// Milliseconds of SQL.
    pub duration: f64,
}
