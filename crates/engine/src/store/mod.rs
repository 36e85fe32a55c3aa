//! The page store: every version of every page that is still kept, and the log of the commits that made them.
//!
//! [`PageStore`] is the contract between SQLite's file calls above (`vfs`) and storage below. Implementations: [`MemoryStore`] (the
//! reference), [`DurableStore`] (a Durable Object's SQL storage, or a local file with the same tables) and [`FaultyStore`] (fails
//! where a test says; feature `testing`). One suite of contract tests ([`suite`]) runs over all of them. Around a durable one that lacks pages
//! is a [`BranchStore`](crate::branch::BranchStore), which is tested as a database.
//!
//! **Not here:** what pages mean (SQLite), who may read which state (`engine`, `session`), how commits travel.

mod codec;
pub mod durable;
#[cfg(feature = "testing")]
mod faulty;
mod header;
mod load;
mod memory;
mod reader;
mod restore;
mod rewrite;
mod scratch;
#[cfg(feature = "testing")]
pub mod suite;

pub use durable::DurableStore;
#[cfg(not(target_arch = "wasm32"))]
pub use durable::HostSql;
#[cfg(feature = "testing")]
pub use faulty::{Fault, FaultySql, FaultyStore, INJECTED};
pub use load::{Load, is_database_file};
pub use memory::MemoryStore;
pub use reader::PageReader;
pub use restore::Restore;
pub use rewrite::Rewrite;
pub use scratch::{BLOCK_BYTES, ScratchSpace};

use crate::commit_log::LoggedCommit;
use littoral_protocol::{Checksum, Commit, DatabaseId, Frame, InvalidCommit, PageSet, Pgno, State, Txid};
use std::collections::BTreeSet;

/// Versions of pages, by transaction. All calls are synchronous; a store is used from one thread.
///
/// **Invariants**
/// 1. Txids are dense: after `append` of commit n the head is n, and nothing but `append` moves it.
/// 2. `append` is atomic: whatever happens in the middle, a reopened store has all of the commit or nothing of it.
/// 3. The oldest state, some of those after it, and every one from `exact_from` to the head are *kept*: they can be read, unchanged for as
///    long as they are kept. Only `prune` and `thin` end that.
/// 4. A failed call leaves the store as it was.
/// 5. What is *staged* is part of no state, and gone when the store is opened again, until `append_staged` makes all of it a commit.
pub trait PageStore: ScratchSpace {
    /// Which database this is: drawn at random when it was created.
    fn id(&self) -> DatabaseId;

    /// The newest state; [`State::EMPTY`] before the first commit.
    fn head(&self) -> State;

    /// The oldest state that can still be read.
    fn oldest(&self) -> Txid;

    /// A kept state: from it on every state is kept, and every commit after it is in the log.
    fn exact_from(&self) -> Txid;

    /// The state after the commit `txid`, if it is kept.
    fn state(&self, txid: Txid) -> Result<State, StoreError>;

    /// The newest kept state that is not newer than `txid`: that one itself, unless it was thinned out.
    fn resolve(&self, txid: Txid) -> Result<Txid, StoreError>;

    /// The kept state that follows `txid`; `None` after the head.
    fn next_kept(&self, txid: Txid) -> Result<Option<State>, StoreError>;

    /// The newest kept state that is not newer than `time_ms`; the oldest kept if all are newer.
    fn txid_at(&self, time_ms: u64) -> Result<Txid, StoreError>;

    /// About how many bytes only states before the head need.
    fn history_bytes(&self) -> Result<u64, StoreError>;

    /// Reads the page `pgno` as of `at` into `image`, whose length is the page size of that state.
    ///
    /// The image is verified against its checksum. The lock page, which is never written, reads as zeros.
    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError>;

    /// Reads consecutive pages from `first` into `images`, which has room for some, and returns how many. A store may read fewer than there
    /// is room for, or none: where one page at a time would be as fast.
    fn read_pages(&self, _first: Pgno, _at: Txid, _page_bytes: usize, _images: &mut [u8]) -> Result<usize, StoreError> {
        Ok(0)
    }

    /// A part of the database file at `state`: `count` pages from `first`, as plain SQLite reads them.
    fn read_file(&self, state: &State, first: Pgno, count: u32) -> Result<Vec<u8>, StoreError> {
        let page_bytes = state.page_size.bytes();
        let mut file = vec![0; page_bytes * count as usize];
        for (page, pgno) in file.chunks_exact_mut(page_bytes).zip(first.0..) {
            self.read_page(Pgno(pgno), state.txid, page)?;
        }
        Ok(file)
    }

    /// The checksum of the page `pgno` as of `at`; [`Checksum::EMPTY`] for the lock page.
    fn page_checksum(&self, pgno: Pgno, at: Txid) -> Result<Checksum, StoreError>;

    /// Stores a commit in one atomic step. It must follow the head. What is staged is discarded.
    fn append(&self, commit: &Commit) -> Result<(), StoreError>;

    /// Stores pages of the commit to come, where no state has them: it may be larger than memory. A page that was staged before is replaced.
    /// Returns the checksum of all that is staged now.
    fn stage(&self, frames: &[Frame]) -> Result<Checksum, StoreError>;

    /// Reads a staged page. `false`: it is not staged, and `image` is as it was.
    fn read_staged(&self, pgno: Pgno, image: &mut [u8]) -> Result<bool, StoreError>;

    /// Takes the pages after `last` out of what is staged, and returns the checksum of the rest.
    fn cut_staged(&self, last: u32) -> Result<Checksum, StoreError>;

    /// The pages that are staged.
    fn staged(&self) -> PageSet;

    /// Makes all that is staged the commit that made `state`, in one atomic step that moves no image.
    fn append_staged(&self, state: &State) -> Result<(), StoreError>;

    /// Discards all that is staged. The room that it takes is given back by `prune` and `thin`.
    fn discard_staged(&self);

    /// Whether something was discarded, or left by a crash, whose room was not given back yet.
    fn has_discarded(&self) -> bool;

    /// The commits after `after`, oldest first, whole commits until `max_frames` frames are reached (at least one commit if there is one).
    /// Before `exact_from` the log has gaps: [`StoreError::Thinned`] tells where it is whole.
    fn log_after(&self, after: Txid, max_frames: usize) -> Result<Vec<Commit>, StoreError>;

    /// The same commits, as they are sent: fewer where their images have more than some `image_bytes`. Images are checked, but stay packed, and
    /// those of pages that a later one of these commits changes may be left out. Of a commit that has more by itself there are the page numbers
    /// only; of all commits, if that is 0.
    fn logged_after(&self, after: Txid, max_frames: usize, image_bytes: usize) -> Result<Vec<LoggedCommit>, StoreError>;

    /// The pages of which a commit after `after`, up to `until`, wrote a version that is kept; both are kept states.
    fn written_between(&self, after: Txid, until: Txid) -> Result<PageSet, StoreError>;

    /// The same where it can be told from memory: of the last commits.
    fn written_lately(&self, after: Txid, until: Txid) -> Option<PageSet>;

    /// The pages of the state `to` that may be other than in the state `from`: all that are, and of those that are not only such as were
    /// written in between. Either may be the older one; both are kept.
    fn changed_between(&self, from: Txid, to: Txid) -> Result<PageSet, StoreError> {
        let (from, to) = (self.state(from)?, self.state(to)?);
        let mut pages = self.written_between(from.txid.min(to.txid), from.txid.max(to.txid))?;
        let known = if from.page_size == to.page_size { from.page_count } else { 0 };
        pages.insert_range(known + 1..=to.page_count);
        pages.split_after(to.page_count);
        pages.remove(to.page_size.lock_page());
        Ok(pages)
    }

    /// A step of dropping the states before `before`, from the oldest on. A store may keep more than it must. Returns whether it found
    /// something to do: then there may be more.
    fn prune(&self, before: Txid) -> Result<bool, StoreError>;

    /// A step of thinning the states before `before`: of those in each `step_ms` of time the last one stays, and so do the oldest of all and
    /// those in `pinned`. Returns whether it found something to do: then there may be more.
    fn thin(&self, before: Txid, step_ms: u64, pinned: &BTreeSet<Txid>) -> Result<bool, StoreError>;
}

/// Whether two states lie in the same step of time. Of those that do, thinning leaves the last.
pub(crate) fn same_step(one: &State, other: &State, step_ms: u64) -> bool {
    let step = |state: &State| state.time_ms / step_ms.max(1);
    step(one) == step(other)
}

/// What a store answers when it cannot do as asked. In every case the store is as it was before the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The state is older than what is kept.
    #[error("the state at {asked} is no longer kept; the oldest kept is {oldest}")]
    Pruned {
        /// The txid asked for.
        asked: Txid,
        /// The oldest kept.
        oldest: Txid,
    },
    /// The state was thinned out, or the log is not whole there.
    #[error("the state at {asked} was thinned out; every state is kept from {exact_from} on")]
    Thinned {
        /// The txid asked for.
        asked: Txid,
        /// From here on nothing is.
        exact_from: Txid,
    },
    /// The state does not exist yet.
    #[error("the state at {asked} does not exist; the newest is {head}")]
    Future {
        /// The txid asked for.
        asked: Txid,
        /// The newest.
        head: Txid,
    },
    /// The commit breaks an invariant of commits.
    #[error("the commit was refused: {0}")]
    InvalidCommit(#[from] InvalidCommit),
    /// Stored bytes are not what was written.
    #[error("stored data is damaged: {what}")]
    Corrupt {
        /// What was found, and where.
        what: String,
    },
    /// A page in SQLite's cache, about to be changed, is not as it was stored: something else wrote to this memory.
    #[error("page {0} was damaged in memory, and was not stored: whatever shares this memory has to begin anew")]
    MemoryDamaged(Pgno),
    /// The storage holds something else than this version can read.
    #[error("the storage cannot be used: {0}")]
    Schema(String),
    /// What was loaded is no database file.
    #[error("the file is no SQLite database that can be loaded: {0}")]
    NotADatabase(String),
    /// There is no database here, or no longer.
    #[error("there is no such database: it was not created, or it was deleted")]
    NoDatabase,
    /// No space is left.
    #[error("the storage is full: {0}")]
    Full(String),
    /// A copy lacks the page, and whoever asks cannot wait for it.
    #[error("page {0} is not here")]
    Missing(Pgno),
    /// The storage failed.
    #[error("storage failed: {0}")]
    Io(String),
}

impl StoreError {
    /// Damage of a page, in the words that all stores use.
    pub(crate) fn damaged_page(pgno: Pgno, at: Txid, detail: &str) -> StoreError {
        StoreError::Corrupt { what: format!("page {pgno} as of commit {at}: {detail}") }
    }
}

/// Checks that `at` is between the oldest and the newest state.
pub(crate) fn check_kept(at: Txid, oldest: Txid, head: Txid) -> Result<(), StoreError> {
    if at > head {
        return Err(StoreError::Future { asked: at, head });
    }
    if at < oldest {
        return Err(StoreError::Pruned { asked: at, oldest });
    }
    Ok(())
}

/// Checks that the log after `after` is whole.
pub(crate) fn check_whole(after: Txid, exact_from: Txid, head: Txid) -> Result<(), StoreError> {
    check_kept(after, Txid::EMPTY, head)?;
    if after < exact_from { Err(StoreError::Thinned { asked: after, exact_from }) } else { Ok(()) }
}
