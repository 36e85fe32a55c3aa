//! Versions of pages in the log: whole, or what is different from the version before.
//!
//! A row of a busy table is a few bytes of a page that is stored again with every commit. So where the log has the version before already, and
//! it is at hand (`images`), an LZ4 block with that version as its dictionary is stored, if it is much smaller. After at most
//! [`MOST_DELTAS`] of them follows a whole image.
//!
//! **Invariants**
//! 1. A chain does not leave the stretch between two folds, whose log goes as a whole.
//! 2. What is sent and what a fold writes is whole.
//!
//! **Not here:** which versions there are (`index`); old versions in the table `pages` (`delta`).

use super::index::{Slot, encode_entry};
use super::row::{RowReader, cut_frame};
use super::{DurableStore, Param, Sql};
use crate::store::{PageStore, StoreError, codec};
use littoral_protocol::{Checksum, Frame, Pgno, Txid};
use std::borrow::Cow;
use std::rc::Rc;

/// Deltas that may hang on one another: what a version costs to read, against what it costs to keep.
const MOST_DELTAS: usize = 12;
/// The part of a page that a delta may take, at most.
const DELTA_PART: usize = 4;

impl<Q: Sql> DurableStore<Q> {
    /// Appends a version to a commit's list and images, in the form that is shorter.
    pub(super) fn log_frame(&self, frame: &Frame, list: &mut Vec<u8>, images: &mut Vec<u8>) {
        let Frame { pgno, image, checksum } = frame;
        let delta = self.delta_of(*pgno, image);
        let is_delta = delta.is_some();
        let stored = delta.map_or_else(|| codec::compress(image), Cow::Owned);
        encode_entry(list, *pgno, stored.len(), is_delta, *checksum);
        images.extend_from_slice(&stored);
    }

    /// What is different from the newest version, if that is worth it.
    fn delta_of(&self, pgno: Pgno, image: &[u8]) -> Option<Vec<u8>> {
        let kept = self.kept.borrow();
        let chain = kept.recent.chain(pgno, kept.head.txid);
        let newest = chain.last().filter(|_| chain.len() <= MOST_DELTAS)?;
        let base = self.logged(pgno, *newest, image.len())?;
        let delta = codec::compress_against(image, &base);
        (delta.len() <= image.len() / DELTA_PART).then_some(delta)
    }

    /// The image of a version, if it is at hand. It is checked: what overwrote it in memory would be in all that hangs on it.
    fn logged(&self, pgno: Pgno, version: Slot, bytes: usize) -> Option<Rc<[u8]>> {
        let image = self.images.get(pgno, version.txid).filter(|image| image.len() == bytes)?;
        (Checksum::of_page(pgno, &image) == version.checksum).then_some(image)
    }

    /// The image of the last version of a chain, checked.
    pub(super) fn read_chain(&self, pgno: Pgno, chain: &[Slot], image: &mut [u8]) -> Result<(), StoreError> {
        let Some(version) = chain.last() else {
            return Err(StoreError::Corrupt { what: format!("page {pgno} has no version in the log") });
        };
        if let Some(logged) = self.logged(pgno, *version, image.len()) {
            image.copy_from_slice(&logged);
            return Ok(());
        }
        let mut base = Vec::new();
        for slot in chain {
            let stored = self.log_image(pgno, *slot)?;
            if !slot.is_delta {
                codec::expand_unchecked(&stored, image, pgno, slot.txid)?;
                continue;
            }
            if slot == &chain[0] {
                return Err(StoreError::damaged_page(pgno, slot.txid, "what it differs from is missing"));
            }
            base.clear();
            base.extend_from_slice(image);
            codec::expand_against(&stored, &base, image, pgno, slot.txid)?;
        }
        codec::check(image, pgno, version.txid, version.checksum)
    }

    /// The stored image of a version in the log row of its commit, whole, and checked: `image` has it then.
    pub(super) fn whole<'f>(&self, pgno: Pgno, slot: Slot, frames: &'f [u8], image: &mut [u8]) -> Result<Cow<'f, [u8]>, StoreError> {
        let stored = cut_frame(frames, pgno, slot)?;
        if !slot.is_delta {
            codec::expand(stored, image, pgno, slot.txid, slot.checksum)?;
            return Ok(Cow::Borrowed(stored));
        }
        self.read_page(pgno, slot.txid, image)?;
        Ok(Cow::Owned(codec::compress(image).into_owned()))
    }

    /// All stored images of a commit.
    pub(super) fn log_row(&self, txid: Txid) -> Result<Vec<u8>, StoreError> {
        let row = self.one("SELECT frames FROM commits WHERE txid = ?1", &[Param::Int(txid.0)])?;
        RowReader::new(row.unwrap_or_default()).blob()
    }

    fn log_image(&self, pgno: Pgno, slot: Slot) -> Result<Vec<u8>, StoreError> {
        let params = [Param::Int(slot.txid.0), Param::Int(u64::from(slot.offset) + 1), Param::Int(u64::from(slot.length))];
        let row = self.one("SELECT substr(frames, ?2, ?3) FROM commits WHERE txid = ?1", &params)?;
        row.map_or_else(|| Err(StoreError::damaged_page(pgno, slot.txid, "its commit is missing")), |row| RowReader::new(row).blob())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PageStore;
    use crate::store::durable::HostSql;
    use littoral_protocol::{Commit, PageSize, State};

    const COMMITS: u64 = 60;

    /// A page that no compression makes smaller, of which a few bytes are others in each version; after 40 all are.
    fn image(txid: u64) -> Box<[u8]> {
        let mut noise = if txid > 40 { 77u64 } else { 7 };
        let mut image: Box<[u8]> = (0..4096)
            .map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (noise >> 56) as u8
            })
            .collect();
        (0..txid).for_each(|txid| image[txid as usize * 50..][..8].copy_from_slice(&txid.to_be_bytes()));
        image
    }

    fn store() -> (Rc<HostSql>, DurableStore<Rc<HostSql>>) {
        let sql = Rc::new(HostSql::in_memory().unwrap());
        let store = DurableStore::open(sql.clone()).unwrap();
        for txid in 1..=COMMITS {
            let frame = Frame::new(Pgno(1), image(txid));
            let state =
                State { txid: Txid(txid), page_size: PageSize::new(4096).unwrap(), page_count: 1, time_ms: 0, checksum: frame.checksum };
            store.append(&Commit { state, frames: vec![frame] }).unwrap();
        }
        (sql, store)
    }

    fn lengths(sql: &HostSql) -> Vec<u64> {
        let rows = sql.rows("SELECT length(frames) FROM commits ORDER BY txid", &[]).unwrap();
        rows.into_iter().map(|row| RowReader::new(row).int().unwrap()).collect()
    }

    #[test]
    fn what_is_different_is_stored_and_the_whole_is_read() {
        let (sql, store) = store();
        let (whole, deltas): (Vec<u64>, Vec<u64>) = lengths(&sql).into_iter().partition(|length| *length > 3_000);
        assert_eq!(whole.len(), 40_usize.div_ceil(MOST_DELTAS + 1) + 20_usize.div_ceil(MOST_DELTAS + 1));
        assert!(deltas.iter().all(|length| *length < 100), "{deltas:?}");
        assert_as_written(&store);
        assert_as_written(&DurableStore::open(sql.clone()).unwrap());
        store.fold().unwrap();
        assert_as_written(&store);
        assert_as_written(&DurableStore::open(sql).unwrap());
    }

    fn assert_as_written(store: &DurableStore<Rc<HostSql>>) {
        let mut found = vec![0; 4096];
        for txid in 1..=COMMITS {
            store.read_page(Pgno(1), Txid(txid), &mut found).unwrap();
            assert!(found[..] == image(txid)[..], "as of {txid}");
        }
        for commit in store.log_after(Txid(0), usize::MAX).unwrap() {
            assert_eq!(commit.frames[0].image, image(commit.state.txid.0));
        }
    }

    #[test]
    fn an_image_that_was_overwritten_in_memory_is_no_base() {
        let (sql, store) = store();
        store.images.note(Pgno(1), Txid(COMMITS), &[0; 4096]);
        let frame = Frame::new(Pgno(1), image(COMMITS + 1));
        let state = State { txid: Txid(COMMITS + 1), checksum: frame.checksum, ..store.head() };
        store.append(&Commit { state, frames: vec![frame] }).unwrap();
        let mut found = vec![0; 4096];
        DurableStore::open(sql).unwrap().read_page(Pgno(1), state.txid, &mut found).unwrap();
        assert!(found[..] == image(COMMITS + 1)[..]);
    }

    #[test]
    fn a_damaged_version_takes_with_it_what_hangs_on_it_and_nothing_else() {
        let (sql, _) = store();
        sql.connection().execute_batch("UPDATE commits SET frames = zeroblob(length(frames)) WHERE txid = 17").unwrap();
        let store = DurableStore::open(sql).unwrap();
        let mut found = vec![0; 4096];
        for txid in 1..=COMMITS {
            let read = store.read_page(Pgno(1), Txid(txid), &mut found);
            assert_eq!(read.is_err(), (17..=26).contains(&txid), "as of {txid}: {read:?}");
            assert!(read.is_err() || found[..] == image(txid)[..]);
        }
        assert_eq!(store.page_checksum(Pgno(1), Txid(20)), Ok(Checksum::of_page(Pgno(1), &image(20))));
    }
}
