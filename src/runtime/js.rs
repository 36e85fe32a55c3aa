//! What a thrown value says.

use wasm_bindgen::prelude::*;

/// What a thrown value says.
pub(crate) fn error_text(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |error| String::from(error.message()))
}
