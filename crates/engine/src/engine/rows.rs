//! Rows and columns of a result, as an encoder gets them.

use super::RowEncoder;
use crate::sqlite::statement::Statement;
use rusqlite::types::ValueRef;

/// A column of a result.
pub struct Column<'a> {
    statement: &'a Statement,
    index: usize,
}

impl<'a> Column<'a> {
    /// Its name; names need not differ.
    pub fn name(&self) -> &'a str {
        self.statement.column_name(self.index)
    }

    /// The type that the table declares for it, as written: `VARCHAR(20)`. `None`: it is an expression, or declared without a type.
    pub fn declared_type(&self) -> Option<&'a str> {
        self.statement.declared_type(self.index)
    }
}

/// One row of a result.
pub struct RowValues<'a> {
    statement: &'a Statement,
    columns: usize,
}

impl RowValues<'_> {
    pub(super) fn new(statement: &Statement, columns: usize) -> RowValues<'_> {
        RowValues { statement, columns }
    }

    /// The values, in the order of the columns.
    pub fn values(&self) -> impl Iterator<Item = ValueRef<'_>> {
        (0..self.columns).map(|column| self.statement.value(column))
    }
}

/// Starts the result of a statement.
pub(super) fn start<E: RowEncoder>(statement: &Statement, options: E::Options) -> E {
    E::start(&statement.columns().collect::<Vec<_>>(), options)
}

impl Statement {
    pub(super) fn columns(&self) -> impl Iterator<Item = Column<'_>> {
        (0..self.column_count()).map(|index| Column { statement: self, index })
    }
}
