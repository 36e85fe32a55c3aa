//! Reading ahead: a scan asks for one page after the other, and a store answers many at once for little more than one.
//!
//! **Invariant:** what is held are pages of one state; whoever moves to another clears it.
//!
//! **Not here:** SQLite's own page cache, which keeps what was read.

use crate::store::{PageReader, StoreError};
use littoral_protocol::{Pgno, State};

/// Pages asked for at once.
const PAGES: usize = 32;
/// Steps forward in a row that make a scan.
const STEPS: u32 = 3;
/// The longest step: a scan's leaves have other pages between them.
const LONGEST_STEP: u32 = 4;

#[derive(Default)]
pub(super) struct ReadAhead {
    /// Consecutive page images from `first`.
    images: Vec<u8>,
    first: u32,
    last_asked: u32,
    steps: u32,
}

impl ReadAhead {
    pub(super) fn clear(&mut self) {
        *self = ReadAhead::default();
    }

    /// Reads a page of `state`.
    pub(super) fn read(&mut self, store: &dyn PageReader, state: &State, pgno: Pgno, image: &mut [u8]) -> Result<(), StoreError> {
        let step = pgno.0.wrapping_sub(self.last_asked);
        self.steps = if (1..=LONGEST_STEP).contains(&step) { self.steps + 1 } else { 0 };
        self.last_asked = pgno.0;
        if let Some(held) = self.held(pgno, image.len()) {
            image.copy_from_slice(held);
            return Ok(());
        }
        if self.steps < STEPS {
            return store.read_page(pgno, state.txid, image);
        }
        self.fill(store, state, pgno, image.len())?;
        match self.held(pgno, image.len()) {
            Some(held) => {
                image.copy_from_slice(held);
                Ok(())
            }
            None => store.read_page(pgno, state.txid, image),
        }
    }

    fn held(&self, pgno: Pgno, page_bytes: usize) -> Option<&[u8]> {
        // In bytes the distance may be more than 32 bits hold.
        let after = pgno.0.checked_sub(self.first)? as usize;
        self.images.chunks_exact(page_bytes).nth(after)
    }

    fn fill(&mut self, store: &dyn PageReader, state: &State, first: Pgno, page_bytes: usize) -> Result<(), StoreError> {
        let count = PAGES.min((state.page_count - first.0 + 1) as usize);
        self.images.resize(count * page_bytes, 0);
        let read = store.read_pages(first, state.txid, page_bytes, &mut self.images);
        self.first = first.0;
        self.images.truncate(*read.as_ref().unwrap_or(&0) * page_bytes);
        // Damage further on is none of this page's business: it is met when its turn comes.
        read.map(drop).or_else(|error| if matches!(error, StoreError::Corrupt { .. }) { Ok(()) } else { Err(error) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, PageStore};
    use littoral_protocol::{Checksum, Commit, Frame, PageSize, Txid};
    use std::rc::Rc;

    #[test]
    fn a_page_four_gigabytes_after_another_is_another() {
        let store: Rc<dyn PageStore> = Rc::new(MemoryStore::new());
        let far = 1 + (1 << 20);
        let frames = [1, 2, 3, 4, 5, far].map(|pgno| Frame::new(Pgno(pgno), vec![pgno as u8 | 0x40; 4_096].into()));
        let state = State { txid: Txid(1), page_size: PageSize::DEFAULT, page_count: far, time_ms: 0, checksum: Checksum::EMPTY };
        store.append(&Commit { state, frames: frames.into() }).unwrap();
        let (mut ahead, mut image) = (ReadAhead { images: vec![7; 5 * 4_096], first: 1, ..ReadAhead::default() }, [0; 4_096]);
        for (pgno, byte) in [(1, 7), (5, 7), (far, 0x41), (2, 7)] {
            ahead.read(&store, &state, Pgno(pgno), &mut image).unwrap();
            assert_eq!(image, [byte; 4_096], "page {pgno}");
        }
    }
}
