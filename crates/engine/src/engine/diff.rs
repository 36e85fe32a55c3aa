//! What differs between two states of a database: tables and what else the schema has, and rows by their keys. One connection has both: the state
//! before is attached to it, and SQLite compares.
//!
//! Values are compared by what they are: 1 is not 1.0, and 'a' is not 'A' whatever the column's collation says. Columns that only one of the
//! states has are a change of the schema, and not of each row.
//!
//! **Not here:** virtual tables and the tables below them, which have no rows of their own.

use super::export::{ROWID, quoted_name};
use super::virtual_tables::{BELOW, VirtualTable};
use super::{Column, Connection, Error, Failure, ResultSet, RowEncoder, RowValues, Snapshot, from_sqlite};
use crate::vfs::DatabaseFile;
use littoral_protocol::sql::{Meta, Statement, Value};
use rusqlite::limits::Limit;
use std::collections::BTreeMap;

/// What is told of a difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiffOptions {
    /// These tables only; none: all.
    pub tables: Vec<String>,
    /// Rows that are shown of a table, of each kind; all are counted.
    pub rows: usize,
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// Of the schema, in the order of kinds and names.
    pub schema: Vec<SchemaDiff>,
    /// Tables whose rows differ, in the order of their names.
    pub tables: Vec<TableDiff>,
}

/// A table, index, view or trigger that is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaDiff {
    /// `table`, `index`, `view` or `trigger`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What made it; `None`: it was not there.
    pub before: Option<String>,
    /// What makes it; `None`: it is no more.
    pub after: Option<String>,
}

/// Rows of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableDiff {
    /// Its name.
    pub name: String,
    /// The columns that rows are known by again; none: the key is another one, and all rows count as removed and added.
    pub key: Vec<String>,
    /// The columns that both states have.
    pub columns: Vec<String>,
    /// How many there are only after.
    pub added: u64,
    /// How many there were only before.
    pub removed: u64,
    /// How many are other ones.
    pub changed: u64,
    /// Some of them: removed, added, changed.
    pub rows: Vec<RowDiff>,
}

/// A row: values in the order of the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct RowDiff {
    /// Those of its key.
    pub key: Vec<Value>,
    /// `None`: it was not there.
    pub before: Option<Vec<Value>>,
    /// `None`: it is no more.
    pub after: Option<Vec<Value>>,
}

const SCHEMA: &str = "SELECT type, name, sql FROM {schema}.sqlite_schema WHERE sql NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                      AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' ORDER BY type, name";
/// Columns that can be written: generated ones follow from others.
const COLUMNS: &str = "SELECT name, pk FROM pragma_table_xinfo(?1, ?2) WHERE hidden = 0 ORDER BY cid";
const WITHOUT_ROWID: &str = "SELECT wr FROM pragma_table_list WHERE schema = ?2 AND name = ?1";

/// What made each thing of a schema, by kind and name.
type Schema = BTreeMap<(String, String), String>;

impl Snapshot {
    /// What is other in this state than in the one beside it.
    pub fn diff(&self, options: &DiffOptions) -> Result<Diff, Failure> {
        if self.beside().is_none() {
            return Err(Error::NoStatement.into());
        }
        let (old, new) = (self.schema("before")?, self.schema("main")?);
        let mut diff = Diff { schema: schema_diff(&old, &new), tables: Vec::new() };
        let mut without_rows: Vec<String> =
            old.iter().chain(&new).filter_map(|((_, name), sql)| VirtualTable::of(name, sql)).map(|table| table.name().into()).collect();
        for schema in ["before", "main"] {
            let below = self.rows_of(BELOW, vec![Value::Text(schema.into())])?.into_iter().flatten();
            without_rows.extend(below.filter_map(|name| if let Value::Text(name) = name { Some(name) } else { None }));
        }
        let has_rows = |name: &String| !without_rows.contains(name);
        let names = |schema: &Schema| schema.keys().filter(|(kind, _)| kind == "table").map(|(_, name)| name.clone()).collect::<Vec<_>>();
        let (old, new) = (names(&old), names(&new));
        let mut all: Vec<&String> = old.iter().chain(&new).filter(|name| has_rows(name)).collect();
        all.sort();
        all.dedup();
        for name in all.into_iter().filter(|name| options.tables.is_empty() || options.tables.contains(name)) {
            let table = match (old.contains(name), new.contains(name)) {
                (true, true) => self.table_diff(name, options.rows)?,
                (was, is) => TableDiff {
                    name: name.clone(),
                    removed: if was { self.count("before", name)? } else { 0 },
                    added: if is { self.count("main", name)? } else { 0 },
                    ..TableDiff::default()
                },
            };
            if table.added + table.removed + table.changed > 0 {
                diff.tables.push(table);
            }
        }
        Ok(diff)
    }

    fn schema(&self, schema: &str) -> Result<Schema, Failure> {
        let rows = self.rows_of(&SCHEMA.replace("{schema}", schema), vec![])?;
        let entry = |row: Vec<Value>| match <[Value; 3]>::try_from(row) {
            Ok([Value::Text(kind), Value::Text(name), Value::Text(sql)]) => Some(((kind, name), sql)),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(entry).collect())
    }

    fn table_diff(&self, name: &str, most: usize) -> Result<TableDiff, Failure> {
        let (old, new) = (self.columns("before", name)?, self.columns("main", name)?);
        let key = self.key(name, &old, &new)?;
        let columns: Vec<String> =
            new.iter().map(|(name, _)| name).filter(|name| old.iter().any(|(old, _)| old == *name)).cloned().collect();
        let mut table = TableDiff { name: name.into(), key: key.clone(), columns: columns.clone(), ..TableDiff::default() };
        if key.is_empty() {
            (table.removed, table.added) = (self.count("before", name)?, self.count("main", name)?);
            return Ok(table);
        }
        let compared = Compared::of(name, &key, &columns);
        for (sql, is_before) in [(compared.only("b", "a"), true), (compared.only("a", "b"), false)] {
            let found = self.found(&sql, most)?;
            *(if is_before { &mut table.removed } else { &mut table.added }) = found.count;
            table.rows.extend(found.rows.into_iter().map(|row| {
                let (key, values) = compared.split(row);
                let (before, after) = if is_before { (Some(values), None) } else { (None, Some(values)) };
                RowDiff { key, before, after }
            }));
        }
        if !columns.is_empty() {
            // A result has no more columns than a table has.
            let before = self.found(&compared.changed("b"), most)?;
            let after = self.found(&format!("{} LIMIT {most}", compared.changed("a")), most)?;
            table.changed = before.count;
            table.rows.extend(before.rows.into_iter().zip(after.rows).map(|(before, after)| {
                let (key, before) = compared.split(before);
                RowDiff { key, before: Some(before), after: Some(compared.split(after).1) }
            }));
        }
        Ok(table)
    }

    /// Columns, and their places in the key, from 1; 0: they are not of the key.
    fn columns(&self, schema: &str, table: &str) -> Result<Vec<(String, i64)>, Failure> {
        let rows = self.rows_of(COLUMNS, vec![Value::Text(table.into()), Value::Text(schema.into())])?;
        let column = |row: Vec<Value>| match <[Value; 2]>::try_from(row) {
            Ok([Value::Text(name), Value::Integer(place)]) => Some((name, place)),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(column).collect())
    }

    /// What rows of both states are known by: the primary key, or else the number that SQLite keeps them by.
    fn key(&self, table: &str, old: &[(String, i64)], new: &[(String, i64)]) -> Result<Vec<String>, Failure> {
        let key = |columns: &[(String, i64)]| {
            let mut key: Vec<&(String, i64)> = columns.iter().filter(|(_, place)| *place > 0).collect();
            key.sort_by_key(|(_, place)| *place);
            key.into_iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let (before, after) = (key(old), key(new));
        if before != after {
            return Ok(Vec::new());
        }
        if !after.is_empty() {
            return Ok(after);
        }
        for schema in ["before", "main"] {
            let rows = self.rows_of(WITHOUT_ROWID, vec![Value::Text(table.into()), Value::Text(schema.into())])?;
            if rows != [[Value::Integer(0)]] {
                return Ok(Vec::new());
            }
        }
        let is_taken = |alias: &&&str| old.iter().chain(new).any(|(name, _)| name.eq_ignore_ascii_case(alias));
        Ok(ROWID.iter().find(|alias| !is_taken(alias)).map(|alias| (*alias).to_owned()).into_iter().collect())
    }

    fn count(&self, schema: &str, table: &str) -> Result<u64, Failure> {
        let rows = self.rows_of(&format!("SELECT count(*) FROM {schema}.{}", quoted_name(table)), vec![])?;
        Ok(rows.first().and_then(|row| row.first()).map_or(0, |count| if let Value::Integer(count) = count { *count as u64 } else { 0 }))
    }

    fn rows_of(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Vec<Value>>, Failure> {
        let result = self.run::<ResultSet>(&vec![Statement::new(sql, parameters)])?;
        Ok(result.into_iter().flat_map(|set| set.rows).collect())
    }

    fn found(&self, sql: &str, most: usize) -> Result<Found, Failure> {
        let mut found = self.run_one::<Found>(&vec![Statement::new(sql, vec![])], most)?;
        Ok(found.pop().unwrap_or_default())
    }
}

impl Connection {
    /// Has another state of the database beside its own, under the name `before`.
    pub(super) fn attach(&self, file: &DatabaseFile) -> Result<(), Error> {
        self.sqlite().set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1).map_err(|error| self.describe(&error))?;
        self.trusted("ATTACH ?1 AS before", |statement| statement.execute([file.name()])).map(drop)
    }
}

/// A table that is compared: `a` is as it is, `b` as it was before.
struct Compared<'a> {
    table: String,
    key: &'a [String],
    columns: &'a [String],
    /// The places of the key among the columns; `None`: it stands before them.
    places: Option<Vec<usize>>,
}

impl Compared<'_> {
    fn of<'a>(name: &str, key: &'a [String], columns: &'a [String]) -> Compared<'a> {
        let places = key.iter().map(|name| columns.iter().position(|column| column == name)).collect();
        Compared { table: quoted_name(name), key, columns, places }
    }

    fn names(side: &str, names: &[String]) -> Vec<String> {
        names.iter().map(|name| format!("{side}.{}", quoted_name(name))).collect()
    }

    fn selected(&self, side: &str) -> String {
        let key = if self.places.is_none() { Compared::names(side, self.key) } else { Vec::new() };
        [key, Compared::names(side, self.columns)].concat().join(", ")
    }

    fn same_key(&self) -> String {
        let (a, b) = (Compared::names("a", self.key), Compared::names("b", self.key));
        a.iter().zip(b).map(|(a, b)| format!("{a} IS {b}")).collect::<Vec<_>>().join(" AND ")
    }

    fn source(&self, side: &str) -> String {
        format!("{}.{} AS {side}", schema_of(side), self.table)
    }

    /// Rows that one side has and the other has not.
    fn only(&self, side: &str, other: &str) -> String {
        let (selected, source, there) = (self.selected(side), self.source(side), self.source(other));
        let (same, order) = (self.same_key(), Compared::names(side, self.key).join(", "));
        format!("SELECT {selected} FROM {source} WHERE NOT EXISTS (SELECT 1 FROM {there} WHERE {same}) ORDER BY {order}")
    }

    /// Rows that both have and that differ, as one side has them.
    fn changed(&self, side: &str) -> String {
        let (a, b) = (Compared::names("a", self.columns), Compared::names("b", self.columns));
        let differs = |(a, b): (&String, String)| format!("{a} COLLATE BINARY IS NOT {b} OR typeof({a}) <> typeof({b})");
        let differ: Vec<String> = a.iter().zip(b).map(differs).collect();
        let (selected, same, order) = (self.selected(side), self.same_key(), Compared::names("a", self.key).join(", "));
        format!("SELECT {selected} FROM {} JOIN {} ON {same} WHERE {} ORDER BY {order}", self.source("a"), self.source("b"), any(&differ))
    }

    /// The key of a row, and the values of its columns.
    fn split(&self, mut row: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
        match &self.places {
            Some(places) => (places.iter().filter_map(|place| row.get(*place).cloned()).collect(), row),
            None => {
                let values = row.split_off(self.key.len());
                (row, values)
            }
        }
    }
}

/// The database that a side of a comparison is of.
fn schema_of(side: &str) -> &'static str {
    if side == "a" { "main" } else { "before" }
}

/// One of these holds. There may be thousands, and what nests too deeply is refused: so they nest as little as can be.
fn any(terms: &[String]) -> String {
    match terms {
        [] => "0".into(),
        [term] => format!("({term})"),
        _ => {
            let (left, right) = terms.split_at(terms.len() / 2);
            format!("({} OR {})", any(left), any(right))
        }
    }
}

fn schema_diff(old: &Schema, new: &Schema) -> Vec<SchemaDiff> {
    let mut all: Vec<&(String, String)> = old.keys().chain(new.keys()).collect();
    all.sort();
    all.dedup();
    let diff = |key: &(String, String)| SchemaDiff {
        kind: key.0.clone(),
        name: key.1.clone(),
        before: old.get(key).cloned(),
        after: new.get(key).cloned(),
    };
    all.into_iter().map(diff).filter(|diff| diff.before != diff.after).collect()
}

/// Some rows, and how many there are.
#[derive(Default)]
struct Found {
    most: usize,
    rows: Vec<Vec<Value>>,
    count: u64,
    bytes: usize,
}

impl RowEncoder for Found {
    type Output = Found;
    type Options = usize;

    fn start(_columns: &[Column<'_>], most: usize) -> Found {
        Found { most, ..Found::default() }
    }

    fn row(&mut self, row: &RowValues<'_>) -> usize {
        self.count += 1;
        if self.rows.len() < self.most {
            let values: Vec<Value> = row.values().map(from_sqlite).collect();
            self.bytes += values.iter().map(Value::bytes).sum::<usize>();
            self.rows.push(values);
        }
        self.bytes
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn finish(self, _meta: &Meta) -> Found {
        self
    }
}
