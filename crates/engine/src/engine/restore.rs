//! Restoring: a state of the past becomes the newest one, as a commit like others. It has the write connection to itself, like a write that takes
//! long, and others have their turn after every few pages.
//!
//! **Invariants**
//! 1. The state that is restored is kept while that lasts.
//! 2. No connection goes on with what it knew of the database before: the one that writes is opened anew, others see another schema cookie.
//!
//! **Not here:** which pages differ (`store`), how a point of the past is found (`past`).

use super::budget::GiveWay;
use super::lease::Lease;
use super::past::find;
use super::{Error, Failure};
use crate::store::Restore;
use littoral_protocol::Bookmark;
use littoral_protocol::sql::Point;

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The new state.
    pub bookmark: Bookmark,
    /// The one before: restoring that takes it back.
    pub previous: Bookmark,
}

impl Lease {
    /// Restores a state of the past.
    pub fn restore(&self, point: Point, now_ms: u64, give_way: &GiveWay) -> Result<Restored, Failure> {
        let restored = self.restore_once(point, now_ms, give_way).map_err(Failure::from);
        self.spoils(restored.as_ref().err().cloned());
        restored
    }

    fn restore_once(&self, point: Point, now_ms: u64, give_way: &GiveWay) -> Result<Restored, Error> {
        let previous = self.store().head().bookmark();
        let txid = find(&**self.store(), point)?;
        let _kept = self.history().pin(txid);
        let mut restore = Restore::new(self.store().clone(), txid).map_err(Error::store)?;
        while restore.step().map_err(Error::store)? {
            give_way()?;
            self.check_alive()?;
        }
        let state = restore.finish(now_ms).map_err(Error::store)?;
        Ok(Restored { bookmark: state.bookmark(), previous })
    }
}
