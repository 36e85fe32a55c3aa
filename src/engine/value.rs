//! Values that callers bind, and results as values.
//!
//! **Not here:** how they look in JSON (`wire`).

use super::{Meta, RowEncoder, RowValues};
use rusqlite::types::ValueRef;

/// A bound value. D1 binds every JavaScript number as [`Value::Real`]; column affinity makes it an integer where the column is one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// INTEGER, 64 bits.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(String),
    /// BLOB.
    Blob(Vec<u8>),
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> ValueRef<'a> {
        match value {
            Value::Null => ValueRef::Null,
            Value::Integer(value) => ValueRef::Integer(*value),
            Value::Real(value) => ValueRef::Real(*value),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Value {
        match value {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(value) => Value::Integer(value),
            ValueRef::Real(value) => Value::Real(value),
            ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        }
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

    fn start(columns: &[&str], (): ()) -> ResultSet {
        ResultSet { columns: columns.iter().map(|&name| name.into()).collect(), ..ResultSet::default() }
    }

    fn row(&mut self, row: &RowValues<'_>) -> usize {
        let values: Vec<Value> = row.values().map(Value::from).collect();
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

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Value::Null | Value::Integer(_) | Value::Real(_) => 8,
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
        }
    }
}
