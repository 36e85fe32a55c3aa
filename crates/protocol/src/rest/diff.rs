//! What differs between two states: how it is asked for, and the answer.

use super::Refusal;
use serde::{Deserialize, Serialize};

/// Rows of a kind that are shown of a table where a request does not say.
const ROWS: usize = 100;
/// The most.
const MOST_ROWS: usize = 1_000;

/// What is asked for. It is the query string of the call, and the body of what the database's object is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffQuery {
    /// The bookmark of the state before; of a branch, the one that it began with if nothing is said.
    pub from: Option<String>,
    /// The bookmark of the state after; the newest if nothing is said.
    pub to: Option<String>,
    /// These tables only; none: all.
    pub tables: Vec<String>,
    /// Rows of a kind that are shown of a table; all are counted.
    pub rows: usize,
}

impl DiffQuery {
    /// Reads a query string, without its `?`: `from`, `to`, `rows`, and `table` as often as wanted.
    pub fn parse(query: &str) -> Result<DiffQuery, Refusal> {
        let mut asked = DiffQuery { from: None, to: None, tables: Vec::new(), rows: ROWS };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "from" => asked.from = Some(value.into_owned()),
                "to" => asked.to = Some(value.into_owned()),
                "table" => asked.tables.push(value.into_owned()),
                "rows" => {
                    let rows = value.parse().ok().filter(|rows| *rows <= MOST_ROWS);
                    asked.rows = rows.ok_or_else(|| Refusal::malformed(&format_args!("rows is a number up to {MOST_ROWS}")))?;
                }
                _ => {}
            }
        }
        Ok(asked)
    }
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiffBody {
    /// The bookmark of the state before.
    pub from: String,
    /// The bookmark of the state after.
    pub to: String,
    /// Tables, indexes, views and triggers that are other ones.
    pub schema: Vec<SchemaDiffBody>,
    /// Tables whose rows differ.
    pub tables: Vec<TableDiffBody>,
}

/// A table, index, view or trigger that is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaDiffBody {
    /// `table`, `index`, `view` or `trigger`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What made it; `null`: it was not there.
    pub before: Option<String>,
    /// What makes it; `null`: it is no more.
    pub after: Option<String>,
}

/// Rows of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableDiffBody {
    /// Its name.
    pub name: String,
    /// The columns that rows are known by again; none: the key is another one, and all rows count as removed and added.
    pub key: Vec<String>,
    /// How many there are only after.
    pub added: u64,
    /// How many there were only before.
    pub removed: u64,
    /// How many are other ones.
    pub changed: u64,
    /// Some of them.
    pub rows: Vec<RowDiffBody>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowDiffBody {
    /// The values of its key.
    pub key: Vec<serde_json::Value>,
    /// The row by its columns; `null`: it was not there.
    pub before: Option<serde_json::Map<String, serde_json::Value>>,
    /// `null`: it is no more.
    pub after: Option<serde_json::Map<String, serde_json::Value>>,
}
