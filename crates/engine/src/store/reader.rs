//! Pages of states, for whoever only reads: SQLite's file over a store, or over a copy of some of its pages (`fetch`).

use super::{PageStore, StoreError};
use littoral_protocol::{PageSet, Pgno, State, Txid};
use std::rc::Rc;

/// Reads pages of states.
pub trait PageReader {
    /// Reads the page `pgno` as of `at` into `image`, as [`PageStore::read_page`] does.
    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError>;

    /// Reads consecutive pages, as [`PageStore::read_pages`] does.
    fn read_pages(&self, _first: Pgno, _at: Txid, _page_bytes: usize, _images: &mut [u8]) -> Result<usize, StoreError> {
        Ok(0)
    }

    /// The pages of the state `to` that may be other than in `from`, an earlier or later state that was read here, if that can be told without
    /// effort. Pages after the end of the shorter one need not be among them.
    fn changed_lately(&self, _from: &State, _to: &State) -> Option<PageSet> {
        None
    }

    /// Pages that had to be fetched from elsewhere for the present reading.
    fn pages_fetched(&self) -> u64 {
        0
    }
}

impl PageReader for Rc<dyn PageStore> {
    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError> {
        (**self).read_page(pgno, at, image)
    }

    fn read_pages(&self, first: Pgno, at: Txid, page_bytes: usize, images: &mut [u8]) -> Result<usize, StoreError> {
        (**self).read_pages(first, at, page_bytes, images)
    }

    fn changed_lately(&self, from: &State, to: &State) -> Option<PageSet> {
        let same_size = from.page_size == to.page_size;
        same_size.then(|| (**self).written_lately(from.txid.min(to.txid), from.txid.max(to.txid))).flatten()
    }
}
