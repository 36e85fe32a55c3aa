//! Requests and answers as they travel between entry points and objects.

#![cfg_attr(not(feature = "server"), allow(dead_code, reason = "the Littoral Worker's entry points use the rest"))]

use js_sys::{Array, JsString, Uint8Array};
use littoral_engine::answer::d1::{Answer, Parsed, Request};
use wasm_bindgen::prelude::*;

/// Longer requests are no reads worth looking at twice.
const LONGEST_REQUEST: usize = 64 << 10;
/// A request as it came.
#[derive(Clone)]
pub(crate) enum RawRequest {
    /// Of many calls.
    Calls { body: String },
    /// Of D1's protocol.
    D1 { body: String, format: Option<String>, session: Option<String> },
}

impl RawRequest {
    /// The request as `entry.mjs` passes it: `[body]` or `[body, resultsFormat, session]`; bodies as text or in UTF-8. `None`: it is too
    /// long to be a read.
    pub(crate) fn read(request: &Array) -> Option<RawRequest> {
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
        Some(if request.length() > 1 { RawRequest::D1 { body, format: text(1), session: text(2) } } else { RawRequest::Calls { body } })
    }

    /// The same, to be passed on.
    pub(crate) fn write(&self) -> Array {
        let optional = |text: &Option<String>| text.as_deref().map_or(JsValue::UNDEFINED, JsValue::from);
        match self {
            RawRequest::Calls { body } => Array::of1(&body.as_str().into()),
            RawRequest::D1 { body, format, session } => Array::of3(&body.as_str().into(), &optional(format), &optional(session)),
        }
    }

    pub(crate) fn parse(&self) -> Parsed {
        Parsed::parse(&match self {
            RawRequest::Calls { body } => Request::Calls { body },
            RawRequest::D1 { body, format, session } => {
                Request::D1 { body, results_format: format.as_deref(), session: session.as_deref() }
            }
        })
    }
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
