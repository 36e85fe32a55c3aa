//! The state machine of a replica: a position in the primary's history, and some pages as of it.
//!
//! It moves by commits. A page it holds is replaced by the commit's image, or dropped where only its number came; a page it lacks is fetched as
//! of the position. While a query has a position pinned, versions of pages that it may read stay.
//!
//! **Invariants**
//! 1. Every page held equals the primary's, at every txid that its version covers.
//! 2. The position moves forward by whole commits, or anew from a restart; what is doubled, late or out of order changes nothing.
//! 3. `changes` has every commit after `floor`. A page fetched as of an older txid is good at that txid only.
//! 4. What does not fit together (another checksum at the same txid, an image that is not its checksum's) throws all pages away, and says so.
//!
//! **Not here:** when to ask (`session`, the owner), what pages mean.

mod apply;

use super::cache::{Owner, PageCache, Version};
use super::held::PageShelf;
use super::pin::{Pin, Pins};
use super::recent::Recent;
use super::{ReplicaError, Sizes};
use crate::commit_log::{Body, Message, Pages, Pull, Restart, RestartReason, Segment, StoredFrame};
use crate::fetch::{Claims, Holder};
use crate::store::StoreError;
use littoral_protocol::{Bookmark, Checksum, DatabaseId, PageSet, Pgno, State, Txid};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// Commits that are remembered in any case, if they are small.
const LAST_COMMITS: usize = 32;
/// Pages of a commit that is remembered in any case.
const FEW_PAGES: usize = 256;

/// A follower that queries share.
pub type SharedFollower = Rc<RefCell<Follower>>;

/// A replica's state.
pub struct Follower {
    cache: Rc<RefCell<PageCache>>,
    owner: Owner,
    shelf: Option<Box<dyn PageShelf>>,
    known: Option<Known>,
    /// Counts restarts: the answer to a question asked before one is of no use after it.
    epoch: u64,
    floor: Txid,
    changes: VecDeque<Change>,
    pins: Pins,
    claims: Claims,
    /// For followers behind this one.
    recent: Option<Recent>,
    pub(super) sizes: Sizes,
    events: Vec<String>,
}

#[derive(Clone, Copy)]
struct Known {
    database: DatabaseId,
    state: State,
    /// When `state` was the primary's newest for the last time that is known.
    current_at_ms: Option<u64>,
}

/// What a commit changed.
struct Change {
    txid: Txid,
    pgnos: Vec<Pgno>,
    page_count: u32,
}

impl Change {
    fn touches(&self, pgno: Pgno) -> bool {
        pgno.0 > self.page_count || self.pgnos.binary_search(&pgno).is_ok()
    }
}

/// A question that was asked: to be handed back with its answer.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    epoch: u64,
    txid: Txid,
    at_ms: u64,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The follower is at the source's head.
    Current,
    /// It has come nearer: the source has more.
    Behind,
    /// Commits are missing between its position and the first that came: it has to pull.
    Gap,
    /// It began anew.
    Restarted,
}

impl Follower {
    /// A follower that knows nothing yet.
    pub fn new(cache: Rc<RefCell<PageCache>>) -> Follower {
        let owner = cache.borrow_mut().owner();
        Follower {
            cache,
            owner,
            shelf: None,
            known: None,
            epoch: 0,
            floor: Txid::EMPTY,
            changes: VecDeque::new(),
            pins: Pins::default(),
            claims: Claims::default(),
            recent: None,
            sizes: Sizes::default(),
            events: Vec::new(),
        }
    }

    /// A follower that also keeps pages on a shelf, and goes on from what it finds there. It is to answer others, too.
    pub fn with_shelf(cache: Rc<RefCell<PageCache>>, shelf: Box<dyn PageShelf>) -> Follower {
        let mut follower = Follower::new(cache);
        follower.known = shelf.position().map(|(database, state)| Known { database, state, current_at_ms: None });
        follower.floor = follower.txid();
        follower.recent = Some(Recent::begin(follower.known.map(|known| known.state.position())));
        follower.events.extend(shelf.damage().map(|damage| format!("a replica throws its pages away: {damage}")));
        follower.shelf = Some(shelf);
        follower
    }

    /// The same with other sizes.
    pub fn with_sizes(self, sizes: Sizes) -> Follower {
        Follower { sizes, ..self }
    }

    /// From now on no more than so many pages are fetched with a missing one, that one among them.
    pub fn prefetch_at_most(&self, pages: usize) {
        self.claims.at_most(pages);
    }

    /// The database and the position; `None` before the first answer.
    pub fn state(&self) -> Option<(DatabaseId, State)> {
        self.known.map(|known| (known.database, known.state))
    }

    /// The txid of the position; 0 before the first answer.
    pub fn txid(&self) -> Txid {
        self.known.map_or(Txid::EMPTY, |known| known.state.txid)
    }

    /// The database, as far as it is known.
    pub fn database(&self) -> DatabaseId {
        self.known.map_or(DatabaseId::NONE, |known| known.database)
    }

    /// Milliseconds that the position may be behind the primary, at most; `None`: unknown, as it is when the clock went back.
    pub fn staleness_ms(&self, now_ms: u64) -> Option<u64> {
        now_ms.checked_sub(self.known?.current_at_ms?)
    }

    /// What happened that people should know: for the log. Taken once.
    pub fn take_events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }

    /// The question that moves the follower forward.
    pub fn pull(&self, now_ms: u64, wanted: Txid, images: bool, max_bytes: u32) -> (Asked, Message) {
        let after = self.known.map(|known| known.state.position());
        // What a client's bookmark names may be nothing that can be.
        let body = Body::Pull(Pull { after, images, wanted: wanted.min(Txid::MAX), max_bytes });
        (Asked { epoch: self.epoch, txid: self.txid(), at_ms: now_ms }, Message { database: self.database(), body })
    }

    /// Takes the answer to a question of [`Follower::pull`].
    pub fn answered(&mut self, asked: Asked, answer: Message) -> Result<Applied, ReplicaError> {
        match answer.body {
            Body::Commits(segment) => self.advance(answer.database, segment, Some(asked.at_ms)),
            // Asked from elsewhere: before an earlier restart, which stands, or before commits that came in another way.
            Body::Restart(_) if (asked.epoch, asked.txid) != (self.epoch, self.txid()) => Ok(Applied::Behind),
            Body::Restart(restart) => self.restart(answer.database, restart, asked.at_ms),
            Body::Refused(refusal) => Err(ReplicaError::Refused(refusal)),
            Body::Pull(_) | Body::Fetch(_) | Body::Pages(_) | Body::Find(_) | Body::Found(_) => Err(ReplicaError::Unexpected),
        }
    }

    /// Takes commits that the source sent unasked.
    pub fn told(&mut self, message: Message) -> Result<Applied, ReplicaError> {
        match message.body {
            Body::Commits(segment) => self.advance(message.database, segment, None),
            _ => Err(ReplicaError::Unexpected),
        }
    }

    fn advance(&mut self, database: DatabaseId, segment: Segment, asked_at_ms: Option<u64>) -> Result<Applied, ReplicaError> {
        let Some(known) = self.known.filter(|known| known.database == database) else { return Ok(Applied::Gap) };
        let position = known.state.position();
        if segment.after.txid > position.txid {
            return Ok(Applied::Gap);
        }
        self.check_meeting(&segment, &known)?;
        let new = segment.commits.iter().position(|commit| commit.state.txid > position.txid).unwrap_or(segment.commits.len());
        let new = &segment.commits[new..];
        self.apply(&known.state, new)?;
        let Some(known) = &mut self.known else { return Ok(Applied::Gap) };
        if known.state.txid != segment.head.txid {
            return Ok(if known.state.txid < segment.head.txid { Applied::Behind } else { Applied::Current });
        }
        if let Some(at_ms) = asked_at_ms {
            let current_at = at_ms.saturating_sub(u64::from(segment.age_ms));
            // A time after that of the question is one of before the clock went back.
            known.current_at_ms = known.current_at_ms.filter(|before| *before <= at_ms).max(Some(current_at));
        }
        Ok(Applied::Current)
    }

    /// Where the segment and the position meet, both have to say the same checksum.
    fn check_meeting(&mut self, segment: &Segment, known: &Known) -> Result<(), ReplicaError> {
        let at = known.state.txid;
        let states = segment.commits.iter().map(|commit| commit.state.position());
        let mut met = states.chain([segment.after, segment.head.position()]).filter(|position| position.txid == at);
        match met.find(|met| met.checksum != known.state.checksum) {
            Some(met) => Err(self.diverged(&format!("the primary has checksum {} there, not {}", met.checksum, known.state.checksum))),
            None => Ok(()),
        }
    }

    /// Forgets what changed before the oldest pinned position, but for the last few commits: whoever read before those need not read anew what
    /// they have not changed.
    fn forget_changes(&mut self) {
        let oldest = self.pins.oldest().unwrap_or(Txid(u64::MAX));
        let are_small = self.changes.iter().rev().take(LAST_COMMITS + 1).all(|change| change.pgnos.len() <= FEW_PAGES);
        let kept_anyway = if are_small { LAST_COMMITS } else { 0 };
        let is_needed = |change: &Change, all: usize| all <= kept_anyway || change.txid > oldest && all <= self.sizes.remembered_commits;
        while self.changes.front().is_some_and(|change| !is_needed(change, self.changes.len())) {
            if let Some(change) = self.changes.pop_front() {
                self.floor = change.txid;
            }
        }
    }

    fn restart(&mut self, database: DatabaseId, restart: Restart, asked_at_ms: u64) -> Result<Applied, ReplicaError> {
        let Restart { reason, state, age_ms, pages } = restart;
        let images = expand_all(&state, &pages)?;
        if let Some(known) = self.known {
            self.events.push(format!(
                "replica of {} begins anew at commit {} instead of {}: {}",
                known.database,
                state.txid,
                known.state.txid,
                reason_text(reason)
            ));
        }
        let shelved = self.shelf.as_ref().map_or(Ok(()), |shelf| shelf.restart(database, &state, &pages));
        shelved.map_err(|error| self.lost_shelf(error))?;
        self.forget_pages();
        let current_at_ms = Some(asked_at_ms.saturating_sub(u64::from(age_ms)));
        self.known = Some(Known { database, state, current_at_ms });
        self.floor = state.txid;
        self.recent = self.recent.is_some().then(|| Recent::begin(Some(state.position())));
        for (pgno, checksum, image) in images {
            self.keep(pgno, state.txid, checksum, image);
        }
        Ok(Applied::Restarted)
    }

    /// Throws everything away: the next question begins anew.
    pub fn forget(&mut self) -> Result<(), StoreError> {
        self.forget_pages();
        self.known = None;
        self.shelf.as_ref().map_or(Ok(()), |shelf| shelf.clear())
    }

    /// Throws everything away, the shelf with it: the database is no more, and whoever still reads here keeps nothing.
    pub fn abandon(&mut self) -> Result<(), StoreError> {
        let forgotten = self.forget();
        self.shelf = None;
        forgotten
    }

    fn forget_pages(&mut self) {
        self.owner = self.cache.borrow_mut().owner();
        self.epoch += 1;
        self.changes.clear();
    }

    /// The shelf may have moved, and the position has not: what is on it must not be read.
    fn lost_shelf(&mut self, error: StoreError) -> ReplicaError {
        self.events.push(format!("replica of {} throws its pages away: {error}", self.database()));
        // Where this fails, too, the shelf is not read before it was cleared.
        let _ = self.forget();
        ReplicaError::Store(error)
    }

    fn diverged(&mut self, what: &str) -> ReplicaError {
        let at = self.txid();
        self.events.push(format!("replica of {} has diverged at commit {at} and throws its pages away: {what}", self.database()));
        if let Err(error) = self.forget() {
            return ReplicaError::Store(error);
        }
        ReplicaError::Diverged { at, what: what.into() }
    }

    /// Keeps the present position readable.
    pub fn pin(&self) -> Option<Pin> {
        self.known.map(|known| self.pin_state(known.state))
    }

    /// Keeps a state of the past readable.
    pub fn pin_state(&self, state: State) -> Pin {
        self.pins.pin(state)
    }

    /// Whether the bookmark is of this database, as far as can be told from here.
    pub fn may_be(&self, bookmark: &Bookmark) -> bool {
        self.known.is_none_or(|known| known.state.txid != bookmark.txid || known.state.checksum == bookmark.checksum())
    }

    /// Counts how often the follower began anew: what was pinned before is of no use after.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The page as of `at`, if it is here.
    pub fn read(&mut self, pgno: Pgno, at: Txid) -> Result<Option<Rc<[u8]>>, StoreError> {
        let Some(known) = self.known.filter(|known| at <= known.state.txid) else { return Ok(None) };
        if let Some(version) = self.cache.borrow_mut().get(self.owner, pgno, at) {
            return Ok(Some(version.image.clone()));
        }
        let Some(frame) = self.shelf.as_ref().map_or(Ok(None), |shelf| shelf.read(pgno))? else { return Ok(None) };
        // What is on the shelf is as of the position.
        let Ok(image) = frame.expand(known.state.page_size) else {
            let _ = self.diverged(&format!("the stored image of page {pgno} is damaged"));
            return Ok(None);
        };
        let image: Rc<[u8]> = image.into();
        let since = self.last_change(pgno).unwrap_or(self.floor.min(known.state.txid));
        self.insert(pgno, Version { since, until: None, image: image.clone(), checksum: frame.checksum });
        Ok((since <= at).then_some(image))
    }

    /// Whether the page is in memory as of `at`.
    pub fn holds(&self, pgno: Pgno, at: Txid) -> bool {
        self.cache.borrow().holds(self.owner, pgno, at)
    }

    /// Takes pages that were fetched as of a state that is pinned.
    pub fn fetched(&mut self, database: DatabaseId, pages: &Pages) -> Result<(), ReplicaError> {
        if database != self.database() {
            return Err(ReplicaError::Unexpected);
        }
        let at = pages.state.txid;
        let mut on_shelf = Vec::new();
        for ((pgno, checksum, image), frame) in expand_all(&pages.state, &pages.frames)?.into_iter().zip(&pages.frames) {
            if self.keep(pgno, at, checksum, image) {
                on_shelf.push(frame.clone());
            }
        }
        if let Some(shelf) = &self.shelf {
            shelf.put(&on_shelf)?;
        }
        Ok(())
    }

    /// Keeps an image that is right at `at`. Returns whether it is right at the position, too.
    fn keep(&mut self, pgno: Pgno, at: Txid, checksum: Checksum, image: Rc<[u8]>) -> bool {
        let position = self.txid();
        let until = if at > position || at < self.floor {
            Some(at)
        } else {
            let changed = self.changes.iter().find(|change| change.txid > at && change.touches(pgno));
            changed.map(|change| Txid(change.txid.0 - 1))
        };
        self.insert(pgno, Version { since: at, until, image, checksum });
        until.is_none()
    }

    fn insert(&self, pgno: Pgno, version: Version) {
        self.cache.borrow_mut().insert(self.owner, pgno, version);
    }

    pub(super) fn recent(&self) -> Option<&Recent> {
        self.recent.as_ref()
    }

    /// The pages of these commits, if all of them are remembered.
    fn written_lately(&self, after: Txid, until: Txid) -> Option<PageSet> {
        if after < self.floor || until > self.txid() {
            return None;
        }
        let first = self.changes.partition_point(|change| change.txid <= after);
        let changes = self.changes.range(first..).take_while(|change| change.txid <= until);
        Some(changes.flat_map(|change| &change.pgnos).copied().collect())
    }

    fn last_change(&self, pgno: Pgno) -> Option<Txid> {
        self.changes.iter().rev().find(|change| change.touches(pgno)).map(|change| change.txid)
    }

    /// Writes what the shelf has gathered.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.shelf.as_ref().map_or(Ok(()), |shelf| shelf.flush())
    }
}

impl Holder for RefCell<Follower> {
    fn epoch(&self, database: DatabaseId) -> Option<u64> {
        let follower = self.borrow();
        (follower.database() == database).then_some(follower.epoch)
    }

    fn read(&self, pgno: Pgno, at: Txid) -> Result<Option<Rc<[u8]>>, StoreError> {
        self.borrow_mut().read(pgno, at)
    }

    fn holds(&self, pgno: Pgno, at: Txid) -> bool {
        self.borrow().holds(pgno, at)
    }

    fn written_lately(&self, after: Txid, until: Txid) -> Option<PageSet> {
        self.borrow().written_lately(after, until)
    }

    fn keep(&self, pages: &Pages) -> Result<(), StoreError> {
        let mut follower = self.borrow_mut();
        let database = follower.database();
        follower.fetched(database, pages).map_err(|error| StoreError::Io(error.to_string()))
    }

    fn claims(&self) -> Claims {
        self.borrow().claims.clone()
    }
}

type Image = (Pgno, Checksum, Rc<[u8]>);

fn expand_all(state: &State, frames: &[StoredFrame]) -> Result<Vec<Image>, ReplicaError> {
    let expand = |frame: &StoredFrame| Ok((frame.pgno, frame.checksum, frame.expand(state.page_size)?.into()));
    frames.iter().map(expand).collect()
}

fn reason_text(reason: RestartReason) -> &'static str {
    match reason {
        RestartReason::First => "it had no position",
        RestartReason::Pruned => "the commits in between are no longer kept",
        RestartReason::Diverged => "the primary has another state at its position",
        RestartReason::Foreign => "the primary is another database",
        RestartReason::Ahead => "the primary has not come to its position",
    }
}

/// What tests look at and change.
#[cfg(test)]
impl Follower {
    pub(super) fn versions(&self) -> Vec<(Pgno, Version)> {
        self.cache.borrow().versions(self.owner)
    }

    /// Holds this version of a page instead of the newest.
    pub(super) fn plant(&mut self, pgno: Pgno, version: Version) {
        let mut cache = self.cache.borrow_mut();
        cache.end_newest(self.owner, pgno, version.since, |_, _| false);
        cache.insert(self.owner, pgno, version);
    }

    pub(super) fn check_cache(&self) -> Result<(), String> {
        self.cache.borrow().check()
    }

    pub(super) fn is_fetching(&self) -> bool {
        !self.claims.are_none()
    }

    pub(super) fn on_shelf(&self, pgno: Pgno) -> Option<StoredFrame> {
        self.shelf.as_ref()?.read(pgno).ok()?
    }
}
