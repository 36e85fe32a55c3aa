//! One database's replica, answering requests.

use super::pool::{Connection, Pool};
use super::rows::{self, Rows};
use crate::client::{D1Result, StatementNow};
use littoral_engine::answer::d1::{Answer, Parsed};
use littoral_engine::commit_log::{self, Body, Message, Refusal, RefusalReason};
use littoral_engine::engine::{Error, Failure, Reader};
use littoral_engine::replica::{Applied, Fetcher, Link, LinkError, Pin, Relayed, ReplicaError, SharedFollower};
use littoral_engine::session::{Decision, Freshness, View, decide, later};
use littoral_engine::store::StoreError;
use littoral_protocol::sql::{Point, Served};
use littoral_protocol::{Bookmark, DatabaseId, Position, State, Txid};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Bytes of commits that are asked for at once.
const PULL_BYTES: u32 = 1 << 20;
/// Pulls in a row to come to the source's head; what is left then is left to the next read.
const PULLS: usize = 64;
/// A pull that takes longer is given up, in milliseconds.
const PULL_MS: u64 = 3_000;

/// How long a query waits for a connection, in milliseconds: long enough for pages that many want to come, and no longer than the primary would
/// take if all of them went there.
const BUSY_MS: u64 = 250;

/// What becomes of a request.
#[derive(Debug)]
pub enum Outcome {
    /// It is answered.
    Answered(Answer),
    /// The next tier may answer.
    NextTier,
    /// The primary has to.
    Primary,
}

/// A replica of one database. Cheap to clone.
#[derive(Clone)]
pub struct Replica {
    follower: SharedFollower,
    pool: Rc<RefCell<Pool>>,
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

/// Why a query could not be answered here.
enum Unanswered {
    /// A page is missing, and this stack cannot wait.
    Missing,
    /// All connections are in use.
    Busy,
    /// No connection can be opened.
    Unopened(Error),
    /// Anything else.
    Failed(Failure),
}

impl Replica {
    pub(super) fn new(follower: SharedFollower, pool: Rc<RefCell<Pool>>, poll_ms: u64) -> Replica {
        let (pulled_at_ms, polled_at_ms) = Default::default();
        let passed_on = Rc::default();
        Replica { follower, pool, pulling: Rc::default(), pulled_at_ms, polled_at_ms, poll_ms, relayed_age_ms: None, passed_on }
    }

    pub(super) fn with_relayed_age(self, relayed_age_ms: Option<u64>) -> Replica {
        Replica { relayed_age_ms, ..self }
    }

    /// The follower.
    pub fn follower(&self) -> &SharedFollower {
        &self.follower
    }

    /// Answers a request without waiting for anything. `None`: it takes waiting, or another tier.
    pub fn answer_now(&self, parsed: &Parsed, served: Served, max_staleness_ms: Option<u64>, now_ms: u64) -> Option<Answer> {
        let freshness = parsed.freshness().filter(|_| parsed.point().is_none())?;
        if decide(freshness, max_staleness_ms, self.view(now_ms, false)) != Decision::Answer {
            return None;
        }
        let pin = self.follower.borrow().pin()?;
        let database = self.follower.borrow().database();
        self.run(database, &pin, None, |reader| parsed.answer_from(reader, self.served(served, now_ms))).ok()
    }

    /// Answers one statement of a Rust caller, as values, without waiting for anything.
    pub fn answer_statement(
        &self,
        statement: &StatementNow<'_>,
        freshness: Freshness,
        served: Served,
        max_staleness_ms: Option<u64>,
        now_ms: u64,
    ) -> Option<Result<(D1Result, Bookmark), Failure>> {
        if decide(freshness, max_staleness_ms, self.view(now_ms, false)) != Decision::Answer {
            return None;
        }
        let (database, pin) = {
            let follower = self.follower.borrow();
            (follower.database(), follower.pin()?)
        };
        let call = vec![rows::statement(statement)];
        let served = self.served(served, now_ms);
        let result = self.run(database, &pin, None, |reader| reader.run_one::<Rows>(&call, served));
        match result {
            Ok(mut results) => Some(Ok((results.pop()?, pin.state().bookmark()))),
            // Wherever else it ran, it would take as long and end alike.
            Err(Unanswered::Failed(failure)) if failure.error == Error::RanTooLong => Some(Err(failure)),
            Err(_) => None,
        }
    }

    /// Answers a request, waiting for what it takes.
    pub async fn answer(&self, parsed: Parsed, served: Served, max_staleness_ms: Option<u64>, link: Rc<dyn Link>) -> Outcome {
        let Some(freshness) = parsed.freshness() else { return Outcome::Primary };
        let pin = match parsed.point() {
            Some(point) => self.pin_past(point, &*link).await,
            None => self.pin_present(freshness, max_staleness_ms, &*link).await,
        };
        let Some((database, pin)) = pin else { return Outcome::Primary };
        let served = self.served(served, link.now_ms());
        let until_ms = link.now_ms() + BUSY_MS;
        loop {
            match self.run(database, &pin, None, |reader| parsed.answer_from(reader, served)) {
                Ok(answer) => return Outcome::Answered(answer),
                Err(Unanswered::Failed(_)) => return Outcome::Primary,
                Err(Unanswered::Unopened(error)) => {
                    link.log(&format!("a replica cannot open a connection: {error}"));
                    return Outcome::Primary;
                }
                Err(Unanswered::Missing) => return self.answer_waiting(database, pin, parsed, served, link).await,
                Err(Unanswered::Busy) if link.now_ms() < until_ms => self.wait_for_connection(&*link, until_ms).await,
                Err(Unanswered::Busy) => return Outcome::NextTier,
            }
        }
    }

    async fn wait_for_connection(&self, link: &dyn Link, until_ms: u64) {
        let (call, waiting) = link.turn(until_ms.saturating_sub(link.now_ms()));
        let turn = self.pool.borrow_mut().queue(call);
        waiting.await;
        // Whoever was called and has no use for the connection calls the next.
        if turn.leave() && link.now_ms() >= until_ms {
            self.pool.borrow_mut().call_next();
        }
    }

    /// Runs a query again, on a stack that may wait for pages.
    async fn answer_waiting(&self, database: DatabaseId, pin: Pin, parsed: Parsed, served: Served, link: Rc<dyn Link>) -> Outcome {
        let outcome: Rc<RefCell<Option<Result<Answer, Unanswered>>>> = Rc::default();
        let job = {
            let (replica, outcome, fetcher) = (self.clone(), outcome.clone(), link.fetcher());
            Box::new(move || {
                let result = replica.run(database, &pin, Some(fetcher), |reader| parsed.answer_from(reader, served));
                outcome.replace(Some(result));
            })
        };
        let ran = link.run_waiting(job).await;
        self.say_events(&*link);
        match (ran, outcome.take()) {
            (Ok(()), Some(Ok(answer))) => Outcome::Answered(answer),
            (Ok(()), Some(Err(Unanswered::Failed(failure)))) if !is_storage(&failure) => Outcome::Primary,
            (Err(error), _) => {
                link.log(&format!("a query that waited for pages was lost: {error}"));
                Outcome::NextTier
            }
            (Ok(()), _) => Outcome::NextTier,
        }
    }

    /// Runs a query on a connection that reads the pinned state.
    fn run<T>(
        &self,
        database: DatabaseId,
        pin: &Pin,
        fetcher: Option<Rc<dyn Fetcher>>,
        query: impl FnOnce(&Reader) -> Result<T, Failure>,
    ) -> Result<T, Unanswered> {
        let taken = self.pool.borrow_mut().take(&self.follower);
        let connection = match Connection::begin(taken, &self.follower, database, pin.state(), fetcher) {
            None => return Err(Unanswered::Busy),
            Some(Ok(connection)) => connection,
            Some(Err(error)) => {
                self.pool.borrow_mut().lost();
                return Err(if is_missing(&error) { Unanswered::Missing } else { Unanswered::Unopened(error) });
            }
        };
        let result = query(&connection.reader);
        connection.pages.end();
        match result {
            Ok(answer) => {
                self.pool.borrow_mut().put(connection);
                Ok(answer)
            }
            Err(failure) if is_missing(&failure.error) && !failure.error.was_swallowed() => {
                self.pool.borrow_mut().put(connection);
                Err(Unanswered::Missing)
            }
            Err(failure) => {
                drop(connection);
                self.pool.borrow_mut().lost();
                Err(if is_missing(&failure.error) { Unanswered::Missing } else { Unanswered::Failed(failure) })
            }
        }
    }

    async fn pin_present(&self, freshness: Freshness, max_staleness_ms: Option<u64>, link: &dyn Link) -> Option<(DatabaseId, Pin)> {
        let mut pulled = false;
        loop {
            match decide(freshness, max_staleness_ms, self.view(link.now_ms(), pulled)) {
                Decision::Primary => return None,
                Decision::Answer => {
                    let follower = self.follower.borrow();
                    return follower.pin().map(|pin| (follower.database(), pin));
                }
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

    async fn pin_past(&self, point: Point, link: &dyn Link) -> Option<(DatabaseId, Pin)> {
        let (point, named) = match point {
            Point::Time(time_ms) => (commit_log::Point::Time(time_ms), None),
            Point::Bookmark(bookmark) => (commit_log::Point::At(position_of(&bookmark)), Some(bookmark)),
        };
        let database = self.follower.borrow().database();
        let answer = link.ask(Message { database, body: Body::Find(point) }.encode()).await.ok()?;
        let answer = Message::decode(&answer).ok()?;
        let Body::Found(state) = answer.body else { return None };
        let right = match (point, named) {
            (commit_log::Point::Time(time_ms), _) => state.time_ms <= time_ms,
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
            let (asked, question) = self.follower.borrow().pull(now_ms, wanted, images, PULL_BYTES);
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

    fn served(&self, served: Served, now_ms: u64) -> Served {
        Served { staleness_ms: self.follower.borrow().staleness_ms(now_ms), ..served }
    }

    fn say_events(&self, link: &dyn Link) {
        let events = self.follower.borrow_mut().take_events();
        for event in events {
            link.log(&event);
        }
    }
}

fn position_of(bookmark: &Bookmark) -> Position {
    Position { txid: bookmark.txid, checksum: bookmark.checksum() }
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Store { error: StoreError::Missing(_), .. })
}

/// Whether the pages could not be had, rather than the query not be answered.
fn is_storage(failure: &Failure) -> bool {
    matches!(&failure.error, Error::Store { .. })
}

/// The newest state of a follower, for tests and tools.
impl Replica {
    /// The state that it would read.
    pub fn state(&self) -> Option<State> {
        self.follower.borrow().state().map(|(_, state)| state)
    }
}
