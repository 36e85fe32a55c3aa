//! The HTTP surface: what the internet may ask of a Worker, each face of it in a file.
//!
//! `entry.mjs` hands in a request as `{method, origin, path, query, authorization, session, body, cf}`, and gets `[status, type, body, bookmark, next]`. Where
//! there is a `next` the body goes on: `more` has the next part of it.
//!
//! **Invariant:** nothing is done, and nothing told, before the request has shown a token, or an address that was signed with one.
//!
//! **Not here:** which path is which call (`littoral_protocol::rest`), running SQL (the objects).

mod auth;
mod d1_api;
mod databases;
mod export;
mod import;

use crate::runtime::work::promise;
use js_sys::{Array, Promise, Uint8Array};
use littoral_protocol::rest::{Operation, Refusal, Target, route};
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

    /// The session's bookmark or constraint.
    #[wasm_bindgen(method, getter)]
    fn session(this: &FrontRequest) -> Option<String>;

    /// Text or UTF-8.
    #[wasm_bindgen(method, getter)]
    fn body(this: &FrontRequest) -> JsValue;

    #[wasm_bindgen(method, getter)]
    fn cf(this: &FrontRequest) -> JsValue;
}

impl FrontRequest {
    fn text(&self) -> Result<String, Refusal> {
        match self.body().dyn_into::<Uint8Array>() {
            Ok(bytes) => String::from_utf8(bytes.to_vec()).map_err(|_| Refusal::malformed(&"the body is no UTF-8")),
            Err(body) => Ok(body.as_string().unwrap_or_default()),
        }
    }
}

const JSON: &str = "application/json";
const SQL: &str = "application/sql";

/// What is sent back.
struct Reply {
    status: u16,
    /// Its media type.
    kind: &'static str,
    /// Text or UTF-8.
    body: JsValue,
    bookmark: Option<String>,
    /// Where the rest of the body begins, for `more`.
    next: Option<String>,
}

impl Reply {
    fn ok(json: String) -> Reply {
        Reply { status: 200, kind: JSON, body: json.into(), bookmark: None, next: None }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        Reply { status: refusal.status, kind: JSON, body: refusal.to_json().into(), bookmark: None, next: None }
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

    /// Refuses a request that shows no token, before its body is read; undefined: it may go on.
    pub fn refuse(&self, env: &JsValue, request: &FrontRequest) -> JsValue {
        match admit(env, request, &route(&request.method(), &request.path())) {
            Ok(()) => JsValue::UNDEFINED,
            Err(refusal) => to_js(Err(refusal)),
        }
    }

    /// Answers a request, with `[status, type, body, bookmark, next]`.
    pub fn answer(&self, env: JsValue, request: FrontRequest) -> Promise {
        promise(async move { to_js(answer(&env, &request).await) })
    }

    /// Whether a request sends a file, whose body is then not read before `upload` was asked.
    #[wasm_bindgen(js_name = isUpload)]
    pub fn is_upload(&self, method: &str, path: &str) -> bool {
        route(method, path).is_ok_and(|target| target.operation == Operation::Upload)
    }

    /// Whether a file may be sent: then `next` says where to, as JSON `{name, id, etag}`.
    pub fn upload(&self, env: JsValue, request: FrontRequest) -> Promise {
        promise(async move { to_js(upload(&env, &request).await) })
    }

    /// The next part of a body, alike; a status that is not 200 means that there is none.
    pub fn more(&self, env: JsValue, request: FrontRequest, next: String) -> Promise {
        promise(async move { to_js(more(&env, &request, &next).await) })
    }
}

fn to_js(reply: Result<Reply, Refusal>) -> JsValue {
    let Reply { status, kind, body, bookmark, next } = reply.unwrap_or_else(Reply::from);
    let or_null = |text: Option<String>| text.map_or(JsValue::NULL, JsValue::from);
    Array::of5(&status.into(), &kind.into(), &body, &or_null(bookmark), &or_null(next)).into()
}

/// Whether a request may go on: it shows a token, or is for an address, which is looked at later.
fn admit(env: &JsValue, request: &FrontRequest, target: &Result<Target, Refusal>) -> Result<(), Refusal> {
    match target {
        Ok(Target { operation: Operation::Download | Operation::Upload, .. }) => Ok(()),
        _ => auth::check(env, request.authorization().as_deref()),
    }
}

async fn answer(env: &JsValue, request: &FrontRequest) -> Result<Reply, Refusal> {
    let target = route(&request.method(), &request.path());
    admit(env, request, &target)?;
    d1_api::answer(env, request, target?).await
}

async fn upload(env: &JsValue, request: &FrontRequest) -> Result<Reply, Refusal> {
    let Target { database, .. } = route(&request.method(), &request.path())?;
    import::upload(env, request, &database).await
}

async fn more(env: &JsValue, request: &FrontRequest, next: &str) -> Result<Reply, Refusal> {
    let Target { database, .. } = route(&request.method(), &request.path())?;
    export::download(env, request, &database, Some(next)).await
}
