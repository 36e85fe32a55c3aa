//! Requests as they arrive at an entry point or an object: what anybody may have handed in.
//!
//! **Invariant:** nothing that arrives is an error here. What is of a wrong type is kept as something that will be refused.

use super::request::{Routed, body_text};
use super::time::now_ms;
use js_sys::{JsString, Uint8Array};
use littoral_engine::answer::{Form, Request};
use littoral_protocol::d1::{BlobFormat, PointBody};
use wasm_bindgen::prelude::*;

/// Longer requests are no reads worth looking at twice.
const LONGEST_READ: usize = 64 << 10;

/// The latest time of JavaScript's `Date`, in milliseconds since 1970.
const MOST_MS: f64 = 8.64e15;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(method, getter)]
    fn protocol(this: &Routed) -> JsValue;

    #[wasm_bindgen(method, getter)]
    fn body(this: &Routed) -> JsValue;

    #[wasm_bindgen(method, getter)]
    fn session(this: &Routed) -> JsValue;

    #[wasm_bindgen(method, getter)]
    fn at(this: &Routed) -> JsValue;

    #[wasm_bindgen(method, getter)]
    fn format(this: &Routed) -> JsValue;

    #[wasm_bindgen(method, getter)]
    fn timeout_ms(this: &Routed) -> JsValue;

    #[wasm_bindgen(method, setter)]
    fn set_timeout_ms(this: &Routed, timeout_ms: f64);

    #[wasm_bindgen(method, getter, js_name = database_id)]
    fn id(this: &Routed) -> JsValue;

    /// When it arrived, in milliseconds since 1970, if it has waited since.
    #[wasm_bindgen(method, getter)]
    fn arrived_ms(this: &Routed) -> JsValue;
}

impl Routed {
    /// Whether only the primary can answer, as far as can be seen without a copy of the body: outside sessions, unless the database allows a
    /// staleness, and where it is too long for a read.
    pub(crate) fn is_for_primary(&self, max_staleness_ms: Option<u64>) -> bool {
        let is_routed = text(self.session()).is_some() || point(&self.at()).is_some();
        let length = match self.body().dyn_into::<Uint8Array>() {
            Ok(utf8) => utf8.length(),
            // In UTF-8 it is no shorter.
            Err(body) => body.dyn_ref::<JsString>().map_or(0, JsString::length),
        };
        length as usize > LONGEST_READ || !is_routed && max_staleness_ms.is_none()
    }

    /// The request. What is no UTF-8 becomes U+FFFD; a session or a point of a wrong type is kept as one that will be refused.
    pub(crate) fn read(&self) -> Request {
        let body = body_text(self.body()).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let format = self.format().as_string();
        let objects = format.as_deref() != Some("ROWS_AND_COLUMNS");
        let form = match self.protocol().as_string().as_deref() {
            Some("d1") => Form::D1 { objects },
            Some("rest") => Form::Rest { objects },
            Some("restore") => Form::Restore,
            Some("export") => Form::Export,
            Some("import") => Form::Import,
            Some("promote") => Form::Promote,
            Some("diff") => Form::Diff,
            _ => Form::Calls { blobs: if format.as_deref() == Some("base64") { BlobFormat::Base64 } else { BlobFormat::Bytes } },
        };
        Request::new(form, body, text(self.session()), point(&self.at())).of(self.database_id()).until(self.until_ms())
    }

    /// The id of the database that is meant, where one is.
    pub(crate) fn database_id(&self) -> Option<String> {
        text(self.id())
    }

    /// Leaves it the time that is left of what it had when it was read.
    #[cfg(feature = "server")]
    pub(crate) fn has_waited(&self, read: &Request) {
        if let Some(remaining_ms) = read.remaining_ms(now_ms()) {
            self.set_timeout_ms(remaining_ms as f64);
        }
    }

    /// When its caller no longer waits. What is no number of milliseconds is no timeout.
    pub(crate) fn until_ms(&self) -> Option<u64> {
        let timeout_ms = self.timeout_ms().as_f64().filter(|timeout_ms| (0.0..=MOST_MS).contains(timeout_ms))?;
        let arrived_ms = self.arrived_ms().as_f64().map_or_else(now_ms, |arrived_ms| arrived_ms as u64);
        Some(arrived_ms.saturating_add(timeout_ms as u64))
    }
}

/// A text, if there is anything.
fn text(value: JsValue) -> Option<String> {
    let is_there = !value.is_undefined() && !value.is_null();
    is_there.then(|| value.as_string().unwrap_or_default())
}

/// A point of the past, if there is anything: a number is a time.
fn point(value: &JsValue) -> Option<PointBody> {
    match value.as_f64() {
        Some(time_ms) if (0.0..=MOST_MS).contains(&time_ms) => Some(PointBody::TimeMs(time_ms as u64)),
        Some(other) => Some(PointBody::Bookmark(other.to_string())),
        None => text(value.clone()).map(PointBody::Bookmark),
    }
}
