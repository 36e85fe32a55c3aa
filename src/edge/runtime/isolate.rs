//! The replicas of this isolate, and how a request is answered by one of them, a replica object, or the primary.
//!
//! **Invariants**
//! 1. Stubs are made in the request that uses them: the runtime lets no other use them.
//! 2. A query that waits is kept alive by `waitUntil`, even if its caller goes: others may be waiting for its pages.
//!
//! **Not here:** who may ask for which database (`worker`).

#![cfg_attr(not(feature = "server"), allow(dead_code, reason = "the Littoral Worker's entry points use the rest"))]

use super::link::{MissBudget, Source, StubLink, Waiting};
use crate::bookmark::Bookmark;
use crate::client::{D1Result, StatementNow};
use crate::edge::region::{Location, Region};
use crate::edge::settings::{REPLICATION, Replication, Settings};
use crate::edge::{Budget, Edge, Later, Outcome, Replica};
use crate::engine::{Failure, Limits};
use crate::http::d1::{Answer, Parsed, Request};
use crate::session::Freshness;
use crate::txid::Txid;
use crate::wire::d1::{Served, Tier};
use js_sys::futures::{JsFuture, future_to_promise};
use js_sys::{Array, JsString, Promise, Reflect, Uint8Array};
use lru::LruCache;
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// Replicas that are remembered; the pages of others are forgotten when their room is needed.
const REPLICAS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);
/// Longer requests are no reads worth looking at twice.
const LONGEST_REQUEST: usize = 64 << 10;
/// The variable that sets limits: an object with some of the fields of [`Limits`].
const LIMITS: &str = "LIMITS";
/// What a query may spend on missing pages in an isolate.
const BUDGET: MissBudget = MissBudget { round_trips: 16, ms: 2_000.0 };

#[wasm_bindgen]
extern "C" {
    type Namespace;

    #[wasm_bindgen(method, catch, js_name = getByName)]
    fn get_by_name(this: &Namespace, name: &str, options: &JsValue) -> Result<Source, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn answer(this: &Source, request: &Array, colo: Option<&str>) -> Result<JsValue, JsValue>;
}

#[wasm_bindgen(module = "cloudflare:workers")]
extern "C" {
    #[wasm_bindgen(js_name = waitUntil)]
    fn wait_until(promise: &Promise);
}

thread_local! {
    static ISOLATE: Isolate = Isolate {
        edge: Edge::new(Budget::default()),
        replicas: RefCell::new(LruCache::new(REPLICAS)),
        location: Cell::default(),
        settings: RefCell::default(),
    };
}

struct Isolate {
    edge: Edge,
    replicas: RefCell<LruCache<(String, Option<Region>), Kept>>,
    /// Where the last request arrived that said so: an isolate lives in one place.
    location: Cell<Location>,
    settings: RefCell<Option<Rc<Settings>>>,
}

/// A replica that this isolate keeps.
#[derive(Clone)]
pub(crate) struct Kept {
    replica: Replica,
    waiting: Waiting,
}

/// The edge of this isolate: what its replicas share.
pub(crate) fn edge() -> Edge {
    ISOLATE.with(|isolate| isolate.edge.clone())
}

/// A request as it came.
#[derive(Clone)]
pub(crate) enum Asked {
    /// Of many calls.
    Calls { body: String },
    /// Of D1's protocol.
    D1 { body: String, format: Option<String>, session: Option<String> },
}

impl Asked {
    /// The request as `entry.mjs` passes it: `[body]` or `[body, resultsFormat, session]`; bodies as text or in UTF-8. `None`: it is too
    /// long to be a read.
    pub(crate) fn read(request: &Array) -> Option<Asked> {
        let text = |index| request.get(index).as_string();
        let body = match request.get(0).dyn_into::<Uint8Array>() {
            Ok(utf8) if utf8.length() as usize > LONGEST_REQUEST => return None,
            Ok(utf8) => String::from_utf8(utf8.to_vec()).ok()?,
            // Not copied to be thrown away: in UTF-8 it is no shorter.
            Err(body) => body.dyn_into::<JsString>().ok().filter(|text| text.length() as usize <= LONGEST_REQUEST)?.into(),
        };
        if body.len() > LONGEST_REQUEST {
            return None;
        }
        Some(if request.length() > 1 { Asked::D1 { body, format: text(1), session: text(2) } } else { Asked::Calls { body } })
    }

    /// The same, to be passed on.
    fn write(&self) -> Array {
        let optional = |text: &Option<String>| text.as_deref().map_or(JsValue::UNDEFINED, JsValue::from);
        match self {
            Asked::Calls { body } => Array::of1(&body.as_str().into()),
            Asked::D1 { body, format, session } => Array::of3(&body.as_str().into(), &optional(format), &optional(session)),
        }
    }

    pub(crate) fn parse(&self) -> Parsed {
        Parsed::parse(&match self {
            Asked::Calls { body } => Request::Calls { body },
            Asked::D1 { body, format, session } => Request::D1 { body, results_format: format.as_deref(), session: session.as_deref() },
        })
    }
}

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
pub(crate) struct Place {
    database: String,
    databases: Namespace,
    replicas: Option<Namespace>,
    location: Location,
    region: Option<Region>,
    replication: Replication,
    served: Served,
}

impl Place {
    /// The database `database` of the namespace `databases` (class `Database`), with replica objects in the namespace `replicas`. `cf` is the
    /// request's `cf`, or undefined. `None`: it has no replicas.
    pub(crate) fn find(env: &JsValue, names: (&str, &str), database: &str, cf: &JsValue) -> Result<Option<Rc<Place>>, JsValue> {
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
        Ok(Some(Rc::new(Place { database: database.into(), databases, replicas, location, region, replication, served })))
    }

    /// A stub of the primary, for this request.
    pub(crate) fn primary(&self) -> Result<Source, JsValue> {
        self.databases.get_by_name(&self.database, &JsValue::UNDEFINED)
    }

    /// The replica object of the region, if there is one for it.
    fn replica_object(&self) -> Result<Option<Source>, JsValue> {
        let Some((region, replicas)) = self.region.zip(self.replicas.as_ref()) else { return Ok(None) };
        let hint = js_sys::Object::new();
        Reflect::set(&hint, &"locationHint".into(), &region.hint().into())?;
        replicas.get_by_name(&replica_name(region, &self.database), &hint).map(Some)
    }

    /// Its replica in this isolate.
    pub(crate) fn kept(&self) -> Kept {
        let key = (self.database.clone(), self.region.filter(|_| self.replicas.is_some()));
        ISOLATE.with(|isolate| {
            let mut replicas = isolate.replicas.borrow_mut();
            replicas
                .get_or_insert(key, || Kept { replica: isolate.edge.replica(self.replication.prefetch_pages), waiting: Waiting::default() })
                .clone()
        })
    }

    fn link(&self, kept: &Kept) -> Result<StubLink, JsValue> {
        let source = self.replica_object()?.map_or_else(|| self.primary(), Ok)?;
        Ok(StubLink::new(source, kept.waiting.clone(), BUDGET, None))
    }

    /// The primary has answered a write with this bookmark: reads that come here from now on see it.
    pub(crate) fn passed_on(&self, bookmark: &str) {
        if let Ok(bookmark) = bookmark.parse() {
            self.kept().replica.passed_on(bookmark);
        }
    }

    /// Answers a request, or says who has to.
    pub(crate) fn answer(self: &Rc<Self>, asked: Asked) -> Result<Reply, JsValue> {
        let parsed = asked.parse();
        let max_staleness_ms = self.replication.max_staleness_ms;
        if parsed.goes_to_primary(max_staleness_ms) {
            return Ok(Reply::Primary);
        }
        let kept = self.kept();
        let now_ms = js_sys::Date::now() as u64;
        if let Some(answer) = kept.replica.answer_now(&parsed, self.served, max_staleness_ms, now_ms) {
            self.poll(&kept, now_ms);
            return Ok(Reply::Now(answer));
        }
        let (place, link) = (self.clone(), Rc::new(self.link(&kept)?));
        Ok(Reply::Later(Box::pin(async move {
            match kept.replica.answer(parsed, place.served, max_staleness_ms, link).await {
                Outcome::Answered(answer) => Some(to_js(answer)),
                Outcome::NextTier => place.ask_replica_object(&asked).await,
                Outcome::Primary => None,
            }
        })))
    }

    /// Answers a statement of a Rust caller, if that needs no waiting.
    pub(crate) fn answer_statement(
        &self,
        kept: &Kept,
        statement: &StatementNow<'_>,
        freshness: Freshness,
    ) -> Option<Result<(D1Result, Bookmark), Failure>> {
        let now_ms = js_sys::Date::now() as u64;
        let answer = kept.replica.answer_statement(statement, freshness, self.served, self.replication.max_staleness_ms, now_ms)?;
        self.poll(kept, now_ms);
        Some(answer)
    }

    /// Pulls, if that is due, while the answer goes out.
    fn poll(&self, kept: &Kept, now_ms: u64) {
        if !kept.replica.should_poll(now_ms) {
            return;
        }
        if let Ok(link) = self.link(kept) {
            let replica = kept.replica.clone();
            keep_alive(async move {
                replica.pull(&link, Txid::EMPTY).await;
            });
        }
    }

    /// Has the primary answer, with `[body, bookmark, wrote]`.
    pub(crate) async fn ask_primary(&self, asked: &Asked) -> Result<JsValue, JsValue> {
        let answer = JsFuture::from(Promise::resolve(&self.primary()?.answer(&asked.write(), None)?)).await?;
        let parts: &Array = answer.unchecked_ref();
        if let Some(bookmark) = parts.get(1).as_string().filter(|_| parts.get(2).is_truthy()) {
            self.passed_on(&bookmark);
        }
        Ok(answer)
    }

    async fn ask_replica_object(&self, asked: &Asked) -> Option<JsValue> {
        let object = self.replica_object().ok()??;
        let colo = self.location.colo.and_then(|colo| String::from_utf8(colo.to_vec()).ok());
        let promise = Promise::resolve(&object.answer(&asked.write(), colo.as_deref()).ok()?);
        // What it cannot answer, the primary can.
        JsFuture::from(promise).await.ok().filter(JsValue::is_object)
    }
}

/// The name of the replica object of a region.
pub(crate) fn replica_name(region: Region, database: &str) -> String {
    format!("{}/{database}", region.hint())
}

/// Lets work go on after the request was answered, or its caller has gone.
pub(crate) fn keep_alive(work: impl Future<Output = ()> + 'static) {
    let work = async move {
        work.await;
        Ok(JsValue::UNDEFINED)
    };
    wait_until(&future_to_promise(work));
}

/// A promise of what work brings, which goes on even if its caller has gone.
pub(crate) fn promise(work: impl Future<Output = JsValue> + 'static) -> Promise {
    let promise = future_to_promise(async move { Ok(work.await) });
    wait_until(&promise);
    promise
}

/// `[body, bookmark]`; long bodies in UTF-8.
pub(crate) fn to_js(Answer { body, bookmark }: Answer) -> JsValue {
    Array::of2(&body_to_js(body), &bookmark.map_or(JsValue::NULL, JsValue::from)).into()
}

/// Long texts travel as UTF-8: the runtime would count two bytes for each character of a string that holds any beyond Latin-1, and it
/// carries 32 MiB at most.
const LONG_TEXT_BYTES: usize = 1 << 20;

/// A body as it travels.
pub(crate) fn body_to_js(body: String) -> JsValue {
    if body.len() < LONG_TEXT_BYTES { body.into() } else { Uint8Array::from(body.as_bytes()).into() }
}

/// The settings that the variable `REPLICATION` holds. Whoever asks first also makes the variable `LIMITS` hold for this isolate's replicas.
pub(crate) fn settings(env: &JsValue) -> Result<Rc<Settings>, JsValue> {
    ISOLATE.with(|isolate| {
        if let Some(settings) = &*isolate.settings.borrow() {
            return Ok(settings.clone());
        }
        let settings: Rc<Settings> = Rc::new(variable(env, REPLICATION)?.unwrap_or_default());
        isolate.edge.set_limits(&limits(env)?);
        isolate.settings.replace(Some(settings.clone()));
        Ok(settings)
    })
}

/// The limits that the variable `LIMITS` sets; the defaults where it sets none.
pub(crate) fn limits(env: &JsValue) -> Result<Limits, JsValue> {
    Ok(variable(env, LIMITS)?.unwrap_or_default())
}

/// A variable of the Worker's that holds an object. `None`: it is not set.
fn variable<T: serde::de::DeserializeOwned>(env: &JsValue, name: &str) -> Result<Option<T>, JsValue> {
    let set = Reflect::get(env, &name.into())?;
    if set.is_undefined() {
        return Ok(None);
    }
    // By way of a JSON value: directly, fields that do not exist would go unnoticed.
    let read = serde_wasm_bindgen::from_value(set).map_err(|error| error.to_string());
    let value = read.and_then(|set: serde_json::Value| serde_json::from_value(set).map_err(|error| error.to_string()));
    value.map(Some).map_err(|error| js_sys::Error::new(&format!("the variable {name} is not understood: {error}")).into())
}

/// Reads a request's `cf`; where it says nothing, the isolate's last known place.
fn locate(cf: &JsValue) -> Location {
    let field = |name: &str| Reflect::get(cf, &name.into()).ok().filter(|_| cf.is_object());
    let letters = |name: &str| field(name)?.as_string();
    let degrees = |name: &str| field(name).and_then(|value| value.as_f64().or_else(|| value.as_string()?.parse().ok()));
    let location = Location {
        colo: letters("colo").and_then(|colo| colo.as_bytes().try_into().ok()),
        continent: letters("continent").and_then(|continent| continent.as_bytes().try_into().ok()),
        coordinates: degrees("latitude").zip(degrees("longitude")),
    };
    ISOLATE.with(|isolate| {
        if location == Location::default() {
            return isolate.location.get();
        }
        isolate.location.set(location);
        location
    })
}
