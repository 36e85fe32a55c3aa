//! How long past states are kept, how densely, and the states that open snapshots hold.
//!
//! States are pruned and thinned in small steps: [`History::maintain`] does one, whoever calls it. Writers drop history themselves only
//! while it is larger than it may be.
//!
//! **Invariants**
//! 1. A state that a snapshot reads is kept until the snapshot is dropped, or the database.
//! 2. History beyond its bytes is dropped twice as fast as it grows, when all thinning that is due was done.
//!
//! **Not here:** what pruning and thinning do (`store`).

use super::Limits;
use crate::store::{PageStore, StoreError};
use littoral_protocol::Txid;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};

/// Milliseconds between one time of maintenance and the next: being on time is worth less than the wake-ups it takes.
const PAUSE_MS: u64 = 5 * 60 * 1000;

/// What is kept of a database's past.
#[derive(Default)]
pub(super) struct History {
    pinned: Rc<RefCell<BTreeMap<Txid, usize>>>,
    /// Bytes of history when a writer looked last.
    bytes: Option<u64>,
}

/// Keeps a state for as long as it lives, and the history does.
pub(super) struct KeptState {
    txid: Txid,
    pinned: Weak<RefCell<BTreeMap<Txid, usize>>>,
}

/// Tells whether a state is still kept.
pub(super) struct PinWatch(Weak<RefCell<BTreeMap<Txid, usize>>>);

impl KeptState {
    /// What tells whether the state is still kept, while the pin lives.
    pub(super) fn watch(&self) -> PinWatch {
        PinWatch(self.pinned.clone())
    }
}

impl PinWatch {
    /// An error where the database was closed: another one on the same store knows nothing of the pin.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let is_kept = self.0.strong_count() > 0;
        is_kept.then_some(()).ok_or_else(|| StoreError::Io("the database was opened anew while this was read".into()))
    }
}

impl History {
    /// The same, for somebody who only pins.
    pub(super) fn handle(&self) -> History {
        History { pinned: self.pinned.clone(), bytes: None }
    }

    /// Keeps the state at `txid`.
    pub(super) fn pin(&self, txid: Txid) -> KeptState {
        *self.pinned.borrow_mut().entry(txid).or_default() += 1;
        KeptState { txid, pinned: Rc::downgrade(&self.pinned) }
    }

    /// Does a small step of pruning or thinning, if there is one to do. Returns when to call again: at once, if that is not later than
    /// `now_ms`; `None`: not before the next commit.
    pub(super) fn maintain(&self, store: &dyn PageStore, limits: &Limits, now_ms: u64) -> Result<Option<u64>, StoreError> {
        let expired = store.txid_at(now_ms.saturating_sub(limits.history_ms))?;
        let free = self.oldest_pinned(store);
        if store.prune(expired.min(free))? || self.thin(store, limits, now_ms)? || self.is_too_large(store, limits) && store.prune(free)? {
            return Ok(Some(now_ms));
        }
        let pruned = store.next_kept(store.oldest())?.map(|next| next.time_ms.saturating_add(limits.history_ms));
        let stays_exact_ms = limits.history_exact_ms.saturating_add(limits.history_step_ms);
        let thinned = store.next_kept(store.exact_from())?.map(|next| next.time_ms.saturating_add(stays_exact_ms));
        Ok(pruned.into_iter().chain(thinned).min().map(|due| due.max(now_ms + PAUSE_MS)))
    }

    /// Does a step of the thinning that is due.
    fn thin(&self, store: &dyn PageStore, limits: &Limits, now_ms: u64) -> Result<bool, StoreError> {
        let pinned: BTreeSet<Txid> = self.pinned.borrow().keys().copied().collect();
        let exact_from = store.txid_at(now_ms.saturating_sub(limits.history_exact_ms))?;
        store.thin(exact_from, limits.history_step_ms, &pinned)
    }

    /// States before this one are read by nobody.
    fn oldest_pinned(&self, store: &dyn PageStore) -> Txid {
        self.pinned.borrow().first_key_value().map_or(store.head().txid, |(txid, _)| *txid)
    }

    /// Whether a writer has to drop history.
    pub(super) fn is_too_large(&self, store: &dyn PageStore, limits: &Limits) -> bool {
        store.history_bytes().is_ok_and(|bytes| bytes > limits.history_bytes)
    }

    /// Drops history beyond its bytes, as far as its growth since the last time demands. Thinning that is due comes first, as long as there
    /// is not twice as much as wanted: the oldest states may then not have to go.
    pub(super) fn shrink(&mut self, store: &dyn PageStore, limits: &Limits, now_ms: u64) -> Result<(), StoreError> {
        let bytes = store.history_bytes()?;
        if bytes / 2 < limits.history_bytes && self.thin(store, limits, now_ms)? {
            return Ok(());
        }
        let grown = bytes - self.bytes.unwrap_or(bytes).min(bytes);
        let wanted = limits.history_bytes.max(bytes.saturating_sub(2 * grown));
        let free = self.oldest_pinned(store);
        while store.history_bytes()? > wanted && store.prune(free)? {}
        self.bytes = Some(store.history_bytes()?);
        Ok(())
    }
}

impl Drop for KeptState {
    fn drop(&mut self) {
        let Some(pinned) = self.pinned.upgrade() else { return };
        let mut pinned = pinned.borrow_mut();
        if let Some(count) = pinned.get_mut(&self.txid) {
            *count -= 1;
            if *count == 0 {
                pinned.remove(&self.txid);
            }
        }
    }
}
