//! Variables of the Worker.

use js_sys::Reflect;
use wasm_bindgen::prelude::*;

/// A variable of the Worker's that holds an object. `None`: it is not set.
pub(crate) fn variable<T: serde::de::DeserializeOwned>(env: &JsValue, name: &str) -> Result<Option<T>, JsValue> {
    let set = Reflect::get(env, &name.into())?;
    if set.is_undefined() {
        return Ok(None);
    }
    // By way of a JSON value: directly, fields that do not exist would go unnoticed.
    let read = serde_wasm_bindgen::from_value(set).map_err(|error| error.to_string());
    let value = read.and_then(|set: serde_json::Value| serde_json::from_value(set).map_err(|error| error.to_string()));
    value.map(Some).map_err(|error| js_sys::Error::new(&format!("the variable {name} is not understood: {error}")).into())
}
