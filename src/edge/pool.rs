//! Open connections, of all databases of an isolate together.
//!
//! **Invariants**
//! 1. A connection is used by one query at a time.
//! 2. No more are open than the budget says.

use super::Budget;
use crate::commit::State;
use crate::engine::{Error, Reader};
use crate::replica::{ReplicaReader, SharedFollower};
use std::collections::VecDeque;
use std::rc::Rc;

/// A connection and the pages that it reads.
pub(super) struct Connection {
    pub(super) reader: Reader,
    pub(super) pages: Rc<ReplicaReader>,
    follower: SharedFollower,
}

pub(super) struct Pool {
    /// The one used last stands last.
    idle: VecDeque<Connection>,
    busy: usize,
    budget: Budget,
}

impl Pool {
    pub(super) fn new(budget: Budget) -> Pool {
        Pool { idle: VecDeque::new(), busy: 0, budget }
    }

    /// A connection of this follower's, reading `state`. `None`: too many are busy.
    pub(super) fn take(&mut self, follower: &SharedFollower, state: State) -> Option<Result<Connection, Error>> {
        if self.busy >= self.budget.connections {
            return None;
        }
        let known = self.idle.iter().rposition(|connection| Rc::ptr_eq(&connection.follower, follower));
        let connection = match known.and_then(|at| self.idle.remove(at)) {
            Some(connection) => {
                connection.reader.move_to(state);
                Ok(connection)
            }
            None => self.open(follower, state),
        };
        if connection.is_ok() {
            self.busy += 1;
        }
        Some(connection)
    }

    fn open(&self, follower: &SharedFollower, state: State) -> Result<Connection, Error> {
        let pages = Rc::new(ReplicaReader::new(follower.clone()));
        let reader = Reader::open(pages.clone(), state, &self.budget.limits)?;
        Ok(Connection { reader, pages, follower: follower.clone() })
    }

    /// Takes a connection back.
    pub(super) fn put(&mut self, connection: Connection) {
        self.busy -= 1;
        self.idle.push_back(connection);
        if self.idle.len() > self.budget.idle_connections {
            self.idle.pop_front();
        }
    }

    /// A connection that will not come back: what it met may have left it in any state.
    pub(super) fn lost(&mut self) {
        self.busy -= 1;
    }
}
