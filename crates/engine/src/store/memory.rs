//! The page store in memory: the reference that the other stores are held against, and the store of tests.
//!
//! **Not here:** any attempt to be small or to survive.

use super::{PageStore, ScratchSpace, StoreError, check_kept, check_whole, same_step};
use crate::commit_log::{LoggedCommit, compact};
use littoral_protocol::{Checksum, Commit, DatabaseId, Frame, InvalidCommit, PageSet, Pgno, State, Txid};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

/// A page store in memory.
pub struct MemoryStore(RefCell<Inner>);

#[derive(Default)]
struct Inner {
    id: DatabaseId,
    oldest: Txid,
    exact_from: Txid,
    /// The commits of the kept states.
    log: BTreeMap<Txid, Commit>,
    versions: BTreeMap<Pgno, BTreeMap<Txid, Version>>,
    staged: BTreeMap<Pgno, Frame>,
    files: u64,
    blocks: BTreeMap<(u64, u32), Vec<u8>>,
}

#[derive(Clone)]
struct Version {
    image: Rc<[u8]>,
    checksum: Checksum,
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl Inner {
    fn staged_checksum(&self) -> Checksum {
        let mut sum = Checksum::EMPTY;
        self.staged.values().for_each(|frame| sum ^= frame.checksum);
        sum
    }

    /// Drops the versions that no kept state needs.
    fn drop_versions(&mut self) {
        for versions in self.versions.values_mut() {
            let txids: Vec<Txid> = versions.keys().copied().collect();
            for pair in txids.windows(2) {
                if self.log.range(pair[0]..pair[1]).next().is_none() {
                    versions.remove(&pair[0]);
                }
            }
        }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore(RefCell::new(Inner { id: DatabaseId(RandomState::new().hash_one(0)), ..Inner::default() }))
    }

    /// The version of `pgno` as of `at`; `None` for the lock page.
    fn version(&self, pgno: Pgno, at: Txid) -> Result<Option<Version>, StoreError> {
        let state = self.state(at)?;
        let inner = self.0.borrow();
        let newest = inner.versions.get(&pgno).and_then(|versions| versions.range(..=at).next_back());
        match newest {
            _ if pgno.0 > state.page_count => Err(StoreError::damaged_page(pgno, at, "the database has fewer pages")),
            // It may have versions of a time when the page size was another and it an ordinary page.
            _ if pgno == state.page_size.lock_page() => Ok(None),
            Some((_, version)) => Ok(Some(version.clone())),
            None => Err(StoreError::damaged_page(pgno, at, "missing")),
        }
    }
}

impl ScratchSpace for MemoryStore {
    fn new_scratch(&self) -> u64 {
        let mut inner = self.0.borrow_mut();
        inner.files += 1;
        inner.files
    }

    fn put_scratch(&self, file: u64, block: u32, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.borrow_mut().blocks.insert((file, block), bytes.into());
        Ok(())
    }

    fn get_scratch(&self, file: u64, block: u32) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.borrow().blocks.get(&(file, block)).cloned())
    }

    fn cut_scratch(&self, file: u64, from: u32) -> Result<(), StoreError> {
        self.0.borrow_mut().blocks.retain(|(known, block), _| *known != file || *block < from);
        Ok(())
    }
}

impl PageStore for MemoryStore {
    fn id(&self) -> DatabaseId {
        self.0.borrow().id
    }

    fn head(&self) -> State {
        self.0.borrow().log.last_key_value().map_or(State::EMPTY, |(_, commit)| commit.state)
    }

    fn oldest(&self) -> Txid {
        self.0.borrow().oldest
    }

    fn exact_from(&self) -> Txid {
        self.0.borrow().exact_from
    }

    fn state(&self, txid: Txid) -> Result<State, StoreError> {
        check_kept(txid, self.oldest(), self.head().txid)?;
        let inner = self.0.borrow();
        match inner.log.get(&txid) {
            Some(commit) => Ok(commit.state),
            None if txid == Txid::EMPTY => Ok(State::EMPTY),
            None => Err(StoreError::Thinned { asked: txid, exact_from: inner.exact_from }),
        }
    }

    fn resolve(&self, txid: Txid) -> Result<Txid, StoreError> {
        check_kept(txid, self.oldest(), self.head().txid)?;
        Ok(self.0.borrow().log.range(..=txid).next_back().map_or(Txid::EMPTY, |(txid, _)| *txid))
    }

    fn next_kept(&self, txid: Txid) -> Result<Option<State>, StoreError> {
        Ok(self.0.borrow().log.range(txid.next()..).next().map(|(_, commit)| commit.state))
    }

    fn txid_at(&self, time_ms: u64) -> Result<Txid, StoreError> {
        let inner = self.0.borrow();
        let known = inner.log.values().rev().find(|commit| commit.state.time_ms <= time_ms);
        Ok(known.map_or(inner.oldest, |commit| commit.state.txid))
    }

    fn history_bytes(&self) -> Result<u64, StoreError> {
        let inner = self.0.borrow();
        let superseded = inner.versions.values().flat_map(|versions| versions.values().rev().skip(1));
        Ok(superseded.map(|version| version.image.len() as u64).sum())
    }

    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError> {
        match self.version(pgno, at)? {
            Some(version) => image.copy_from_slice(&version.image),
            None => image.fill(0),
        }
        Ok(())
    }

    fn page_checksum(&self, pgno: Pgno, at: Txid) -> Result<Checksum, StoreError> {
        Ok(self.version(pgno, at)?.map_or(Checksum::EMPTY, |version| version.checksum))
    }

    fn append(&self, commit: &Commit) -> Result<(), StoreError> {
        commit.validate(self.head().txid)?;
        self.discard_staged();
        let mut inner = self.0.borrow_mut();
        let txid = commit.state.txid;
        for frame in &commit.frames {
            let version = Version { image: Rc::from(&*frame.image), checksum: frame.checksum };
            inner.versions.entry(frame.pgno).or_default().insert(txid, version);
        }
        inner.log.insert(txid, commit.clone());
        Ok(())
    }

    fn stage(&self, frames: &[Frame]) -> Result<Checksum, StoreError> {
        let mut inner = self.0.borrow_mut();
        let known = inner.staged.values().next().or(frames.first()).map_or(0, |frame| frame.image.len());
        if let Some(Frame { pgno, image, .. }) = frames.iter().find(|frame| frame.image.len() != known) {
            return Err(InvalidCommit::ImageLength { pgno: *pgno, got: image.len(), expected: known }.into());
        }
        inner.staged.extend(frames.iter().map(|frame| (frame.pgno, frame.clone())));
        Ok(inner.staged_checksum())
    }

    fn read_staged(&self, pgno: Pgno, image: &mut [u8]) -> Result<bool, StoreError> {
        let inner = self.0.borrow();
        let staged = inner.staged.get(&pgno);
        if let Some(frame) = staged {
            image.copy_from_slice(&frame.image);
        }
        Ok(staged.is_some())
    }

    fn cut_staged(&self, last: u32) -> Result<Checksum, StoreError> {
        let mut inner = self.0.borrow_mut();
        inner.staged.retain(|pgno, _| pgno.0 <= last);
        Ok(inner.staged_checksum())
    }

    fn staged(&self) -> PageSet {
        self.0.borrow().staged.keys().copied().collect()
    }

    fn append_staged(&self, state: &State) -> Result<(), StoreError> {
        let commit = Commit { state: *state, frames: self.0.borrow().staged.values().cloned().collect() };
        self.append(&commit)
    }

    fn discard_staged(&self) {
        self.0.borrow_mut().staged.clear();
    }

    fn has_discarded(&self) -> bool {
        false
    }

    fn log_after(&self, after: Txid, max_frames: usize) -> Result<Vec<Commit>, StoreError> {
        check_whole(after, self.exact_from(), self.head().txid)?;
        let (mut frames, mut first) = (0, true);
        let inner = self.0.borrow();
        let fits = |commit: &&Commit| {
            frames += commit.frames.len();
            std::mem::take(&mut first) || frames <= max_frames
        };
        Ok(inner.log.range(after.next()..).map(|(_, commit)| commit).take_while(fits).cloned().collect())
    }

    fn logged_after(&self, after: Txid, max_frames: usize, image_bytes: usize) -> Result<Vec<LoggedCommit>, StoreError> {
        let pack = |commit: Commit| LoggedCommit::pack(&commit).within(image_bytes);
        let mut logged: Vec<LoggedCommit> = self.log_after(after, max_frames)?.into_iter().map(pack).collect();
        let mut bytes = 0;
        let fits = |commit: &&LoggedCommit| {
            bytes += commit.pages.bytes();
            image_bytes == 0 || bytes <= image_bytes
        };
        let fitting = logged.iter().take_while(fits).count();
        logged.truncate(fitting.max(1));
        compact(&mut logged);
        Ok(logged)
    }

    fn written_lately(&self, after: Txid, until: Txid) -> Option<PageSet> {
        self.written_between(after, until).ok()
    }

    fn written_between(&self, after: Txid, until: Txid) -> Result<PageSet, StoreError> {
        self.state(after)?;
        self.state(until)?;
        let inner = self.0.borrow();
        let written =
            inner.versions.iter().filter(|(_, versions)| versions.range(..=until).next_back().is_some_and(|(txid, _)| *txid > after));
        Ok(written.map(|(pgno, _)| *pgno).collect())
    }

    fn prune(&self, before: Txid) -> Result<bool, StoreError> {
        let before = before.min(self.head().txid);
        if before <= self.oldest() {
            return Ok(false);
        }
        let oldest = self.resolve(before)?;
        let mut inner = self.0.borrow_mut();
        let moves = oldest > inner.oldest;
        inner.oldest = oldest;
        inner.exact_from = inner.exact_from.max(oldest);
        inner.log.retain(|txid, _| *txid >= oldest);
        inner.drop_versions();
        Ok(moves)
    }

    fn thin(&self, before: Txid, step_ms: u64, pinned: &BTreeSet<Txid>) -> Result<bool, StoreError> {
        let before = before.min(self.head().txid);
        let mut inner = self.0.borrow_mut();
        let states: Vec<State> = inner.log.values().map(|commit| commit.state).collect();
        let stays = |state: &State| state.txid == inner.oldest || pinned.contains(&state.txid);
        let pairs = states.windows(2).map(|pair| (&pair[0], &pair[1]));
        let thinned = pairs.filter(|(state, next)| state.txid < before && same_step(state, next, step_ms) && !stays(state));
        let thinned: Vec<Txid> = thinned.map(|(state, _)| state.txid).collect();
        inner.log.retain(|txid, _| thinned.binary_search(txid).is_err());
        inner.exact_from = inner.exact_from.max(before);
        inner.drop_versions();
        Ok(!thinned.is_empty())
    }
}
