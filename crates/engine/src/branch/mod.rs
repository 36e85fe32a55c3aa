//! The store of a branch: a durable one that begins with a state of another database, and fetches the pages of that when they are asked for.
//! What is fetched it keeps, so each comes once; the rest comes in the background, a part at a time ([`BranchStore::ask_more`]).
//!
//! Who can wait for a page waits; to others it is [`StoreError::Missing`], and what they were about is done again where one can wait.
//!
//! **Invariant:** a page that is missing is the same in every state of the branch: as in its base.
//!
//! **Not here:** which pages are missing (`store::durable::base`), the way to the other database ([`Fetcher`]), who can wait (the caller).

mod promotion;

pub use promotion::Promotion;

use crate::commit_log::{Body, Fetch, LoggedCommit, Message, Pages};
use crate::fetch::{Claims, Fetcher, FetchingReader, Holder};
use crate::store::durable::{Base, Sql};
use crate::store::{DurableStore, PageReader, PageStore, ScratchSpace, StoreError};
use littoral_protocol::{Checksum, Commit, DatabaseId, Frame, PageSet, Pgno, State, Txid};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Pages of a part that comes in the background.
const PART_PAGES: usize = 512;

/// A durable store that lacks pages of the state that it began with.
pub struct BranchStore<Q> {
    own: Rc<DurableStore<Q>>,
    base: Base,
    reader: FetchingReader,
}

impl<Q: Sql + 'static> BranchStore<Q> {
    /// The store with the pages that `fetcher` brings. `None`: it lacks none.
    pub fn new(own: Rc<DurableStore<Q>>, fetcher: Rc<dyn Fetcher>) -> Option<BranchStore<Q>> {
        let base = own.base()?;
        let reader = FetchingReader::new(Rc::new(BasePages { own: own.clone(), base, claims: Claims::default() }));
        reader.begin(base.parent, base.state, Some(fetcher));
        Some(BranchStore { own, base, reader })
    }

    /// Whether pages are missing.
    pub fn lacks_pages(&self) -> bool {
        self.own.base().is_some()
    }

    /// The question for the next pages that are missing; `None`: none is.
    pub fn ask_more(&self) -> Result<Option<Message>, StoreError> {
        let pages = self.own.next_lacking(PART_PAGES)?;
        let question = Message { database: self.base.parent, body: Body::Fetch(Fetch { at: self.base.state.position(), pages }) };
        Ok(self.own.base().map(|_| question))
    }

    /// Takes the answer to it.
    pub fn take(&self, answer: &Message) -> Result<(), StoreError> {
        match &answer.body {
            Body::Pages(pages) if answer.database == self.base.parent && pages.state == self.base.state => keep(&self.own, pages),
            other => Err(foreign(other.clone(), "the branch's parent")),
        }
    }
}

/// What is no answer.
fn foreign(answer: Body, who: &str) -> StoreError {
    StoreError::Io(match answer {
        Body::Refused(refusal) => format!("{who} refused a question: {}", refusal.text),
        _ => format!("{who} answered something else than it was asked for"),
    })
}

fn keep<Q: Sql>(own: &DurableStore<Q>, pages: &Pages) -> Result<(), StoreError> {
    for frame in &pages.frames {
        if frame.pgno.0 > pages.state.page_count {
            return Err(StoreError::damaged_page(frame.pgno, pages.state.txid, "the branch's parent has fewer pages"));
        }
        frame.expand(pages.state.page_size).map_err(|error| StoreError::Io(error.to_string()))?;
    }
    own.keep_base(&pages.frames)
}

/// The pages of the base that are there.
struct BasePages<Q> {
    own: Rc<DurableStore<Q>>,
    base: Base,
    claims: Claims,
}

impl<Q: Sql> Holder for BasePages<Q> {
    fn epoch(&self, database: DatabaseId) -> Option<u64> {
        (database == self.base.parent).then_some(0)
    }

    fn read(&self, pgno: Pgno, _at: Txid) -> Result<Option<Rc<[u8]>>, StoreError> {
        // What the oldest state has, it has from the base, or it is newer: then nobody asks for that of the base.
        let mut image = vec![0; self.base.state.page_size.bytes()];
        match self.own.read_page(pgno, self.own.oldest(), &mut image) {
            Ok(()) => Ok(Some(image.into())),
            Err(StoreError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn holds(&self, pgno: Pgno, _at: Txid) -> bool {
        self.own.has_base_page(pgno).unwrap_or_default()
    }

    fn keep(&self, pages: &Pages) -> Result<(), StoreError> {
        keep(&self.own, pages)
    }

    fn claims(&self) -> Claims {
        self.claims.clone()
    }
}

impl<Q: Sql> ScratchSpace for BranchStore<Q> {
    fn new_scratch(&self) -> u64 {
        self.own.new_scratch()
    }

    fn put_scratch(&self, file: u64, block: u32, bytes: &[u8]) -> Result<(), StoreError> {
        self.own.put_scratch(file, block, bytes)
    }

    fn get_scratch(&self, file: u64, block: u32) -> Result<Option<Vec<u8>>, StoreError> {
        self.own.get_scratch(file, block)
    }

    fn cut_scratch(&self, file: u64, from: u32) -> Result<(), StoreError> {
        self.own.cut_scratch(file, from)
    }
}

impl<Q: Sql + 'static> PageStore for BranchStore<Q> {
    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError> {
        match self.own.read_page(pgno, at, image) {
            Ok(()) => {
                if self.lacks_pages() {
                    self.reader.saw(pgno, image);
                }
                Ok(())
            }
            Err(StoreError::Missing(_)) => self.reader.read_page(pgno, self.base.state.txid, image),
            Err(error) => Err(error),
        }
    }

    fn read_pages(&self, first: Pgno, at: Txid, page_bytes: usize, images: &mut [u8]) -> Result<usize, StoreError> {
        self.own.read_pages(first, at, page_bytes, images)
    }

    fn page_checksum(&self, pgno: Pgno, at: Txid) -> Result<Checksum, StoreError> {
        match self.own.page_checksum(pgno, at) {
            Err(StoreError::Missing(_)) => {
                let mut image = vec![0; self.base.state.page_size.bytes()];
                self.reader.read_page(pgno, self.base.state.txid, &mut image)?;
                self.own.page_checksum(pgno, at)
            }
            other => other,
        }
    }

    fn id(&self) -> DatabaseId {
        self.own.id()
    }

    fn head(&self) -> State {
        self.own.head()
    }

    fn oldest(&self) -> Txid {
        self.own.oldest()
    }

    fn exact_from(&self) -> Txid {
        self.own.exact_from()
    }

    fn state(&self, txid: Txid) -> Result<State, StoreError> {
        self.own.state(txid)
    }

    fn resolve(&self, txid: Txid) -> Result<Txid, StoreError> {
        self.own.resolve(txid)
    }

    fn next_kept(&self, txid: Txid) -> Result<Option<State>, StoreError> {
        self.own.next_kept(txid)
    }

    fn txid_at(&self, time_ms: u64) -> Result<Txid, StoreError> {
        self.own.txid_at(time_ms)
    }

    fn history_bytes(&self) -> Result<u64, StoreError> {
        self.own.history_bytes()
    }

    fn append(&self, commit: &Commit) -> Result<(), StoreError> {
        self.own.append(commit)
    }

    fn stage(&self, frames: &[Frame]) -> Result<Checksum, StoreError> {
        self.own.stage(frames)
    }

    fn read_staged(&self, pgno: Pgno, image: &mut [u8]) -> Result<bool, StoreError> {
        self.own.read_staged(pgno, image)
    }

    fn cut_staged(&self, last: u32) -> Result<Checksum, StoreError> {
        self.own.cut_staged(last)
    }

    fn staged(&self) -> PageSet {
        self.own.staged()
    }

    fn append_staged(&self, state: &State) -> Result<(), StoreError> {
        self.own.append_staged(state)
    }

    fn discard_staged(&self) {
        self.own.discard_staged();
    }

    fn has_discarded(&self) -> bool {
        self.own.has_discarded()
    }

    fn log_after(&self, after: Txid, max_frames: usize) -> Result<Vec<Commit>, StoreError> {
        self.own.log_after(after, max_frames)
    }

    fn logged_after(&self, after: Txid, max_frames: usize, image_bytes: usize) -> Result<Vec<LoggedCommit>, StoreError> {
        self.own.logged_after(after, max_frames, image_bytes)
    }

    fn written_between(&self, after: Txid, until: Txid) -> Result<PageSet, StoreError> {
        self.own.written_between(after, until)
    }

    fn written_lately(&self, after: Txid, until: Txid) -> Option<PageSet> {
        self.own.written_lately(after, until)
    }

    fn prune(&self, before: Txid) -> Result<bool, StoreError> {
        self.own.prune(before)
    }

    fn thin(&self, before: Txid, step_ms: u64, pinned: &BTreeSet<Txid>) -> Result<bool, StoreError> {
        self.own.thin(before, step_ms, pinned)
    }
}
