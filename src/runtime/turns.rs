//! Giving way: a stack that computes for long is put aside until others have run.
//!
//! Of what the runtime has, only a timer lets in what is waiting outside: promises, messages to oneself and `storage.sync()` come back before any
//! request does. `scheduler.wait(0)` does so as soon as `setTimeout`, for 20 µs instead of 30.
//!
//! **Invariant:** a stack does not go on in an instance that is to be replaced: the next one does again what it does.
//!
//! **Not here:** how long a turn is (`littoral_engine::engine`).

use super::js::error_text;
use super::jspi::{block_on, is_condemned};
use super::time::now_ms;
use js_sys::Promise;
use littoral_engine::engine::Error;
use littoral_engine::store::StoreError;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = scheduler)]
    fn wait(milliseconds: f64) -> Promise;
}

/// Lets everything run that waits to. It is an error if nobody waits any more for what gives way: that is at `until_ms`. Only below
/// [`super::jspi::suspendable`].
pub(crate) fn give_way(until_ms: Option<u64>) -> Result<(), Error> {
    let waited = block_on(&wait(0.0));
    if is_condemned() {
        std::process::abort();
    }
    waited.map_err(|error| Error::from(StoreError::Io(error_text(&error))))?;
    if until_ms.is_some_and(|until_ms| until_ms <= now_ms()) { Err(Error::TimedOut) } else { Ok(()) }
}
