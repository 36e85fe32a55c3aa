//! Results as values for Rust callers in the same isolate: no JSON in between.

use crate::client::{D1Meta, D1Result, StatementNow, Tier, Value};
use crate::engine::{self, Meta, RowEncoder, RowValues, Statement, ValueRef};
use crate::wire::d1::{self, Served};
use std::borrow::Cow;

/// A result that grows row by row.
pub(super) struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    bytes: usize,
    served: Served,
}

/// The engine's form of a statement.
pub(super) fn statement(now: &StatementNow<'_>) -> Statement {
    let value = |value: &Value| match value {
        Value::Null => engine::Value::Null,
        Value::Integer(integer) => engine::Value::Integer(*integer),
        Value::Real(real) => engine::Value::Real(*real),
        Value::Text(text) => engine::Value::Text(text.clone()),
        Value::Blob(bytes) => engine::Value::Blob(bytes.clone()),
    };
    Statement::new(now.sql, now.params.iter().map(value).collect())
}

impl RowEncoder for Rows {
    type Output = D1Result;
    type Options = Served;

    fn start(columns: &[&str], served: Served) -> Rows {
        Rows { columns: columns.iter().map(|&name| name.into()).collect(), rows: Vec::new(), bytes: 0, served }
    }

    fn row(&mut self, row: &RowValues<'_>) -> usize {
        let mut bytes = 0;
        let value = |value: ValueRef<'_>| {
            bytes += 16;
            match value {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(integer) => Value::Integer(integer),
                ValueRef::Real(real) => Value::Real(real),
                ValueRef::Text(text) => {
                    bytes += text.len();
                    Value::Text(String::from_utf8_lossy(text).into_owned())
                }
                ValueRef::Blob(blob) => {
                    bytes += blob.len();
                    Value::Blob(blob.into())
                }
            }
        };
        self.rows.push(row.values().map(value).collect());
        self.bytes += bytes;
        self.bytes
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn finish(self, meta: &Meta) -> D1Result {
        let Served { tier, region, colo, staleness_ms } = self.served;
        let meta = D1Meta {
            served_by: Cow::Borrowed("littoral"),
            served_by_region: region.map(Cow::Borrowed),
            served_by_colo: colo.and_then(|colo| String::from_utf8(colo.to_vec()).ok()).map(Cow::Owned),
            served_by_primary: tier == d1::Tier::Primary,
            served_by_tier: Some(match tier {
                d1::Tier::Primary => Tier::Primary,
                d1::Tier::Replica => Tier::Replica,
                d1::Tier::Isolate => Tier::Isolate,
            }),
            served_at_txid: Some(meta.txid.0),
            max_staleness_ms: staleness_ms.map(|staleness| staleness as f64),
            pages_fetched: Some(meta.pages_fetched),
            duration: 0.0,
            changes: meta.changes,
            last_row_id: meta.last_row_id,
            changed_db: meta.changed_db,
            size_after: meta.size_after,
            rows_read: meta.rows_read,
            rows_written: meta.rows_written,
        };
        D1Result::from_rows(self.columns, self.rows, meta)
    }
}
