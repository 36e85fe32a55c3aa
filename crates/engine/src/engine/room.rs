//! Room for large results. Reads in turns gather theirs beside one another, and an isolate has memory for one of the largest, not for eight: who
//! has more than its part waits until nobody else has.
//!
//! **Invariant:** of all reads of a database that share the room, one at most has it.
//!
//! **Not here:** how large one result may be (`limits`).

use std::cell::Cell;
use std::rc::Rc;

/// The part of the largest result that each may have beside others.
pub(super) const BESIDE: usize = 8;

/// What reads share: whether one has it.
#[derive(Clone, Default)]
pub(super) struct Room(Rc<Cell<bool>>);

/// One read's place beside the others.
pub(super) struct Place {
    room: Room,
    has_it: Cell<bool>,
}

impl Place {
    pub(super) fn beside(room: &Room) -> Place {
        Place { room: room.clone(), has_it: Cell::new(false) }
    }

    /// Takes the room until this place goes. False: another has it.
    pub(super) fn take(&self) -> bool {
        self.has_it.set(self.has_it.get() || !self.room.0.replace(true));
        self.has_it.get()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.has_it.get() {
            self.room.0.set(false);
        }
    }
}
