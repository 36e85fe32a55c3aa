//! The database as SQL text, in the form of D1's export: tables in the order in which they were made, their rows, then indexes, views and triggers.
//! Run in order on an empty database, in one transaction, it makes the same one. It comes in parts, so a database need not fit memory.
//!
//! Other than D1's, it keeps every bit of an INTEGER and the type of a REAL, makes all tables before it fills the first, so that rows may refer
//! to tables that were made later, and views before triggers, which may be on them.
//!
//! **Invariants**
//! 1. What cannot be exported is an error, never left out.
//! 2. Parts of one state, one after the other, are the text of that state, whoever asks for them and on how many connections.
//!
//! **Not here:** how virtual tables are told of, which D1 refuses (`virtual_tables`).

use super::virtual_tables::{self, VirtualTable};
use super::{Column, Error, Failure, Reader, ResultSet, RowEncoder, RowValues, ValueRef};
use littoral_protocol::sql::{Meta, Statement, Value};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What is exported: everything, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportOptions {
    /// Leaves out what makes tables, indexes, views and triggers.
    pub no_schema: bool,
    /// Leaves out the rows.
    pub no_data: bool,
    /// These only; none: all.
    pub tables: Vec<String>,
}

/// Where an export goes on: behind a row of a table, or at its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportPlace {
    /// Which table, in the order of the export.
    table: usize,
    /// The key of the last row, each value as a literal; none: the table was not begun.
    after: Vec<String>,
}

/// A part of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPart {
    /// Whole statements.
    pub statements: Vec<String>,
    /// Where the next part begins; `None`: this was the last.
    pub next: Option<ExportPlace>,
}

/// Bytes of rows after which a part ends.
const PART_BYTES: usize = 1 << 20;

const FIRST: &str = "PRAGMA defer_foreign_keys=TRUE;";
const TABLES: &str =
    "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql NOT NULL ORDER BY tbl_name = 'sqlite_sequence', rowid";
const OTHERS: &str =
    "SELECT name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger', 'view') AND sql NOT NULL ORDER BY type = 'trigger', type";
const COLUMNS: &str = "SELECT name FROM pragma_table_info(?)";
/// The columns of a table's key, if its rows are kept in the order of that.
const KEY: &str = "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 AND (SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1) ORDER BY pk";
/// Names of the number that other rows are kept by; a column may have taken one.
pub(super) const ROWID: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// A table, and what makes it.
struct Table {
    name: String,
    schema: String,
}

impl Reader {
    /// The state that it reads, as SQL, as far as that is no larger than a result may be.
    pub fn export(&self, options: &ExportOptions) -> Result<Vec<String>, Failure> {
        let (mut statements, mut bytes, mut place) = (vec![], 0, None);
        loop {
            let mut part = self.export_part(options, place)?;
            bytes += part.statements.iter().map(String::len).sum::<usize>();
            if bytes > self.result_bytes {
                return Err(Error::ResultTooLarge { limit: self.result_bytes }.into());
            }
            statements.append(&mut part.statements);
            place = part.next;
            if place.is_none() {
                return Ok(statements);
            }
        }
    }

    /// A part of it, from a place on, or the first.
    pub fn export_part(&self, options: &ExportOptions, place: Option<ExportPlace>) -> Result<ExportPart, Failure> {
        let tables = self.tables(options)?;
        let mut statements = Vec::new();
        let is_own = |table: &&Table| table.name.starts_with("sqlite_");
        let mut place = place.unwrap_or_else(|| {
            statements.push(FIRST.to_owned());
            if !options.no_schema {
                // SQLite's own tables are there while others are filled.
                statements.extend(tables.iter().filter(|table| !is_own(table)).map(|table| table.schema.clone()));
            }
            ExportPlace { table: if options.no_data { tables.len() } else { 0 }, after: vec![] }
        });
        if options.no_data && !options.no_schema {
            statements.extend(tables.iter().filter(is_own).map(|table| table.schema.clone()));
        }
        let mut bytes = 0;
        while let Some(table) = tables.get(place.table) {
            if place.after.is_empty() && !options.no_schema && is_own(&table) {
                statements.push(table.schema.clone());
            }
            let rows = self.inserts(&table.name, &place.after, PART_BYTES - bytes)?;
            bytes += rows.bytes;
            statements.extend(rows.statements);
            if rows.is_full {
                return Ok(ExportPart { statements, next: Some(ExportPlace { after: rows.last, ..place }) });
            }
            place = ExportPlace { table: place.table + 1, after: vec![] };
        }
        if !options.no_schema {
            statements.extend(virtual_tables::statements(&self.virtual_tables(options)?));
            let others = self.names_and_sql(OTHERS)?.into_iter().filter(|(name, _)| options.wants(name));
            statements.extend(others.map(|(_, sql)| format!("{sql};")));
        }
        Ok(ExportPart { statements, next: None })
    }

    fn tables(&self, options: &ExportOptions) -> Result<Vec<Table>, Failure> {
        let mut tables = Vec::new();
        let virtual_tables = self.virtual_tables(options)?;
        let below: Vec<String> = match &virtual_tables[..] {
            [] => Vec::new(),
            _ => self.rows(virtual_tables::BELOW, vec![Value::Text("main".into())])?.into_iter().flatten().filter_map(text).collect(),
        };
        let is_below = |name: &str| below.iter().any(|below| below == name) && virtual_tables.iter().any(|table| table.has_below(name));
        for (name, sql) in self.names_and_sql(TABLES)?.into_iter().filter(|(name, _)| options.wants(name) || is_below(name)) {
            if let Some(schema) = schema_of(&name, &sql) {
                tables.push(Table { name, schema });
            }
        }
        tables.sort_by_key(|table| table.name.starts_with("sqlite_"));
        Ok(tables)
    }

    fn virtual_tables(&self, options: &ExportOptions) -> Result<Vec<VirtualTable>, Failure> {
        let tables = self.names_and_sql(TABLES)?.into_iter().filter_map(|(name, sql)| VirtualTable::of(&name, &sql));
        Ok(tables.filter(|table| options.wants(table.name())).collect())
    }

    fn names_and_sql(&self, sql: &str) -> Result<Vec<(String, String)>, Failure> {
        let rows = self.rows(sql, vec![])?.into_iter();
        Ok(rows.filter_map(|row| row.try_into().ok()).filter_map(|[name, sql]: [Value; 2]| Some((text(name)?, text(sql)?))).collect())
    }

    /// An INSERT for each row behind one, until they have some bytes. Generated columns are not among them.
    fn inserts(&self, table: &str, after: &[String], bytes: usize) -> Result<Inserted, Failure> {
        let names = |sql: &str| -> Result<Vec<String>, Failure> {
            let rows = self.rows(sql, vec![Value::Text(table.into())])?;
            Ok(rows.into_iter().flatten().filter_map(text).map(|name| quoted_name(&name)).collect())
        };
        let (columns, mut key) = (names(COLUMNS)?, names(KEY)?);
        let is_taken = |alias: &&&str| columns.iter().any(|column| column.trim_matches('"').eq_ignore_ascii_case(alias));
        if key.is_empty() {
            key.extend(ROWID.iter().find(|alias| !is_taken(alias)).map(|alias| (*alias).to_owned()));
        }
        let (name, keys, all) = (quoted_name(table), key.join(","), columns.join(","));
        // Where all names are taken, all rows come at once.
        let (behind, order) = match (after.is_empty(), key.is_empty()) {
            (_, true) => (String::new(), String::new()),
            (true, false) => (String::new(), format!(" ORDER BY {keys}")),
            (false, false) => (format!(" WHERE ({keys}) > ({})", after.join(",")), format!(" ORDER BY {keys}")),
        };
        let separator = if key.is_empty() { "" } else { "," };
        let select = Statement::new(format!("SELECT {keys}{separator}{all} FROM {name}{behind}{order}"), vec![]);
        let begin = format!("INSERT INTO {name} ({all}) VALUES(");
        let mut results = self.run_with::<Inserts<'_>>(&[vec![select]], Plan { begin: &begin, keys: key.len(), bytes });
        Ok(results.pop().unwrap_or_else(|| Ok(vec![]))?.pop().unwrap_or_default())
    }

    fn rows(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Vec<Value>>, Failure> {
        let result = self.run::<ResultSet>(&vec![Statement::new(sql, parameters)])?;
        Ok(result.into_iter().flat_map(|set| set.rows).collect())
    }
}

impl ExportOptions {
    fn wants(&self, name: &str) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|table| table == name)
    }
}

/// What makes a table; none: it is not exported, or is virtual.
fn schema_of(name: &str, sql: &str) -> Option<String> {
    let begins = |prefix: &str| sql.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if name == "sqlite_sequence" {
        return Some("DELETE FROM sqlite_sequence;".into());
    }
    if name.starts_with("sqlite_stat") {
        return Some("ANALYZE sqlite_schema;".into());
    }
    if name.starts_with("_cf_") || name.starts_with("sqlite_") || begins("CREATE VIRTUAL TABLE") {
        return None;
    }
    let is_quoted = begins("CREATE TABLE \"") || begins("CREATE TABLE '");
    let rest = sql.get("CREATE TABLE ".len()..).filter(|_| is_quoted);
    Some(rest.map_or_else(|| format!("{sql};"), |rest| format!("CREATE TABLE IF NOT EXISTS {rest};")))
}

/// How rows become statements.
#[derive(Clone, Copy)]
struct Plan<'a> {
    begin: &'a str,
    /// Columns at the beginning of a row that are its key; not all of them where there is none to go on from.
    keys: usize,
    /// Bytes after which no more rows are taken.
    bytes: usize,
}

/// Rows as statements.
#[derive(Default)]
struct Inserted {
    statements: Vec<String>,
    bytes: usize,
    /// The key of the last row, each value as a literal.
    last: Vec<String>,
    /// There may be more rows.
    is_full: bool,
}

struct Inserts<'a> {
    plan: Plan<'a>,
    rows: Inserted,
}

impl<'a> RowEncoder for Inserts<'a> {
    type Output = Inserted;
    type Options = Plan<'a>;

    fn start(_columns: &[Column<'_>], plan: Plan<'a>) -> Self {
        Inserts { plan, rows: Inserted::default() }
    }

    fn row(&mut self, row: &RowValues<'_>) -> usize {
        let Inserts { plan, rows } = self;
        let mut statement = plan.begin.to_owned();
        rows.last.clear();
        for (index, value) in row.values().enumerate() {
            if index < plan.keys {
                let mut literal = String::new();
                write_literal(&mut literal, value);
                rows.last.push(literal);
                continue;
            }
            statement.push_str(if index > plan.keys { "," } else { "" });
            write_literal(&mut statement, value);
        }
        statement.push_str(");");
        rows.bytes += statement.len();
        rows.statements.push(statement);
        rows.is_full = plan.keys > 0 && rows.bytes >= plan.bytes;
        rows.bytes
    }

    fn bytes(&self) -> usize {
        self.rows.bytes
    }

    fn is_full(&self) -> bool {
        self.rows.is_full
    }

    fn finish(self, _meta: &Meta) -> Inserted {
        self.rows
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
pub(super) fn quoted_text(text: &str) -> String {
    let mut literal = format!("'{}'", text.replace('\'', "''").replace('\n', "\\n").replace('\r', "\\r"));
    for (character, escape, code) in [('\r', "\\r", 13), ('\n', "\\n", 10)] {
        if text.contains(character) {
            literal = format!("replace({literal},'{escape}',char({code}))");
        }
    }
    literal
}

pub(super) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: Value) -> Option<String> {
    if let Value::Text(text) = value { Some(text) } else { None }
}
