//! Reads answered by a replica: in the memory of an isolate, or in a replica object.
//!
//! An [`Edge`] is what the databases of one isolate share: a page cache, and a few open connections. A [`Replica`] is one database there. A
//! request that it cannot answer well (a write, a session that is ahead, too many missing pages, an error) goes on to the next tier, whole and
//! unchanged: a replica gives answers only, never errors.
//!
//! The runtime is behind [`Link`](littoral_engine::replica::Link): one request's way to the next tier.
//!
//! **Invariants**
//! 1. A query reads one state from beginning to end, however long it waits for pages meanwhile.
//! 2. A query that does not have to wait for a page runs without a suspension, and without a promise.
//! 3. The page cache and the number of connections are bounded, for all databases together.
//!
//! **Not here:** deciding who may answer (`session`), moving forward (`replica`).

#[cfg(target_arch = "wasm32")]
mod binding;
#[cfg(target_arch = "wasm32")]
pub(crate) mod isolate;
mod pool;
mod replica;
#[cfg(target_arch = "wasm32")]
pub(crate) mod route;
mod rows;
#[cfg(test)]
mod tests;

#[cfg(target_arch = "wasm32")]
pub use binding::{Namespaces, open, open_in};
pub use replica::{Outcome, Replica};

use littoral_engine::engine::{Limits, Setup};
use littoral_engine::replica::{Driver, Follower, PageCache, PageShelf};
use pool::Pool;
use std::cell::RefCell;
use std::rc::Rc;

/// How often a replica pulls while it is read, in milliseconds: one that asks, and one that is told of news.
const ASKING_POLL_MS: u64 = 25;
const TOLD_POLL_MS: u64 = 500;

/// What an isolate's replicas may take.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Bytes of the page cache, of all databases together.
    pub cache_bytes: usize,
    /// Connections that are open at once, of all databases together. A query that finds none waits for one, for a moment, and then goes on to
    /// the next tier.
    pub connections: usize,
    /// Reads that take long, of those: they let others have their turn. Those beyond go on to the next tier.
    pub long_reads: usize,
    /// Connections that stay open when no query uses them.
    pub idle_connections: usize,
    /// What each connection is opened with.
    pub setup: Setup,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { cache_bytes: 32 << 20, connections: 64, long_reads: 8, idle_connections: 16, setup: Setup::default().for_replicas() }
    }
}

/// What the replicas of an isolate share. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    cache: Rc<RefCell<PageCache>>,
    pool: Rc<RefCell<Pool>>,
}

impl Edge {
    /// An edge with this budget.
    pub fn new(budget: Budget) -> Edge {
        let cache = Rc::new(RefCell::new(PageCache::new(budget.cache_bytes)));
        Edge { cache, pool: Rc::new(RefCell::new(Pool::new(budget))) }
    }

    /// A replica in memory only. Nobody tells it of news: it asks.
    pub fn replica(&self, prefetch_pages: usize) -> Replica {
        self.with_follower(Follower::new(self.cache.clone()), prefetch_pages, ASKING_POLL_MS, None)
    }

    /// A replica that also keeps pages on a shelf, and that its source tells of news. Where reads may be `max_staleness_ms` old, it keeps
    /// half of that for the followers behind it: those may have the other half.
    pub fn replica_with_shelf(&self, shelf: Box<dyn PageShelf>, prefetch_pages: usize, max_staleness_ms: Option<u64>) -> Replica {
        let half = max_staleness_ms.map(|staleness| staleness / 2);
        let poll_ms = half.map_or(TOLD_POLL_MS, |half| half.min(TOLD_POLL_MS));
        self.with_follower(Follower::with_shelf(self.cache.clone(), shelf), prefetch_pages, poll_ms, half)
    }

    fn with_follower(&self, follower: Follower, prefetch_pages: usize, poll_ms: u64, relayed_age_ms: Option<u64>) -> Replica {
        follower.prefetch_at_most(prefetch_pages);
        Replica::new(Driver::new(Rc::new(RefCell::new(follower)), poll_ms, relayed_age_ms), self.pool.clone())
    }

    /// Opens connections with these limits of a primary's from now on.
    pub fn set_limits(&self, limits: &Limits) {
        self.pool.borrow_mut().set_limits(limits.for_replicas());
    }

    /// Bytes in the page cache.
    pub fn cached_bytes(&self) -> usize {
        self.cache.borrow().bytes()
    }
}
