//! Requests and answers, as they are sent between entry points and objects.
//!
//! A request is an object `{protocol, body, session, at, format, timeout_ms, database_id}`: what routes it stands beside the body, which is text, or UTF-8 where it is
//! long. `types.d.ts` has it for JavaScript.
//!
//! **Not here:** reading what arrives (`incoming`).

use super::time::now_ms;
use js_sys::{Array, Object, Reflect, Uint8Array};
use littoral_engine::answer::{Answer, Form, Request};
use littoral_protocol::d1::{BlobFormat, PointBody};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// A request as it travels.
    #[derive(Clone)]
    pub type Routed;
}

/// A request, to be passed on.
pub(crate) fn write(request: &Request) -> Result<Routed, JsValue> {
    let (protocol, format) = match request.form() {
        Form::D1 { objects: true } => ("d1", None),
        Form::D1 { objects: false } => ("d1", Some("ROWS_AND_COLUMNS")),
        Form::Restore => ("restore", None),
        Form::Export => ("export", None),
        Form::Import => ("import", None),
        Form::Promote => ("promote", None),
        Form::Diff => ("diff", None),
        Form::Rest { objects: true } => ("rest", None),
        Form::Rest { objects: false } => ("rest", Some("ROWS_AND_COLUMNS")),
        Form::Calls { blobs: BlobFormat::Bytes } => ("calls", None),
        Form::Calls { blobs: BlobFormat::Base64 } => ("calls", Some("base64")),
    };
    let at = request.at().map_or(JsValue::UNDEFINED, |at| match at {
        PointBody::Bookmark(text) => text.into(),
        PointBody::TimeMs(time_ms) => JsValue::from(*time_ms as f64),
    });
    // Clocks differ from machine to machine.
    let timeout_ms = request.remaining_ms(now_ms()).map_or(JsValue::UNDEFINED, |ms| JsValue::from(ms as f64));
    let optional = |text: Option<&str>| text.map_or(JsValue::UNDEFINED, JsValue::from);
    let routed = Object::new();
    for (name, value) in [
        ("protocol", protocol.into()),
        ("body", request.body().into()),
        ("session", optional(request.session())),
        ("at", at),
        ("format", optional(format)),
        ("timeout_ms", timeout_ms),
        ("database_id", optional(request.database())),
    ] {
        Reflect::set(&routed, &name.into(), &value)?;
    }
    Ok(routed.unchecked_into())
}

/// `[body, bookmark]`; long bodies in UTF-8.
pub(crate) fn to_js(Answer { body, bookmark }: Answer) -> JsValue {
    Array::of2(&body_to_js(body), &bookmark.map_or(JsValue::NULL, JsValue::from)).into()
}

/// Long texts travel as UTF-8: the runtime would count two bytes for each character of a string that holds any beyond Latin-1, and it
/// carries 32 MiB at most.
const LONG_TEXT_BYTES: usize = 1 << 20;

/// A body that has travelled. The error: it is no UTF-8.
#[cfg(feature = "server")]
pub(crate) fn body_text(body: JsValue) -> Result<String, std::string::FromUtf8Error> {
    match body.dyn_into::<Uint8Array>() {
        Ok(utf8) => String::from_utf8(utf8.to_vec()),
        Err(text) => Ok(text.as_string().unwrap_or_default()),
    }
}

/// A body as it travels.
pub(crate) fn body_to_js(body: String) -> JsValue {
    if body.len() < LONG_TEXT_BYTES { body.into() } else { Uint8Array::from(body.as_bytes()).into() }
}
