//! The rows that a statement's program has written: how often each of its instructions ran (<https://www.sqlite.org/bytecodevtab.html>).
//!
//! D1's SQLite counts where it executes them; this asks afterwards, which costs as much as a small query.
//!
//! **Invariants**
//! 1. The table `bytecode` is asked on a connection of its own, one a thread: callers' connections do not have it.
//! 2. The statement is alive and not running while its program is looked at.
//!
//! **Not here:** when it is asked (`engine::rows_written`).

use super::statement::{SqlText, SqliteError, Statement};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::cell::RefCell;
use std::rc::Rc;

/// The instructions of a program in their order, then those of each program that it calls.
const INSTRUCTIONS: &str = "SELECT opcode, p1, p2, p5, nexec, addr, subprog IS NULL FROM bytecode(?1)";

/// Flags of an Insert that tells of a row and writes none, and of a Delete that counts as a change.
const IS_NOOP: i64 = 64;
const IS_CHANGE: i64 = 1;

thread_local! {
    /// [`INSTRUCTIONS`], compiled.
    static READER: RefCell<Option<Statement>> = const { RefCell::new(None) };
}

/// Rows written.
#[derive(Default)]
pub(super) struct Written {
    /// By the program of the statement, since its counters were reset.
    pub(super) itself: u64,
    /// By those that it calls, triggers', since it was compiled: SQLite does not reset these.
    pub(super) called: u64,
    /// Among those of the statement itself: to the sequence of AUTOINCREMENT, one a table.
    pub(super) sequences: u64,
}

/// Asks what `statement` has written.
pub(super) fn written(statement: &Statement) -> Result<Written, SqliteError> {
    READER.with_borrow_mut(|reader| {
        let reader = match reader {
            Some(reader) => reader,
            None => reader.insert(compile_reader()?),
        };
        reader.bind_statement(1, statement)?;
        let written = count(reader);
        reader.reset();
        written
    })
}

fn compile_reader() -> Result<Statement, SqliteError> {
    let connection = Connection::open_in_memory().map_err(|_| SqliteError::out_of_memory())?;
    SqlText::new(INSTRUCTIONS).compile(&Rc::new(connection), 0)?.0.ok_or_else(SqliteError::out_of_memory)
}

/// Counts what D1 does: entries put into b-trees that last, rows deleted, and changes of virtual tables.
fn count(instructions: &mut Statement) -> Result<Written, SqliteError> {
    let mut written = Written::default();
    // Cursors of b-trees that go with the statement. A program opens one before it uses it.
    let mut temporary = Vec::new();
    let (mut opened, mut moves_sequence) = ((0, 0), (0, 0));
    while instructions.step()? {
        let number = |column| instructions.value(column).as_i64().unwrap_or_default();
        let ValueRef::Text(opcode) = instructions.value(0) else { continue };
        let (cursor, executed, address) = (number(1), number(4), number(5));
        let rows = match opcode {
            b"Init" => {
                temporary.clear();
                continue;
            }
            b"OpenEphemeral" | b"OpenAutoindex" | b"OpenDup" => {
                temporary.push(cursor);
                continue;
            }
            // SQLite forgets to begin counting at 0 for the instructions that write the sequence of AUTOINCREMENT: NotNull, NewRowid, MakeRecord
            // and Insert. They run as often as the one before them.
            b"OpenWrite" => {
                opened = (address, executed);
                continue;
            }
            b"NotNull" if address == opened.0 + 1 => {
                moves_sequence = (address + 3, opened.1);
                continue;
            }
            b"Insert" if address == moves_sequence.0 => {
                written.sequences += moves_sequence.1.max(0) as u64;
                moves_sequence.1
            }
            b"Insert" if number(3) & IS_NOOP == 0 && !temporary.contains(&cursor) => executed,
            b"IdxInsert" if !temporary.contains(&cursor) => executed,
            b"Delete" if number(2) & IS_CHANGE != 0 && !temporary.contains(&cursor) => executed,
            b"VUpdate" => executed,
            _ => continue,
        };
        *(if number(6) == 0 { &mut written.called } else { &mut written.itself }) += rows.max(0) as u64;
    }
    Ok(written)
}
