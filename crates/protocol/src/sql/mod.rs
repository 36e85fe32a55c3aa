//! What SQL is asked with and what it answers, whatever protocol carries it.
//!
//! **Not here:** how any of it looks as bytes (a module for each protocol).

mod code;
mod meta;
mod value;

pub use code::Code;
pub use meta::{Meta, Served, Tier};
pub use value::Value;

use crate::Bookmark;

/// One SQL text with its parameters. The text may hold several statements; the parameters belong to the last, and so does the result, unless it
/// is a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The SQL text.
    pub sql: String,
    /// Values for its parameters, in order.
    pub parameters: Vec<Value>,
    /// Values for parameters by their names, `a` or `:a`. Where there are any, parameters without a value are NULL; else each has to have one.
    pub named: Vec<(String, Value)>,
    /// Each of its statements has a result, and takes as many of the values as it has parameters, beginning with the first that is left.
    pub is_script: bool,
}

impl Statement {
    /// A statement.
    pub fn new(sql: impl Into<String>, parameters: Vec<Value>) -> Statement {
        Statement { sql: sql.into(), parameters, named: Vec::new(), is_script: false }
    }

    /// A script.
    pub fn script(sql: impl Into<String>, parameters: Vec<Value>) -> Statement {
        Statement { is_script: true, ..Statement::new(sql, parameters) }
    }
}

/// Statements that take effect together.
pub type Call = Vec<Statement>;

/// A point of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The state that the bookmark names.
    Bookmark(Bookmark),
    /// The state that was there at this time, in milliseconds since 1970: the newest commit not newer.
    Time(u64),
}

/// A statement of a call: where an error happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// Which of the call's texts, from 0.
    pub text: usize,
    /// The byte of that text at which the statement begins.
    pub offset: usize,
}
