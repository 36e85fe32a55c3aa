//! The write connection in one hand, for as long as a [`Lease`] lives: nobody else writes meanwhile, and everybody reads.
//!
//! A write that takes long has it, on a stack that is put aside again and again. What it has not committed is part of no state. Its text is
//! remembered: the next time it is not begun in vain, to be taken back after some turns.
//!
//! **Invariants**
//! 1. There is one lease of a database at a time; whoever else needs the write connection is told so ([`Error::HeldUp`]).
//! 2. What holds a lease commits only while the engine lives that gave it: the store below may be another's by then.
//!
//! **Not here:** which writes are long (`budget`), who waits for them (`primary`).

use super::budget::{GiveWay, MORE_FOR_WRITES, Pace};
use super::connection::Connection;
use super::held::Held;
use super::history::History;
use super::{CallResult, Engine, Error, Failure, Invocation, RowEncoder, in_transaction};
use crate::store::{PageStore, StoreError};
use littoral_protocol::State;
use littoral_protocol::sql::Call;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::{Rc, Weak};

/// Texts that are remembered.
const LONG_TEXTS: usize = 64;

/// Watches whether the engine lives that gave a lease, and whether the lease does.
#[derive(Default)]
pub(super) struct Lender {
    engine: Rc<()>,
    lease: Weak<()>,
    /// Hashes of the texts of calls that took long when they ran last.
    long_texts: VecDeque<u64>,
}

impl Lender {
    /// Whether the write connection is in somebody's hand.
    pub(super) fn has_lent(&self) -> bool {
        self.lease.strong_count() > 0
    }

    /// Whether a call of these texts took long when it ran last.
    pub(super) fn is_long(&self, call: &Call) -> bool {
        !self.long_texts.is_empty() && self.long_texts.contains(&hash_of(call))
    }

    fn remember(&mut self, ran: &Ran) {
        self.long_texts.retain(|text| *text != ran.text);
        if ran.turns > MORE_FOR_WRITES {
            self.long_texts.push_back(ran.text);
            self.long_texts.drain(..self.long_texts.len().saturating_sub(LONG_TEXTS));
        }
    }
}

/// A call that has run on a lease.
struct Ran {
    /// The hash of its texts.
    text: u64,
    /// How often others had their turn.
    turns: u64,
}

/// Two texts of one hash are taken for the same, which costs time at most.
fn hash_of(call: &Call) -> u64 {
    let mut hasher = DefaultHasher::new();
    call.iter().for_each(|statement| statement.sql.hash(&mut hasher));
    hasher.finish()
}

/// The write connection.
pub struct Lease {
    writer: Rc<Connection>,
    store: Rc<dyn PageStore>,
    history: History,
    held: Rc<Held>,
    engine: Weak<()>,
    _lease: Rc<()>,
    before: State,
    /// The connection knows less than what is stored, and is not used again.
    is_spoiled: Cell<bool>,
    failed: RefCell<Option<Failure>>,
    ran: RefCell<Option<Ran>>,
}

impl Engine {
    /// Hands out the write connection. It comes back with [`Engine::take_back`]; if it is dropped, another one is opened.
    pub fn lease(&mut self) -> Result<Lease, Error> {
        let writer = self.writer()?;
        self.held.writer.take();
        let lease = Rc::new(());
        self.lender.lease = Rc::downgrade(&lease);
        Ok(Lease {
            writer,
            store: self.store.clone(),
            history: self.history.handle(),
            held: self.held.clone(),
            engine: Rc::downgrade(&self.lender.engine),
            _lease: lease,
            before: self.store.head(),
            is_spoiled: Cell::new(false),
            failed: RefCell::default(),
            ran: RefCell::default(),
        })
    }

    /// Takes the write connection back. Returns whether something was written with it.
    pub fn take_back(&mut self, lease: Lease) -> bool {
        if lease.engine.strong_count() == 0 || !Rc::ptr_eq(&lease.held, &self.held) {
            return false;
        }
        let Lease { writer, before, is_spoiled, failed, ran, .. } = lease;
        if !is_spoiled.get() {
            self.held.writer.replace(Some(writer));
        }
        if let Some(ran) = ran.take() {
            self.lender.remember(&ran);
        }
        let _ = self.settle(failed.take().map_or(Ok(()), Err));
        let wrote = self.store.head().txid != before.txid;
        if wrote {
            self.keep_within_bytes();
        }
        wrote
    }
}

impl Lease {
    /// The newest state when it was given.
    pub fn before(&self) -> State {
        self.before
    }

    /// The state that it is at.
    pub fn state(&self) -> State {
        self.store.head()
    }

    pub(super) fn store(&self) -> &Rc<dyn PageStore> {
        &self.store
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// Something else than the connection wrote, or failed to.
    pub(super) fn spoils(&self, failed: Option<Failure>) {
        self.is_spoiled.set(true);
        self.failed_with(failed);
    }

    /// What was done failed, or did not.
    pub(super) fn failed_with(&self, failed: Option<Failure>) {
        self.failed.replace(failed);
    }

    pub(super) fn writer(&self) -> &Rc<Connection> {
        &self.writer
    }

    /// Turns that end when the engine has let go of its database.
    pub(super) fn turns(&self, give_way: GiveWay) -> GiveWay {
        let engine = self.engine.clone();
        Rc::new(move || give_way().and_then(|()| is_alive(&engine)))
    }

    pub(super) fn check_alive(&self) -> Result<(), Error> {
        is_alive(&self.engine)
    }

    /// Runs a call, and lets others have their turn again and again.
    pub fn run<E: RowEncoder>(&self, call: Invocation<'_, E::Options>, give_way: GiveWay) -> CallResult<E> {
        let count = Rc::new(Cell::new(0));
        let counted = count.clone();
        let turns = self.turns(Rc::new(move || {
            counted.set(counted.get() + 1);
            give_way()
        }));
        let result = self.held.with_room(|failure: &Failure| failure.error.is_out_of_memory(), || self.run_once::<E>(call, turns.clone()));
        self.failed.replace(result.as_ref().err().cloned());
        self.ran.replace(Some(Ran { text: hash_of(call.call), turns: count.get() }));
        result
    }

    fn run_once<E: RowEncoder>(&self, call: Invocation<'_, E::Options>, turns: GiveWay) -> CallResult<E> {
        let writer = &self.writer;
        let _busy = writer.occupy();
        turns()?;
        writer.refill_whole(Pace::InTurns(turns));
        writer.restore_flags()?;
        let result = in_transaction(writer, |writer| {
            let ran = writer.migrating(call.call, || writer.run_call::<E>(call))?;
            // What is committed is committed in one go.
            writer.budget.set_pace(Pace::Whole);
            is_alive(&self.engine)?;
            Ok(ran)
        });
        result.map(|ran| writer.finish(ran))
    }
}

fn is_alive(engine: &Weak<()>) -> Result<(), Error> {
    if engine.strong_count() > 0 {
        Ok(())
    } else {
        Err(StoreError::Io("the database was let go while this wrote; nothing of it is kept".into()).into())
    }
}
