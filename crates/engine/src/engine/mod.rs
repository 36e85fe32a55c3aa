//! The engine: D1's behaviour over SQLite over a page store.
//!
//! An [`Engine`] has a write connection, one that reads the newest state, and any number of [`Snapshot`]s, each a connection of its own that
//! reads one state. A [`Call`] is what D1 calls a statement or a batch: one transaction.
//!
//! **Invariants**
//! 1. A call is atomic: all of its statements take effect, or none.
//! 2. Calls that arrive together share a commit, each in a savepoint of its own; none notices the others. Where that cannot be kept
//!    (a statement ends the whole transaction, or the common commit fails), they run again one by one.
//! 3. After an error of the store the connection is opened anew, from what is stored.
//!
//! **Not here:** JSON (`answer`), the runtime (`worker`), who may ask.

mod authorize;
mod budget;
mod causes;
mod configuration;
mod connection;
mod describe;
mod diff;
mod error;
mod export;
mod head;
mod held;
mod history;
mod import;
mod lease;
mod limited_writes;
mod limits;
mod long_read;
mod migration;
mod parameters;
mod past;
#[cfg(feature = "testing")]
mod pragmas;
mod profile;
mod reader;
mod rewrite;
mod room;
mod rows;
mod rows_written;
mod setup;
mod several;
mod text;
mod value;
mod virtual_tables;

pub use crate::sqlite::changes::{Operation, RowChange, Watcher};
pub use budget::GiveWay;
pub use describe::Description;
pub use diff::{Diff, DiffOptions, RowDiff, SchemaDiff, TableDiff};
pub use error::{Error, Failure};
pub use export::{ExportOptions, ExportPart, ExportPlace};
pub use import::{Bytes, Imported};
pub use lease::Lease;
pub use limits::Limits;
#[cfg(feature = "testing")]
pub use pragmas::compile_options;
pub use profile::Profile;
pub use reader::{Reader, Snapshot, bring_schema};
pub use rewrite::Rewritten;
pub use rows::{Column, RowValues};
pub use rusqlite::types::ValueRef;
pub use setup::{Extension, Setup};
pub use value::{ResultSet, from_sqlite, to_sqlite};

use crate::store::{PageStore, StoreError};
use crate::vfs::{Clock, DatabaseFile};
use budget::{Allowance, Pace};
use connection::{Access, Connection, Ran};
use held::Held;
use history::{History, KeptState};
use lease::Lender;
use littoral_protocol::sql::{Call, Meta, Place, Point};
use littoral_protocol::{Pgno, State, Txid};
use long_read::belongs_elsewhere;
use room::Room;
use std::rc::Rc;
use text::mentions_pragma;

/// Receives the result of a statement, row by row.
pub trait RowEncoder {
    /// What it makes of a result.
    type Output;
    /// What the caller may choose, for each call.
    type Options: Copy;
    /// Starts a result with these columns.
    fn start(columns: &[Column<'_>], options: Self::Options) -> Self;
    /// Takes a row; returns the bytes taken so far, which are limited.
    fn row(&mut self, row: &RowValues<'_>) -> usize;
    /// The bytes taken so far.
    fn bytes(&self) -> usize;
    /// Whether it wants no more rows: those that are left are not read.
    fn is_full(&self) -> bool {
        false
    }
    /// Ends the result.
    fn finish(self, meta: &Meta) -> Self::Output;
}

/// A call that is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a, O> {
    /// The call.
    pub call: &'a Call,
    /// What its results are to look like.
    pub options: O,
    /// Thousands of instructions that it may run before it ends with [`Error::TimedOut`]; `None`: what all may run together.
    pub kiloinstructions: Option<u64>,
}

impl<'a, O> Invocation<'a, O> {
    /// A call that nobody waits for impatiently.
    pub fn new(call: &'a Call, options: O) -> Invocation<'a, O> {
        Invocation { call, options, kiloinstructions: None }
    }
}

/// What a call answers: an output for each statement, or why there is none.
pub type CallResult<E> = Result<Vec<<E as RowEncoder>::Output>, Failure>;

/// A database that can be written.
pub struct Engine {
    store: Rc<dyn PageStore>,
    clock: Clock,
    setup: Setup,
    history: History,
    held: Rc<Held>,
    room: Room,
    lender: Lender,
    /// States that are kept for others.
    kept: Vec<KeptState>,
    store_failed: bool,
    damaged: Option<Error>,
}

impl Engine {
    /// Opens the database in `store`, with limits or a whole setup. `clock` tells the time in milliseconds since 1970.
    pub fn open(store: Rc<dyn PageStore>, setup: impl Into<Setup>, clock: Rc<dyn Fn() -> u64>) -> Engine {
        let setup = setup.into();
        Engine {
            store,
            clock,
            setup,
            history: History::default(),
            held: Held::new(),
            room: Room::default(),
            lender: Lender::default(),
            kept: Vec::new(),
            store_failed: false,
            damaged: None,
        }
    }

    /// The store.
    pub fn store(&self) -> &Rc<dyn PageStore> {
        &self.store
    }

    /// Whether the store failed under a call. What it holds in memory may lag behind what is stored, if only an answer was lost: whoever
    /// can open it anew should.
    pub fn store_failed(&self) -> bool {
        self.store_failed
    }

    /// Whether something else wrote to the memory that this database reads its pages from. It answers nothing any more, and nothing else that
    /// shares the memory should.
    pub fn memory_damaged(&self) -> bool {
        self.damaged.is_some()
    }

    /// The time, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// The newest state.
    pub fn state(&self) -> State {
        self.store.head()
    }

    /// Runs calls in order, each in a transaction of its own as far as anyone can tell. Answers are in the same order.
    pub fn run<E: RowEncoder<Options = ()>>(&mut self, calls: &[Call]) -> Vec<CallResult<E>> {
        let calls: Vec<_> = calls.iter().map(|call| Invocation::new(call, ())).collect();
        self.run_with::<E>(&calls)
    }

    /// The same, with options for each call.
    ///
    /// There may be fewer answers than calls, but at least one: when all results together would be larger than
    /// [`Limits::result_bytes`], or all take more than [`Limits::run_kiloinstructions`]. Calls without an answer have not run.
    pub fn run_with<E: RowEncoder>(&mut self, calls: &[Invocation<'_, E::Options>]) -> Vec<CallResult<E>> {
        self.run_at::<E>(calls, Pace::Whole)
    }

    fn run_at<E: RowEncoder>(&mut self, calls: &[Invocation<'_, E::Options>], pace: Pace) -> Vec<CallResult<E>> {
        let before = self.store.head().txid;
        let results = self.answer::<E>(calls, pace);
        if self.store.head().txid != before {
            self.keep_within_bytes();
        }
        results
    }

    /// A failure leaves more history than wanted, which harms nobody; the next commit tries again.
    fn keep_within_bytes(&mut self) {
        if self.history.is_too_large(&*self.store, &self.setup.limits) {
            self.held.past.borrow_mut().clear();
            self.store_failed |= self.history.shrink(&*self.store, &self.setup.limits, (self.clock)()).is_err();
        }
    }

    fn answer<E: RowEncoder>(&mut self, calls: &[Invocation<'_, E::Options>], pace: Pace) -> Vec<CallResult<E>> {
        let allowance = Allowance::full(&self.setup.limits, pace);
        let mut results = Vec::with_capacity(calls.len());
        while results.len() < calls.len() {
            let (begin, (reads, end)) = (results.len(), head::split(&calls[results.len()..]));
            if !self.read_head::<E>(&calls[begin..begin + reads], &allowance, &mut results) {
                break;
            }
            if results.len() < begin + end && !self.write::<E>(&calls[results.len()..begin + end], &allowance, &mut results) {
                break;
            }
        }
        results
    }

    /// Adds the results of calls that share a commit. Returns whether all have one.
    fn write<E: RowEncoder>(
        &mut self,
        calls: &[Invocation<'_, E::Options>],
        allowance: &Allowance,
        results: &mut Vec<CallResult<E>>,
    ) -> bool {
        let long = calls.iter().position(|call| allowance.is_brief() && self.lender.is_long(call.call));
        let calls = &calls[..long.unwrap_or(calls.len())];
        let together = if calls.len() > 1 { self.run_together::<E>(calls, allowance) } else { None };
        let have_all = match together {
            Some(together) => {
                let all = together.len() == calls.len();
                together.into_iter().all(|result| gather(results, result)) && all
            }
            None => calls.iter().all(|call| {
                let result = self.run_alone::<E>(*call, allowance);
                gather(results, result)
            }),
        };
        have_all && (long.is_none() || gather(results, Err(Error::LongWrite.into())))
    }

    /// Runs a call in a transaction of its own.
    fn run_alone<E: RowEncoder>(&mut self, invocation: Invocation<'_, E::Options>, allowance: &Allowance) -> CallResult<E> {
        let held = self.held.clone();
        held.with_room(|failure: &Failure| failure.error.is_out_of_memory(), || self.run_once::<E>(invocation, allowance))
    }

    fn run_once<E: RowEncoder>(&mut self, invocation: Invocation<'_, E::Options>, allowance: &Allowance) -> CallResult<E> {
        let writer = self.writer()?;
        writer.refill(allowance);
        writer.restore_flags()?;
        let result = in_transaction(&writer, |writer| writer.migrating(invocation.call, || writer.run_call::<E>(invocation)))
            .map(|ran| writer.finish(ran));
        writer.tell_left(allowance);
        // A page may be missing for the commit, too.
        let result = result.map_err(|failure| failure.unless_it_lacks_a_page(allowance.is_brief(), Error::LongWrite));
        self.settle(result)
    }

    /// Runs calls in one transaction, each in a savepoint. `None`: it could not be done, and nothing was.
    fn run_together<E: RowEncoder>(&mut self, calls: &[Invocation<'_, E::Options>], allowance: &Allowance) -> Option<Vec<CallResult<E>>> {
        if calls.iter().flat_map(|invocation| invocation.call).any(|statement| mentions_pragma(&statement.sql)) {
            return None;
        }
        let writer = self.writer().ok()?;
        writer.refill(allowance);
        writer.restore_flags().ok()?;
        let result = in_transaction(&writer, |writer| {
            let mut results = Vec::with_capacity(calls.len());
            for invocation in calls {
                if !gather(&mut results, in_savepoint(writer, |writer| writer.run_call::<E>(*invocation))?) {
                    break;
                }
            }
            Ok(results)
        });
        let finish =
            |results: Vec<Result<Vec<Ran<E>>, Failure>>| results.into_iter().map(|result| result.map(|ran| writer.finish(ran))).collect();
        let result = result.map(finish);
        if result.is_ok() {
            writer.tell_left(allowance);
        }
        self.settle(result).ok()
    }

    /// The write connection, opened if there is none.
    fn writer(&mut self) -> Result<Rc<Connection>, Error> {
        self.held.touch();
        if let Some(error) = &self.damaged {
            return Err(error.clone());
        }
        if self.lender.has_lent() {
            return Err(Error::HeldUp);
        }
        if let Some(writer) = &*self.held.writer.borrow() {
            return Ok(writer.clone());
        }
        let file = DatabaseFile::writer(self.store.clone(), self.clock.clone(), self.setup.limits.uncommitted_bytes);
        let writer = Rc::new(Connection::open(file, Access::Write, &self.setup)?);
        Ok(self.held.writer.borrow_mut().insert(writer).clone())
    }

    /// Lets go of a connection that met an error of the store, or that could not end its transaction.
    fn settle<T>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        let poisoned = result.as_ref().is_err_and(|failure| failure.error.poisons());
        self.store_failed |= poisoned;
        if let Some(failure) = result.as_ref().err().filter(|failure| failure.error.is_damaged_memory()) {
            self.damaged = Some(failure.error.clone());
        }
        if poisoned || self.held.writer.borrow().as_ref().is_some_and(|writer| writer.in_transaction()) {
            self.held.writer.replace(None);
        }
        result
    }

    /// Does a small step of what keeps the past within its limits, if there is one to do. Returns the time of the next, in milliseconds
    /// since 1970: at once, if that is not later than `now_ms`; `None`: nothing will be due before the next commit.
    pub fn maintain(&mut self, now_ms: u64) -> Result<Option<u64>, StoreError> {
        self.held.past.borrow_mut().clear();
        let done = self.history.maintain(&*self.store, &self.setup.limits, now_ms);
        self.store_failed |= done.is_err();
        done
    }

    /// The state at a point of the past, or the newest.
    pub fn state_at(&self, point: Option<Point>) -> Result<State, Error> {
        let txid = point.map_or(Ok(self.store.head().txid), |point| past::find(&*self.store, point))?;
        self.store.state(txid).map_err(Error::store)
    }

    /// These states are kept from now on, and those that were to be kept before no longer.
    pub fn keep_states(&mut self, txids: impl IntoIterator<Item = Txid>) {
        self.kept = txids.into_iter().map(|txid| self.history.pin(txid)).collect();
    }

    /// A connection that reads the state at `txid`, whatever is written meanwhile. The state is kept until the snapshot is dropped.
    pub fn snapshot(&self, txid: Txid) -> Result<Snapshot, Error> {
        let state = self.store.state(txid).map_err(Error::store)?;
        let mut setup = self.setup.clone();
        setup.limits.cache_bytes /= 8;
        let reader = Reader::of(&self.store, state, Access::Read, &setup)?;
        Ok(Snapshot::new(reader, self.history.pin(txid), self.held.clone()))
    }

    /// The database file: every page of the newest state in order, as plain SQLite opens it.
    pub fn dump(&self) -> Result<Vec<u8>, StoreError> {
        let state = self.store.head();
        self.store.read_file(&state, Pgno::FIRST, state.page_count)
    }
}

/// Takes the result of a call. False: it is the last, or has to wait for the next time, since there was no room for it any more.
fn gather<T>(results: &mut Vec<Result<T, Failure>>, result: Result<T, Failure>) -> bool {
    if lacked_room(results.len(), &result) {
        return false;
    }
    let goes_on = !belongs_elsewhere(&result);
    results.push(result);
    goes_on
}

fn run_statements<E: RowEncoder>(connection: &Connection, call: &Call, options: E::Options) -> Result<Vec<Ran<E>>, Failure> {
    let mut outputs = Vec::with_capacity(call.len());
    for (text, statement) in call.iter().enumerate() {
        let last = text + 1 == call.len();
        let ran = if statement.is_script {
            connection.run_script::<E>(statement, last, options, &mut outputs)
        } else {
            connection.run::<E>(statement, last, options).map(|ran| outputs.push(ran))
        };
        match ran {
            Ok(()) => {}
            // A batch may hold texts without a statement, such as the comments of a file; it may not consist of them.
            Err(Error::NoStatement) if call.len() > 1 => {}
            Err(error) => return Err(Failure { error, place: Some(Place { text, offset: connection.statement_offset() }) }),
        }
    }
    if outputs.is_empty() { Err(Error::NoStatement.into()) } else { Ok(outputs) }
}

/// Runs `body` between BEGIN and COMMIT, or ROLLBACK if it or the commit fails.
fn in_transaction<T>(connection: &Connection, body: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
    connection.control("BEGIN")?;
    let result = body(connection).and_then(|value| Ok(connection.control("COMMIT").map(|()| value)?));
    if result.is_err() {
        if connection.in_transaction() {
            connection.control("ROLLBACK")?;
        }
        connection.rolled_back()?;
    }
    connection.file().forget_statements();
    result
}

/// Runs `body` in a savepoint. The outer error: the whole transaction is gone.
fn in_savepoint<T>(connection: &Connection, body: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<Result<T, Failure>, Failure> {
    connection.control("SAVEPOINT littoral_call")?;
    let result = body(connection);
    match &result {
        Err(failure) if !connection.in_transaction() || failure.error.poisons() || failure.error.is_out_of_memory() => {
            return Err(failure.clone());
        }
        Err(_) => {
            connection.control("ROLLBACK TO littoral_call")?;
            connection.forget_measured();
        }
        // A later call could make it good, and this one would have been answered as if it had stood alone.
        Ok(_) if connection.has_deferred_violations() => return Err(Error::deferred_violation().into()),
        Ok(_) => {}
    }
    connection.control("RELEASE littoral_call")?;
    Ok(result)
}

/// Whether a call failed only because the calls before it took the room for results, or the instructions. The first has all of both: its
/// failure is an answer, so each request makes progress.
fn lacked_room<T>(calls_before: usize, result: &Result<T, Failure>) -> bool {
    let lacked = |failure: &Failure| matches!(failure.error, Error::ResultTooLarge { .. } | Error::RanTooLong { .. });
    calls_before > 0 && result.as_ref().is_err_and(lacked)
}
