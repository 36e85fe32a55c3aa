//! The database as SQL text, statement by statement, in the form of D1's export: tables in the order in which they were made, their rows,
//! then indexes, views and triggers. Run in order on an empty database, in one transaction, it makes the same one.
//!
//! Other than D1's, it keeps every bit of an INTEGER and the type of a REAL, makes all tables before it fills the first, so that rows may refer
//! to tables that were made later, and views before triggers, which may be on them.
//!
//! **Invariant:** what cannot be exported is an error, never left out.
//!
//! **Not here:** virtual tables, which D1 refuses, too.

use super::{Column, Error, Failure, Reader, ResultSet, RowEncoder, RowValues, ValueRef};
use littoral_protocol::sql::{Meta, Statement, Value};
use rusqlite::ffi;
use std::fmt::Write;

/// What is exported: everything, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Leaves out what makes tables, indexes, views and triggers.
    pub no_schema: bool,
    /// Leaves out the rows.
    pub no_data: bool,
    /// These only; none: all.
    pub tables: Vec<String>,
}

const FIRST: &str = "PRAGMA defer_foreign_keys=TRUE;";
const TABLES: &str =
    "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql NOT NULL ORDER BY tbl_name = 'sqlite_sequence', rowid";
const OTHERS: &str =
    "SELECT name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger', 'view') AND sql NOT NULL ORDER BY type = 'trigger', type";
const COLUMNS: &str = "SELECT name FROM pragma_table_info(?)";

impl Reader {
    /// The state that it reads, as SQL, as far as that is no larger than a result may be.
    pub fn export(&self, options: &ExportOptions) -> Result<Vec<String>, Failure> {
        let wanted = |name: &String| options.tables.is_empty() || options.tables.contains(name);
        let (mut statements, mut rows, mut bytes) = (vec![FIRST.to_owned()], vec![], 0);
        for (name, sql) in self.names_and_sql(TABLES)?.into_iter().filter(|(name, _)| wanted(name)) {
            let Some(schema) = schema_of(&name, &sql)? else { continue };
            // SQLite's own tables are filled while others are.
            let place = if name.starts_with("sqlite_") { &mut rows } else { &mut statements };
            place.extend((!options.no_schema).then_some(schema));
            if !options.no_data {
                let mut inserts = self.inserts(&name)?;
                bytes += inserts.iter().map(String::len).sum::<usize>();
                if bytes > self.result_bytes {
                    return Err(Error::ResultTooLarge { limit: self.result_bytes }.into());
                }
                rows.append(&mut inserts);
            }
        }
        statements.append(&mut rows);
        if !options.no_schema {
            let others = self.names_and_sql(OTHERS)?.into_iter().filter(|(name, _)| wanted(name));
            statements.extend(others.map(|(_, sql)| format!("{sql};")));
        }
        Ok(statements)
    }

    fn names_and_sql(&self, sql: &str) -> Result<Vec<(String, String)>, Failure> {
        let rows = self.rows(sql, vec![])?.into_iter();
        Ok(rows.filter_map(|row| row.try_into().ok()).filter_map(|[name, sql]: [Value; 2]| Some((text(name)?, text(sql)?))).collect())
    }

    /// An INSERT for each row. Generated columns are not among them.
    fn inserts(&self, table: &str) -> Result<Vec<String>, Failure> {
        let columns = self.rows(COLUMNS, vec![Value::Text(table.into())])?;
        let columns: Vec<String> = columns.into_iter().flatten().filter_map(text).map(|name| quoted_name(&name)).collect();
        let table = quoted_name(table);
        let insert = format!("INSERT INTO {table} ({}) VALUES(", columns.join(","));
        let select = Statement::new(format!("SELECT {} FROM {table}", columns.join(", ")), vec![]);
        Ok(self.run_with::<Inserts<'_>>(&[vec![select]], &insert).pop().unwrap_or(Ok(vec![]))?.pop().unwrap_or_default())
    }

    fn rows(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Vec<Value>>, Failure> {
        let result = self.run::<ResultSet>(&vec![Statement::new(sql, parameters)])?;
        Ok(result.into_iter().flat_map(|set| set.rows).collect())
    }
}

/// What makes a table; none: it is not exported.
fn schema_of(name: &str, sql: &str) -> Result<Option<String>, Error> {
    let begins = |prefix: &str| sql.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if name == "sqlite_sequence" {
        return Ok(Some("DELETE FROM sqlite_sequence;".into()));
    }
    if name.starts_with("sqlite_stat") {
        return Ok(Some("ANALYZE sqlite_schema;".into()));
    }
    if begins("CREATE VIRTUAL TABLE") {
        let message = format!("D1 Export error: cannot export databases with Virtual Tables ({name})");
        return Err(Error::Sqlite { message, code: ffi::SQLITE_ERROR, offset: None });
    }
    if name.starts_with("_cf_") || name.starts_with("sqlite_") {
        return Ok(None);
    }
    let is_quoted = begins("CREATE TABLE \"") || begins("CREATE TABLE '");
    let rest = sql.get("CREATE TABLE ".len()..).filter(|_| is_quoted);
    Ok(Some(rest.map_or_else(|| format!("{sql};"), |rest| format!("CREATE TABLE IF NOT EXISTS {rest};"))))
}

/// Rows as statements, which begin with the options.
struct Inserts<'a> {
    begin: &'a str,
    statements: Vec<String>,
    bytes: usize,
}

impl<'a> RowEncoder for Inserts<'a> {
    type Output = Vec<String>;
    type Options = &'a str;

    fn start(_columns: &[Column<'_>], begin: &'a str) -> Self {
        Inserts { begin, statements: vec![], bytes: 0 }
    }

    fn row(&mut self, row: &RowValues<'_>) -> usize {
        let mut statement = self.begin.to_owned();
        for (index, value) in row.values().enumerate() {
            statement.push_str(if index > 0 { "," } else { "" });
            write_literal(&mut statement, value);
        }
        statement.push_str(");");
        self.bytes += statement.len();
        self.statements.push(statement);
        self.bytes
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn finish(self, _meta: &Meta) -> Vec<String> {
        self.statements
    }
}

/// Appends a literal that SQLite reads as exactly this value.
fn write_literal(sql: &mut String, value: ValueRef<'_>) {
    // Writing to a String does not fail.
    let _ = match value {
        ValueRef::Null => write!(sql, "NULL"),
        ValueRef::Integer(integer) => write!(sql, "{integer}"),
        ValueRef::Real(real) if real.is_infinite() => write!(sql, "{}9e999", if real < 0.0 { "-" } else { "" }),
        ValueRef::Real(real) => write!(sql, "{real:?}"),
        ValueRef::Blob(blob) => write!(sql, "X'{}'", hex(blob)),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if can_be_quoted(text) => write!(sql, "{}", quoted_text(text)),
            _ => write!(sql, "CAST(X'{}' AS TEXT)", hex(bytes)),
        },
    };
}

/// A literal cannot hold a NUL, nor what is no UTF-8; and what stands for the end of a line must not be there otherwise.
fn can_be_quoted(text: &str) -> bool {
    let ambiguous = |end: char, escape: &str| text.contains(end) && text.contains(escape);
    !text.contains('\0') && !ambiguous('\n', "\\n") && !ambiguous('\r', "\\r")
}

/// A text on one line.
fn quoted_text(text: &str) -> String {
    let mut literal = format!("'{}'", text.replace('\'', "''").replace('\n', "\\n").replace('\r', "\\r"));
    for (character, escape, code) in [('\r', "\\r", 13), ('\n', "\\n", 10)] {
        if text.contains(character) {
            literal = format!("replace({literal},'{escape}',char({code}))");
        }
    }
    literal
}

fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: Value) -> Option<String> {
    if let Value::Text(text) = value { Some(text) } else { None }
}
