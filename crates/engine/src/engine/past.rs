//! Reading the past: the state that a bookmark names, or the one that was there at a time.
//!
//! **Invariants**
//! 1. A bookmark is answered with exactly the state that it names, or, if that was thinned out, with the kept state before it, or with an
//!    error. [`Snapshot::state`] tells which it was.
//! 2. Snapshots kept here for the next question do not keep history: they are forgotten before it is pruned or thinned.
//!
//! **Not here:** how long the past is kept (`history`).

use super::{Engine, Error, Snapshot};
use crate::store::{PageStore, StoreError};
use littoral_protocol::sql::Point;
use littoral_protocol::{Bookmark, Txid};
use std::collections::VecDeque;
use std::rc::Rc;

/// Snapshots kept open: each has a page cache.
const KEPT_OPEN: usize = 3;

impl Engine {
    /// A snapshot at a point of the past, for this question and maybe the next.
    pub fn at(&mut self, point: Point) -> Result<Rc<Snapshot>, Error> {
        let txid = find(&*self.store, point)?;
        self.held.touch();
        let take = |open: &mut VecDeque<Rc<Snapshot>>| {
            let known = open.iter().position(|snapshot| snapshot.state().txid == txid);
            known.and_then(|at| open.remove(at))
        };
        let known = take(&mut self.held.past.borrow_mut());
        let snapshot = match known {
            Some(snapshot) => snapshot,
            None => Rc::new(self.held.with_room(Error::is_out_of_memory, || self.snapshot(txid))?),
        };
        let mut open = self.held.past.borrow_mut();
        open.truncate(KEPT_OPEN - 1);
        open.push_front(snapshot.clone());
        Ok(snapshot)
    }
}

pub(super) fn find(store: &dyn PageStore, point: Point) -> Result<Txid, Error> {
    match point {
        Point::Bookmark(bookmark) => match store.resolve(bookmark.txid) {
            Ok(txid) if may_name(store, &bookmark, txid).map_err(Error::store)? => Ok(txid),
            Ok(_) | Err(StoreError::Future { .. }) => Err(Error::UnknownBookmark { bookmark, newest: store.head().bookmark() }),
            Err(StoreError::Pruned { .. }) => Err(too_old(store)),
            Err(error) => Err(Error::store(error)),
        },
        Point::Time(time_ms) => {
            let txid = store.txid_at(time_ms).map_err(Error::store)?;
            let state = store.state(txid).map_err(Error::store)?;
            if state.time_ms > time_ms { Err(too_old(store)) } else { Ok(txid) }
        }
    }
}

/// Whether the bookmark names the state at `kept`, or may name one that was thinned out after it.
fn may_name(store: &dyn PageStore, bookmark: &Bookmark, kept: Txid) -> Result<bool, StoreError> {
    let state = store.state(kept)?;
    if kept == bookmark.txid {
        return Ok(state.bookmark() == *bookmark);
    }
    let next = store.next_kept(kept)?.map_or(u64::MAX, |next| next.time_ms);
    Ok((state.time_ms..=next).contains(&bookmark.time_ms))
}

fn too_old(store: &dyn PageStore) -> Error {
    match store.state(store.oldest()) {
        Ok(oldest) => Error::TooOld { oldest: oldest.bookmark() },
        Err(error) => Error::store(error),
    }
}
