//! Pages of states, for whoever only reads: SQLite's file over a store, or over a copy of some of its pages (`fetch`).

use super::{PageStore, StoreError};
use littoral_protocol::{Pgno, Txid};
use std::rc::Rc;

/// Reads pages of states.
pub trait PageReader {
    /// Reads the page `pgno` as of `at` into `image`, as [`PageStore::read_page`] does.
    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError>;

    /// Reads consecutive pages, as [`PageStore::read_pages`] does.
    fn read_pages(&self, _first: Pgno, _at: Txid, _page_bytes: usize, _images: &mut [u8]) -> Result<usize, StoreError> {
        Ok(0)
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
}
