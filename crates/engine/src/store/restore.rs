//! A state of the past becomes the next commit, so that nothing is lost by it: the states in between stay as they are, and another restore takes
//! it back. What is written is the pages that differ, whatever the size of the database; beyond a few they are staged.
//!
//! **Invariants**
//! 1. Until [`Restore::finish`] no state has anything of it.
//! 2. Page 1 follows that of the newest state (`header`).
//!
//! **Not here:** which state is meant, and that it is kept meanwhile (`engine`).

use super::header::{self, FREE_LIST, HEADER_BYTES, PAGE_COUNT, RESERVED, SCHEMA_COOKIE};
use super::{PageStore, Rewrite, StoreError};
use littoral_protocol::{Checksum, Commit, Frame, PageSet, Pgno, State, Txid};
use std::rc::Rc;

/// Pages that are read and staged in one step: others have their turn between two.
const STEP_PAGES: usize = 64;
/// The type of a leaf of a table.
const TABLE_LEAF: u8 = 13;

/// A restore that is under way.
pub struct Restore {
    store: Rc<dyn PageStore>,
    to: State,
    /// Pages that are to be read.
    left: PageSet,
    /// Those of the last step, which are staged by the next.
    frames: Vec<Frame>,
    is_staged: bool,
    /// The database's checksum once all is written.
    checksum: Checksum,
}

impl Restore {
    /// Begins to restore the state at `txid`, which has to be kept. What was staged in the store is discarded.
    pub fn new(store: Rc<dyn PageStore>, txid: Txid) -> Result<Restore, StoreError> {
        store.discard_staged();
        let (head, to) = (store.head(), store.state(txid)?);
        let mut left = store.changed_between(head.txid, to.txid)?;
        left.remove(Pgno::FIRST);
        let mut restore = Restore { store, to, left, frames: Vec::new(), is_staged: false, checksum: to.checksum };
        if head.page_count > 0 {
            restore.first_page(&head)?;
        }
        Ok(restore)
    }

    /// Makes page 1.
    fn first_page(&mut self, head: &State) -> Result<(), StoreError> {
        let mut newest = vec![0; head.page_size.bytes()];
        self.store.read_page(Pgno::FIRST, head.txid, &mut newest)?;
        if self.to.page_count == 0 {
            // As a database file of no bytes there would be nowhere to keep the schema cookie.
            self.to = State { page_size: head.page_size, page_count: 1, ..self.to };
        }
        let mut first = vec![0; self.to.page_size.bytes()];
        if self.to.txid == Txid::EMPTY {
            empty(&mut first, &newest);
        } else {
            self.store.read_page(Pgno::FIRST, self.to.txid, &mut first)?;
            self.checksum ^= Checksum::of_page(Pgno::FIRST, &first);
        }
        header::follow(&mut first, &newest);
        let frame = Frame::new(Pgno::FIRST, first.into());
        self.checksum ^= frame.checksum;
        self.frames.push(frame);
        Ok(())
    }

    /// Pages that are still to be read.
    pub fn left(&self) -> usize {
        self.left.len()
    }

    fn stage(&mut self) -> Result<(), StoreError> {
        self.store.stage(&std::mem::take(&mut self.frames))?;
        self.is_staged = true;
        Ok(())
    }
}

impl Rewrite for Restore {
    fn step(&mut self) -> Result<bool, StoreError> {
        let pages: Vec<Pgno> = self.left.iter().take(STEP_PAGES).collect();
        if pages.is_empty() {
            return Ok(false);
        }
        if self.frames.len() >= STEP_PAGES {
            self.stage()?;
        }
        for pgno in pages {
            let mut image = vec![0; self.to.page_size.bytes()];
            self.store.read_page(pgno, self.to.txid, &mut image)?;
            self.frames.push(Frame::new(pgno, image.into()));
            self.left.remove(pgno);
        }
        Ok(true)
    }

    fn finish(mut self: Box<Self>, time_ms: u64) -> Result<State, StoreError> {
        while self.step()? {}
        let head = self.store.head();
        if head.page_count == 0 && self.to.page_count == 0 {
            return Ok(head);
        }
        let state = State { txid: head.txid.next(), time_ms: time_ms.max(head.time_ms), checksum: self.checksum, ..self.to };
        if self.is_staged {
            self.stage()?;
            self.store.append_staged(&state)?;
        } else {
            self.store.append(&Commit { state, frames: std::mem::take(&mut self.frames) })?;
        }
        Ok(state)
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        self.store.discard_staged();
    }
}

/// Makes page 1 that of a database without tables, otherwise like the one whose first page is given.
fn empty(first: &mut [u8], like: &[u8]) {
    first[..HEADER_BYTES].copy_from_slice(&like[..HEADER_BYTES]);
    first[FREE_LIST..SCHEMA_COOKIE].fill(0);
    header::write(first, PAGE_COUNT, 1);
    // Where the content of the page begins: at the end of what of it is used. 0 stands for 65,536.
    let usable = first.len() - usize::from(first[RESERVED]);
    let content = u16::try_from(usable).unwrap_or_default();
    first[HEADER_BYTES] = TABLE_LEAF;
    first[HEADER_BYTES + 5..HEADER_BYTES + 7].copy_from_slice(&content.to_be_bytes());
}
