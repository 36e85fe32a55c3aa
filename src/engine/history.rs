//! How long past states are kept: a step of pruning now and then, and the states that open snapshots hold.
//!
//! **Invariant:** a state that a snapshot reads is kept until the snapshot is dropped.
//!
//! **Not here:** what pruning does (`store`).

use super::Limits;
use crate::store::{PageStore, StoreError};
use crate::txid::Txid;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Commits between two steps. A step drops at most twice as many, so pruning keeps up and never takes long.
const COMMITS_BETWEEN_STEPS: u64 = 1_024;

/// What is kept of a database's past.
#[derive(Default)]
pub(super) struct History {
    pinned: Rc<RefCell<BTreeMap<Txid, usize>>>,
    last_step: Txid,
}

/// Keeps a state for as long as it lives.
pub(super) struct Pin {
    txid: Txid,
    pinned: Rc<RefCell<BTreeMap<Txid, usize>>>,
}

impl History {
    /// Keeps the state at `txid`.
    pub(super) fn pin(&self, txid: Txid) -> Pin {
        *self.pinned.borrow_mut().entry(txid).or_default() += 1;
        Pin { txid, pinned: self.pinned.clone() }
    }

    /// Whether a step of pruning is due.
    pub(super) fn step_is_due(&self, head: Txid) -> bool {
        head.0 >= self.last_step.0 + COMMITS_BETWEEN_STEPS
    }

    /// Prunes a step.
    pub(super) fn step(&mut self, store: &dyn PageStore, limits: &Limits, now_ms: u64) -> Result<(), StoreError> {
        let head = store.head().txid;
        self.last_step = head;
        let expired = store.txid_at(now_ms.saturating_sub(limits.history_ms))?;
        let wanted = if store.history_bytes()? > limits.history_bytes { head } else { expired };
        let pinned = self.pinned.borrow().first_key_value().map_or(head, |(txid, _)| *txid);
        let step = Txid(store.oldest().0 + 2 * COMMITS_BETWEEN_STEPS);
        store.prune(wanted.min(pinned).min(step)).map(drop)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pinned = self.pinned.borrow_mut();
        if let Some(count) = pinned.get_mut(&self.txid) {
            *count -= 1;
            if *count == 0 {
                pinned.remove(&self.txid);
            }
        }
    }
}
