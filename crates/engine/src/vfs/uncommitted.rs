//! What a writer has written and not committed: in memory up to a budget, and beyond it staged in the store, where no state has it.
//!
//! The database's checksum after the commit is the base's with the checksums of all replaced pages taken out and those of the new ones put in. The
//! old ones are gathered as pages are staged: at the end nobody has to look at them again.
//!
//! **Invariants**
//! 1. A page is in `written`, or staged, or both; then `written` has the newer one.
//! 2. `replaced` is the XOR of the base's checksums of the pages in `accounted`. They are staged, or were cut off.
//!
//! **Not here:** what the file reads as (`db_file`).

use crate::store::{PageStore, StoreError};
use littoral_protocol::{Checksum, Commit, Frame, PageSet, Pgno, State};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Bytes that are staged at once.
const PART_BYTES: usize = 256 << 10;

pub(super) struct Uncommitted {
    store: Rc<dyn PageStore>,
    /// Bytes that `written` may take.
    budget: usize,
    written: BTreeMap<Pgno, Box<[u8]>>,
    /// Where in it the next part to be staged begins.
    next: Pgno,
    /// The checksum of what is staged, if something is.
    staged: Option<Checksum>,
    /// Checksums in the base state of pages that SQLite may be about to change.
    originals: BTreeMap<Pgno, Checksum>,
    accounted: PageSet,
    replaced: Checksum,
}

impl Uncommitted {
    pub(super) fn new(store: Rc<dyn PageStore>, budget: usize) -> Uncommitted {
        Uncommitted {
            store,
            budget,
            written: BTreeMap::new(),
            next: Pgno::FIRST,
            staged: None,
            originals: BTreeMap::new(),
            accounted: PageSet::new(),
            replaced: Checksum::EMPTY,
        }
    }

    pub(super) fn store(&self) -> &Rc<dyn PageStore> {
        &self.store
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.staged.is_none()
    }

    /// Whether some of it is in the store.
    pub(super) fn is_staged(&self) -> bool {
        self.staged.is_some()
    }

    /// Reads a page. `false`: it was not written.
    pub(super) fn read(&self, pgno: Pgno, image: &mut [u8]) -> Result<bool, StoreError> {
        match self.written.get(&pgno) {
            Some(written) => image.copy_from_slice(written),
            None if self.staged.is_some() => return self.store.read_staged(pgno, image),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Takes a page as it will be.
    pub(super) fn write(&mut self, pgno: Pgno, image: Box<[u8]>) {
        self.written.insert(pgno, image);
    }

    /// The page is not to be part of the commit.
    pub(super) fn forget(&mut self, pgno: Pgno) {
        self.written.remove(&pgno);
    }

    /// The checksum of a page of the base state.
    pub(super) fn note_original(&mut self, pgno: Pgno, checksum: Checksum) {
        self.originals.insert(pgno, checksum);
    }

    /// Stages a part of what was written, if all of it takes more than the budget.
    pub(super) fn spill(&mut self, base: &State) -> Result<(), StoreError> {
        let page_bytes = self.written.first_key_value().map_or(0, |(_, image)| image.len());
        if self.written.len() * page_bytes <= self.budget {
            return Ok(());
        }
        let frames = self.take_part(PART_BYTES.min(self.budget / 4) / page_bytes + 1);
        self.stage(base, frames)
    }

    /// So many pages, from where the last part ended: each is in memory for as long as the others, and others wait for a part only.
    fn take_part(&mut self, count: usize) -> Vec<Frame> {
        let pages = self.written.range(self.next..).chain(self.written.range(..self.next)).take(count);
        let pages: Vec<Pgno> = pages.map(|(pgno, _)| *pgno).collect();
        self.next = pages.last().map_or(Pgno::FIRST, |last| Pgno(last.0 + 1));
        pages.into_iter().filter_map(|pgno| Some(Frame::new(pgno, self.written.remove(&pgno)?))).collect()
    }

    fn stage(&mut self, base: &State, frames: Vec<Frame>) -> Result<(), StoreError> {
        let staged = self.account(base, &frames).and_then(|()| self.store.stage(&frames));
        match staged {
            Ok(checksum) => {
                self.staged = Some(checksum);
                Ok(())
            }
            Err(error) => {
                self.written.extend(frames.into_iter().map(|frame| (frame.pgno, frame.image)));
                Err(error)
            }
        }
    }

    fn take_frames(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.written).into_iter().map(|(pgno, image)| Frame::new(pgno, image)).collect()
    }

    /// Takes the base's checksums of these pages into account.
    fn account(&mut self, base: &State, frames: &[Frame]) -> Result<(), StoreError> {
        frames.iter().map(|frame| frame.pgno).filter(|pgno| pgno.0 <= base.page_count).try_for_each(|pgno| self.replace(base, pgno))
    }

    fn replace(&mut self, base: &State, pgno: Pgno) -> Result<(), StoreError> {
        if !self.accounted.contains(pgno) {
            let known = self.originals.remove(&pgno);
            self.replaced ^= known.map_or_else(|| self.store.page_checksum(pgno, base.txid), Ok)?;
            self.accounted.insert(pgno);
        }
        Ok(())
    }

    /// Drops the pages after `last`.
    pub(super) fn cut(&mut self, last: u32) -> Result<(), StoreError> {
        self.written.split_off(&Pgno(last + 1));
        if let Some(staged) = &mut self.staged {
            *staged = self.store.cut_staged(last)?;
        }
        Ok(())
    }

    /// Which pages were written.
    pub(super) fn pages(&self) -> PageSet {
        let mut pages = if self.staged.is_some() { self.store.staged() } else { PageSet::new() };
        self.written.keys().for_each(|pgno| {
            pages.insert(*pgno);
        });
        pages
    }

    /// All pages, which were never staged; `None`: some were.
    pub(super) fn take_all(&mut self) -> Option<BTreeMap<Pgno, Box<[u8]>>> {
        self.staged.is_none().then(|| std::mem::take(&mut self.written))
    }

    /// Makes it the next commit, which makes `state`; its checksum is to be found out. Returns page 1, if that was written and nothing is staged.
    pub(super) fn commit(&mut self, base: &State, state: &mut State) -> Result<Option<Box<[u8]>>, StoreError> {
        if self.staged.is_some() {
            let rest = self.take_frames();
            self.stage(base, rest)?;
        }
        let frames = self.take_frames();
        state.checksum = self.staged.unwrap_or_default();
        frames.iter().for_each(|frame| state.checksum ^= frame.checksum);
        // Pages of another size are all new.
        if state.page_size == base.page_size {
            self.account(base, &frames)?;
            (state.page_count + 1..=base.page_count).try_for_each(|cut| self.replace(base, Pgno(cut)))?;
            state.checksum ^= base.checksum;
            state.checksum ^= self.replaced;
        }
        if self.staged.is_some() {
            self.store.append_staged(state)?;
            self.staged = None;
            return Ok(None);
        }
        let commit = Commit { state: *state, frames };
        self.store.append(&commit)?;
        Ok(commit.frames.into_iter().next().filter(|frame| frame.pgno == Pgno::FIRST).map(|frame| frame.image))
    }

    /// Forgets everything.
    pub(super) fn discard(&mut self) {
        self.written.clear();
        self.originals.clear();
        self.accounted = PageSet::new();
        self.replaced = Checksum::EMPTY;
        if self.staged.take().is_some() {
            self.store.discard_staged();
        }
    }
}

impl Drop for Uncommitted {
    fn drop(&mut self) {
        self.discard();
    }
}
