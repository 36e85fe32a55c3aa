//! The bounded page cache: versions of pages in memory, of all followers of an isolate together.
//!
//! A version is an image and the txids at which the page looked like that. The newest version of a page has no end yet: it is good for the
//! follower's position, however far that moves, until a commit changes the page.
//!
//! **Invariants**
//! 1. The bytes held never exceed the budget by more than one page's versions.
//! 2. Versions of a page do not overlap.
//! 3. What is evicted can be fetched again: eviction is never an error.
//!
//! **Not here:** where pages come from (`follower`, `fetch`).

use littoral_protocol::{Checksum, Pgno, Txid};
use lru::LruCache;
use std::rc::Rc;

/// Bytes that an entry takes beside the image, about.
const ENTRY_BYTES: usize = 128;

/// Tells the pages of one follower from those of others; a follower that begins anew takes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(u64);

/// A page image with the txids at which it is right.
#[derive(Clone, Debug)]
pub struct Version {
    /// The first txid at which it is known to be right.
    pub since: Txid,
    /// The last; `None`: the follower's position, wherever that is.
    pub until: Option<Txid>,
    /// The page.
    pub image: Rc<[u8]>,
    /// Its checksum.
    pub checksum: Checksum,
}

impl Version {
    /// Whether it is right at `at`, which is not beyond the follower's position.
    fn covers(&self, at: Txid) -> bool {
        self.since <= at && self.until.is_none_or(|until| at <= until)
    }

    fn overlaps(&self, other: &Version) -> bool {
        self.until.is_none_or(|until| other.since <= until) && other.until.is_none_or(|until| self.since <= until)
    }
}

/// Pages in memory, the least recently used leaving first.
pub struct PageCache {
    pages: LruCache<(Owner, Pgno), Vec<Version>>,
    bytes: usize,
    budget: usize,
    owners: u64,
}

impl PageCache {
    /// A cache for `budget` bytes.
    pub fn new(budget: usize) -> PageCache {
        PageCache { pages: LruCache::unbounded(), bytes: 0, budget, owners: 0 }
    }

    /// A name for a follower's pages.
    pub fn owner(&mut self) -> Owner {
        self.owners += 1;
        Owner(self.owners)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The page as of `at`.
    pub fn get(&mut self, owner: Owner, pgno: Pgno, at: Txid) -> Option<&Version> {
        self.pages.get(&(owner, pgno))?.iter().find(|version| version.covers(at))
    }

    /// Whether the page is held as of `at`, which does not count as a use.
    pub fn holds(&self, owner: Owner, pgno: Pgno, at: Txid) -> bool {
        self.pages.peek(&(owner, pgno)).is_some_and(|versions| versions.iter().any(|version| version.covers(at)))
    }

    /// The version without an end.
    pub fn newest(&self, owner: Owner, pgno: Pgno) -> Option<&Version> {
        self.pages.peek(&(owner, pgno))?.iter().find(|version| version.until.is_none())
    }

    /// Takes a version in. Where others cover some of its txids, the longer ones stay as they are.
    pub fn insert(&mut self, owner: Owner, pgno: Pgno, mut version: Version) {
        const END: Txid = Txid(u64::MAX);
        let last = version.until.unwrap_or(END);
        let versions = self.pages.get_or_insert_mut((owner, pgno), Vec::new);
        let held: usize = versions.iter().map(cost).sum();
        versions.retain(|other| other.since < version.since || other.until.unwrap_or(END) > last);
        let since = version.since;
        let earlier = versions.iter().filter(|other| other.since < since).map(|other| other.until.map_or(END, Txid::next));
        version.since = earlier.fold(since, Txid::max);
        let is_new = version.since <= last && versions.iter().all(|other| !version.overlaps(other));
        if is_new {
            versions.push(version);
        }
        let bytes: usize = versions.iter().map(cost).sum();
        self.bytes = self.bytes + bytes - held;
        self.evict();
    }

    /// A commit has changed the page: its newest version ends before `txid`. Versions stay only where `needed` says so.
    pub fn end_newest(&mut self, owner: Owner, pgno: Pgno, txid: Txid, needed: impl Fn(Txid, Txid) -> bool) {
        let Some(versions) = self.pages.peek_mut(&(owner, pgno)) else { return };
        let before = Txid(txid.0.saturating_sub(1));
        for version in versions.iter_mut().filter(|version| version.until.is_none()) {
            version.until = Some(before);
        }
        let held: usize = versions.iter().map(cost).sum();
        versions.retain(|version| needed(version.since, version.until.unwrap_or(before)));
        let kept: usize = versions.iter().map(cost).sum();
        let empty = versions.is_empty();
        self.bytes -= held - kept;
        if empty {
            self.pages.pop(&(owner, pgno));
        }
    }

    fn evict(&mut self) {
        while self.bytes > self.budget && self.pages.len() > 1 {
            let Some((_, versions)) = self.pages.pop_lru() else { return };
            self.bytes -= versions.iter().map(cost).sum::<usize>();
        }
    }
}

fn cost(version: &Version) -> usize {
    version.image.len() + ENTRY_BYTES
}

#[cfg(test)]
impl PageCache {
    /// All that is held for a follower.
    pub(super) fn versions(&self, owner: Owner) -> Vec<(Pgno, Version)> {
        let pages = self.pages.iter().filter(|((other, _), _)| *other == owner);
        pages.flat_map(|((_, pgno), versions)| versions.iter().map(|version| (*pgno, version.clone()))).collect()
    }

    /// Whether the invariants hold.
    pub(super) fn check(&self) -> Result<(), String> {
        for ((_, pgno), versions) in &self.pages {
            for (index, version) in versions.iter().enumerate() {
                if let Some(other) = versions[..index].iter().find(|other| other.overlaps(version)) {
                    return Err(format!(
                        "versions of page {pgno} overlap: {:?} and {:?}",
                        (other.since, other.until),
                        (version.since, version.until)
                    ));
                }
            }
        }
        let bytes: usize = self.pages.iter().flat_map(|(_, versions)| versions).map(cost).sum();
        if bytes == self.bytes { Ok(()) } else { Err(format!("{bytes} bytes are held, not {}", self.bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(since: u64, until: Option<u64>) -> Version {
        Version { since: Txid(since), until: until.map(Txid), image: vec![since as u8; 512].into(), checksum: Checksum(since) }
    }

    #[test]
    fn the_budget_holds_and_the_least_used_page_leaves() {
        let mut cache = PageCache::new(10 * (512 + ENTRY_BYTES));
        let owner = cache.owner();
        for pgno in 1..=20 {
            cache.insert(owner, Pgno(pgno), version(1, None));
            assert!(cache.get(owner, Pgno(1), Txid(5)).is_some(), "a page in use stays");
        }
        assert!(cache.bytes() <= 10 * (512 + ENTRY_BYTES));
        assert!(!cache.holds(owner, Pgno(2), Txid(5)));
        let other = cache.owner();
        assert!(!cache.holds(other, Pgno(1), Txid(5)), "pages belong to their owner");
    }

    #[test]
    fn versions_end_where_the_page_changed() {
        let mut cache = PageCache::new(1 << 20);
        let owner = cache.owner();
        cache.insert(owner, Pgno(1), version(3, None));
        cache.end_newest(owner, Pgno(1), Txid(7), |since, until| since <= Txid(5) && Txid(5) <= until);
        cache.insert(owner, Pgno(1), version(7, None));
        assert!(!cache.holds(owner, Pgno(1), Txid(2)));
        assert_eq!(cache.get(owner, Pgno(1), Txid(6)).map(|version| version.since), Some(Txid(3)));
        assert_eq!(cache.get(owner, Pgno(1), Txid(7)).map(|version| version.since), Some(Txid(7)));
        cache.end_newest(owner, Pgno(1), Txid(9), |_, _| false);
        assert_eq!(cache.bytes(), 0);
    }
}
