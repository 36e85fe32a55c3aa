//! Pages from elsewhere: whoever has some pages of a state reads them, and fetches the others while SQLite waits.
//!
//! | part | what it does |
//! |---|---|
//! | [`Holder`] | has some pages, and keeps what was fetched: a replica's follower |
//! | [`FetchingReader`] | pages for SQLite: those held, and those that are missing, with what is likely to be next |
//! | [`Claims`] | which pages are being fetched, so that each is fetched once |
//! | [`Fetcher`] | the way to a source, for one query |
//!
//! **Not here:** where pages are kept and how long they are right (the holder), what answers (`replica::Source`), the network.

pub(crate) mod btree;
mod claims;
mod lookups;
mod prefetch;
mod reader;
#[cfg(test)]
mod tests;

pub use claims::Claims;
#[cfg(test)]
pub(crate) use reader::AskedPages;
pub use reader::FetchingReader;

use crate::commit_log::{Message, Pages};
use crate::store::StoreError;
use littoral_protocol::{DatabaseId, PageSet, Pgno, Txid};
use std::rc::Rc;

/// Whoever has some pages of some states of a database.
///
/// **Invariant:** a page that is held is right, at every txid that it is read at, for as long as the epoch stays.
pub trait Holder {
    /// Counts how often it began anew: what was read before is of no use after. `None`: it holds pages of another database.
    fn epoch(&self, database: DatabaseId) -> Option<u64>;

    /// The page as of `at`, if it is held.
    fn read(&self, pgno: Pgno, at: Txid) -> Result<Option<Rc<[u8]>>, StoreError>;

    /// Whether the page need not be fetched, as far as can be told at once.
    fn holds(&self, pgno: Pgno, at: Txid) -> bool;

    /// The pages that commits after `after`, up to `until`, wrote, if it remembers all of those commits.
    fn written_lately(&self, _after: Txid, _until: Txid) -> Option<PageSet> {
        None
    }

    /// Takes pages that were fetched, all or none: each has to be checked. Those that it has no room for it may forget.
    fn keep(&self, pages: &Pages) -> Result<(), StoreError>;

    /// What is being fetched for it: the same claims every time.
    fn claims(&self) -> Claims;
}

/// Carries questions for pages to a source, for one query.
pub trait Fetcher {
    /// Asks, and returns the answer. The caller's stack waits; others go on.
    fn fetch(&self, question: &Message) -> Result<Message, StoreError>;

    /// Waits until a fetch of another query has ended. `false`: it has waited long enough.
    fn wait(&self) -> Result<bool, StoreError>;

    /// Wakes those that wait: a fetch has ended.
    fn wake(&self);
}
