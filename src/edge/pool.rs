//! Open connections, of all databases of an isolate together.
//!
//! **Invariants**
//! 1. A connection is used by one query at a time.
//! 2. No more are open than the budget says.
//! 3. A connection is not used again after its follower has begun anew: what SQLite remembers (the schema, pages) is of another history, and
//!    it tells states apart by numbers that both histories have.

use super::Budget;
use littoral_engine::engine::{Error, Limits, Reader, Setup};
use littoral_engine::fetch::{Fetcher, FetchingReader};
use littoral_engine::replica::SharedFollower;
use littoral_protocol::{DatabaseId, State};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// A connection and the pages that it reads.
pub(super) struct ReplicaConnection {
    pub(super) reader: Reader,
    pub(super) pages: Rc<FetchingReader>,
    follower: SharedFollower,
    /// The follower's, when it was opened.
    epoch: u64,
}

/// What the pool gives for a query.
pub(super) enum Taken {
    /// A connection that is open.
    ReplicaConnection(Box<ReplicaConnection>),
    /// One may be opened, with this setup. Opening it reads pages, so it may wait, and nobody holds the pool meanwhile.
    Right(Setup),
    /// Too many are busy.
    None,
}

impl ReplicaConnection {
    fn is_of_its_time(&self) -> bool {
        self.epoch == self.follower.borrow().epoch()
    }

    /// Makes a connection read `state`, with `fetcher` for what is missing.
    pub(super) fn begin(
        taken: Taken,
        follower: &SharedFollower,
        database: DatabaseId,
        state: State,
        fetcher: Option<Rc<dyn Fetcher>>,
    ) -> Option<Result<Box<ReplicaConnection>, Error>> {
        match taken {
            Taken::None => None,
            Taken::ReplicaConnection(connection) => {
                connection.pages.begin(database, state, fetcher);
                connection.reader.move_to(state);
                Some(Ok(connection))
            }
            Taken::Right(setup) => {
                let pages = Rc::new(FetchingReader::new(follower.clone()));
                let epoch = follower.borrow().epoch();
                pages.begin(database, state, fetcher);
                let reader = Reader::open_replica(pages.clone(), state, &setup);
                Some(reader.map(|reader| Box::new(ReplicaConnection { reader, pages, follower: follower.clone(), epoch })))
            }
        }
    }
}

/// A query's place in the queue for a connection.
pub(super) struct Turn {
    /// Says that it has come, and runs nothing. Taken when it came, or when the query has left.
    call: Cell<Option<Box<dyn FnOnce()>>>,
}

impl Turn {
    /// Leaves the queue. Returns whether the turn had come.
    pub(super) fn leave(&self) -> bool {
        self.call.take().is_none()
    }
}

pub(super) struct Pool {
    /// The one used last stands last.
    idle: VecDeque<Box<ReplicaConnection>>,
    busy: usize,
    waiting: VecDeque<Rc<Turn>>,
    /// Reads that let others have their turn.
    long: usize,
    budget: Budget,
}

/// A long read's place among those that are under way.
pub(super) struct LongPlace(Rc<RefCell<Pool>>);

impl LongPlace {
    /// `None`: too many are.
    pub(super) fn take(pool: &Rc<RefCell<Pool>>) -> Option<LongPlace> {
        let mut places = pool.borrow_mut();
        if places.long >= places.budget.long_reads {
            return None;
        }
        places.long += 1;
        Some(LongPlace(pool.clone()))
    }
}

impl Drop for LongPlace {
    fn drop(&mut self) {
        self.0.borrow_mut().long -= 1;
    }
}

impl Pool {
    pub(super) fn new(budget: Budget) -> Pool {
        Pool { idle: VecDeque::new(), busy: 0, waiting: VecDeque::new(), long: 0, budget }
    }

    /// Connections opened from now on have these limits.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.idle.clear();
        self.budget.setup.limits = limits;
    }

    /// An idle connection of this follower's, or the right to open one.
    pub(super) fn take(&mut self, follower: &SharedFollower) -> Taken {
        if self.busy >= self.budget.connections {
            return Taken::None;
        }
        self.busy += 1;
        self.idle.retain(|connection| !Rc::ptr_eq(&connection.follower, follower) || connection.is_of_its_time());
        let known = self.idle.iter().rposition(|connection| Rc::ptr_eq(&connection.follower, follower));
        match known.and_then(|at| self.idle.remove(at)) {
            Some(connection) => Taken::ReplicaConnection(connection),
            None => Taken::Right(self.budget.setup.clone()),
        }
    }

    /// Takes a connection back.
    pub(super) fn put(&mut self, connection: Box<ReplicaConnection>) {
        self.busy -= 1;
        self.idle.push_back(connection);
        if self.idle.len() > self.budget.idle_connections {
            self.idle.pop_front();
        }
        self.call_next();
    }

    /// A connection that will not come back: what it met may have left it in any state.
    pub(super) fn lost(&mut self) {
        self.busy -= 1;
        self.call_next();
    }

    /// Queues for a connection; `call` is called when one may be free.
    pub(super) fn queue(&mut self, call: Box<dyn FnOnce()>) -> Rc<Turn> {
        let turn = Rc::new(Turn { call: Cell::new(Some(call)) });
        self.waiting.push_back(turn.clone());
        turn
    }

    /// Calls the first that still waits.
    pub(super) fn call_next(&mut self) {
        while let Some(turn) = self.waiting.pop_front() {
            if let Some(call) = turn.call.take() {
                return call();
            }
        }
    }
}
