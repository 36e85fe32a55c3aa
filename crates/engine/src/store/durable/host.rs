//! SQL storage in a local SQLite file or in memory: the same tables as in a Durable Object, for tests and native tools.
//!
//! **Not here:** anything a Durable Object does differently; what it refuses (long values), this refuses too.

use super::sql::{MAX_VALUE_BYTES, Param, Sql, SqlError, StoredValue};
use crate::sqlite::register_vfs;
use crate::store::StoreError;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql};
use std::path::Path;

/// SQL storage in a local file.
pub struct HostSql(Connection);

impl HostSql {
    /// Storage in memory.
    pub fn in_memory() -> Result<HostSql, SqlError> {
        register_vfs();
        Ok(HostSql(Connection::open_in_memory().map_err(failed)?))
    }

    /// Storage in the file at `path`, created if it does not exist.
    pub fn open(path: impl AsRef<Path>) -> Result<HostSql, SqlError> {
        register_vfs();
        let connection = Connection::open(path).map_err(failed)?;
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL").map_err(failed)?;
        Ok(HostSql(connection))
    }

    /// The connection, for tests that look at the tables or damage them.
    pub fn connection(&self) -> &Connection {
        &self.0
    }
}

/// Storage in a database that is open already, such as a copy of another storage.
impl From<Connection> for HostSql {
    fn from(connection: Connection) -> HostSql {
        HostSql(connection)
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Param::Int(value) => ToSqlOutput::Owned(Value::Integer(*value as i64)),
            Param::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Param::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

impl Sql for HostSql {
    fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<StoredValue>>, SqlError> {
        if let Some(bytes) = params.iter().filter_map(length).find(|bytes| *bytes > MAX_VALUE_BYTES) {
            return Err(SqlError::Failed(format!(
                "a value of {bytes} bytes is longer than the {MAX_VALUE_BYTES} that a Durable Object stores"
            )));
        }
        let mut statement = self.0.prepare_cached(sql).map_err(failed)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(failed)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let cells: Result<_, _> = (0..columns).map(|column| row.get_ref(column).map(cell)).collect();
            all.push(cells.map_err(failed)?);
        }
        Ok(all)
    }

    fn transaction(&self, body: &mut dyn FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.run("SAVEPOINT durable", &[])?;
        let result = body();
        if result.is_err() {
            self.run("ROLLBACK TO durable", &[])?;
        }
        self.run("RELEASE durable", &[])?;
        result
    }
}

fn length(param: &Param<'_>) -> Option<usize> {
    match param {
        Param::Int(_) => None,
        Param::Blob(bytes) => Some(bytes.len()),
        Param::Text(text) => Some(text.len()),
    }
}

fn cell(value: ValueRef<'_>) -> StoredValue {
    match value {
        ValueRef::Null => StoredValue::Null,
        ValueRef::Integer(value) => StoredValue::Int(value as u64),
        ValueRef::Real(value) => StoredValue::Int(value as u64),
        ValueRef::Text(bytes) => StoredValue::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => StoredValue::Blob(bytes.to_vec()),
    }
}

fn failed(error: rusqlite::Error) -> SqlError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => SqlError::Full(error.to_string()),
        _ => SqlError::Failed(error.to_string()),
    }
}
