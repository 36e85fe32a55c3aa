//! Pages for SQLite, from a holder of some: a hit is an ordinary call; a miss is fetched while the caller's stack waits.
//!
//! **Invariants**
//! 1. A page is fetched once, however many queries wait for it.
//! 2. Nothing of the holder is borrowed while a fetch is under way: other queries go on meanwhile.
//! 3. What is read is of the state that was begun with, or an error: also when the holder has begun anew meanwhile.
//! 4. Without a [`Fetcher`] a miss is [`StoreError::Missing`], and the caller's state is not changed.
//!
//! **Not here:** how a stack waits (`worker`).

use super::lookups::Held;
use super::prefetch::Trail;
use super::{Claims, Fetcher, Holder};
use crate::commit_log::{Body, Fetch, Message, Pages};
use crate::store::{PageReader, StoreError};
use littoral_protocol::{DatabaseId, PageSet, Pgno, State, Txid};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How often a query waits for the fetches of others before it gives up on a page.
const WAITS: usize = 1_000;

/// The pages that one connection reads.
pub struct FetchingReader {
    holder: Rc<dyn Holder>,
    claims: Claims,
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
    /// The holder's; `None`: it had begun anew before the reading began.
    epoch: Option<u64>,
    /// All readings before were of the same database and epoch.
    is_same_history: bool,
}

impl FetchingReader {
    /// Pages that `holder` has, and those that it lacks.
    pub fn new(holder: Rc<dyn Holder>) -> FetchingReader {
        let (claims, reading, fetched) = (holder.claims(), Cell::new(None), Cell::new(0));
        FetchingReader { holder, claims, reading, fetcher: RefCell::new(None), trail: RefCell::default(), fetched }
    }

    /// From now on pages of `state` are read, which is to stay readable, and what is missing is fetched by `fetcher`.
    pub fn begin(&self, database: DatabaseId, state: State, fetcher: Option<Rc<dyn Fetcher>>) {
        let epoch = self.holder.epoch(database);
        let continues = |before: Reading| before.is_same_history && before.database == database && before.epoch == epoch;
        let is_same_history = epoch.is_some() && self.reading.get().is_none_or(continues);
        self.reading.set(Some(Reading { database, state, epoch, is_same_history }));
        self.fetcher.replace(fetcher);
        self.fetched.set(0);
    }

    /// A page was read elsewhere that SQLite may go on from.
    pub(crate) fn saw(&self, pgno: Pgno, image: &[u8]) {
        self.trail.borrow_mut().saw(pgno, &image.into());
    }

    /// Ends what [`FetchingReader::begin`] began.
    pub fn end(&self) {
        self.fetcher.replace(None);
    }

    /// The page from this query's own fetch; `None`: from that of another, which has ended.
    fn fetch(&self, pgno: Pgno, at: Txid) -> Result<Option<Rc<[u8]>>, StoreError> {
        let fetcher = self.fetcher.borrow().clone().ok_or(StoreError::Missing(pgno))?;
        let Some(asked) = self.ask(pgno, at)? else {
            if !fetcher.wait()? {
                // The query that claimed the page may be gone, and its request with it.
                self.claims.release(&[pgno], at);
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
        self.holder.read(pgno, at)
    }

    /// What was held when the reading began is still right.
    fn check_epoch(&self) -> Result<(), StoreError> {
        let stays = |reading: Reading| reading.epoch.is_some() && reading.epoch == self.holder.epoch(reading.database);
        if self.reading.get().is_none_or(stays) {
            return Ok(());
        }
        Err(StoreError::Io("the copy has begun anew: the state that is read is gone".into()))
    }

    /// The question for a page that is missing, which is claimed until it is answered. `None`: somebody else has asked.
    pub(crate) fn ask(&self, pgno: Pgno, at: Txid) -> Result<Option<AskedPages>, StoreError> {
        let Reading { database, state, .. } =
            self.reading.get().filter(|reading| reading.state.txid == at).ok_or(StoreError::Missing(pgno))?;
        if self.claims.is_claimed(pgno, at) {
            return Ok(None);
        }
        let held = HeldAt { holder: &*self.holder, at };
        let mut pages = self.trail.borrow_mut().window(pgno, state.page_count, &held);
        pages.truncate(self.claims.most());
        pages.retain(|page| (*page == pgno || !self.holder.holds(*page, at)) && self.claims.claim(*page, at));
        let question = Message { database, body: Body::Fetch(Fetch { at: state.position(), pages: pages.clone() }) };
        Ok(Some(AskedPages { question, database, state, pgno, pages }))
    }

    /// Takes the answer, or that there is none. The page is returned, since it may not be held for long.
    pub(crate) fn answered(&self, asked: &AskedPages, answer: Result<Message, StoreError>) -> Result<Rc<[u8]>, StoreError> {
        let taken = answer.and_then(|answer| self.take(asked, &answer));
        self.claims.release(&asked.pages, asked.state.txid);
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
        self.holder.keep(pages)?;
        Ok(image.into())
    }
}

/// What a holder has of one state.
struct HeldAt<'a> {
    holder: &'a dyn Holder,
    at: Txid,
}

impl Held for HeldAt<'_> {
    fn page(&self, pgno: Pgno) -> Option<Rc<[u8]>> {
        self.holder.read(pgno, self.at).ok().flatten()
    }

    fn has(&self, pgno: Pgno) -> bool {
        self.holder.holds(pgno, self.at)
    }
}

/// A question for pages that is under way.
pub(crate) struct AskedPages {
    pub(crate) question: Message,
    database: DatabaseId,
    state: State,
    pgno: Pgno,
    /// All that were claimed.
    pages: Vec<Pgno>,
}

impl PageReader for FetchingReader {
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

    fn changed_lately(&self, from: &State, to: &State) -> Option<PageSet> {
        let same_history = self.check_epoch().is_ok() && self.reading.get().is_some_and(|reading| reading.is_same_history);
        if !same_history || from.page_size != to.page_size {
            return None;
        }
        self.holder.written_lately(from.txid.min(to.txid), from.txid.max(to.txid))
    }

    fn pages_fetched(&self) -> u64 {
        self.fetched.get()
    }
}
