//! Pages for SQLite, from a replica: a hit is an ordinary call; a miss is fetched while the caller's stack waits.
//!
//! **Invariants**
//! 1. A page is fetched once, however many queries wait for it.
//! 2. No borrow of the follower is held while a fetch is under way: other queries go on meanwhile.
//! 3. Without a [`Fetcher`] a miss is [`StoreError::Missing`], and the caller's state is not changed.
//!
//! **Not here:** how a stack waits (`worker`).

use super::follower::SharedFollower;
use super::prefetch::Trail;
use crate::commit::State;
use crate::commit_log::{Body, Fetch, Message, Pages};
use crate::page::Pgno;
use crate::position::DatabaseId;
use crate::store::{PageReader, StoreError};
use crate::txid::Txid;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Carries questions for pages to a source, for one query.
pub trait Fetcher {
    /// Asks, and returns the answer. The caller's stack waits; others go on.
    fn fetch(&self, question: &Message) -> Result<Message, StoreError>;

    /// Waits until a fetch of another query has ended.
    fn wait(&self) -> Result<(), StoreError>;

    /// Wakes those that wait: a fetch has ended.
    fn wake(&self);
}

/// The pages that one connection reads.
pub struct ReplicaReader {
    follower: SharedFollower,
    /// The state that is read, and of which database.
    reading: Cell<Option<(DatabaseId, State)>>,
    fetcher: RefCell<Option<Rc<dyn Fetcher>>>,
    trail: RefCell<Trail>,
    fetched: Cell<u64>,
}

impl ReplicaReader {
    /// Pages of a follower.
    pub fn new(follower: SharedFollower) -> ReplicaReader {
        ReplicaReader { follower, reading: Cell::new(None), fetcher: RefCell::new(None), trail: RefCell::default(), fetched: Cell::new(0) }
    }

    /// From now on pages of `state` are read, which is pinned, and what is missing is fetched by `fetcher`.
    pub fn begin(&self, database: DatabaseId, state: State, fetcher: Option<Rc<dyn Fetcher>>) {
        self.reading.set(Some((database, state)));
        self.fetcher.replace(fetcher);
        self.fetched.set(0);
    }

    /// Ends what [`ReplicaReader::begin`] began. Returns how many pages were fetched.
    pub fn end(&self) -> u64 {
        self.fetcher.replace(None);
        self.fetched.get()
    }

    fn fetch(&self, pgno: Pgno, at: Txid) -> Result<(), StoreError> {
        let fetcher = self.fetcher.borrow().clone().ok_or(StoreError::Missing(pgno))?;
        let Some(asked) = self.ask(pgno, at)? else { return fetcher.wait() };
        let taken = self.answered(&asked, fetcher.fetch(&asked.question));
        fetcher.wake();
        taken
    }

    /// The question for a page that is missing, which is claimed until it is answered. `None`: somebody else has asked.
    pub(super) fn ask(&self, pgno: Pgno, at: Txid) -> Result<Option<AskedPages>, StoreError> {
        let (database, state) = self.reading.get().filter(|(_, state)| state.txid == at).ok_or(StoreError::Missing(pgno))?;
        if self.follower.borrow().is_claimed(pgno, at) {
            return Ok(None);
        }
        let mut pages = self.trail.borrow_mut().window(pgno, state.page_count);
        let mut follower = self.follower.borrow_mut();
        pages.retain(|page| (*page == pgno || !follower.holds(*page, at)) && follower.claim(*page, at));
        let question = Message { database, body: Body::Fetch(Fetch { at: state.position(), pages: pages.clone() }) };
        Ok(Some(AskedPages { question, pgno, pages, at }))
    }

    /// Takes the answer, or that there is none.
    pub(super) fn answered(&self, asked: &AskedPages, answer: Result<Message, StoreError>) -> Result<(), StoreError> {
        let taken = answer.and_then(|answer| self.take(asked.pgno, &answer));
        self.follower.borrow_mut().release(&asked.pages, asked.at);
        taken
    }

    fn take(&self, pgno: Pgno, answer: &Message) -> Result<(), StoreError> {
        let pages: &Pages = match &answer.body {
            Body::Pages(pages) if pages.frames.iter().any(|frame| frame.pgno == pgno) => pages,
            Body::Refused(refusal) => return Err(StoreError::Io(format!("page {pgno} was refused: {}", refusal.text))),
            _ => return Err(StoreError::Io(format!("the answer does not hold page {pgno}"))),
        };
        self.fetched.set(self.fetched.get() + pages.frames.len() as u64);
        let taken = self.follower.borrow_mut().fetched(answer.database, pages);
        taken.map_err(|error| StoreError::Io(error.to_string()))
    }
}

/// A question for pages that is under way.
pub(super) struct AskedPages {
    pub(super) question: Message,
    pgno: Pgno,
    /// All that were claimed.
    pages: Vec<Pgno>,
    at: Txid,
}

impl PageReader for ReplicaReader {
    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError> {
        if self.reading.get().is_some_and(|(_, state)| pgno == state.page_size.lock_page()) {
            image.fill(0);
            return Ok(());
        }
        // What was fetched may have been evicted again before its turn came, so it is tried more than once.
        for _ in 0..8 {
            if let Some(held) = self.follower.borrow_mut().read(pgno, at)? {
                if held.len() != image.len() {
                    return Err(StoreError::damaged_page(pgno, at, "it has another page size"));
                }
                image.copy_from_slice(&held);
                self.trail.borrow_mut().saw(pgno, image);
                return Ok(());
            }
            self.fetch(pgno, at)?;
        }
        Err(StoreError::Io(format!("page {pgno} does not stay in the page cache")))
    }
}
