//! The images that were logged last, of all databases of the isolate: the next version of such a page is stored as what is different from it,
//! and read without asking storage.
//!
//! **Invariant:** an image is what the commit that it is noted with has stored.
//!
//! **Not here:** how a version is stored (`log`).

use littoral_protocol::{Pgno, Txid};
use lru::LruCache;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Bytes of images, of all databases together.
const MOST_BYTES: usize = 4 << 20;

thread_local! {
    static LOGGED: RefCell<Logged> = RefCell::new(Logged { images: LruCache::unbounded(), bytes: 0 });
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

struct Logged {
    images: LruCache<(u64, Pgno), Image>,
    bytes: usize,
}

/// The image of a page.
#[derive(Clone)]
struct Image {
    txid: Txid,
    bytes: Rc<[u8]>,
}

/// One store's images.
pub(super) struct Images {
    store: u64,
}

impl Images {
    /// Those of a store that has logged nothing yet.
    pub(super) fn new() -> Images {
        Images { store: NEXT.replace(NEXT.get() + 1) }
    }

    /// Notes what the commit `txid` has stored.
    pub(super) fn note(&self, pgno: Pgno, txid: Txid, image: &[u8]) {
        LOGGED.with_borrow_mut(|logged| {
            logged.bytes += image.len();
            let replaced = logged.images.put((self.store, pgno), Image { txid, bytes: image.into() });
            logged.bytes -= replaced.map_or(0, |image| image.bytes.len());
            while logged.bytes > MOST_BYTES
                && let Some((_, image)) = logged.images.pop_lru()
            {
                logged.bytes -= image.bytes.len();
            }
        });
    }

    /// The image of a page as the commit `txid` has stored it, if it is still here.
    pub(super) fn get(&self, pgno: Pgno, txid: Txid) -> Option<Rc<[u8]>> {
        let image = LOGGED.with_borrow_mut(|logged| logged.images.get(&(self.store, pgno)).cloned());
        image.filter(|image| image.txid == txid).map(|image| image.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_the_longest_ago_go_first_and_no_store_sees_those_of_another() {
        let (one, other) = (Images::new(), Images::new());
        let image = vec![1; 65_536];
        for pgno in 1..=100 {
            one.note(Pgno(pgno), Txid(7), &image);
            one.note(Pgno(pgno), Txid(8), &image);
        }
        let kept: Vec<u32> = (1..=100).filter(|pgno| one.get(Pgno(*pgno), Txid(8)).is_some()).collect();
        assert_eq!(kept, (37..=100).collect::<Vec<_>>());
        assert!(one.get(Pgno(100), Txid(7)).is_none() && other.get(Pgno(100), Txid(8)).is_none());
        other.note(Pgno(100), Txid(8), &image[..512]);
        assert_eq!(
            [one.get(Pgno(100), Txid(8)), other.get(Pgno(100), Txid(8))].map(|image| image.map(|image| image.len())),
            [Some(65_536), Some(512)]
        );
    }
}
