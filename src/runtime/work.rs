//! Work that goes on after the request was answered that began it.

use js_sys::{Promise, futures::future_to_promise};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "cloudflare:workers")]
extern "C" {
    #[wasm_bindgen(js_name = waitUntil)]
    fn wait_until(promise: &Promise);
}

/// Lets work go on after the request was answered, or its caller has gone.
pub(crate) fn keep_alive(work: impl Future<Output = ()> + 'static) {
    let work = async move {
        work.await;
        Ok(JsValue::UNDEFINED)
    };
    wait_until(&future_to_promise(work));
}

/// A promise of what work brings, which goes on even if its caller has gone.
pub(crate) fn promise(work: impl Future<Output = JsValue> + 'static) -> Promise {
    let promise = future_to_promise(async move { Ok(work.await) });
    wait_until(&promise);
    promise
}
