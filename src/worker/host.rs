//! What the primary wants of the runtime, carried out by `database.mjs`: what comes back arrives as a call on the object that is there then,
//! even if this WebAssembly instance is not.
//!
//! **Not here:** what is wanted, and when (`littoral_engine::primary`).

use crate::runtime::request::Routed;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The JavaScript half of a database's object.
    #[derive(Clone)]
    pub type Host;

    /// Calls `synced` when everything written so far is durable.
    #[wasm_bindgen(method)]
    pub(super) fn sync(this: &Host);

    /// Calls `readEnded`, soon.
    #[wasm_bindgen(method, js_name = readEnded)]
    pub(super) fn read_ended(this: &Host);

    /// Calls `writeEnded`, soon.
    #[wasm_bindgen(method, js_name = writeEnded)]
    pub(super) fn write_ended(this: &Host);

    /// Sends news to the replica object of a region, then calls `told`.
    #[wasm_bindgen(method)]
    pub(super) fn tell(this: &Host, region: &str, news: &Uint8Array);

    /// Calls `woken` in so many milliseconds.
    #[wasm_bindgen(method)]
    pub(super) fn wake(this: &Host, in_ms: f64);

    /// Calls `alarmIs`.
    #[wasm_bindgen(method, js_name = lookForAlarm)]
    pub(super) fn look_for_alarm(this: &Host);

    /// Sets the alarm to this time, in milliseconds since 1970.
    #[wasm_bindgen(method, js_name = setAlarm)]
    pub(super) fn set_alarm(this: &Host, at_ms: f64);

    /// A request that has no answer yet. JavaScript keeps it, so it outlives the instance.
    #[derive(Clone)]
    pub type Ticket;

    /// The request.
    #[wasm_bindgen(method, getter)]
    pub(super) fn request(this: &Ticket) -> Routed;

    /// The position of the database when it last began to run; undefined: it has not.
    #[wasm_bindgen(method, getter)]
    pub(super) fn before(this: &Ticket) -> Option<Uint8Array>;

    /// Whether it ran by itself.
    #[wasm_bindgen(method, getter)]
    pub(super) fn alone(this: &Ticket) -> bool;

    /// It begins to run, or goes on.
    #[wasm_bindgen(method)]
    pub(super) fn runs(this: &Ticket, before: &Uint8Array, alone: bool);

    /// It does not run, and nothing is lost if the instance is.
    #[wasm_bindgen(method)]
    pub(super) fn waits(this: &Ticket);

    /// Hands over the answer: `[body, bookmark, wrote]`.
    #[wasm_bindgen(method)]
    pub(super) fn deliver(this: &Ticket, answer: &Array);
}
