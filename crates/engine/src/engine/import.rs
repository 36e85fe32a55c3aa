//! Importing SQL text of any length, as one transaction: the text comes piece by piece, and SQLite itself finds where a statement ends. Others have
//! their turn again and again; what is beyond a transaction's memory is staged, as in any.
//!
//! Files are taken as people have them: their BEGIN and COMMIT say what is so anyway, PRAGMAs about files and connections have no effect, and
//! rows may come before those that they refer to, or tables in any order.
//!
//! **Invariants**
//! 1. All of the text takes effect, or nothing.
//! 2. A statement runs only when its end has come: what a piece cuts off is never taken for a shorter one.
//! 3. After it, no row refers to a row that does not exist.
//!
//! **Not here:** where the bytes come from.

use super::budget::{GiveWay, Pace};
use super::connection::Connection;
use super::lease::Lease;
use super::rows_written::Known;
use super::text::{is_blank, statement_tokens};
use super::virtual_tables::VirtualTable;
use super::{Column, Error, Failure, RowEncoder, RowValues, in_transaction};
use crate::sqlite::statement::{SqlText, Statement};
use littoral_protocol::Bookmark;
use littoral_protocol::sql::{Meta, Place, Statement as Text};
use std::cell::Cell;
use std::rc::Rc;

/// Bytes of short statements after which others have their turn: none of them takes one by itself.
const TURN_BYTES: usize = 16 << 10;

/// The next bytes of a text; `None`: it has ended.
pub type Bytes<'a> = &'a mut dyn FnMut() -> Result<Option<Vec<u8>>, Error>;

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Statements that ran.
    pub statements: u64,
    /// Rows that they visited.
    pub rows_read: u64,
    /// Rows and index entries that they wrote.
    pub rows_written: u64,
    /// Bytes of the database.
    pub size_after: u64,
}

impl Lease {
    /// Imports a text. `statements` counts while it runs.
    pub fn import(&self, bytes: Bytes<'_>, give_way: GiveWay, statements: Rc<Cell<u64>>) -> Result<(Imported, Bookmark), Failure> {
        let imported = self.import_once(bytes, give_way, statements);
        self.failed_with(imported.as_ref().err().cloned());
        let (imported, size_after) = imported?;
        let bookmark = self.store().head().bookmark();
        Ok((Imported { size_after, ..imported }, bookmark))
    }

    fn import_once(&self, bytes: Bytes<'_>, give_way: GiveWay, statements: Rc<Cell<u64>>) -> Result<(Imported, u64), Failure> {
        let writer = self.writer();
        let _busy = writer.occupy();
        let turns = self.turns(give_way);
        writer.restore_flags()?;
        writer.set_foreign_keys(false)?;
        let result = in_transaction(writer, |writer| {
            let mut import = Import {
                writer,
                turns,
                text: String::new(),
                cut: Vec::new(),
                before: 0,
                done: Imported::default(),
                statements,
                virtual_tables: Vec::new(),
            };
            while import.take(bytes()?)? {}
            writer.add_virtual_tables(&import.virtual_tables)?;
            writer.no_row_is_orphaned()?;
            writer.budget.set_pace(Pace::Whole);
            self.check_alive()?;
            Ok(import.done)
        });
        writer.set_foreign_keys(true)?;
        Ok((result?, writer.file().size_in_use()))
    }
}

struct Import<'a> {
    writer: &'a Connection,
    turns: GiveWay,
    /// What has come and has not run.
    text: String,
    /// The beginning of a character whose other bytes have not come.
    cut: Vec<u8>,
    /// Bytes before `text`.
    before: usize,
    done: Imported,
    statements: Rc<Cell<u64>>,
    /// They are put into the schema once all tables below them have their rows.
    virtual_tables: Vec<VirtualTable>,
}

impl Import<'_> {
    /// Takes the next bytes, and runs what is whole. Returns whether there may be more.
    fn take(&mut self, bytes: Option<Vec<u8>>) -> Result<bool, Failure> {
        let has_ended = bytes.is_none();
        self.cut.extend(bytes.unwrap_or_default());
        let valid = match std::str::from_utf8(&self.cut) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() && !has_ended => error.valid_up_to(),
            Err(error) => return Err(self.failed(Error::not_text("it is no UTF-8"), self.text.len() + error.valid_up_to())),
        };
        let rest = self.cut.split_off(valid);
        self.text.push_str(&String::from_utf8_lossy(&self.cut));
        self.cut = rest;
        // Each piece has a budget of its own: how long a text may be is not the budget's to say.
        self.writer.refill_whole(Pace::InTurns(self.turns.clone()));
        let ran = self.run(has_ended)?;
        self.text.drain(..ran);
        self.before += ran;
        Ok(!has_ended)
    }

    /// Runs the statements that are whole. Returns where the rest begins.
    fn run(&mut self, has_ended: bool) -> Result<usize, Failure> {
        let text = std::mem::take(&mut self.text);
        let result = self.run_text(&text, has_ended);
        self.text = text;
        result
    }

    fn run_text(&mut self, sql: &str, has_ended: bool) -> Result<usize, Failure> {
        if let Some(nul) = memchr::memchr(0, sql.as_bytes()) {
            return Err(self.failed(Error::not_text("it holds a NUL"), nul));
        }
        let source = SqlText::new(sql);
        let most = self.writer.limits.statement_bytes.max(0) as usize;
        let (mut begin, mut turn_ends) = (0, TURN_BYTES);
        while !is_blank(&sql[begin..]) {
            let left = &sql[begin..];
            self.writer.authorizer.take_writes();
            let (statement, end) = match self.writer.compile_next((&source, sql), begin, begin == 0) {
                Ok((statement, end, _)) => (statement, end),
                Err(error) => match passed_over(left, &error) {
                    Some(length) => (None, begin + length),
                    None if let Some((tables, length)) =
                        self.writer.read_virtual_tables(left).map_err(|error| self.failed(error, begin))? =>
                    {
                        self.virtual_tables.extend(tables);
                        (None, begin + length)
                    }
                    None if !has_ended && left.len() <= most => return Ok(begin),
                    None => return Err(self.failed(error, begin)),
                },
            };
            if !has_ended && !sql[begin..end].trim_end().ends_with(';') {
                return if left.len() <= most { Ok(begin) } else { Err(self.failed(Error::statement_too_long(), begin)) };
            }
            if let Some(statement) = statement {
                let meta = self.run_statement(statement, &sql[begin..end]).map_err(|error| self.failed(error, begin))?;
                self.done.statements += 1;
                self.done.rows_read += meta.rows_read;
                self.done.rows_written += meta.rows_written;
                self.statements.set(self.done.statements);
            }
            begin = end;
            if begin >= turn_ends {
                (self.turns)()?;
                turn_ends = begin + TURN_BYTES;
            }
        }
        Ok(begin)
    }

    fn run_statement(&self, mut statement: Statement, sql: &str) -> Result<Meta, Error> {
        let (writer, read_only) = (self.writer, statement.is_read_only());
        let none = Text::new("", vec![]);
        let run = || Ok((writer.run_statement::<Dropped>((&mut statement, &mut Known::default()), &none, ())?, read_only));
        let ran = writer.measured(sql, false, run)?;
        Ok(writer.finish(vec![ran]).pop().unwrap_or_default())
    }

    /// An error, and the byte of the whole text at which its statement begins.
    fn failed(&self, error: Error, at: usize) -> Failure {
        Failure { error, place: Some(Place { text: 0, offset: self.before + at }) }
    }
}

/// The length of a statement that says nothing new, or that only a file or a connection of its own would notice; `None`: it is none, or has not
/// ended.
fn passed_over(sql: &str, error: &Error) -> Option<usize> {
    let first = statement_tokens(sql).next()?;
    let is = |words: &[&str]| words.iter().any(|word| first.is(word));
    let is_passed = match error {
        Error::TransactionStatement => is(&["BEGIN", "COMMIT", "END"]),
        error => is(&["PRAGMA"]) && error.is_not_authorized(),
    };
    let end = sql[first.at..].find(';').map(|end| first.at + end + 1);
    end.filter(|_| is_passed)
}

/// Rows that nobody wants.
struct Dropped;

impl RowEncoder for Dropped {
    type Output = Meta;
    type Options = ();

    fn start(_columns: &[Column<'_>], (): ()) -> Dropped {
        Dropped
    }

    fn row(&mut self, _row: &RowValues<'_>) -> usize {
        0
    }

    fn bytes(&self) -> usize {
        0
    }

    fn finish(self, meta: &Meta) -> Meta {
        *meta
    }
}
