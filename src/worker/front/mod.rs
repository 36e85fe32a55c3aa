//! The HTTP surface: what the internet may ask of a Worker, each face of it in a file.
//!
//! `entry.mjs` hands in a request, whose body is read when it is asked for, and gets `[status, headers, body, next]`. Where there is a `next` the
//! body goes on: `more` has the next part of it.
//!
//! **Invariant:** nothing is done, and nothing told, before the request has shown a token, or an address that was signed with one.
//!
//! **Not here:** which path is which call (`littoral_protocol::rest`), running SQL (the objects).

mod address;
mod auth;
mod d1_api;
mod databases;
mod export;
mod import;

use crate::runtime::js::error_text;
use crate::runtime::request::body_text;
use crate::runtime::work::promise;
use js_sys::futures::JsFuture;
use js_sys::{Array, Promise};
use littoral_engine::catalog::Entry;
use littoral_protocol::rest::{Refusal, Target, route};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// A request as `entry.mjs` hands it in.
    #[derive(Clone)]
    pub type FrontRequest;

    #[wasm_bindgen(method, getter)]
    fn method(this: &FrontRequest) -> String;

    /// `https://name`
    #[wasm_bindgen(method, getter)]
    fn origin(this: &FrontRequest) -> String;

    /// As in the URL, not decoded.
    #[wasm_bindgen(method, getter)]
    fn path(this: &FrontRequest) -> String;

    /// Without the `?`.
    #[wasm_bindgen(method, getter)]
    fn query(this: &FrontRequest) -> String;

    /// The header of the name.
    #[wasm_bindgen(method, getter)]
    fn authorization(this: &FrontRequest) -> Option<String>;

    /// The header of the name.
    #[wasm_bindgen(method, getter)]
    fn range(this: &FrontRequest) -> Option<String>;

    /// The session's bookmark or constraint.
    #[wasm_bindgen(method, getter)]
    fn session(this: &FrontRequest) -> Option<String>;

    /// The body, text or UTF-8; undefined: it has more bytes.
    #[wasm_bindgen(method, catch)]
    fn read(this: &FrontRequest, most_bytes: usize) -> Result<Promise, JsValue>;

    /// Passes the body on to the object of a database, as an upload, and answers with its MD5.
    #[wasm_bindgen(method, catch)]
    fn store(this: &FrontRequest, database: &str, id: &str, upload: &str) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, getter)]
    fn cf(this: &FrontRequest) -> JsValue;
}

/// The header of a session's bookmark, as in D1's protocol.
const SESSION: &str = "x-cf-d1-session-commit-token";
/// Bytes that a body may have which is read: the runtime carries 32 MiB at most from one Worker to another.
const LARGEST_BODY: usize = 30 << 20;

impl FrontRequest {
    /// The body.
    async fn text(&self) -> Result<String, Refusal> {
        let body = awaited(self.read(LARGEST_BODY)).await?;
        if body.is_undefined() {
            return Err(Refusal::too_large(LARGEST_BODY));
        }
        body_text(body).map_err(|_| Refusal::malformed(&"the body is no UTF-8"))
    }

    /// Stores the body as an upload, and returns its MD5.
    async fn stored(&self, entry: &Entry, upload: &str) -> Result<String, Refusal> {
        Ok(awaited(self.store(&entry.name, &entry.id, upload)).await?.as_string().unwrap_or_default())
    }
}

/// What is sent back.
struct Reply {
    status: u16,
    /// The media type of the body.
    kind: &'static str,
    bookmark: Option<String>,
    etag: Option<String>,
    content_range: Option<String>,
    /// Text, UTF-8, or bytes.
    body: JsValue,
    /// Where the rest of the body begins, for `more`.
    next: Option<String>,
}

impl Reply {
    fn of(kind: &'static str, body: JsValue) -> Reply {
        Reply { status: 200, kind, bookmark: None, etag: None, content_range: None, body, next: None }
    }

    fn json(json: String) -> Reply {
        Reply::of("application/json", json.into())
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        Reply { status: refusal.status, ..Reply::json(refusal.to_json()) }
    }
}

/// The HTTP surface of this isolate.
#[wasm_bindgen]
pub struct Front(());

#[wasm_bindgen]
impl Front {
    /// All of it.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::new_without_default, reason = "JavaScript makes it")]
    pub fn new() -> Front {
        Front(())
    }

    /// Answers a request, with `[status, headers, body, next]`.
    pub fn answer(&self, env: JsValue, request: FrontRequest) -> Promise {
        promise(async move { to_js(answer(&env, &request).await) })
    }

    /// The next part of a body, alike; a status that is not 200 means that there is none.
    pub fn more(&self, env: JsValue, request: FrontRequest, next: String) -> Promise {
        promise(async move { to_js(more(&env, &request, &next).await) })
    }
}

fn to_js(reply: Result<Reply, Refusal>) -> JsValue {
    let Reply { status, kind, bookmark, etag, content_range, body, next } = reply.unwrap_or_else(Reply::from);
    let headers = [("content-type", Some(kind.to_owned())), (SESSION, bookmark), ("etag", etag), ("content-range", content_range)];
    let headers: Array = headers.into_iter().filter_map(|(name, value)| Some(Array::of2(&name.into(), &value?.into()))).collect();
    Array::of4(&status.into(), &headers, &body, &next.map_or(JsValue::NULL, JsValue::from)).into()
}

async fn answer(env: &JsValue, request: &FrontRequest) -> Result<Reply, Refusal> {
    let target = route(&request.method(), &request.path());
    // Whoever has an address shows that: it is looked at where it leads.
    if !target.as_ref().is_ok_and(|target| target.operation.is_by_address()) {
        auth::check(env, request.authorization().as_deref())?;
    }
    d1_api::answer(env, request, target?).await
}

async fn more(env: &JsValue, request: &FrontRequest, next: &str) -> Result<Reply, Refusal> {
    let Target { database, .. } = route(&request.method(), &request.path())?;
    export::download(env, request, &database, Some(next)).await
}

/// What a promise of the runtime's brings.
async fn awaited(promise: Result<Promise, JsValue>) -> Result<JsValue, Refusal> {
    JsFuture::from(promise.map_err(|error| thrown(&error))?).await.map_err(|error| thrown(&error))
}

fn thrown(error: &JsValue) -> Refusal {
    Refusal::failed(&error_text(error))
}
