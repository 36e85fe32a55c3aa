//! Pages for SQLite, from a replica: a hit is an ordinary call; a miss is fetched while the caller's stack waits.
//!
//! **Invariants**
//! 1. A page is fetched once, however many queries wait for it.
//! 2. No borrow of the follower is held while a fetch is under way: other queries go on meanwhile.
//! 3. What is read is of the state that was begun with, or an error: also when the follower has begun anew meanwhile.
//! 4. Without a [`Fetcher`] a miss is [`StoreError::Missing`], and the caller's state is not changed.
//!
//! **Not here:** how a stack waits (`worker`).

use super::follower::SharedFollower;
use super::prefetch::Trail;
use crate::commit_log::{Body, Fetch, Message, Pages};
use crate::store::{PageReader, StoreError};
use littoral_protocol::{DatabaseId, Pgno, State, Txid};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How often a query waits for the fetches of others before it gives up on a page.
const WAITS: usize = 1_000;

/// Carries questions for pages to a source, for one query.
pub trait Fetcher {
    /// Asks, and returns the answer. The caller's stack waits; others go on.
    fn fetch(&self, question: &Message) -> Result<Message, StoreError>;

    /// Waits until a fetch of another query has ended. `false`: it has waited long enough.
    fn wait(&self) -> Result<bool, StoreError>;

    /// Wakes those that wait: a fetch has ended.
    fn wake(&self);
}

/// The pages that one connection reads.
pub struct ReplicaReader {
    follower: SharedFollower,
    reading: Cell<Option<Reading>>,
    fetcher: RefCell<Option<Rc<dyn Fetcher>>>,
    trail: RefCell<Trail>,
    fetched: Cell<u64>,
}

/// What is read.
#[derive(Clone, Copy)]
struct Reading {
    database: DatabaseId,
    state: State,
    /// The follower's; `None`: it has begun anew since the state was pinned.
    epoch: Option<u64>,
}

impl ReplicaReader {
    /// Pages of a follower.
    pub fn new(follower: SharedFollower) -> ReplicaReader {
        ReplicaReader { follower, reading: Cell::new(None), fetcher: RefCell::new(None), trail: RefCell::default(), fetched: Cell::new(0) }
    }

    /// From now on pages of `state` are read, which is pinned, and what is missing is fetched by `fetcher`.
    pub fn begin(&self, database: DatabaseId, state: State, fetcher: Option<Rc<dyn Fetcher>>) {
        let follower = self.follower.borrow();
        let epoch = (follower.database() == database).then(|| follower.epoch());
        self.reading.set(Some(Reading { database, state, epoch }));
        self.fetcher.replace(fetcher);
        self.fetched.set(0);
    }

    /// Ends what [`ReplicaReader::begin`] began.
    pub fn end(&self) {
        self.fetcher.replace(None);
    }

    /// The page from this query's own fetch; `None`: from that of another, which has ended.
    fn fetch(&self, pgno: Pgno, at: Txid) -> Result<Option<Rc<[u8]>>, StoreError> {
        let fetcher = self.fetcher.borrow().clone().ok_or(StoreError::Missing(pgno))?;
        let Some(asked) = self.ask(pgno, at)? else {
            if !fetcher.wait()? {
                // The query that claimed the page may be gone, and its request with it.
                self.follower.borrow_mut().release(&[pgno], at);
            }
            return Ok(None);
        };
        let taken = self.answered(&asked, fetcher.fetch(&asked.question));
        fetcher.wake();
        taken.map(Some)
    }

    /// The page, if it is held.
    fn held(&self, pgno: Pgno, at: Txid) -> Result<Option<Rc<[u8]>>, StoreError> {
        self.check_epoch()?;
        self.follower.borrow_mut().read(pgno, at)
    }

    /// What was pinned is still there.
    fn check_epoch(&self) -> Result<(), StoreError> {
        if self.reading.get().is_some_and(|reading| reading.epoch != Some(self.follower.borrow().epoch())) {
            return Err(StoreError::Io("the replica has begun anew: the state that is read is gone".into()));
        }
        Ok(())
    }

    /// The question for a page that is missing, which is claimed until it is answered. `None`: somebody else has asked.
    pub(super) fn ask(&self, pgno: Pgno, at: Txid) -> Result<Option<AskedPages>, StoreError> {
        let Reading { database, state, .. } =
            self.reading.get().filter(|reading| reading.state.txid == at).ok_or(StoreError::Missing(pgno))?;
        if self.follower.borrow().is_claimed(pgno, at) {
            return Ok(None);
        }
        let mut pages = self.trail.borrow_mut().window(pgno, state.page_count);
        let mut follower = self.follower.borrow_mut();
        pages.truncate(follower.most_asked);
        pages.retain(|page| (*page == pgno || !follower.holds(*page, at)) && follower.claim(*page, at));
        let question = Message { database, body: Body::Fetch(Fetch { at: state.position(), pages: pages.clone() }) };
        Ok(Some(AskedPages { question, database, state, pgno, pages }))
    }

    /// Takes the answer, or that there is none. The page is returned, since it may not stay in the cache for long.
    pub(super) fn answered(&self, asked: &AskedPages, answer: Result<Message, StoreError>) -> Result<Rc<[u8]>, StoreError> {
        let taken = answer.and_then(|answer| self.take(asked, &answer));
        self.follower.borrow_mut().release(&asked.pages, asked.state.txid);
        taken
    }

    fn take(&self, asked: &AskedPages, answer: &Message) -> Result<Rc<[u8]>, StoreError> {
        let pgno = asked.pgno;
        let pages: &Pages = match &answer.body {
            Body::Pages(pages) if answer.database == asked.database && pages.state == asked.state => pages,
            Body::Refused(refusal) => return Err(StoreError::Io(format!("page {pgno} was refused: {}", refusal.text))),
            _ => return Err(StoreError::Io(format!("the answer does not hold page {pgno} as of {}", asked.state.txid))),
        };
        let frame = pages.frames.iter().find(|frame| frame.pgno == pgno);
        let frame = frame.ok_or_else(|| StoreError::Io(format!("the answer does not hold page {pgno}")))?;
        let image = frame.expand(asked.state.page_size).map_err(|error| StoreError::Io(error.to_string()))?;
        self.check_epoch()?;
        self.fetched.set(self.fetched.get() + pages.frames.len() as u64);
        let taken = self.follower.borrow_mut().fetched(answer.database, pages);
        taken.map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(image.into())
    }
}

/// A question for pages that is under way.
pub(super) struct AskedPages {
    pub(super) question: Message,
    database: DatabaseId,
    state: State,
    pgno: Pgno,
    /// All that were claimed.
    pages: Vec<Pgno>,
}

impl PageReader for ReplicaReader {
    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError> {
        if self.reading.get().is_some_and(|reading| pgno == reading.state.page_size.lock_page()) {
            image.fill(0);
            return Ok(());
        }
        for _ in 0..WAITS {
            let mut found = self.held(pgno, at)?;
            if found.is_none() {
                found = self.fetch(pgno, at)?;
            }
            let Some(found) = found else { continue };
            if found.len() != image.len() {
                return Err(StoreError::damaged_page(pgno, at, "it has another page size"));
            }
            image.copy_from_slice(&found);
            self.trail.borrow_mut().saw(pgno, &found);
            return Ok(());
        }
        Err(StoreError::Io(format!("page {pgno} is fetched by others, again and again")))
    }
    fn pages_fetched(&self) -> u64 {
        self.fetched.get()
    }
}
