//! Giving way: a stack that computes for long is put aside until others have run.
//!
//! Of what the runtime has, only a timer lets in what is waiting outside: promises, messages to oneself and `storage.sync()` come back before any
//! request does. `scheduler.wait(0)` does so as soon as `setTimeout`, for 20 µs instead of 30.
//!
//! **Invariant:** a stack does not go on in an instance that is to be replaced: the next one does again what it does.
//!
//! **Not here:** how long a turn is (`littoral_engine::engine`).

use super::jspi::{block_on, is_condemned};
use js_sys::Promise;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = scheduler)]
    fn wait(milliseconds: f64) -> Promise;
}

/// Lets everything run that waits to. Only below [`super::jspi::suspendable`].
pub(crate) fn give_way() -> Result<(), JsValue> {
    let waited = block_on(&wait(0.0));
    if is_condemned() {
        std::process::abort();
    }
    waited.map(drop)
}
