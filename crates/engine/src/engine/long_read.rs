//! Reads that take longer than others are to wait for them.
//!
//! Every call begins where its page cache is warm: on the connection that reads the head, or on that which writes. One that only reads and is
//! not done after a turn ends there, without an answer ([`Error::LongRead`]), and is run again on a connection of its own ([`Engine::reader`]),
//! in turns: after each, others run.
//!
//! **Invariants**
//! 1. A call that writes is never run elsewhere, nor is one whose answer depends on what its connection did before: those are long writes
//!    (`lease`).
//! 2. A reader that gives way reads a state that is kept; where nobody keeps it any more, its call fails.
//!
//! **Not here:** how long a turn is (`budget`), and who gives way to whom (`primary`).

use super::budget::{GiveWay, Pace};
use super::connection::Connection;
use super::past::find;
use super::room::Place;
use super::{Call, CallResult, Engine, Error, Failure, Invocation, Ran, Reader, RowEncoder, Snapshot, run_statements};
use crate::sqlite::set_last_insert_rowid;
use crate::sqlite::statement::SqlText;
use littoral_protocol::sql::Point;
use std::rc::Rc;

/// The turns of a read on a connection that others wait for, some 5 ms. One that takes less would lose more by moving, to a connection that has no pages
/// yet, than others by waiting.
const AT_THE_PRIMARY: u64 = 3;
/// The turns of a read on a replica, some 20 ms: what takes longer is for one that lets others have their turn.
const ON_A_REPLICA: u64 = 10;

impl Engine {
    /// As [`Engine::run_with`], but a call that is not done after some turns has no answer: [`Error::LongRead`] or [`Error::LongWrite`], the last
    /// of the results. Calls after it have not run, and nothing of itself is done.
    pub fn run_briefly<E: RowEncoder>(&mut self, calls: &[Invocation<'_, E::Options>]) -> Vec<CallResult<E>> {
        self.run_at::<E>(calls, Pace::Brief(AT_THE_PRIMARY))
    }

    /// A connection of its own for one that reads for long: of the newest state, or of that at a point of the past. It answers as the write
    /// connection would now.
    pub fn reader(&mut self, point: Option<Point>) -> Result<Snapshot, Error> {
        let txid = point.map_or(Ok(self.store.head().txid), |point| find(&*self.store, point))?;
        let snapshot = self.held.with_room(Error::is_out_of_memory, || self.snapshot(txid))?;
        let _ = snapshot.connection().place.set(Place::beside(&self.room));
        if point.is_none()
            && let Some(writer) = &*self.held.writer.borrow()
        {
            set_last_insert_rowid(snapshot.connection().sqlite(), writer.sqlite().last_insert_rowid());
        }
        Ok(snapshot)
    }
}

impl Reader {
    /// Lets others have their turn again and again while calls run, from now on. `None`: a call that is not done after a few turns ends with
    /// [`Error::LongRead`], which is how a replica's reader begins.
    pub fn take_turns(&self, give_way: Option<GiveWay>) {
        self.set_pace(give_way.map_or(Pace::Brief(ON_A_REPLICA), Pace::InTurns));
    }

    /// As [`Reader::run_with`], but without an answer to a call that is not done after a turn, as in [`Engine::run_briefly`].
    pub fn run_briefly<E: RowEncoder>(&self, calls: &[Call], options: E::Options) -> Vec<CallResult<E>> {
        let results = self.run_at::<E>(calls, options, Pace::Brief(AT_THE_PRIMARY));
        results.into_iter().map(|result| result.map_err(|failure| failure.unless_it_lacks_a_page(true, Error::LongRead))).collect()
    }
}

impl Failure {
    /// The same, unless a page is not here: what is to be brief cannot wait for it, and is run again as what takes long.
    pub(super) fn unless_it_lacks_a_page(self, is_brief: bool, long: Error) -> Failure {
        if is_brief && self.error.lacks_page() { long.into() } else { self }
    }
}

impl Snapshot {
    /// Lets others have their turn again and again while calls run.
    pub fn in_turns(self, give_way: GiveWay) -> Snapshot {
        let pin = self.pin.watch();
        self.take_turns(Some(Rc::new(move || give_way().and_then(|()| pin.check().map_err(Error::store)))));
        self
    }

    /// Lets others have their turn now, if they have it at all.
    pub fn give_way(&self) -> Result<(), Error> {
        if let Pace::InTurns(give_way) = self.pace() { give_way() } else { Ok(()) }
    }
}

impl Connection {
    /// Runs a call on the write connection. One that is stopped as a long read, but is none as a whole, is a long write.
    pub(super) fn run_call<E: RowEncoder>(&self, invocation: Invocation<'_, E::Options>) -> Result<Vec<Ran<E>>, Failure> {
        let Invocation { call, options, kiloinstructions } = invocation;
        self.budget.begin_call(kiloinstructions);
        let result = run_statements::<E>(self, call, options);
        let result = result.map_err(|failure| failure.unless_it_lacks_a_page(self.budget.is_brief(), Error::LongRead));
        let is_long_read = result.as_ref().is_err_and(|failure| failure.error == Error::LongRead);
        // What it wrote already, a text may find and do nothing: `IF NOT EXISTS`.
        if is_long_read && (self.budget.is_bound() || !self.only_read(call)) { Err(Error::LongWrite.into()) } else { result }
    }

    /// Waits until no other read in turns has a large result.
    pub(super) fn wait_for_room(&self) -> Result<(), Error> {
        while self.place.get().is_some_and(|place| !place.take()) && self.budget.give_way()? {}
        Ok(())
    }

    /// Whether the statements of a call write nothing, and every connection answers them alike.
    pub(super) fn only_read(&self, call: &Call) -> bool {
        call.iter().all(|text| self.only_reads(&text.sql))
    }

    fn only_reads(&self, sql: &str) -> bool {
        let text = SqlText::new(sql);
        let mut begin = 0;
        let mut next_only_reads = || {
            let (statement, end) = text.compile(self.sqlite(), begin).ok()?;
            begin = end;
            statement.is_none_or(|statement| statement.is_read_only()).then_some(end == sql.len())
        };
        let only_reads = || std::iter::repeat_with(&mut next_only_reads).find(|last| *last != Some(false)).flatten().is_some();
        let answer = self.authorizer.as_replica(only_reads);
        self.authorizer.take_refused_transaction();
        answer
    }
}

/// Whether a call has no answer because it is to run elsewhere, or later.
pub(super) fn belongs_elsewhere<T>(result: &Result<T, Failure>) -> bool {
    result.as_ref().is_err_and(|failure| matches!(failure.error, Error::LongRead | Error::LongWrite | Error::HeldUp))
}
