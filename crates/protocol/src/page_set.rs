//! Sets of pages: what a commit changed, from one page to millions, in little memory.
//!
//! A set of a whole database of 10 GB takes 320 KB at most. As bytes it is a Roaring bitmap in its portable form
//! (<https://github.com/RoaringBitmap/RoaringFormatSpec>).
//!
//! **Not here:** checksums: whoever stores a set seals it.

use crate::Pgno;
use roaring::RoaringBitmap;
use std::fmt;
use std::ops::RangeInclusive;

/// Page numbers, ascending.
///
/// ```
/// use littoral_protocol::{PageSet, Pgno};
///
/// let pages: PageSet = [Pgno(7), Pgno(2), Pgno(7)].into_iter().collect();
/// assert_eq!(pages.iter().collect::<Vec<_>>(), [Pgno(2), Pgno(7)]);
/// assert_eq!(PageSet::from_bytes(&pages.to_bytes()), Some(pages));
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct PageSet(RoaringBitmap);

impl PageSet {
    /// No pages.
    pub fn new() -> PageSet {
        PageSet::default()
    }

    /// Adds a page. Returns whether it was not there.
    pub fn insert(&mut self, pgno: Pgno) -> bool {
        self.0.insert(pgno.0)
    }

    /// Takes a page out. Returns whether it was there.
    pub fn remove(&mut self, pgno: Pgno) -> bool {
        self.0.remove(pgno.0)
    }

    /// Adds the pages of another set.
    pub fn add(&mut self, other: &PageSet) {
        self.0 |= &other.0;
    }

    /// Adds consecutive pages.
    pub fn insert_range(&mut self, numbers: RangeInclusive<u32>) {
        self.0.insert_range(numbers);
    }

    /// Takes the pages after `last` out, and returns them.
    pub fn split_after(&mut self, last: u32) -> PageSet {
        let mut cut = self.0.clone();
        cut.remove_range(..=last);
        self.0 -= &cut;
        PageSet(cut)
    }

    /// Whether the page is there.
    pub fn contains(&self, pgno: Pgno) -> bool {
        self.0.contains(pgno.0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len() as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last one.
    pub fn last(&self) -> Option<Pgno> {
        self.0.max().map(Pgno)
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Pgno> + '_ {
        self.0.iter().map(Pgno)
    }

    /// The set as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.serialized_size());
        // A Vec takes all that is written.
        let _ = self.0.serialize_into(&mut bytes);
        bytes
    }

    /// A set of bytes; `None`: they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<PageSet> {
        let mut rest = bytes;
        let set = RoaringBitmap::deserialize_from(&mut rest).ok()?;
        (rest.is_empty() && !set.contains(0)).then_some(PageSet(set))
    }
}

impl FromIterator<Pgno> for PageSet {
    fn from_iter<I: IntoIterator<Item = Pgno>>(pages: I) -> PageSet {
        PageSet(pages.into_iter().map(|pgno| pgno.0).collect())
    }
}

impl fmt::Debug for PageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_set_of_pages_is_a_set(numbers in prop::collection::btree_set(1u32..200_000, 0..300), last in 0u32..200_000) {
            let mut set: PageSet = numbers.iter().copied().map(Pgno).collect();
            prop_assert_eq!(PageSet::from_bytes(&set.to_bytes()), Some(set.clone()));
            prop_assert_eq!(set.len(), numbers.len());
            let cut = set.split_after(last);
            let (kept, gone): (BTreeSet<u32>, BTreeSet<u32>) = numbers.iter().partition(|number| **number <= last);
            prop_assert_eq!(set.iter().map(|pgno| pgno.0).collect::<BTreeSet<_>>(), kept);
            prop_assert_eq!(cut.iter().map(|pgno| pgno.0).collect::<BTreeSet<_>>(), gone);
        }

        #[test]
        fn any_bytes_are_a_set_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(set) = PageSet::from_bytes(&bytes) {
                prop_assert!(!set.contains(Pgno(0)));
            }
        }
    }

    #[test]
    fn a_set_of_a_large_database_is_small() {
        // Of 10 GB every second page, and all of them.
        let pages = (10_000_000_000_u64 / 4_096) as u32;
        assert!(PageSet::from_iter((1..=pages).step_by(2).map(Pgno)).to_bytes().len() < 320_000);
        let mut all = PageSet::new();
        all.insert_range(1..=pages);
        assert!(all.to_bytes().len() < 1_000);
    }

    #[test]
    fn what_is_cut_or_too_long_is_no_set() {
        let bytes = PageSet::from_iter([Pgno(1), Pgno(70_000)]).to_bytes();
        assert_eq!(PageSet::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(PageSet::from_bytes(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(PageSet::from_bytes(&PageSet(RoaringBitmap::from_iter([0])).to_bytes()), None);
    }
}
