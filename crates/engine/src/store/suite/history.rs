//! What a case of the suite committed, kept beside the store: the answer that the store has to give for every state.
//!
//! **Invariant:** `versions` holds the states that are to be checked, ascending; the last one is the store's head.
//!
//! **Not here:** the cases.

use super::{PageStore, Reopen, StoreError};
use crate::commit_log::Changed;
use littoral_protocol::{Checksum, Commit, Frame, PageSize, Pgno, State, Txid};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is not as promised.
pub(super) struct Failed(pub(super) String);

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        Failed(format!("the store failed: {error}"))
    }
}

/// Fails with `what` unless it holds.
pub(super) fn ensure(what: &str, holds: bool) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed(format!("does not hold: {what}"))) }
}

/// Fails unless the two are equal.
pub(super) fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), Failed> {
    if found == expected { Ok(()) } else { Err(Failed(format!("{what}: found {found:?}, expected {expected:?}"))) }
}

/// The content of a page, from a seed.
#[derive(Clone, Copy)]
pub(super) enum Image {
    Zeros,
    /// Compresses well.
    Text(u64),
    /// Cannot be compressed.
    Noise(u64),
}

impl Image {
    /// One or the other kind, by the seed.
    pub(super) fn of(seed: u64) -> Image {
        match seed % 5 {
            0 => Image::Noise(seed),
            1 => Image::Zeros,
            _ => Image::Text(seed),
        }
    }

    fn bytes(self, length: usize) -> Box<[u8]> {
        match self {
            Image::Zeros => vec![0; length].into(),
            Image::Text(seed) => format!("row {seed}; ").into_bytes().into_iter().cycle().take(length).collect(),
            Image::Noise(seed) => {
                let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                let mut bytes = Vec::with_capacity(length + 8);
                while bytes.len() < length {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    bytes.extend_from_slice(&state.to_le_bytes());
                }
                bytes.truncate(length);
                bytes.into()
            }
        }
    }
}

/// The pages of a state.
type Pages = BTreeMap<Pgno, Rc<Frame>>;

/// A state with its pages.
#[derive(Clone)]
pub(super) struct Version {
    pub(super) state: State,
    pages: Pages,
}

/// A store, and everything that was committed to it.
pub(super) struct History {
    pub(super) store: Rc<dyn PageStore>,
    pub(super) page_size: PageSize,
    pub(super) versions: Vec<Version>,
}

impl History {
    pub(super) fn new(store: Rc<dyn PageStore>, page_size: PageSize) -> History {
        let versions = vec![Version { state: State::EMPTY, pages: Pages::new() }];
        History { store, page_size, versions }
    }

    fn newest(&self) -> Version {
        self.versions.last().cloned().unwrap_or(Version { state: State::EMPTY, pages: Pages::new() })
    }

    pub(super) fn page_count(&self) -> u32 {
        self.newest().state.page_count
    }

    /// The commit that makes these changes to the newest state. Pages of another size are dropped from it.
    pub(super) fn next(&self, page_count: u32, changes: &[(u32, Image)]) -> Commit {
        let frame = |(pgno, image): &(u32, Image)| Frame::new(Pgno(*pgno), image.bytes(self.page_size.bytes()));
        let frames: Vec<Frame> = changes.iter().map(frame).collect();
        let before = self.newest();
        let mut state = State { page_size: self.page_size, page_count, txid: before.state.txid.next(), ..before.state };
        state.time_ms += 1_000;
        state.checksum = checksum(&pages_after(before, &state, &frames));
        Commit { state, frames }
    }

    /// Commits these changes.
    pub(super) fn commit(&mut self, page_count: u32, changes: &[(u32, Image)]) -> Result<Commit, Failed> {
        let commit = self.next(page_count, changes);
        self.append(commit.clone())?;
        Ok(commit)
    }

    pub(super) fn append(&mut self, commit: Commit) -> Result<(), Failed> {
        self.store.append(&commit)?;
        equal("the head after a commit", &self.store.head(), &commit.state)?;
        let pages = pages_after(self.newest(), &commit.state, &commit.frames);
        self.versions.push(Version { state: commit.state, pages });
        Ok(())
    }

    /// Commits what is staged.
    pub(super) fn append_staged(&mut self, commit: Commit) -> Result<(), Failed> {
        self.store.append_staged(&commit.state)?;
        equal("the head after a staged commit", &self.store.head(), &commit.state)?;
        let pages = pages_after(self.newest(), &commit.state, &commit.frames);
        self.versions.push(Version { state: commit.state, pages });
        Ok(())
    }

    /// Checks states before `oldest` no longer.
    pub(super) fn forget_before(&mut self, oldest: Txid) {
        self.versions.retain(|version| version.state.txid >= oldest);
    }

    /// Commits these changes at a time.
    pub(super) fn commit_at(&mut self, time_ms: u64, page_count: u32, changes: &[(u32, Image)]) -> Result<(), Failed> {
        let mut commit = self.next(page_count, changes);
        commit.state.time_ms = time_ms;
        self.append(commit)
    }

    /// Goes on checking the newest state and one in `n` of the others.
    pub(super) fn keep_one_in(&mut self, n: u64) {
        let head = self.newest().state.txid;
        self.versions.retain(|version| version.state.txid == head || version.state.txid.0.is_multiple_of(n));
    }

    /// Checks every state, opens the store again, checks that it is the same one, and goes on with it.
    pub(super) fn check_and_reopen(&mut self, open: &mut Reopen<'_>) -> Result<(), Failed> {
        verify(&*self.store, &self.versions)?;
        let reopened = open()?;
        equal("the head after reopening", &reopened.head(), &self.store.head())?;
        equal("the oldest state after reopening", &reopened.oldest(), &self.store.oldest())?;
        equal("the state after which nothing is thinned, after reopening", &reopened.exact_from(), &self.store.exact_from())?;
        equal("the kept states after reopening", &kept(&*reopened)?, &kept(&*self.store)?)?;
        let log = |store: &dyn PageStore| store.log_after(store.exact_from(), 1_000);
        ensure("the log after reopening is the one before", log(&*reopened)? == log(&*self.store)?)?;
        verify_compacted(&*reopened)?;
        verify(&*reopened, &self.versions)?;
        self.store = reopened;
        Ok(())
    }
}

/// The pages after a commit.
fn pages_after(before: Version, state: &State, frames: &[Frame]) -> Pages {
    let mut pages = before.pages;
    if state.page_size != before.state.page_size {
        pages.clear();
    }
    pages.split_off(&Pgno(state.page_count + 1));
    pages.extend(frames.iter().map(|frame| (frame.pgno, Rc::new(frame.clone()))));
    pages
}

fn checksum(pages: &Pages) -> Checksum {
    let mut sum = Checksum::EMPTY;
    pages.values().for_each(|frame| sum ^= frame.checksum);
    sum
}

/// Prunes until there is nothing to do, and returns the oldest state left.
pub(super) fn prune(store: &dyn PageStore, before: Txid) -> Result<Txid, StoreError> {
    while store.prune(before)? {}
    Ok(store.oldest())
}

/// The kept states, oldest first.
pub(super) fn kept(store: &dyn PageStore) -> Result<Vec<State>, StoreError> {
    let mut states = vec![store.state(store.oldest())?];
    while let Some(next) = states.last().map_or(Ok(None), |last| store.next_kept(last.txid))? {
        states.push(next);
    }
    Ok(states)
}

/// Checks that commits as they are sent are those of the log, with the image of each page where it is changed last.
fn verify_compacted(store: &dyn PageStore) -> Result<(), Failed> {
    let from = store.exact_from();
    let log = store.log_after(from, 1_000)?;
    for image_bytes in [1, 100_000, 64 << 20] {
        let compacted = store.logged_after(from, 1_000, image_bytes)?;
        ensure("commits are sent if there are any", compacted.len() <= log.len() && compacted.is_empty() == log.is_empty())?;
        for (at, (sent, commit)) in compacted.iter().zip(&log).enumerate() {
            equal("a commit's state as it is sent", &sent.state, &commit.state)?;
            equal("its pages", &sent.pgnos(), &commit.frames.iter().map(|frame| frame.pgno).collect())?;
            let Changed::Images(frames) = &sent.pages else { continue };
            let is_last = |pgno: Pgno| compacted[at + 1..].iter().all(|later| !later.pgnos().contains(&pgno));
            for (frame, committed) in frames.iter().zip(&commit.frames) {
                let what = format!("page {} of commit {} as it is sent", frame.pgno, commit.state.txid);
                equal(&what, &frame.checksum, &committed.checksum)?;
                ensure(&format!("{what} has its image"), frame.has_image() || !is_last(frame.pgno))?;
                if frame.has_image() {
                    let image = frame.expand(commit.state.page_size).map_err(|error| StoreError::Io(error.to_string()))?;
                    ensure(&what, image == committed.image)?;
                }
            }
        }
    }
    Ok(())
}

/// Checks that the store has these states, and reads them page by page.
pub(super) fn verify(store: &dyn PageStore, versions: &[Version]) -> Result<(), Failed> {
    for Version { state, pages } in versions {
        equal("a state", &store.state(state.txid)?, state)?;
        let mut sum = Checksum::EMPTY;
        let mut image = vec![0xaa; state.page_size.bytes()];
        for (pgno, frame) in pages {
            let found = store.page_checksum(*pgno, state.txid)?;
            equal(&format!("the checksum of page {pgno} as of {}", state.txid), &found, &frame.checksum)?;
            sum ^= found;
            store.read_page(*pgno, state.txid, &mut image)?;
            ensure(&format!("page {pgno} as of {} is what was committed", state.txid), *image == *frame.image)?;
        }
        equal("the database's checksum", &sum, &state.checksum)?;
        verify_runs(store, state, pages)?;
    }
    Ok(())
}

/// Pages that are read many at once, as far as they are, are what was committed.
fn verify_runs(store: &dyn PageStore, state: &State, pages: &Pages) -> Result<(), Failed> {
    let page_bytes = state.page_size.bytes();
    let mut images = vec![0xaa; page_bytes * 16];
    let mut first = 1;
    while first <= state.page_count {
        let room = &mut images[..page_bytes * 16.min(state.page_count - first + 1) as usize];
        let read = store.read_pages(Pgno(first), state.txid, page_bytes, room)?;
        for (image, pgno) in room.chunks_exact(page_bytes).zip(first..).take(read) {
            let expected = pages.get(&Pgno(pgno)).map(|frame| &*frame.image);
            ensure(&format!("page {pgno} as of {}, read with others, is what was committed", state.txid), expected == Some(image))?;
        }
        first += read.max(1) as u32;
    }
    Ok(())
}
