//! Reads answered in the Littoral Worker's own isolate, before a Durable Object is asked.
//!
//! **Not here:** how (`edge`).

use crate::edge::route::{Reply, Route};
use crate::runtime::request::{Routed, to_js};
use crate::runtime::stubs::Namespace;
use crate::runtime::work::promise;
use js_sys::futures::JsFuture;
use js_sys::{Array, Promise, Reflect};
use littoral_engine::settings::grant::Grant;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// The names of the Durable Object namespaces: databases, and replica objects.
const NAMESPACES: (&str, &str) = ("DATABASE", "REPLICA");

/// The replicas of this isolate.
#[wasm_bindgen]
pub struct Replicas(());

#[wasm_bindgen]
impl Replicas {
    /// All of them.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::new_without_default, reason = "JavaScript makes it")]
    pub fn new() -> Replicas {
        Replicas(())
    }

    /// Answers a request with `[body, bookmark]` or a promise of it. Undefined, at once or in the end: the primary has to answer. `cf` is the
    /// request's `cf`, where it is known.
    pub fn answer(&self, env: &JsValue, database: &str, cf: &JsValue, request: &Routed) -> Result<JsValue, JsValue> {
        let Some(route) = Route::find(env, NAMESPACES, database, cf)? else { return Ok(JsValue::UNDEFINED) };
        if route.is_for_primary(request) {
            return Ok(JsValue::UNDEFINED);
        }
        let read = Rc::new(request.read());
        Ok(match route.answer(read.clone())? {
            Reply::Now(answer) => to_js(answer),
            Reply::Later(answer) => {
                let request = request.clone();
                let answered = async move {
                    answer.await.unwrap_or_else(|| {
                        request.has_waited(&read);
                        JsValue::UNDEFINED
                    })
                };
                promise(answered).into()
            }
            Reply::Primary => JsValue::UNDEFINED,
        })
    }

    /// Which database a call through a binding with these props reaches, that names one or none: its name or id, and whether it is created when
    /// it is first used.
    pub fn reach(&self, props: &JsValue, asked: Option<String>) -> Result<Array, JsError> {
        let field = |name: &str| Reflect::get(props, &name.into()).unwrap_or_default();
        let (database, databases) = (field("database").as_string(), field("databases").as_string());
        let grant = Grant { database: database.as_deref(), databases: databases.as_deref(), create: field("create").as_bool() };
        let reached = grant.reach(asked.as_deref())?;
        Ok(Array::of2(&reached.database.into(), &reached.create.into()))
    }

    /// The primary has answered a write with this bookmark: reads that come to this isolate from now on see it.
    #[wasm_bindgen(js_name = passedOn)]
    pub fn passed_on(&self, env: &JsValue, database: &str, cf: &JsValue, bookmark: &str) -> Result<(), JsValue> {
        if let Some(route) = Route::find(env, NAMESPACES, database, cf)? {
            route.passed_on(bookmark);
        }
        Ok(())
    }
}

/// The answer of the nearest that can give it, and the bookmark if it went well.
pub(super) async fn nearest(env: &JsValue, database: &str, cf: &JsValue, request: &Routed) -> Result<(JsValue, Option<String>), JsValue> {
    let replicas = Replicas(());
    let near = JsFuture::from(Promise::resolve(&replicas.answer(env, database, cf, request)?)).await?;
    if !near.is_undefined() {
        return Ok(parts(&near));
    }
    let databases: Namespace = Reflect::get(env, &NAMESPACES.0.into())?.unchecked_into();
    let promise = databases.get_by_name(database, &JsValue::UNDEFINED)?.answer(request, None)?;
    let answer = JsFuture::from(Promise::resolve(&promise)).await?;
    let (body, bookmark) = parts(&answer);
    if let Some(bookmark) = bookmark.as_deref().filter(|_| answer.unchecked_ref::<Array>().get(2).is_truthy()) {
        replicas.passed_on(env, database, cf, bookmark)?;
    }
    Ok((body, bookmark))
}

/// The parts of an answer: `[body, bookmark, ...]`.
fn parts(answer: &JsValue) -> (JsValue, Option<String>) {
    let parts: &Array = answer.unchecked_ref();
    (parts.get(0), parts.get(1).as_string())
}
