//! How a request is answered: by a replica in this isolate, by a replica object, or by the primary.
//!
//! **Invariants**
//! 1. Stubs are made in the request that uses them: the runtime lets no other use them.
//! 2. A query that waits is kept alive by `waitUntil`, even if its caller goes: others may be waiting for its pages.
//!
//! **Not here:** who may ask for which database (`worker`).

use super::Outcome;
use super::isolate::{KeptReplica, kept, locate, settings};
use crate::client::{D1Result, StatementNow};
use crate::runtime::jspi::Deadline;
use crate::runtime::link::{MissBudget, StubLink};
use crate::runtime::request::{to_js, write};
use crate::runtime::stubs::{Namespace, ObjectStub, replica_name};
use crate::runtime::time::now_ms;
use crate::runtime::work::{keep_alive, promise};
use js_sys::futures::JsFuture;
use js_sys::{Array, Promise, Reflect};
use littoral_engine::answer::{Answer, Request};
use littoral_engine::engine::Failure;
use littoral_engine::replica::Later;
use littoral_engine::session::Freshness;
use littoral_engine::settings::Replication;
use littoral_engine::settings::region::{Location, Region};
use littoral_protocol::sql::{Served, Tier};
use littoral_protocol::{Bookmark, Txid};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// What a query may spend on missing pages in an isolate.
const BUDGET: MissBudget = MissBudget { round_trips: 16, ms: 2_000.0 };

/// What becomes of a request.
pub(crate) enum Reply {
    /// It is answered.
    Now(Answer),
    /// It will be, or the primary has to.
    Later(Later<Option<JsValue>>),
    /// The primary has to.
    Primary,
}

/// A database, as one request sees it.
pub(crate) struct Route {
    database: String,
    databases: Namespace,
    replicas: Option<Namespace>,
    location: Location,
    region: Option<Region>,
    replication: Replication,
    served: Served,
}

impl Route {
    /// The database `database` of the namespace `databases` (class `Database`), with replica objects in the namespace `replicas`. `cf` is the
    /// request's `cf`, or undefined. `None`: it has no replicas.
    pub(crate) fn find(env: &JsValue, names: (&str, &str), database: &str, cf: &JsValue) -> Result<Option<Rc<Route>>, JsValue> {
        let replication = settings(env)?.of(database);
        let Some(allowed) = &replication.regions else { return Ok(None) };
        let location = locate(cf);
        let region = Region::nearest(&location, allowed);
        let binding = |name: &str| Reflect::get(env, &name.into()).ok().filter(|binding| binding.is_object());
        let databases = binding(names.0).ok_or_else(|| js_sys::Error::new(&format!("the environment has no binding {}", names.0)))?;
        let replicas = binding(names.1).map(JsCast::unchecked_into);
        let databases = databases.unchecked_into();
        let name = Region::nearest(&location, &Region::ALL).map(Region::name);
        let served = Served { tier: Tier::Isolate, region: name, colo: location.colo, staleness_ms: None };
        Ok(Some(Rc::new(Route { database: database.into(), databases, replicas, location, region, replication, served })))
    }

    /// A stub of the primary, for this request.
    pub(crate) fn primary(&self) -> Result<ObjectStub, JsValue> {
        self.databases.get_by_name(&self.database, &JsValue::UNDEFINED)
    }

    /// The replica object of the region, if there is one for it.
    fn replica_object(&self) -> Result<Option<ObjectStub>, JsValue> {
        let Some((region, replicas)) = self.region.zip(self.replicas.as_ref()) else { return Ok(None) };
        let hint = js_sys::Object::new();
        Reflect::set(&hint, &"locationHint".into(), &region.hint().into())?;
        replicas.get_by_name(&replica_name(region, &self.database), &hint).map(Some)
    }

    /// Its replica in this isolate.
    pub(crate) fn kept(&self) -> KeptReplica {
        kept(&self.database, self.region.filter(|_| self.replicas.is_some()), self.replication.prefetch_pages)
    }

    fn link(&self, kept: &KeptReplica) -> Result<StubLink, JsValue> {
        let source = self.replica_object()?.map_or_else(|| self.primary(), Ok)?;
        Ok(StubLink::new(source, kept.waiting.clone(), BUDGET, None))
    }

    /// The primary has answered a write with this bookmark: reads that come here from now on see it.
    pub(crate) fn passed_on(&self, bookmark: &str) {
        if let Ok(bookmark) = bookmark.parse() {
            self.kept().replica.driver().passed_on(bookmark);
        }
    }

    /// Whether no replica needs to look at a request.
    #[cfg(feature = "server")]
    pub(crate) fn is_for_primary(&self, routed: &crate::runtime::request::Routed) -> bool {
        routed.is_for_primary(self.replication.max_staleness_ms)
    }

    /// Answers a request, or says who has to.
    pub(crate) fn answer(self: &Rc<Self>, request: Rc<Request>) -> Result<Reply, JsValue> {
        let max_staleness_ms = self.replication.max_staleness_ms;
        if request.goes_to_primary(max_staleness_ms) {
            return Ok(Reply::Primary);
        }
        let remaining_ms = request.remaining_ms(now_ms());
        let kept = self.kept();
        let now_ms = now_ms();
        let now = kept.replica.answer_now(&request, self.served, max_staleness_ms, now_ms);
        if let Some(Outcome::Answered(answer)) = now {
            self.poll(&kept, now_ms);
            return Ok(Reply::Now(answer));
        }
        let (route, link) = (self.clone(), Rc::new(self.link(&kept)?));
        let late = request.clone();
        let answered = async move {
            let outcome = match now {
                Some(outcome) => outcome,
                None => kept.replica.answer(request.clone(), route.served, max_staleness_ms, link).await,
            };
            match outcome {
                Outcome::Answered(answer) => Some(to_js(answer)),
                Outcome::NextTier | Outcome::LongRead => route.ask_replica_object(&request).await,
                Outcome::Primary => None,
            }
        };
        let Some(remaining_ms) = remaining_ms else { return Ok(Reply::Later(Box::pin(answered))) };
        // What only reads may be left alone: nothing comes of it.
        Ok(Reply::Later(Box::pin(async move {
            let answered = promise(async move { answered.await.unwrap_or_default() });
            match Deadline::after(remaining_ms as f64).wait_for(&answered).await {
                Ok(answer) if answer.is_undefined() => None,
                Ok(answer) => Some(answer),
                Err(_) => Some(to_js(Answer::timed_out(&late))),
            }
        })))
    }

    /// Answers a statement of a Rust caller, if that needs no waiting.
    pub(crate) fn answer_statement(
        &self,
        kept: &KeptReplica,
        statement: &StatementNow<'_>,
        freshness: Freshness,
    ) -> Option<Result<(D1Result, Bookmark), Failure>> {
        let now_ms = now_ms();
        let answer = kept.replica.answer_statement(statement, freshness, self.served, self.replication.max_staleness_ms, now_ms)?;
        self.poll(kept, now_ms);
        Some(answer)
    }

    /// Pulls, if that is due, while the answer goes out.
    fn poll(&self, kept: &KeptReplica, now_ms: u64) {
        if !kept.replica.driver().should_poll(now_ms) {
            return;
        }
        if let Ok(link) = self.link(kept) {
            let replica = kept.replica.clone();
            keep_alive(async move {
                replica.driver().pull(&link, Txid::EMPTY).await;
            });
        }
    }

    /// Has the primary answer, with `[body, bookmark, wrote]`.
    pub(crate) async fn ask_primary(&self, request: &Request) -> Result<JsValue, JsValue> {
        let answer = JsFuture::from(Promise::resolve(&self.primary()?.answer(&write(request)?, None)?)).await?;
        let parts: &Array = answer.unchecked_ref();
        if let Some(bookmark) = parts.get(1).as_string().filter(|_| parts.get(2).is_truthy()) {
            self.passed_on(&bookmark);
        }
        Ok(answer)
    }

    async fn ask_replica_object(&self, request: &Request) -> Option<JsValue> {
        let object = self.replica_object().ok()??;
        let colo = self.location.colo.and_then(|colo| String::from_utf8(colo.to_vec()).ok());
        let promise = Promise::resolve(&object.answer(&write(request).ok()?, colo.as_deref()).ok()?);
        // What it cannot answer, the primary can.
        JsFuture::from(promise).await.ok().filter(JsValue::is_object)
    }
}
