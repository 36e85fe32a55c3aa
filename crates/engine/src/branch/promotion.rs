//! A branch becomes the next commit of its parent: the pages that it changed, at once, if the parent has not moved since.
//!
//! **Invariants**
//! 1. The pages of the parent are those that the branch began with: so what the branch did not change is right.
//! 2. The checksum of all pages is that of the branch's state, or nothing is committed.
//!
//! **Not here:** that the parent has not moved, and does not meanwhile (the caller).

use super::foreign;
use crate::commit_log::{Body, Fetch, Message, Pages, Pull, RestartReason, Segment};
use crate::fetch::Fetcher;
use crate::store::{PageStore, Rewrite, StoreError};
use littoral_protocol::{Checksum, DatabaseId, Frame, PageSet, Pgno, State, Txid};
use std::rc::Rc;

/// Pages of a question.
const PART_PAGES: usize = 256;
/// Bytes of an answer that has numbers only.
const LIST_BYTES: u32 = 1 << 20;

/// A promotion that is under way.
pub struct Promotion {
    store: Rc<dyn PageStore>,
    fetcher: Rc<dyn Fetcher>,
    branch: DatabaseId,
    /// The branch's state.
    to: State,
    left: PageSet,
    /// The checksum of the parent's state with the pages of the branch that came.
    checksum: Checksum,
}

impl Promotion {
    /// Begins to make the newest state of `branch` the next one of `store`, whose newest is the one that the branch began with.
    pub fn new(store: Rc<dyn PageStore>, fetcher: Rc<dyn Fetcher>, branch: DatabaseId) -> Result<Promotion, StoreError> {
        store.discard_staged();
        let head = store.head();
        let (to, mut left) = changed(&*fetcher, branch, head)?;
        left.split_after(to.page_count);
        left.remove(to.page_size.lock_page());
        let mut checksum = head.checksum;
        if to.page_size != head.page_size {
            checksum = Checksum::EMPTY;
            left.insert_range(1..=to.page_count);
        }
        for cut in (to.page_count + 1..=head.page_count).filter(|_| to.page_size == head.page_size) {
            checksum ^= store.page_checksum(Pgno(cut), head.txid)?;
        }
        Ok(Promotion { store, fetcher, branch, to, left, checksum })
    }

    fn take(&mut self, pages: &Pages) -> Result<(), StoreError> {
        let (head, left, mut frames) = (self.store.head(), self.left.len(), Vec::new());
        for frame in &pages.frames {
            // Pages come that were not asked for, and one may come twice.
            if !self.left.remove(frame.pgno) {
                continue;
            }
            let image = frame.expand(self.to.page_size).map_err(|error| StoreError::Io(error.to_string()))?;
            let is_old = frame.pgno.0 <= head.page_count && self.to.page_size == head.page_size;
            let before = if is_old { self.store.page_checksum(frame.pgno, head.txid)? } else { Checksum::EMPTY };
            // Where the branch does not remember what it changed, every page comes.
            if before != frame.checksum {
                self.checksum ^= before;
                self.checksum ^= frame.checksum;
                frames.push(Frame { pgno: frame.pgno, image, checksum: frame.checksum });
            }
        }
        if self.left.len() == left {
            return Err(StoreError::Io("the branch answered with other pages than it was asked for".into()));
        }
        self.store.stage(&frames).map(drop)
    }
}

/// The newest state of a branch, and the pages that it changed since `base`.
fn changed(fetcher: &dyn Fetcher, branch: DatabaseId, base: State) -> Result<(State, PageSet), StoreError> {
    let (mut to, mut pages) = (base, PageSet::new());
    loop {
        let pull = Pull { after: Some(to.position()), images: false, wanted: Txid::EMPTY, max_bytes: LIST_BYTES };
        let answer = fetcher.fetch(&Message { database: branch, body: Body::Pull(pull) })?;
        match answer.body {
            Body::Commits(Segment { commits, .. }) if answer.database == branch => {
                let Some(last) = commits.last() else { return Ok((to, pages)) };
                to = last.state;
                for commit in &commits {
                    pages.add(&commit.pgnos().into_iter().collect());
                }
            }
            // It does not remember what it changed.
            Body::Restart(restart) if answer.database == branch && restart.reason == RestartReason::Pruned => {
                let mut all = PageSet::new();
                all.insert_range(1..=restart.state.page_count);
                return Ok((restart.state, all));
            }
            _ => return Err(foreign(answer.body, "the branch")),
        }
    }
}

impl Rewrite for Promotion {
    fn step(&mut self) -> Result<bool, StoreError> {
        let pages: Vec<Pgno> = self.left.iter().take(PART_PAGES).collect();
        if pages.is_empty() {
            return Ok(false);
        }
        let question = Message { database: self.branch, body: Body::Fetch(Fetch { at: self.to.position(), pages }) };
        let answer = self.fetcher.fetch(&question)?;
        match &answer.body {
            Body::Pages(pages) if answer.database == self.branch && pages.state == self.to => self.take(pages)?,
            _ => return Err(foreign(answer.body, "the branch")),
        }
        Ok(true)
    }

    fn finish(mut self: Box<Self>, time_ms: u64) -> Result<State, StoreError> {
        while self.step()? {}
        let head = self.store.head();
        if self.to.position() == head.position() {
            return Ok(head);
        }
        if self.checksum != self.to.checksum {
            return Err(StoreError::Corrupt { what: "the pages of the branch and of its parent do not fit together".into() });
        }
        let state = State { txid: head.txid.next(), time_ms: time_ms.max(head.time_ms), ..self.to };
        self.store.append_staged(&state)?;
        Ok(state)
    }
}

impl Drop for Promotion {
    fn drop(&mut self) {
        self.store.discard_staged();
    }
}
