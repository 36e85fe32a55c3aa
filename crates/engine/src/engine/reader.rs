//! Connections that only read: one state at a time, of a store or of a replica.
//!
//! **Invariants**
//! 1. Between the beginning and the end of a run, the state does not change.
//! 2. Statements that write fail with `attempt to write a readonly database`.
//! 3. While a run's stack waits for a page or for its turn, nobody else touches its connection.
//!
//! **Not here:** which state is to be read (`past`, `edge`).

use super::budget::Pace;
use super::connection::{Access, Connection};
use super::held::Held;
use super::history::KeptState;
use super::{Call, CallResult, Error, Failure, Invocation, RowEncoder, Setup, gather, run_statements};
use crate::store::{PageReader, PageStore};
use crate::vfs::DatabaseFile;
use littoral_protocol::State;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A connection that reads one state at a time.
pub struct Reader {
    connection: Connection,
    /// The bytes that one answer may have.
    pub(super) result_bytes: usize,
    pace: RefCell<Pace>,
    /// The transaction that is held is of another state, or met an error.
    is_outdated: Cell<bool>,
    /// What its database holds open beside it, for one that makes room for itself.
    held: Option<Rc<Held>>,
}

impl Reader {
    /// A connection to pages of `state`, at the primary.
    pub fn open(pages: Rc<dyn PageReader>, state: State, setup: &Setup) -> Result<Reader, Error> {
        let file = DatabaseFile::reader(pages, state);
        Reader::on(file, Access::Read, setup)
    }

    /// A connection to `state` of a store, with temporary files there.
    pub(super) fn of(store: &Rc<dyn PageStore>, state: State, access: Access, setup: &Setup) -> Result<Reader, Error> {
        let file = DatabaseFile::reader(Rc::new(store.clone()), state).with_scratch(store.clone());
        Reader::on(file, access, setup)
    }

    /// A connection to a replica's pages of `state`. It refuses what not every connection answers alike: `changes()`, `last_insert_rowid()`,
    /// and PRAGMAs about the connection.
    pub fn open_replica(pages: Rc<dyn PageReader>, state: State, setup: &Setup) -> Result<Reader, Error> {
        let file = DatabaseFile::reader(pages, state);
        let reader = Reader::on(file, Access::Alike, setup)?;
        reader.take_turns(None);
        Ok(reader)
    }

    fn on(file: DatabaseFile, access: Access, setup: &Setup) -> Result<Reader, Error> {
        let connection = Connection::open(file, access, setup)?;
        Ok(Reader {
            connection,
            result_bytes: setup.limits.result_bytes,
            pace: RefCell::new(Pace::Whole),
            is_outdated: Cell::new(false),
            held: None,
        })
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace.borrow().clone()
    }

    /// What becomes of calls at the end of a turn, from now on.
    pub(super) fn set_pace(&self, pace: Pace) {
        self.pace.replace(pace);
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The state that it reads.
    pub fn state(&self) -> State {
        self.connection.file().state()
    }

    /// Reads another state from now on.
    pub fn move_to(&self, state: State) {
        if state.txid != self.state().txid {
            self.connection.file().move_to(state);
            self.connection.forget_measured();
            self.is_outdated.set(true);
        }
    }

    /// Runs a call.
    pub fn run<E: RowEncoder<Options = ()>>(&self, call: &Call) -> CallResult<E> {
        self.run_one::<E>(call, ())
    }

    /// Runs a call, with options.
    pub fn run_one<E: RowEncoder>(&self, call: &Call, options: E::Options) -> CallResult<E> {
        self.connection.refill_whole(self.pace());
        self.run_with_room::<E>(Invocation::new(call, options))
    }

    /// Runs calls in order, with options for all of them. There may be fewer answers than calls, as in [`super::Engine::run_with`].
    pub fn run_with<E: RowEncoder>(&self, calls: &[Call], options: E::Options) -> Vec<CallResult<E>> {
        self.run_at::<E>(calls, options, self.pace())
    }

    pub(super) fn run_at<E: RowEncoder>(&self, calls: &[Call], options: E::Options, pace: Pace) -> Vec<CallResult<E>> {
        self.connection.refill_whole(pace);
        let mut results = Vec::with_capacity(calls.len());
        for call in calls {
            if !gather(&mut results, self.run_with_room::<E>(Invocation::new(call, options))) {
                break;
            }
        }
        results
    }

    fn run_with_room<E: RowEncoder>(&self, call: Invocation<'_, E::Options>) -> CallResult<E> {
        let run = || self.run_alone::<E>(call);
        self.held.as_ref().map_or_else(run, |held| held.with_room(|failure: &Failure| failure.error.is_out_of_memory(), run))
    }

    pub(super) fn run_alone<E: RowEncoder>(
        &self,
        Invocation { call, options, kiloinstructions }: Invocation<'_, E::Options>,
    ) -> CallResult<E> {
        let _busy = self.connection.occupy();
        self.connection.budget.begin_call(kiloinstructions);
        self.connection.restore_flags()?;
        self.read_one_state()?;
        let ran = run_statements::<E>(&self.connection, call, options);
        if ran.is_err() {
            self.is_outdated.set(true);
        }
        Ok(self.connection.finish(ran?))
    }

    /// Holds a transaction for as long as the state is the same: SQLite then need not ask the file, for every statement, whether it changed.
    fn read_one_state(&self) -> Result<(), Error> {
        if self.is_outdated.take() && self.connection.in_transaction() {
            self.connection.control("ROLLBACK")?;
        }
        if !self.connection.in_transaction() {
            self.connection.control("BEGIN")?;
        }
        Ok(())
    }
}

/// Reads what every connection to the newest state of a store reads before anything else, so that pages of it that are elsewhere come here.
pub fn bring_schema(store: Rc<dyn PageStore>) -> Result<(), Error> {
    let state = store.head();
    Reader::of(&store, state, Access::Read, &Setup::default())?.connection.read_schema()
}

/// A connection that reads one state of a database, which is kept for as long as it lives.
pub struct Snapshot {
    reader: Reader,
    pub(super) pin: KeptState,
    /// Another state, which this one is to be compared with.
    beside: Option<Box<Snapshot>>,
}

impl Snapshot {
    pub(super) fn new(reader: Reader, pin: KeptState, held: Rc<Held>) -> Snapshot {
        Snapshot { reader: Reader { held: Some(held), ..reader }, pin, beside: None }
    }

    /// The same with another state of the database beside it, under the name `before`.
    pub fn with_beside(self, beside: Snapshot) -> Result<Snapshot, Error> {
        self.connection().attach(beside.connection().file())?;
        Ok(Snapshot { beside: Some(Box::new(beside)), ..self })
    }

    /// The other state.
    pub fn beside(&self) -> Option<&Snapshot> {
        self.beside.as_deref()
    }
}

impl std::ops::Deref for Snapshot {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}
