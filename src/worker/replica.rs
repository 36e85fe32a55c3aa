//! The replica object of a region: pages of one database in its storage, answering the isolates of its region.
//!
//! **Invariants**
//! 1. What it cannot answer as well as the primary is left to the primary.
//! 2. Nothing in memory is needed after a restart: it goes on from its storage, or anew.
//!
//! **Not here:** its name, its alarm, who may reach it (`replica.mjs`).

use crate::edge::isolate::{edge, settings};
use crate::edge::{Outcome, Replica};
use crate::runtime::js::error_text;
use crate::runtime::link::{MissBudget, StubLink, Waiting};
use crate::runtime::request::{Routed, to_js};
use crate::runtime::storage::{ObjectSql, ObjectStorage};
use crate::runtime::stubs::ObjectStub;
use crate::runtime::turns::give_way;
use crate::runtime::work::{keep_alive, promise};
use js_sys::{Promise, Uint8Array};
use littoral_engine::engine::GiveWay;
use littoral_engine::replica::HeldPages;
use littoral_engine::replica::Link;
use littoral_engine::settings::Replication;
use littoral_engine::settings::region::Region;
use littoral_engine::store::StoreError;
use littoral_protocol::Txid;
use littoral_protocol::sql::{Served, Tier};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// What a query may spend on missing pages here: the primary is the only other route.
const BUDGET: MissBudget = MissBudget { round_trips: 256, ms: 10_000.0 };

/// The Durable Object class's Rust half.
#[wasm_bindgen]
pub struct ReplicaObject {
    storage: ObjectStorage,
    region: Region,
    replication: Replication,
    waiting: Waiting,
    replica: RefCell<Option<Replica>>,
}

#[wasm_bindgen]
impl ReplicaObject {
    /// The replica of `database` in the region of `hint`, on the storage of its object.
    #[wasm_bindgen(constructor)]
    pub fn new(storage: ObjectStorage, env: &JsValue, database: &str, hint: &str) -> Result<ReplicaObject, JsError> {
        let region = Region::from_hint(hint).ok_or_else(|| JsError::new(&format!("{hint} is no location hint")))?;
        let settings = settings(env).map_err(|error| JsError::new(&error_text(&error)))?;
        Ok(ReplicaObject { storage, region, replication: settings.of(database), waiting: Waiting::default(), replica: RefCell::new(None) })
    }

    /// Answers a request, as `[body, bookmark]`; undefined: the primary has to.
    pub fn answer(&self, primary: ObjectStub, request: &Routed, colo: Option<String>) -> Result<JsValue, JsError> {
        let replica = self.replica()?;
        let max_staleness_ms = self.replication.max_staleness_ms;
        if request.is_for_primary(max_staleness_ms) {
            return Ok(JsValue::UNDEFINED);
        }
        let (request, link) = (Rc::new(request.read()), self.link(primary));
        let served = Served {
            tier: Tier::Replica,
            region: Some(self.region.name()),
            colo: colo.and_then(|colo| colo.as_bytes().try_into().ok()),
            staleness_ms: None,
        };
        let now = replica.answer_now(&request, served, max_staleness_ms, link.now_ms());
        if let Some(Outcome::Answered(answer)) = now {
            self.poll(&replica, link);
            return Ok(to_js(answer));
        }
        let answered = async move {
            let link: Rc<dyn Link> = Rc::new(link);
            let mut outcome = match now {
                Some(outcome) => outcome,
                None => replica.answer(request.clone(), served, max_staleness_ms, link.clone()).await,
            };
            if let Outcome::LongRead = outcome {
                let turns = in_turns(request.until_ms());
                outcome = replica.answer_in_turns(request, served, max_staleness_ms, link, turns).await;
            }
            match outcome {
                Outcome::Answered(answer) => to_js(answer),
                Outcome::NextTier | Outcome::LongRead | Outcome::Primary => JsValue::UNDEFINED,
            }
        };
        Ok(promise(answered).into())
    }

    /// Answers a question of the commit log.
    pub fn follow(&self, primary: ObjectStub, question: Vec<u8>) -> Result<Promise, JsError> {
        let (replica, link) = (self.replica()?, self.link(primary));
        self.poll(&replica, link.clone());
        Ok(promise(async move {
            match replica.driver().follow(&question, &link).await {
                Ok(answer) => Uint8Array::from(&*answer).into(),
                Err(error) => {
                    link.log(&format!("a replica object could not answer a follower: {error}"));
                    JsValue::UNDEFINED
                }
            }
        }))
    }

    /// Takes news of the primary's. Returns the position that it has come to; undefined: it has to pull.
    pub fn told(&self, news: &[u8]) -> Result<JsValue, JsError> {
        let position = self.replica()?.driver().told(news);
        Ok(position.map_or(JsValue::UNDEFINED, |position| Uint8Array::from(&position.to_bytes()[..]).into()))
    }

    /// Writes what it has gathered.
    pub fn flush(&self) -> Result<(), JsError> {
        let replica = self.replica()?;
        Ok(replica.driver().follower().borrow().flush()?)
    }

    /// Drops everything: the database is no more.
    pub fn forget(&self) -> Result<(), JsError> {
        if let Some(replica) = self.replica.take() {
            replica.driver().follower().borrow_mut().abandon()?;
        }
        Ok(())
    }
}

fn in_turns(until_ms: Option<u64>) -> GiveWay {
    Rc::new(move || give_way(until_ms))
}

impl ReplicaObject {
    fn replica(&self) -> Result<Replica, StoreError> {
        let mut known = self.replica.borrow_mut();
        if let Some(replica) = &*known {
            return Ok(replica.clone());
        }
        let Replication { held_bytes, prefetch_pages, max_staleness_ms, .. } = self.replication;
        let shelf = HeldPages::open(ObjectSql::new(self.storage.clone()), held_bytes)?;
        Ok(known.insert(edge().replica_with_shelf(Box::new(shelf), prefetch_pages, max_staleness_ms)).clone())
    }

    fn link(&self, primary: ObjectStub) -> StubLink {
        StubLink::new(primary, self.waiting.clone(), BUDGET, Some(self.region.hint()))
    }

    /// Pulls, if that is due, while answers go out.
    fn poll(&self, replica: &Replica, link: StubLink) {
        if replica.driver().should_poll(link.now_ms()) {
            let replica = replica.clone();
            keep_alive(async move {
                replica.driver().pull(&link, Txid::EMPTY).await;
            });
        }
    }
}
