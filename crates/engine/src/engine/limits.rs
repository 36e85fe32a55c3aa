//! Every limit of a database, in one place.
//!
//! Where D1 has a limit, the default here is SQLite's own or the largest that a Durable Object can bear; `Limits` says both. A limit
//! that is hit is answered in D1's (that is, mostly SQLite's) words.
//!
//! **Not here:** the limits of the store (2 MB a value), which no setting changes.

use rusqlite::Connection;
use rusqlite::limits::Limit;
use serde::{Deserialize, Serialize};

/// The limits of one database. All can be set; the defaults suit an isolate of 128 MB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one SQL text (D1: 100,000). `statement too long`.
    pub statement_bytes: i32,
    /// Bound parameters of a statement (D1: 100). `too many SQL variables`.
    pub bound_parameters: i32,
    /// Columns of a table or result (D1: 100). `too many columns`.
    pub columns: i32,
    /// Terms of a compound SELECT (D1: 5). `too many terms in compound SELECT`.
    pub compound_select_terms: i32,
    /// Depth of an expression (D1: 100). `Expression tree is too large`.
    pub expression_depth: i32,
    /// Arguments of a function (D1: 127). `too many arguments on function`.
    pub function_arguments: i32,
    /// Bytes of a LIKE or GLOB pattern (D1: 50). `LIKE or GLOB pattern too complex`.
    pub like_pattern_bytes: i32,
    /// Nested triggers (D1: 10). `triggers nested too deep`.
    pub trigger_depth: i32,
    /// Bytes of a string, BLOB or row (D1: 2,000,000). `string or blob too big`.
    pub value_bytes: i32,
    /// Instructions of a statement's program (D1: 25,000).
    pub program_instructions: i32,
    /// Instructions that one call may run, and all calls of a request together, in thousands (D1: 30 s). The default is some
    /// 9 s of a query that counts, where SQLite is compiled to WebAssembly: the runtime ends a request of a Durable Object after 30 s of
    /// computing, and its object with it. `D1 DB exceeded its CPU time limit and was reset.`
    pub run_kiloinstructions: u64,
    /// Bytes of the results of one request, as JSON. A Durable Object answers at most 32 MiB. `the result is larger than`.
    pub result_bytes: usize,
    /// Bytes of changed pages that a transaction keeps in memory. What is more is stored ahead of its commit.
    pub uncommitted_bytes: usize,
    /// Bytes of SQLite's page cache for this database, of the connection that writes and of the one that reads the newest state.
    pub cache_bytes: usize,
    /// Bytes of SQLite's heap, of all databases in the isolate together. `out of memory`.
    pub heap_bytes: usize,
    /// Prepared statements kept.
    pub cached_statements: usize,
    /// Milliseconds for which past states are kept.
    pub history_ms: u64,
    /// Bytes that past states may take; the oldest are dropped first.
    pub history_bytes: u64,
    /// Milliseconds for which every past state is kept. Of those before, the last one of each step stays.
    pub history_exact_ms: u64,
    /// Milliseconds of a step.
    pub history_step_ms: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            statement_bytes: 10_000_000,
            bound_parameters: 32_766,
            columns: 2_000,
            compound_select_terms: 500,
            expression_depth: 1_000,
            function_arguments: 127,
            like_pattern_bytes: 300,
            trigger_depth: 100,
            value_bytes: 32 << 20,
            program_instructions: 1_000_000,
            run_kiloinstructions: 400_000,
            result_bytes: 30 << 20,
            uncommitted_bytes: 16 << 20,
            cache_bytes: 16 << 20,
            heap_bytes: 96 << 20,
            cached_statements: 100,
            history_ms: 7 * 24 * 60 * 60 * 1000,
            history_bytes: 1 << 30,
            history_exact_ms: 60 * 60 * 1000,
            history_step_ms: 60 * 1000,
        }
    }
}

impl Limits {
    /// The same for the connections of replicas, of which an isolate has many: they remember less.
    pub fn for_replicas(&self) -> Limits {
        Limits { cache_bytes: self.cache_bytes.min(1 << 20), cached_statements: self.cached_statements.min(32), ..self.clone() }
    }

    /// Sets SQLite's run-time limits on a connection.
    pub(crate) fn apply(&self, connection: &Connection) -> rusqlite::Result<()> {
        let limits = [
            (Limit::SQLITE_LIMIT_SQL_LENGTH, self.statement_bytes),
            (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, self.bound_parameters),
            (Limit::SQLITE_LIMIT_COLUMN, self.columns),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, self.compound_select_terms),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, self.expression_depth),
            (Limit::SQLITE_LIMIT_FUNCTION_ARG, self.function_arguments),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, self.like_pattern_bytes),
            (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, self.trigger_depth),
            (Limit::SQLITE_LIMIT_LENGTH, self.value_bytes),
            (Limit::SQLITE_LIMIT_VDBE_OP, self.program_instructions),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        ];
        for (limit, value) in limits {
            connection.set_limit(limit, value)?;
        }
        Ok(())
    }
}
