//! The HTTP surface: what the internet may ask of a Worker, each face of it in a file.
//!
//! `entry.mjs` hands in a request as `{method, path, query, authorization, session, body, cf}`, and gets `[status, body, bookmark]`.
//!
//! **Invariant:** nothing is done, and nothing told, before the request has shown a token.
//!
//! **Not here:** which path is which call (`littoral_protocol::rest`), running SQL (the objects).

mod auth;
mod d1_api;
mod databases;

use crate::runtime::work::promise;
use js_sys::{Array, Promise, Uint8Array};
use littoral_protocol::rest::{Refusal, route};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// A request as `entry.mjs` hands it in.
    #[derive(Clone)]
    pub type FrontRequest;

    #[wasm_bindgen(method, getter)]
    fn method(this: &FrontRequest) -> String;

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

/// What is sent back.
struct Reply {
    status: u16,
    /// JSON: text or UTF-8.
    body: JsValue,
    bookmark: Option<String>,
}

impl Reply {
    fn ok(json: String) -> Reply {
        Reply { status: 200, body: json.into(), bookmark: None }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        Reply { status: refusal.status, body: refusal.to_json().into(), bookmark: None }
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

    /// Answers a request, with `[status, body, bookmark]`.
    pub fn answer(&self, env: JsValue, request: FrontRequest) -> Promise {
        promise(async move {
            let Reply { status, body, bookmark } = answer(&env, &request).await.unwrap_or_else(Reply::from);
            Array::of3(&status.into(), &body, &bookmark.map_or(JsValue::NULL, JsValue::from)).into()
        })
    }
}

async fn answer(env: &JsValue, request: &FrontRequest) -> Result<Reply, Refusal> {
    auth::check(env, request.authorization().as_deref())?;
    d1_api::answer(env, request, route(&request.method(), &request.path())?).await
}
