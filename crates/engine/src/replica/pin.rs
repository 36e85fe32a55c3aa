//! Pins: which positions queries are reading.
//!
//! **Invariant:** a txid is pinned for exactly as long as a [`Pin`] of it lives.
//!
//! **Not here:** what is kept for them (`follower`).

use littoral_protocol::{State, Txid};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// How many pins each txid has.
#[derive(Clone, Default)]
pub(super) struct Pins(Rc<RefCell<BTreeMap<Txid, usize>>>);

impl Pins {
    pub(super) fn pin(&self, state: State) -> Pin {
        *self.0.borrow_mut().entry(state.txid).or_default() += 1;
        Pin { state, pins: self.clone() }
    }

    pub(super) fn oldest(&self) -> Option<Txid> {
        self.0.borrow().first_key_value().map(|(txid, _)| *txid)
    }

    pub(super) fn any_within(&self, first: Txid, last: Txid) -> bool {
        self.0.borrow().range(first..=last).next().is_some()
    }
}

/// Keeps a position readable for as long as it lives.
pub struct Pin {
    state: State,
    pins: Pins,
}

impl Pin {
    /// The state that is pinned.
    pub fn state(&self) -> State {
        self.state
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.pins.0.borrow_mut();
        if let Some(count) = pins.get_mut(&self.state.txid) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.state.txid);
            }
        }
    }
}
