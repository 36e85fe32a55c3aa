//! What the durable store knows without asking storage: rebuilt when it is opened.

use super::index::Index;
use crate::commit::State;
use crate::txid::Txid;

pub(super) struct Kept {
    pub(super) head: State,
    pub(super) oldest: Txid,
    /// The folds that are kept, oldest first.
    pub(super) folds: Vec<Fold>,
    /// Frames after the newest fold.
    pub(super) recent: Index,
    /// Frames from the oldest state to the newest fold, read when a state before `folded` is asked for.
    pub(super) past: Option<Index>,
    /// The past state that was asked for last: a snapshot asks for its own with every page.
    pub(super) last_asked: Option<State>,
}

/// A state as of which the table `pages` is complete.
#[derive(Clone, Copy)]
pub(super) struct Fold {
    pub(super) number: u64,
    pub(super) txid: Txid,
}

impl Kept {
    pub(super) fn empty() -> Kept {
        Kept { head: State::EMPTY, oldest: Txid::EMPTY, folds: Vec::new(), recent: Index::default(), past: None, last_asked: None }
    }

    /// The state of the newest fold.
    pub(super) fn folded(&self) -> Txid {
        self.folds.last().map_or(Txid::EMPTY, |fold| fold.txid)
    }

    pub(super) fn next_fold(&self) -> u64 {
        self.folds.last().map_or(1, |fold| fold.number + 1)
    }

    /// The numbers of the first fold not older than `since` and of the last not newer than `at`; 0 if there is no such.
    pub(super) fn fold_numbers(&self, since: Txid, at: Txid) -> (u64, u64) {
        // A page that was not written since the oldest fold is there under a number older still.
        let first = if since == Txid::EMPTY {
            0
        } else {
            self.folds[..self.folds.partition_point(|fold| fold.txid < since)].last().map_or(0, |fold| fold.number) + 1
        };
        let last = self.folds[..self.folds.partition_point(|fold| fold.txid <= at)].last().map_or(0, |fold| fold.number);
        (first, last)
    }

    pub(super) fn become_folded(&mut self, head: State) {
        self.head = head;
        self.folds.push(Fold { number: self.next_fold(), txid: head.txid });
        self.recent = Index::default();
        self.past = None;
    }
}
