//! One database's replica, answering requests.

use super::pool::{LongPlace, Pool, ReplicaConnection};
use super::rows::{self, Rows};
use crate::client::{D1Result, StatementNow};
use littoral_engine::answer::{Answer, Request, answer_from};
use littoral_engine::engine::{Error, Failure, GiveWay, Reader};
use littoral_engine::fetch::Fetcher;
use littoral_engine::replica::{Driver, Link, Pin};
use littoral_engine::session::Freshness;
use littoral_protocol::sql::Served;
use littoral_protocol::{Bookmark, DatabaseId};
use std::cell::RefCell;
use std::rc::Rc;

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
    /// It reads for longer than others are to wait: it is for where reads let others have their turn.
    LongRead,
    /// The primary has to.
    Primary,
}

/// A replica of one database. Cheap to clone.
#[derive(Clone)]
pub struct Replica {
    driver: Driver,
    pool: Rc<RefCell<Pool>>,
}

/// Why a query could not be answered here.
enum Unanswered {
    /// A page is missing, and this stack cannot wait.
    Missing,
    /// All connections are in use.
    Busy,
    /// It reads for longer than others are to wait.
    LongRead,
    /// No connection can be opened.
    Unopened(Error),
    /// Anything else.
    Failed(Failure),
}

/// What a query's stack may wait for.
#[derive(Default)]
struct Waits {
    /// Pages.
    fetcher: Option<Rc<dyn Fetcher>>,
    /// Its turn.
    give_way: Option<GiveWay>,
}

impl Replica {
    pub(super) fn new(driver: Driver, pool: Rc<RefCell<Pool>>) -> Replica {
        Replica { driver, pool }
    }

    /// What moves it.
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Answers a request without waiting for anything. `None`: it takes waiting, or another tier.
    pub fn answer_now(&self, request: &Request, served: Served, max_staleness_ms: Option<u64>, now_ms: u64) -> Option<Outcome> {
        let freshness = request.freshness().filter(|_| request.point().is_none())?;
        let (database, pin) = self.driver.pin_now(freshness, max_staleness_ms, now_ms).filter(|(database, _)| request.is_of(*database))?;
        match self.run(database, &pin, &Waits::default(), |reader| answer_from(request, reader, self.served(served, now_ms))) {
            Ok(answer) => Some(Outcome::Answered(answer)),
            Err(Unanswered::LongRead) => Some(Outcome::LongRead),
            Err(_) => None,
        }
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
        let (database, pin) = self.driver.pin_now(freshness, max_staleness_ms, now_ms)?;
        let call = vec![rows::statement(statement)];
        let served = self.served(served, now_ms);
        let result = self.run(database, &pin, &Waits::default(), |reader| reader.run_one::<Rows>(&call, served));
        match result {
            Ok(mut results) => Some(Ok((results.pop()?, pin.state().bookmark()))),
            // Wherever else it ran, it would take as long and end alike.
            Err(Unanswered::Failed(failure)) if matches!(failure.error, Error::RanTooLong { .. }) => Some(Err(failure)),
            Err(_) => None,
        }
    }

    /// Answers a request, waiting for what it takes.
    pub async fn answer(&self, request: Rc<Request>, served: Served, max_staleness_ms: Option<u64>, link: Rc<dyn Link>) -> Outcome {
        let Some((database, pin)) = self.pin(&request, max_staleness_ms, &*link).await else { return Outcome::Primary };
        let served = self.served(served, link.now_ms());
        let until_ms = link.now_ms() + BUSY_MS;
        loop {
            match self.run(database, &pin, &Waits::default(), |reader| answer_from(&request, reader, served)) {
                Ok(answer) => return Outcome::Answered(answer),
                Err(Unanswered::Failed(_)) => return Outcome::Primary,
                Err(Unanswered::Unopened(error)) => {
                    link.log(&format!("a replica cannot open a connection: {error}"));
                    return Outcome::Primary;
                }
                Err(Unanswered::Missing) => return self.answer_waiting(database, pin, request, served, link, None).await,
                Err(Unanswered::LongRead) => return Outcome::LongRead,
                Err(Unanswered::Busy) if link.now_ms() < until_ms => self.wait_for_connection(&*link, until_ms).await,
                Err(Unanswered::Busy) => return Outcome::NextTier,
            }
        }
    }

    /// Answers a request that reads for long, and lets others have their turn meanwhile.
    pub async fn answer_in_turns(
        &self,
        request: Rc<Request>,
        served: Served,
        max_staleness_ms: Option<u64>,
        link: Rc<dyn Link>,
        give_way: GiveWay,
    ) -> Outcome {
        let Some(_place) = LongPlace::take(&self.pool) else { return Outcome::NextTier };
        let Some((database, pin)) = self.pin(&request, max_staleness_ms, &*link).await else { return Outcome::Primary };
        let served = self.served(served, link.now_ms());
        self.answer_waiting(database, pin, request, served, link, Some(give_way)).await
    }

    async fn pin(&self, request: &Request, max_staleness_ms: Option<u64>, link: &dyn Link) -> Option<(DatabaseId, Pin)> {
        let pinned = match request.point() {
            Some(point) => self.driver.pin_past(point, link).await,
            None => self.driver.pin_present(request.freshness()?, max_staleness_ms, link).await,
        };
        pinned.filter(|(database, _)| request.is_of(*database))
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

    /// Runs a query on a stack that may wait for pages, and for its turn.
    async fn answer_waiting(
        &self,
        database: DatabaseId,
        pin: Pin,
        request: Rc<Request>,
        served: Served,
        link: Rc<dyn Link>,
        give_way: Option<GiveWay>,
    ) -> Outcome {
        let outcome: Rc<RefCell<Option<Result<Answer, Unanswered>>>> = Rc::default();
        let job = {
            let (replica, outcome) = (self.clone(), outcome.clone());
            let waits = Waits { fetcher: Some(link.fetcher()), give_way };
            Box::new(move || {
                let result = replica.run(database, &pin, &waits, |reader| answer_from(&request, reader, served));
                outcome.replace(Some(result));
            })
        };
        let ran = link.run_waiting(job).await;
        self.driver.say_events(&*link);
        match (ran, outcome.take()) {
            (Ok(()), Some(Ok(answer))) => Outcome::Answered(answer),
            (Ok(()), Some(Err(Unanswered::LongRead))) => Outcome::LongRead,
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
        waits: &Waits,
        query: impl FnOnce(&Reader) -> Result<T, Failure>,
    ) -> Result<T, Unanswered> {
        let taken = self.pool.borrow_mut().take(self.driver.follower());
        let connection = match ReplicaConnection::begin(taken, self.driver.follower(), database, pin.state(), waits.fetcher.clone()) {
            None => return Err(Unanswered::Busy),
            Some(Ok(connection)) => connection,
            Some(Err(error)) => {
                self.pool.borrow_mut().lost();
                return Err(if error.lacks_page() { Unanswered::Missing } else { Unanswered::Unopened(error) });
            }
        };
        connection.reader.take_turns(waits.give_way.clone());
        let result = query(&connection.reader);
        connection.pages.end();
        match result {
            Ok(answer) => {
                self.pool.borrow_mut().put(connection);
                Ok(answer)
            }
            Err(failure) if failure.error == Error::LongRead => {
                self.pool.borrow_mut().put(connection);
                Err(Unanswered::LongRead)
            }
            Err(failure) if failure.error.lacks_page() && !failure.error.was_swallowed() => {
                self.pool.borrow_mut().put(connection);
                Err(Unanswered::Missing)
            }
            Err(failure) => {
                drop(connection);
                self.pool.borrow_mut().lost();
                Err(if failure.error.lacks_page() { Unanswered::Missing } else { Unanswered::Failed(failure) })
            }
        }
    }

    fn served(&self, served: Served, now_ms: u64) -> Served {
        Served { staleness_ms: self.driver.follower().borrow().staleness_ms(now_ms), ..served }
    }
}

/// Whether the pages could not be had, rather than the query not be answered.
fn is_storage(failure: &Failure) -> bool {
    matches!(&failure.error, Error::Store { .. })
}
