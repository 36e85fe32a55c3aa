//! What a statement is, without running it: its parameters and its columns.

use super::connection::Connection;
use super::{Engine, Error, Reader};

/// The first statement of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its parameters in the order of their numbers, each with its name and what stands before it, `:a` or `?3`; `None`: it has none.
    pub parameters: Vec<Option<String>>,
    /// Its columns: name and declared type.
    pub columns: Vec<(String, Option<String>)>,
    /// Whether it only explains another.
    pub is_explain: bool,
    /// Whether it writes nothing.
    pub is_read_only: bool,
}

impl Connection {
    fn describe_statement(&self, sql: &str) -> Result<Description, Error> {
        let statement = self.compile_first(sql)?;
        let text = |text: &str| text.to_owned();
        Ok(Description {
            parameters: (1..=statement.parameter_count()).map(|number| statement.parameter_name(number).map(text)).collect(),
            columns: statement.columns().map(|column| (text(column.name()), column.declared_type().map(text))).collect(),
            is_explain: statement.is_explain(),
            is_read_only: statement.is_read_only(),
        })
    }
}

impl Engine {
    /// Describes the first statement of a text.
    pub fn describe(&mut self, sql: &str) -> Result<Description, Error> {
        self.writer()?.describe_statement(sql)
    }
}

impl Reader {
    /// Describes the first statement of a text.
    pub fn describe(&self, sql: &str) -> Result<Description, Error> {
        self.connection().describe_statement(sql)
    }
}
