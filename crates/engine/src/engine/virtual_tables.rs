//! Virtual tables in SQL text, as SQLite's shell writes them (`.dump`): the tables below one are ordinary ones with rows, and a row that is put into
//! the schema makes it a virtual table again, with no word of its module's. So a full-text index is what it was, to the byte.
//!
//! **Invariants**
//! 1. Only virtual tables are put into the schema, and only those that the profile has: as `CREATE VIRTUAL TABLE` is judged, so are they.
//! 2. A virtual table that its module cannot open is an error, and nothing is kept.
//!
//! **Not here:** the rest of a text (`export`, `import`).

use super::connection::Connection;
use super::export::quoted_text;
use super::rows_written::Known;
use super::text::{statement_tokens, without_quotes};
use super::{Error, ResultSet, RowEncoder};
use littoral_protocol::sql::{Meta, Statement as Text, Value};
use rusqlite::config::DbConfig;
use rusqlite::ffi;

/// The tables of a database, `?1`, that are below virtual ones. Their names alone do not tell: others may have such names.
pub(super) const BELOW: &str = "SELECT name FROM pragma_table_list WHERE schema = ?1 AND type = 'shadow'";
const CREATE: &str = "CREATE VIRTUAL TABLE ";

/// A virtual table, and what made it.
pub(super) struct VirtualTable {
    name: String,
    sql: String,
}

impl VirtualTable {
    /// Of a row of the schema; `None`: it is no virtual table.
    pub(super) fn of(name: &str, sql: &str) -> Option<VirtualTable> {
        let is_virtual = sql.get(..CREATE.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(CREATE));
        is_virtual.then(|| VirtualTable { name: name.into(), sql: sql.into() })
    }

    /// Whether a table that is below some virtual table is below this one: their names say so.
    pub(super) fn has_below(&self, table: &str) -> bool {
        table.rsplit_once('_').is_some_and(|(name, _)| name.eq_ignore_ascii_case(&self.name))
    }

    /// The name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// What puts virtual tables into the schema.
pub(super) fn statements(tables: &[VirtualTable]) -> impl Iterator<Item = String> {
    let insert = |table: &VirtualTable| {
        let (name, sql) = (quoted_text(&table.name), quoted_text(&table.sql));
        format!("INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table',{name},{name},0,{sql});")
    };
    let pragma = |setting: &str| (!tables.is_empty()).then(|| format!("PRAGMA writable_schema={setting};"));
    pragma("ON").into_iter().chain(tables.iter().map(insert)).chain(pragma("RESET"))
}

impl Connection {
    /// Reads a statement that puts virtual tables into the schema, and where it ends; `None`: it is something else, or has not ended.
    pub(super) fn read_virtual_tables(&self, sql: &str) -> Result<Option<(Vec<VirtualTable>, usize)>, Error> {
        let mut tokens = statement_tokens(sql);
        let is_meant = ["INSERT", "INTO", "sqlite_schema"].iter().all(|word| {
            let token = tokens.next().unwrap_or_default();
            token.is(word) || *word == "sqlite_schema" && token.is("sqlite_master")
        });
        let Some(values) = tokens.find(|token| token.depth == 0 && token.is("VALUES")).filter(|_| is_meant) else { return Ok(None) };
        let last = tokens.last().unwrap_or(values);
        let end = last.at + last.text.len();
        let Some(after) = sql[end..].find(';') else { return Ok(None) };
        let rows = self.values_of(&sql[values.at..end])?;
        let tables: Result<_, _> = rows.into_iter().map(|row| self.virtual_table(row)).collect();
        Ok(Some((tables?, end + after + 1)))
    }

    fn values_of(&self, values: &str) -> Result<Vec<Vec<Value>>, Error> {
        let mut statement = self.compile_first(values)?;
        let rows = self.run_statement::<ResultSet>((&mut statement, &mut Known::default()), &Text::new("", vec![]), ())?;
        Ok(rows.finish(&Meta::default()).rows)
    }

    fn virtual_table(&self, row: Vec<Value>) -> Result<VirtualTable, Error> {
        let refused = || refused("only virtual tables can be put into the schema");
        let [Value::Text(kind), Value::Text(name), Value::Text(table), Value::Integer(0), Value::Text(sql)] =
            <[Value; 5]>::try_from(row).map_err(|_| refused())?
        else {
            return Err(refused());
        };
        let found = VirtualTable::of(&name, &sql).filter(|_| kind == "table" && name == table).ok_or_else(refused)?;
        let named = statement_tokens(&sql).nth(3).map(|token| without_quotes(token.text).into_owned());
        if named.as_deref() != Some(&name) {
            return Err(refused());
        }
        // Whoever may create one may have one.
        self.compile_first(&sql).map(|_| found)
    }

    /// Puts virtual tables into the schema, in the present transaction.
    pub(super) fn add_virtual_tables(&self, tables: &[VirtualTable]) -> Result<(), Error> {
        if tables.is_empty() {
            return Ok(());
        }
        self.defend(false)?;
        let added = self.put_into_schema(tables);
        let reset = self.control("PRAGMA writable_schema = RESET");
        self.defend(true)?;
        added.and(reset)?;
        for VirtualTable { name, .. } in tables {
            let columns = "SELECT count(*) FROM pragma_table_info(?1)";
            let count = self.trusted(columns, |statement| statement.query_row([name], |row| row.get::<_, i64>(0)))?;
            if count == 0 {
                return Err(refused(&format!("the virtual table {name} has no columns: tables below it are missing")));
            }
        }
        Ok(())
    }

    fn put_into_schema(&self, tables: &[VirtualTable]) -> Result<(), Error> {
        self.control("PRAGMA writable_schema = ON")?;
        let insert = "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) SELECT 'table', ?1, ?1, 0, ?2 \
                      WHERE NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE)";
        for VirtualTable { name, sql } in tables {
            // It may have been made after it was looked for.
            if self.trusted(insert, |statement| statement.execute([name, sql]))? == 0 {
                return Err(refused(&format!("table {name} already exists")));
            }
        }
        Ok(())
    }

    /// Whether SQLite keeps the schema from being written to as a table.
    fn defend(&self, is_on: bool) -> Result<(), Error> {
        self.sqlite().set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, is_on).map(drop).map_err(|error| self.describe(&error))
    }
}

fn refused(message: &str) -> Error {
    Error::Sqlite { message: message.into(), code: ffi::SQLITE_ERROR, offset: None }
}
