//! What the databases of this isolate share: its edge, the replicas that it remembers, its settings, and where it is.
//!
//! **Not here:** how a request goes (`route`).

use super::{Budget, Edge, Replica};
use crate::runtime::link::Waiting;
use crate::runtime::variable::variable;
use js_sys::Reflect;
use littoral_engine::engine::Limits;
use littoral_engine::settings::region::{Location, Region};
use littoral_engine::settings::{REPLICATION, Settings};
use lru::LruCache;
use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// Replicas that are remembered; the pages of others are forgotten when their room is needed.
const REPLICAS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);
/// The variable that sets limits: an object with some of the fields of [`Limits`].
const LIMITS: &str = "LIMITS";

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
    replicas: RefCell<LruCache<(String, Option<Region>), KeptReplica>>,
    /// Where the last request arrived that said so: an isolate lives in one place.
    location: Cell<Location>,
    settings: RefCell<Option<Rc<Settings>>>,
}

/// A replica that this isolate keeps.
#[derive(Clone)]
pub(crate) struct KeptReplica {
    pub(crate) replica: Replica,
    pub(crate) waiting: Waiting,
}

/// The edge of this isolate: what its replicas share.
#[cfg(feature = "server")]
pub(crate) fn edge() -> Edge {
    ISOLATE.with(|isolate| isolate.edge.clone())
}

/// The replica of a database in this isolate, of a region where it follows that region's object.
pub(crate) fn kept(database: &str, region: Option<Region>, prefetch_pages: usize) -> KeptReplica {
    ISOLATE.with(|isolate| {
        let made = || KeptReplica { replica: isolate.edge.replica(prefetch_pages), waiting: Waiting::default() };
        isolate.replicas.borrow_mut().get_or_insert((database.into(), region), made).clone()
    })
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

/// Where a request arrived, by its `cf`; where that says nothing, the isolate's last known place.
pub(crate) fn locate(cf: &JsValue) -> Location {
    let location = if cf.is_object() { location_of(cf) } else { Location::default() };
    ISOLATE.with(|isolate| {
        if location == Location::default() {
            return isolate.location.get();
        }
        isolate.location.set(location);
        location
    })
}

fn location_of(cf: &JsValue) -> Location {
    let field = |name: &str| Reflect::get(cf, &name.into()).ok();
    let letters = |name: &str| field(name)?.as_string();
    let degrees = |name: &str| field(name).and_then(|value| value.as_f64().or_else(|| value.as_string()?.parse().ok()));
    Location {
        colo: letters("colo").and_then(|colo| colo.as_bytes().try_into().ok()),
        continent: letters("continent").and_then(|continent| continent.as_bytes().try_into().ok()),
        coordinates: degrees("latitude").zip(degrees("longitude")),
    }
}
