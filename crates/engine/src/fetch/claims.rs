//! Which pages are being fetched for a holder.
//!
//! **Invariant:** of those who want a page as of a txid, one has its claim, until it is released.
//!
//! **Not here:** waiting for those who have it (`reader`).

use littoral_protocol::{Pgno, Txid};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

/// Pages that a query is fetching for all who read from the same holder. Cheap to clone.
#[derive(Clone, Default)]
pub struct Claims(Rc<Shared>);

#[derive(Default)]
struct Shared {
    fetching: RefCell<HashSet<(Pgno, Txid)>>,
    /// Pages that one question may name, if that is limited.
    most: Cell<Option<usize>>,
}

impl Claims {
    /// From now on one question is for no more than so many pages, the missing one among them.
    pub fn at_most(&self, pages: usize) {
        self.0.most.set(Some(pages.max(1)));
    }

    /// Pages that one question may name.
    pub(super) fn most(&self) -> usize {
        self.0.most.get().unwrap_or(usize::MAX)
    }

    /// Claims the fetching of a page: `false` if somebody else is at it.
    pub(super) fn claim(&self, pgno: Pgno, at: Txid) -> bool {
        self.0.fetching.borrow_mut().insert((pgno, at))
    }

    pub(super) fn release(&self, pgnos: &[Pgno], at: Txid) {
        let mut fetching = self.0.fetching.borrow_mut();
        for pgno in pgnos {
            fetching.remove(&(*pgno, at));
        }
    }

    pub(super) fn is_claimed(&self, pgno: Pgno, at: Txid) -> bool {
        self.0.fetching.borrow().contains(&(pgno, at))
    }
}

#[cfg(test)]
impl Claims {
    pub(crate) fn are_none(&self) -> bool {
        self.0.fetching.borrow().is_empty()
    }
}
