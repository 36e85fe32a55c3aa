//! What moves a follower: it pulls, waits for the pulls of others, answers followers behind it, and finds the state that a read is answered
//! from. Its owner brings a [`Link`] for each request.
//!
//! **Invariants**
//! 1. One pull is under way at a time; whoever wants one meanwhile waits for it.
//! 2. Nobody waits for ever: a pull whose request has ended is given up.
//!
//! **Not here:** who may answer (`session`), running queries, the network.

use super::{Applied, Link, LinkError, Pin, Relayed, ReplicaError, SharedFollower};
use crate::commit_log::{self, Body, Message, Refusal, RefusalReason};
use crate::session::{Decision, Freshness, View, decide, later};
use littoral_protocol::sql::Point;
use littoral_protocol::{Bookmark, DatabaseId, Position, State, Txid};
use std::cell::Cell;
use std::rc::Rc;

/// Pulls in a row to come to the source's head; what is left then is left to the next read.
const PULLS: usize = 64;
/// A pull that takes longer is given up, in milliseconds.
const PULL_MS: u64 = 3_000;

/// A follower with what moves it. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    follower: SharedFollower,
    /// When the pull began that is under way.
    pulling: Rc<Cell<Option<u64>>>,
    pulled_at_ms: Rc<Cell<u64>>,
    /// When somebody was last told to pull.
    polled_at_ms: Rc<Cell<u64>>,
    /// While it is read, it pulls that often, in milliseconds.
    poll_ms: u64,
    /// Before it tells followers of an older age, it pulls.
    relayed_age_ms: Option<u64>,
    passed_on: Rc<Cell<Option<Bookmark>>>,
}

/// A state that a read is answered from, of a database.
pub type Pinned = (DatabaseId, Pin);

impl Driver {
    /// Drives a follower that pulls every `poll_ms` while it is read, and before it tells followers behind it of an age over
    /// `relayed_age_ms`.
    pub fn new(follower: SharedFollower, poll_ms: u64, relayed_age_ms: Option<u64>) -> Driver {
        let (pulled_at_ms, polled_at_ms) = Default::default();
        Driver { follower, pulling: Rc::default(), pulled_at_ms, polled_at_ms, poll_ms, relayed_age_ms, passed_on: Rc::default() }
    }

    /// The follower.
    pub fn follower(&self) -> &SharedFollower {
        &self.follower
    }

    /// The state that a read is answered from, if that needs no waiting.
    pub fn pin_now(&self, freshness: Freshness, max_staleness_ms: Option<u64>, now_ms: u64) -> Option<Pinned> {
        let decision = decide(freshness, max_staleness_ms, self.view(now_ms, false));
        if decision == Decision::Answer { self.pin() } else { None }
    }

    fn pin(&self) -> Option<Pinned> {
        let follower = self.follower.borrow();
        Some((follower.database(), follower.pin()?))
    }

    /// The state that a read is answered from, pulling if that helps. `None`: the primary has to answer.
    pub async fn pin_present(&self, freshness: Freshness, max_staleness_ms: Option<u64>, link: &dyn Link) -> Option<Pinned> {
        let mut pulled = false;
        loop {
            match decide(freshness, max_staleness_ms, self.view(link.now_ms(), pulled)) {
                Decision::Primary => return None,
                Decision::Answer => return self.pin(),
                Decision::Pull if self.is_pulling(link.now_ms()) => {
                    // Another request's pull may bring what this one needs; it is no pull of this one's own.
                    link.wait().await;
                    pulled = self.is_pulling(link.now_ms());
                }
                Decision::Pull => {
                    let bookmark = if let Freshness::AtLeast(bookmark) = freshness { bookmark.txid } else { Txid::EMPTY };
                    let wanted = bookmark.max(self.passed_on.get().map_or(Txid::EMPTY, |bookmark| bookmark.txid));
                    self.pull(link, wanted).await;
                    pulled = true;
                }
            }
        }
    }

    /// A state of the past, as the source finds it. `None`: the primary has to answer.
    pub async fn pin_past(&self, point: Point, link: &dyn Link) -> Option<Pinned> {
        let (point, named) = match point {
            Point::Time(time_ms) => (commit_log::Sought::Time(time_ms), None),
            Point::Bookmark(bookmark) => (commit_log::Sought::At(position_of(&bookmark)), Some(bookmark)),
        };
        let database = self.follower.borrow().database();
        let answer = link.ask(Message { database, body: Body::Find(point) }.encode()).await.ok()?;
        let answer = Message::decode(&answer).ok()?;
        let Body::Found(state) = answer.body else { return None };
        let right = match (point, named) {
            (commit_log::Sought::Time(time_ms), _) => state.time_ms <= time_ms,
            (_, named) => named.is_some_and(|bookmark| state.txid < bookmark.txid || state.bookmark() == bookmark),
        };
        // A follower that knows nothing yet has no place for pages.
        if self.follower.borrow().state().is_none() {
            self.pull(link, Txid::EMPTY).await;
        }
        let follower = self.follower.borrow();
        let same = follower.database() == answer.database;
        (right && same).then(|| (answer.database, follower.pin_state(state)))
    }

    /// Moves the follower forward until it is at its source's head. Returns whether it heard from it.
    pub async fn pull(&self, link: &dyn Link, wanted: Txid) -> bool {
        if self.is_pulling(link.now_ms()) {
            return false;
        }
        self.pulling.set(Some(link.now_ms()));
        let result = self.pull_to_head(link, wanted).await;
        self.pulling.set(None);
        self.say_events(link);
        link.wake();
        if let Err(error) = &result {
            link.log(&format!("a replica cannot follow: {error}"));
        }
        result.is_ok()
    }

    async fn pull_to_head(&self, link: &dyn Link, wanted: Txid) -> Result<(), String> {
        // Images while it is near; far behind, most of them would be of pages that nobody reads here.
        let mut images = true;
        for _ in 0..PULLS {
            let now_ms = link.now_ms();
            let (asked, question) = {
                let follower = self.follower.borrow();
                follower.pull(now_ms, wanted, images, follower.sizes.pulled_bytes)
            };
            let answer = link.ask(question.encode()).await.map_err(|LinkError(error)| error)?;
            let answer = Message::decode(&answer).map_err(|error| error.to_string())?;
            let applied = self.follower.borrow_mut().answered(asked, answer);
            match applied {
                Ok(Applied::Current) => {
                    self.pulled_at_ms.set(now_ms);
                    return Ok(());
                }
                Ok(Applied::Behind) => images = false,
                // Only the primary says so, and it says where it is now.
                Ok(Applied::Restarted) => {
                    self.pulled_at_ms.set(now_ms);
                    return Ok(());
                }
                Ok(Applied::Gap) => {}
                // It begins anew with the next pull.
                Err(ReplicaError::Diverged { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(format!("{PULLS} pulls did not bring it to the source's head"))
    }

    /// The request whose pull it was may have ended before its answer came: nobody waits for that for ever, even if the clock goes back.
    fn is_pulling(&self, now_ms: u64) -> bool {
        self.pulling.get().is_some_and(|since| (since..since + PULL_MS).contains(&now_ms))
    }

    /// Answers a question of a follower behind this replica: from what is here, with the source's help, or by the source itself.
    pub async fn follow(&self, question: &[u8], link: &dyn Link) -> Result<Vec<u8>, LinkError> {
        let message = match Message::decode(question) {
            Ok(message) => message,
            Err(error) => {
                let refusal = Refusal::new(RefusalReason::Malformed, error.to_string());
                return Ok(Message { database: DatabaseId::NONE, body: Body::Refused(refusal) }.encode());
            }
        };
        if matches!(message.body, Body::Pull(_)) && self.is_too_old_to_relay(link.now_ms()) {
            self.pull_or_wait(link).await;
        }
        // A pull that was under way may have begun too early, so there is one more.
        for last_try in [false, false, true] {
            let relayed = self.follower.borrow_mut().relay(&message, link.now_ms(), last_try);
            match relayed.map_err(|error| LinkError(error.to_string()))? {
                Relayed::Say(answer) => return Ok(answer.encode()),
                Relayed::PassOn => break,
                Relayed::PullFirst => self.pull_or_wait(link).await,
                Relayed::FetchFirst(question) => {
                    let answer = link.ask(question.encode()).await?;
                    if let Ok(Message { database, body: Body::Pages(pages) }) = Message::decode(&answer) {
                        let taken = self.follower.borrow_mut().fetched(database, &pages);
                        taken.map_err(|error| LinkError(error.to_string()))?;
                    }
                }
            }
        }
        link.ask(question.to_vec()).await
    }

    async fn pull_or_wait(&self, link: &dyn Link) {
        if self.is_pulling(link.now_ms()) {
            link.wait().await;
        } else {
            self.pull(link, Txid::EMPTY).await;
        }
    }

    fn is_too_old_to_relay(&self, now_ms: u64) -> bool {
        let staleness_ms = self.follower.borrow().staleness_ms(now_ms);
        self.relayed_age_ms.zip(staleness_ms).is_some_and(|(limit, staleness)| staleness > limit)
    }

    /// Takes commits that the source sent unasked. Returns the position; `None`: it has to pull.
    pub fn told(&self, news: &[u8]) -> Option<Position> {
        let message = Message::decode(news).ok()?;
        let applied = self.follower.borrow_mut().told(message);
        matches!(applied, Ok(Applied::Current | Applied::Behind)).then(|| self.state().map(|state| state.position()))?
    }

    /// Whether a replica that has just been read should pull, for the reads to come. Says so once: until the pull begins, which may be
    /// long after, nobody else is told to.
    pub fn should_poll(&self, now_ms: u64) -> bool {
        let last = self.pulled_at_ms.get().max(self.polled_at_ms.get());
        // A clock that went back tells nothing of how long ago that was.
        let is_due = !(last..last + self.poll_ms).contains(&now_ms);
        let should = is_due && !self.is_pulling(now_ms);
        if should {
            self.pulled_at_ms.set(self.pulled_at_ms.get().min(now_ms));
            self.polled_at_ms.set(now_ms);
        }
        should
    }

    /// The state that it would answer from.
    pub fn state(&self) -> Option<State> {
        self.follower.borrow().state().map(|(_, state)| state)
    }

    fn view(&self, now_ms: u64, pulled: bool) -> View {
        let follower = self.follower.borrow();
        View {
            state: follower.state().map(|(_, state)| state),
            staleness_ms: follower.staleness_ms(now_ms),
            pulled,
            passed_on: self.passed_on.get(),
        }
    }

    /// A write that was passed on to the primary was answered with this bookmark: reads that come from now on see it.
    pub fn passed_on(&self, bookmark: Bookmark) {
        self.passed_on.set(Some(later(self.passed_on.get(), bookmark)));
    }

    /// Logs what has happened to the follower since.
    pub fn say_events(&self, link: &dyn Link) {
        let events = self.follower.borrow_mut().take_events();
        for event in events {
            link.log(&event);
        }
    }
}

fn position_of(bookmark: &Bookmark) -> Position {
    Position { txid: bookmark.txid, checksum: bookmark.checksum() }
}
