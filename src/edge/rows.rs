//! Results as values for Rust callers in the same isolate: no JSON in between.

use crate::client::{D1Result, StatementNow};
use littoral_engine::engine::{Column, RowEncoder, RowValues, from_sqlite};
use littoral_protocol::d1::D1Meta;
use littoral_protocol::sql::{Meta, Served, Statement, Value};

/// A result that grows row by row.
pub(super) struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    bytes: usize,
    served: Served,
}

/// The statement, with values of its own.
pub(super) fn statement(now: &StatementNow<'_>) -> Statement {
    Statement::new(now.sql, now.params.to_vec())
}

impl RowEncoder for Rows {
    type Output = D1Result;
    type Options = Served;

    fn start(columns: &[Column<'_>], served: Served) -> Rows {
        Rows { columns: columns.iter().map(|column| column.name().into()).collect(), rows: Vec::new(), bytes: 0, served }
    }

    fn row(&mut self, row: &RowValues<'_>) -> usize {
        let values: Vec<Value> = row.values().map(from_sqlite).collect();
        self.bytes += values.iter().map(|value| 16 + value.bytes()).sum::<usize>();
        self.rows.push(values);
        self.bytes
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn finish(self, meta: &Meta) -> D1Result {
        D1Result::from_rows(self.columns, self.rows, D1Meta::new(meta, &self.served))
    }
}
