//! Values between SQLite and the vocabulary, and results as values.
//!
//! **Not here:** how they look in JSON (`answer`).

use super::{Column, RowEncoder, RowValues};
use littoral_protocol::sql::{Meta, Value};
use rusqlite::types::ValueRef;

/// A value as SQLite takes it.
pub fn to_sqlite(value: &Value) -> ValueRef<'_> {
    match value {
        Value::Null => ValueRef::Null,
        Value::Integer(value) => ValueRef::Integer(*value),
        Value::Real(value) => ValueRef::Real(*value),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
    }
}

/// A value as SQLite gives it. What is no UTF-8 in a text becomes U+FFFD.
pub fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

/// A result as values: for Rust callers and tests. The Worker encodes JSON instead.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultSet {
    /// Column names, in order; they need not differ.
    pub columns: Vec<String>,
    /// Rows, each with a value for every column.
    pub rows: Vec<Vec<Value>>,
    /// What D1 calls `meta`.
    pub meta: Meta,
    bytes: usize,
}

impl RowEncoder for ResultSet {
    type Output = ResultSet;
    type Options = ();

    fn start(columns: &[Column<'_>], (): ()) -> ResultSet {
        ResultSet { columns: columns.iter().map(|column| column.name().into()).collect(), ..ResultSet::default() }
    }

    fn row(&mut self, row: &RowValues<'_>) -> usize {
        let values: Vec<Value> = row.values().map(from_sqlite).collect();
        self.bytes += values.iter().map(Value::bytes).sum::<usize>();
        self.rows.push(values);
        self.bytes
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn finish(mut self, meta: &Meta) -> ResultSet {
        self.meta = *meta;
        self
    }
}
