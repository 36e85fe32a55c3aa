//! How much the running calls may compute, in SQLite's instructions and in the work that one of them may hide (`sqlite::work`), and in which
//! turns: nothing else runs in the meantime, unless it is let in.
//!
//! **Invariants**
//! 1. What a call may do is its own: what others do while they have their turn does not count as its.
//! 2. Nothing is borrowed here while others have their turn.
//! 3. A call that has begun to write is not stopped at the end of a turn; where it is stopped later, all of it is taken back.
//!
//! **Not here:** limits of a single statement (`limits`), how others are let in (`GiveWay`).

use super::connection::Connection;
use super::{Error, Limits};
use crate::sqlite::file::watch_reads;
use crate::sqlite::progress::Progress;
use crate::sqlite::work;
use rusqlite::InterruptHandle;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

/// How often it is looked at, in instructions.
const STEP: u64 = 100;
/// Bytes that one instruction may fill or search; more count as more instructions.
const BYTES_PER_INSTRUCTION: u64 = 8;
/// A turn, in steps: some 2 ms where SQLite is compiled to WebAssembly.
const TURN: u64 = 1_000;

/// What calls that run together may still use, on whichever connections they do, and what becomes of them at the end of a turn.
pub(super) struct Allowance {
    /// Of the budget.
    steps: Cell<u64>,
    /// Bytes of results.
    result_bytes: Cell<usize>,
    pace: Pace,
}

impl Allowance {
    /// All of it.
    pub(super) fn full(limits: &Limits, pace: Pace) -> Allowance {
        Allowance { steps: Cell::new(steps(limits.run_kiloinstructions)), result_bytes: Cell::new(limits.result_bytes), pace }
    }

    /// Whether what takes long is to end.
    pub(super) fn is_brief(&self) -> bool {
        matches!(self.pace, Pace::Brief(_))
    }
}

/// How many turns more a call has that writes, if it is to end at all: some 20 ms in all. What has been done by then is done once more.
pub(super) const MORE_FOR_WRITES: u64 = 9;

/// Lets others have their turn; an error ends what runs.
pub type GiveWay = Rc<dyn Fn() -> Result<(), Error>>;

/// What becomes of calls at the end of a turn.
#[derive(Clone)]
pub(super) enum Pace {
    /// They go on.
    Whole,
    /// Those that only read end after so many, with [`Error::LongRead`], and those that write somewhat later, with [`Error::LongWrite`].
    Brief(u64),
    /// Others have their turn, then they go on.
    InTurns(GiveWay),
}

/// What runs on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    /// Nothing of a caller's.
    Nothing,
    /// A statement.
    Statement,
    /// One that may be stopped at the end of a turn.
    Stoppable,
}

/// The budget of one connection, endless until it is filled.
pub(super) struct Budget {
    /// Of the calls that run together, in thousands of instructions.
    kiloinstructions: Cell<u64>,
    /// What is left of it, in steps.
    left: Cell<u64>,
    /// What is left of the running call's own, in steps.
    of_call: Cell<u64>,
    /// Of the turn, in steps.
    turn: Cell<u64>,
    pace: RefCell<Pace>,
    running: Cell<Running>,
    /// The running call does more than read, or depends on what its connection did before.
    is_bound: Cell<bool>,
    /// It has had its turns, and more.
    has_had_more: Cell<bool>,
    /// Why what ran was interrupted.
    stopped: RefCell<Option<Error>>,
    /// Interrupts a single instruction that reads many pages.
    interrupt: OnceCell<InterruptHandle>,
}

impl Budget {
    /// That of the connection that opens the file of this name next: SQLite counts the rows of a table in one instruction, so reads are
    /// looked at, too.
    pub(super) fn of(file: &str) -> Rc<Budget> {
        let budget = Rc::new(Budget {
            kiloinstructions: Cell::new(u64::MAX),
            left: Cell::new(u64::MAX),
            of_call: Cell::new(u64::MAX),
            turn: Cell::new(TURN),
            pace: RefCell::new(Pace::Whole),
            running: Cell::new(Running::Nothing),
            is_bound: Cell::new(false),
            has_had_more: Cell::new(false),
            stopped: RefCell::default(),
            interrupt: OnceCell::new(),
        });
        let reads = budget.clone();
        watch_reads(file, Rc::new(move |bytes| reads.read(bytes)));
        budget
    }

    /// Interrupts what runs on the connection when there is nothing left.
    pub(super) fn watch(self: &Rc<Budget>, sqlite: &Rc<rusqlite::Connection>) -> Progress {
        let _ = self.interrupt.set(sqlite.get_interrupt_handle());
        let budget = self.clone();
        Progress::watch(sqlite, STEP as i32, Rc::new(move || budget.may_go_on(1)))
    }

    /// Gives the calls that run next what is left of so many thousands of instructions.
    pub(super) fn refill(&self, kiloinstructions: u64, allowance: &Allowance) {
        work::take(1);
        self.kiloinstructions.set(kiloinstructions);
        self.left.set(allowance.steps.get());
        self.set_pace(allowance.pace.clone());
    }

    /// Says what they have left of it.
    pub(super) fn tell_left(&self, allowance: &Allowance) {
        allowance.steps.set(self.left.get());
    }

    /// What becomes of calls at the end of a turn, from now on.
    pub(super) fn set_pace(&self, pace: Pace) {
        self.pace.replace(pace);
    }

    /// Whether calls end after some turns.
    pub(super) fn is_brief(&self) -> bool {
        matches!(*self.pace.borrow(), Pace::Brief(_))
    }

    /// A call begins, and with it a turn. It may run so many instructions, if no fewer are left for all.
    pub(super) fn begin_call(&self, kiloinstructions: Option<u64>) {
        self.of_call.set(kiloinstructions.map_or(u64::MAX, steps));
        self.turn.set(if let Pace::Brief(turns) = *self.pace.borrow() { turns * TURN } else { TURN });
        self.is_bound.set(false);
        self.has_had_more.set(false);
        self.stopped.take();
    }

    /// The running call does more than read, or depends on what its connection did before.
    pub(super) fn bind(&self) {
        self.is_bound.set(true);
    }

    /// Whether it does.
    pub(super) fn is_bound(&self) -> bool {
        self.is_bound.get()
    }

    /// Runs a caller's statement.
    pub(super) fn running<T>(&self, run: impl FnOnce() -> T) -> T {
        self.running.set(if self.is_bound.get() { Running::Statement } else { Running::Stoppable });
        let result = run();
        self.running.set(Running::Nothing);
        result
    }

    /// Lets others have their turn, if they have it at all.
    pub(super) fn give_way(&self) -> Result<bool, Error> {
        let pace = self.pace.borrow().clone();
        let Pace::InTurns(give_way) = pace else { return Ok(false) };
        self.turn.set(TURN);
        work::apart(|| give_way()).map(|()| true)
    }

    /// Why what ran was interrupted.
    pub(super) fn take_stopped(&self) -> Option<Error> {
        self.stopped.take()
    }

    fn read(&self, bytes: usize) {
        work::add(bytes);
        if !self.may_go_on(0)
            && self.running.get() != Running::Nothing
            && let Some(interrupt) = self.interrupt.get()
        {
            interrupt.interrupt();
        }
    }

    fn may_go_on(&self, steps: u64) -> bool {
        match self.spend(steps + work::take(BYTES_PER_INSTRUCTION * STEP)) {
            Ok(()) => true,
            Err(error) => {
                self.stopped.replace(Some(error));
                false
            }
        }
    }

    fn spend(&self, steps: u64) -> Result<(), Error> {
        let (left, of_call, turn) = (self.left.get(), self.of_call.get(), self.turn.get());
        self.left.set(left.saturating_sub(steps));
        self.of_call.set(of_call.saturating_sub(steps));
        self.turn.set(turn.saturating_sub(steps));
        if left < steps {
            return Err(Error::RanTooLong { kiloinstructions: self.kiloinstructions.get(), rows_read: 0 });
        }
        if of_call < steps {
            return Err(Error::TimedOut);
        }
        if turn >= steps {
            return Ok(());
        }
        if matches!(*self.pace.borrow(), Pace::Brief(_)) { self.end_turns() } else { self.give_way().map(drop) }
    }

    /// Where those that run are to end after some turns, these are over.
    fn end_turns(&self) -> Result<(), Error> {
        match self.running.get() {
            Running::Nothing => Ok(()),
            Running::Stoppable => Err(Error::LongRead),
            Running::Statement if self.has_had_more.replace(true) => Err(Error::LongWrite),
            Running::Statement => {
                self.turn.set(MORE_FOR_WRITES * TURN);
                Ok(())
            }
        }
    }
}

impl Connection {
    /// Gives the calls that run next, together, this budget of instructions and room for results.
    pub(super) fn refill(&self, allowance: &Allowance) {
        self.budget.refill(self.limits.run_kiloinstructions, allowance);
        self.result_bytes_left.set(allowance.result_bytes.get());
    }

    /// The same with all that there is.
    pub(super) fn refill_whole(&self, pace: Pace) {
        self.refill(&Allowance::full(&self.limits, pace));
    }

    /// Says what they have left.
    pub(super) fn tell_left(&self, allowance: &Allowance) {
        self.budget.tell_left(allowance);
        allowance.result_bytes.set(self.result_bytes_left.get());
    }
}

fn steps(kiloinstructions: u64) -> u64 {
    kiloinstructions.saturating_mul(1_000 / STEP)
}
