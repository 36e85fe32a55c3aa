//! Which pages a commit changed, as stored in the `pages` column of the log, and the same in memory.
//!
//! Where `frames` has the images, the stored list has 16 bytes for each, in the same order, little-endian, ascending by page number:
//!
//! | bytes | content |
//! |---|---|
//! | 4 | page number |
//! | 4 | length of the stored image; the highest bit is set where it is a delta (see `log`) |
//! | 8 | checksum of the image |
//!
//! Where `frames` is NULL the images are in the table `pages`, and the list is a set of page numbers (`PageSet`): of millions, too.
//!
//! After both stand 8 bytes more, the *seal*: XXH64 of the bytes before, seeded by XXH64 of the commit's state. A page number
//! that storage damaged would otherwise hide the newest version of a page behind an older one, which nothing else notices.
//!
//! **Invariants**
//! 1. The offset of an image in `frames` is the sum of the lengths before it.
//! 2. Lists are used only after their seal was checked.
//!
//! **Not here:** the images.

use super::MAX_VALUE_BYTES;
use crate::store::StoreError;
use littoral_protocol::{Checksum, PageSet, Pgno, State, Txid};
use std::collections::HashMap;
use xxhash_rust::xxh64::xxh64;

pub(super) const ENTRY_BYTES: usize = 16;
pub(super) const SEAL_BYTES: usize = 8;
/// The bit of a length that says that the image is a delta.
const DELTA: u32 = 1 << 31;

/// One frame of a commit in the log: where its stored image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) txid: Txid,
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) checksum: Checksum,
    /// It is stored as what is different from the version before.
    pub(super) is_delta: bool,
}

/// What a stored list names.
pub(super) enum Listed {
    /// Frames in the log.
    Log(Vec<(Pgno, Slot)>),
    /// Pages whose images are in the table.
    Table(PageSet),
}

impl Listed {
    /// How many pages.
    pub(super) fn len(&self) -> usize {
        match self {
            Listed::Log(entries) => entries.len(),
            Listed::Table(pages) => pages.len(),
        }
    }

    /// Bytes of the images in the log.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Listed::Log(entries) => entries.iter().map(|(_, slot)| slot.length as usize).sum(),
            Listed::Table(_) => 0,
        }
    }

    /// The pages, one after the other.
    pub(super) fn pages(&self) -> impl Iterator<Item = Pgno> {
        let (logged, in_table) = match self {
            Listed::Log(entries) => (Some(entries.iter().map(|(pgno, _)| *pgno)), None),
            Listed::Table(pages) => (None, Some(pages.iter())),
        };
        logged.into_iter().flatten().chain(in_table.into_iter().flatten())
    }

    /// The pages.
    pub(super) fn into_pages(self) -> PageSet {
        match self {
            Listed::Log(entries) => entries.into_iter().map(|(pgno, _)| pgno).collect(),
            Listed::Table(pages) => pages,
        }
    }
}

/// Appends an entry to a stored list.
pub(super) fn encode_entry(list: &mut Vec<u8>, pgno: Pgno, length: usize, is_delta: bool, checksum: Checksum) {
    let length = length as u32 | if is_delta { DELTA } else { 0 };
    list.extend_from_slice(&pgno.0.to_le_bytes());
    list.extend_from_slice(&length.to_le_bytes());
    list.extend_from_slice(&checksum.0.to_le_bytes());
}

/// Ends a stored list: no entry can be added.
pub(super) fn seal(list: &mut Vec<u8>, state: &State) {
    let seal = seal_of(list, state);
    list.extend_from_slice(&seal);
}

fn seal_of(entries: &[u8], state: &State) -> [u8; SEAL_BYTES] {
    let State { txid, page_size, page_count, time_ms, checksum } = *state;
    let state = [txid.0, page_size.as_u32().into(), page_count.into(), time_ms, checksum.0].map(u64::to_le_bytes);
    xxh64(entries, xxh64(state.as_flattened(), 0)).to_le_bytes()
}

/// The list without its seal, which is checked.
fn unseal<'a>(state: &State, list: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let sealed = list.split_last_chunk::<SEAL_BYTES>().filter(|(entries, seal)| seal_of(entries, state) == **seal);
    sealed.map(|(entries, _)| entries).ok_or_else(|| not_as_written(state.txid))
}

fn not_as_written(txid: Txid) -> StoreError {
    StoreError::Corrupt { what: format!("the log row of commit {txid} is not what was written") }
}

/// Reads the list of frames that is stored with `state`.
pub(super) fn decode_entries(state: &State, list: &[u8]) -> Result<Vec<(Pgno, Slot)>, StoreError> {
    let txid = state.txid;
    let (entries, rest) = unseal(state, list)?.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() {
        return Err(not_as_written(txid));
    }
    let mut offset = 0u32;
    let decode = |entry: &[u8; ENTRY_BYTES]| {
        let word = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        let (length, is_delta) = (word(4) & !DELTA, word(4) & DELTA != 0);
        let checksum = Checksum(u64::from(word(8)) | u64::from(word(12)) << 32);
        let slot = Slot { txid, offset, length, checksum, is_delta };
        offset = offset.wrapping_add(length);
        (Pgno(word(0)), slot)
    };
    Ok(entries.iter().map(decode).collect())
}

/// Reads the set of pages that is stored with `state`.
pub(super) fn decode_pages(state: &State, list: &[u8]) -> Result<PageSet, StoreError> {
    PageSet::from_bytes(unseal(state, list)?).ok_or_else(|| not_as_written(state.txid))
}

/// The list of these pages, stored with `state`.
pub(super) fn encode_pages(state: &State, pages: &PageSet) -> Result<Vec<u8>, StoreError> {
    let mut list = pages.to_bytes();
    seal(&mut list, state);
    if list.len() > MAX_VALUE_BYTES {
        return Err(StoreError::Full(format!("a list of {} pages does not fit one value", pages.len())));
    }
    Ok(list)
}

/// The frames of a run of commits, by page; for each page in ascending order of txid.
#[derive(Default)]
pub(super) struct Index {
    slots: HashMap<Pgno, Vec<Slot>>,
    /// The same pages, in the order of the commits.
    written: Vec<(Txid, Pgno)>,
    bytes: u64,
}

impl Index {
    pub(super) fn add(&mut self, entries: Vec<(Pgno, Slot)>) {
        self.written.extend(entries.iter().map(|(pgno, slot)| (slot.txid, *pgno)));
        let images: u64 = entries.iter().map(|(_, slot)| u64::from(slot.length)).sum();
        self.bytes += images + (entries.len() * ENTRY_BYTES + SEAL_BYTES) as u64;
        for (pgno, slot) in entries {
            self.slots.entry(pgno).or_default().push(slot);
        }
    }

    /// The newest frame of `pgno` that is not newer than `at`, and before it those that it hangs on. Empty: there is none.
    pub(super) fn chain(&self, pgno: Pgno, at: Txid) -> &[Slot] {
        let slots = self.slots.get(&pgno).map_or(&[][..], Vec::as_slice);
        let until = &slots[..slots.partition_point(|slot| slot.txid <= at)];
        let whole = until.iter().rposition(|slot| !slot.is_delta).unwrap_or(0);
        &until[whole..]
    }

    /// The newest frame of every page, ordered by where it is stored.
    pub(super) fn newest_of_all(&self) -> Vec<(Pgno, Slot)> {
        let mut newest: Vec<_> = self.slots.iter().filter_map(|(pgno, slots)| Some((*pgno, *slots.last()?))).collect();
        newest.sort_by_key(|(pgno, slot)| (slot.txid, *pgno));
        newest
    }

    /// Bytes of their lists and images.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Frames in all.
    pub(super) fn frames(&self) -> usize {
        self.written.len()
    }

    /// The pages that the commits after `after`, up to `until`, wrote.
    pub(super) fn written_between(&self, after: Txid, until: Txid) -> PageSet {
        let first = self.written.partition_point(|(txid, _)| *txid <= after);
        self.written[first..].iter().take_while(|(txid, _)| *txid <= until).map(|(_, pgno)| *pgno).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_encoding_and_know_their_offsets() {
        let mut list = Vec::new();
        encode_entry(&mut list, Pgno(1), 100, false, Checksum(7));
        encode_entry(&mut list, Pgno(9), 50, true, Checksum(u64::MAX));
        let state = State { txid: Txid(3), ..State::EMPTY };
        seal(&mut list, &state);
        let entries = decode_entries(&state, &list).unwrap();
        let slot = |offset, length, is_delta, checksum| Slot { txid: Txid(3), offset, length, checksum: Checksum(checksum), is_delta };
        assert_eq!(entries, [(Pgno(1), slot(0, 100, false, 7)), (Pgno(9), slot(100, 50, true, u64::MAX))]);
        assert!(decode_entries(&state, &list[1..]).is_err());
        assert!(decode_entries(&state, &[]).is_err());
        assert!(decode_entries(&State { page_count: 1, ..state }, &list).is_err());
    }

    #[test]
    fn a_version_as_of_a_txid_is_there_with_what_it_hangs_on() {
        let mut index = Index::default();
        for (txid, is_delta) in [(2, false), (5, true), (6, true), (8, false), (9, true)] {
            let slot = Slot { txid: Txid(txid), offset: 0, length: 1, checksum: Checksum(txid), is_delta };
            index.add(vec![(Pgno(4), slot)]);
        }
        let chain = |at| index.chain(Pgno(4), Txid(at)).iter().map(|slot| slot.txid.0).collect::<Vec<_>>();
        assert_eq!([1, 2, 4, 5, 7, 8, 99].map(chain), [vec![], vec![2], vec![2], vec![2, 5], vec![2, 5, 6], vec![8], vec![8, 9]]);
        assert!(index.chain(Pgno(5), Txid(9)).is_empty());
    }
}
