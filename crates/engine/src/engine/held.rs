//! What a database holds open: its write connection, the one that reads the newest state, and the snapshots of the past that were asked last.
//! All databases of an isolate share one heap, so only those that were used last hold anything. A database that was closed opens itself again when it is used.
//!
//! **Invariants**
//! 1. No more than `MOST` databases hold anything, whatever becomes of the others: nobody tells an isolate that an object was evicted.
//! 2. What runs at the moment is not closed.
//!
//! **Not here:** the page caches of those that are open, which give way first (`connection`).

use super::connection::{Connection, release_caches};
use super::{Reader, Snapshot};
use lru::LruCache;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

/// Databases that hold connections: an idle connection takes some 60 KB.
const MOST: usize = 256;

thread_local! {
    static OPEN: RefCell<LruCache<u64, Weak<Held>>> = RefCell::new(LruCache::unbounded());
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// What one database holds.
pub(super) struct Held {
    id: u64,
    /// None after an error of the store, or when others needed the room.
    pub(super) writer: RefCell<Option<Rc<Connection>>>,
    /// Reads the newest state. None where nothing was read yet, or as for the writer.
    pub(super) head: RefCell<Option<Rc<Reader>>>,
    /// The newest first.
    pub(super) past: RefCell<VecDeque<Rc<Snapshot>>>,
}

impl Held {
    /// A database that holds nothing yet.
    pub(super) fn new() -> Rc<Held> {
        let id = NEXT.replace(NEXT.get() + 1);
        Rc::new(Held { id, writer: RefCell::default(), head: RefCell::default(), past: RefCell::default() })
    }

    /// The database is used now, and opens something maybe: those whose last use is the longest ago close.
    pub(super) fn touch(self: &Rc<Held>) {
        let closed = OPEN.with_borrow_mut(|open| {
            open.put(self.id, Rc::downgrade(self));
            if open.len() > MOST { open.pop_lru() } else { None }
        });
        if let Some(held) = closed.and_then(|(_, held)| held.upgrade()) {
            held.close();
        }
    }

    /// Does something once more if it fails for want of memory: what other databases hold may be what takes it.
    pub(super) fn with_room<T, E>(self: &Rc<Held>, lacked: impl Fn(&E) -> bool, mut run: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        let result = run();
        if !result.as_ref().is_err_and(lacked) {
            return result;
        }
        release_caches();
        self.close_others();
        run()
    }

    fn close_others(self: &Rc<Held>) {
        let others = OPEN.with_borrow_mut(|open| {
            let others: Vec<_> = std::iter::from_fn(|| open.pop_lru()).filter(|(id, _)| *id != self.id).collect();
            open.put(self.id, Rc::downgrade(self));
            others
        });
        others.iter().filter_map(|(_, held)| held.upgrade()).for_each(|held| held.close());
    }

    fn close(&self) {
        self.past.borrow_mut().clear();
        self.head.take();
        self.writer.take();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // During thread shutdown the list may be gone already.
        let _ = OPEN.try_with(|open| open.borrow_mut().pop(&self.id));
    }
}
