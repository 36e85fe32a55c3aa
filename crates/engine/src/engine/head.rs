//! Reading the newest state: on a connection of its own, which nothing that writes ever holds. The write connection is the queue's.
//!
//! The connection moves to the head with each run; SQLite forgets only the pages that were written meanwhile (`sqlite::page_cache`), and what
//! was logged just now the store has at hand.
//!
//! **Invariants**
//! 1. A call that is answered here would be answered by the write connection in the same way. Where that cannot be told (it writes after all,
//!    fails, or asks for what only the write connection knows), nothing is answered here.
//! 2. Calls that arrive together are answered as if they had run in order: what stands behind a write is not read before it.
//!
//! **Not here:** reads that take long (`long_read`), and which states of the past there are (`past`).

use super::budget::Allowance;
use super::connection::{Access, Connection};
use super::text::begins_as_select;
use super::{CallResult, Engine, Error, Failure, Invocation, Reader, RowEncoder, gather};
use crate::sqlite::set_last_insert_rowid;
use littoral_protocol::sql::Call;
use std::rc::Rc;

impl Engine {
    /// Adds the results of calls that only read. Returns whether the next one, if there is one, is for the write connection; else there is
    /// no room for it now.
    pub(super) fn read_head<E: RowEncoder>(
        &mut self,
        calls: &[Invocation<'_, E::Options>],
        allowance: &Allowance,
        results: &mut Vec<CallResult<E>>,
    ) -> bool {
        let held = self.held.clone();
        let Ok(head) = held.with_room(Error::is_out_of_memory, || self.head()) else { return true };
        let connection = head.connection();
        for call in calls {
            connection.refill(allowance);
            let result = held.with_room(|failure: &Failure| failure.error.is_out_of_memory(), || head.run_alone::<E>(*call));
            connection.tell_left(allowance);
            let result = result.map_err(|failure| failure.unless_it_lacks_a_page(allowance.is_brief(), Error::LongRead));
            if result.as_ref().is_err_and(|failure| !self.is_answer(&failure.error, call.call, connection)) {
                return true;
            }
            if !gather(results, result) {
                return false;
            }
        }
        true
    }

    /// Whether the write connection would fail in the same way. It has words of its own for what is wrong with a text.
    fn is_answer(&mut self, error: &Error, call: &Call, head: &Connection) -> bool {
        if error.poisons() {
            self.store_failed = true;
            self.held.head.take();
        }
        match error {
            Error::LongRead => head.only_read(call),
            Error::RanTooLong { .. } | Error::ResultTooLarge { .. } | Error::TimedOut | Error::Store { .. } => true,
            _ => false,
        }
    }

    /// The connection, at the newest state.
    fn head(&self) -> Result<Rc<Reader>, Error> {
        self.held.touch();
        if let Some(error) = &self.damaged {
            return Err(error.clone());
        }
        let state = self.store.head();
        let known = self.held.head.borrow().clone();
        let head = match known {
            Some(head) => head,
            None => {
                let head = Rc::new(Reader::of(&self.store, state, Access::Alike, &self.setup)?);
                self.held.head.replace(Some(head.clone()));
                head
            }
        };
        head.move_to(state);
        if let Some(writer) = &*self.held.writer.borrow() {
            set_last_insert_rowid(head.connection().sqlite(), writer.sqlite().last_insert_rowid());
        }
        Ok(head)
    }
}

/// How many calls at the beginning seem to read only, and where those end that have to run together after them: with the last that may write.
pub(super) fn split<O>(calls: &[Invocation<'_, O>]) -> (usize, usize) {
    let reads = |invocation: &Invocation<'_, O>| seems_to_read(invocation.call);
    let first = calls.iter().position(|call| !reads(call)).unwrap_or(calls.len());
    let last = calls.iter().rposition(|call| !reads(call)).map_or(calls.len(), |last| last + 1);
    (first, last)
}

fn seems_to_read(call: &Call) -> bool {
    call.iter().all(|statement| begins_as_select(&statement.sql))
}
