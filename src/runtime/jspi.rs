//! Waiting inside synchronous code: SQLite asks for a page that is elsewhere, and its whole stack is put aside until the page is here.
//!
//! WebAssembly can put a stack aside (JS Promise Integration) that was entered through `WebAssembly.promising`. [`suspendable`] enters one,
//! and [`block_on`], anywhere below it, waits.
//!
//! **Invariants**
//! 1. While a stack waits everything else runs, and may wait in its turn: nothing is borrowed across [`block_on`] that other code borrows,
//!    and a SQLite connection belongs to one stack.
//! 2. There is no JavaScript on the stack between [`suspendable`] and [`block_on`].
//! 3. A stack that waited does not run on after its instance was replaced: what it then gave to JavaScript would be taken for addresses in
//!    the new instance's memory.
//! 4. Below [`suspendable`] nothing is spawned and no `Promise` is made of a future: wasm-bindgen would run it on a stack of the instance
//!    that was the first.
//!
//! wasm-bindgen keeps its promising functions in JavaScript, where they outlive the instance, which `worker-build`'s JavaScript or
//! `scripts/builder`'s replaces at the first request after a panic. The one here is in the instance's own memory.

use js_sys::futures::JsFuture;
use js_sys::{Array, Error, Function, Object, Promise, Reflect};
use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// Why [`suspendable`] has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Lost {
    /// The stack ended in a panic or a trap.
    #[error("the Worker's instance was lost: {0}")]
    Trap(String),
    /// The runtime cannot put stacks aside.
    #[error("this runtime cannot suspend WebAssembly: {0}")]
    Unsupported(String),
}

type Job = Box<dyn FnOnce()>;

thread_local! {
    /// The exports of this instance.
    static EXPORTS: JsValue = wasm_bindgen::exports();
    /// [`Stack::run`] of this instance, promising.
    static ENTER: OnceCell<Function> = const { OnceCell::new() };
    /// On its way through JavaScript into [`Stack::run`].
    static JOB: Cell<Option<Job>> = const { Cell::new(None) };
    /// Whether what runs now is below [`suspendable`].
    static ON_STACK: Cell<bool> = const { Cell::new(false) };
    /// Something panicked or trapped: the instance is about to be replaced.
    static BROKEN: Cell<bool> = const { Cell::new(false) };
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = WebAssembly)]
    fn promising(export: &Function) -> Result<Function, JsValue>;

    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(call: &Function, milliseconds: f64, argument: &JsValue) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);
}

/// What the JavaScript around the module knows of its instance, and that it is lost.
const STATE: &str = "__worker_init_state";
const LOST: &str = "criticalError";
/// The name of [`Stack::run`] among the instance's exports.
const RUN: &str = "littoralstack_run";

/// A stack that can be put aside. The class is private, hence no part of the Worker; a function of the module would be a method of the
/// default entry point.
#[wasm_bindgen(private, js_name = LittoralStack)]
pub struct Stack(());

#[allow(deprecated, reason = "so wasm-bindgen marks what is experimental")]
#[wasm_bindgen(js_class = LittoralStack)]
impl Stack {
    /// Runs the job that [`enter`] left.
    #[wasm_bindgen(jspi)]
    pub fn run() {
        if let Some(job) = JOB.take() {
            job();
        }
        ON_STACK.set(false);
    }
}

/// Runs `run` on a stack of its own, below which [`block_on`] may be called.
///
/// It begins at the first poll, at once. Once begun it runs to its end, even if nobody waits for the answer any more.
pub async fn suspendable<T: 'static>(run: impl FnOnce() -> T + 'static) -> Result<T, Lost> {
    let answer = Rc::new(Cell::new(None));
    let place = answer.clone();
    let ended = enter(Box::new(move || place.set(Some(run())))).map_err(|error| Lost::Unsupported(text(&error)))?;
    if let Some(answer) = answer.take() {
        return Ok(answer);
    }
    let ended = JsFuture::from(ended).await.map_err(|error| text(&error));
    answer.take().ok_or_else(|| {
        condemn();
        Lost::Trap(ended.err().unwrap_or_default())
    })
}

/// Whether [`block_on`] can be called here.
#[cfg(feature = "server")]
pub fn can_wait() -> bool {
    ON_STACK.get()
}

/// Puts the stack aside until `promise` settles. Only below [`suspendable`]: elsewhere an error.
///
/// A request that waits for nothing but another request's work counts as hung, and is cancelled: see [`Deadline`].
#[allow(deprecated, reason = "so wasm-bindgen marks what is experimental")]
pub fn block_on(promise: &Promise) -> Result<JsValue, JsValue> {
    // wasm-bindgen would save the part of the stack from no beginning: it destroys the heap.
    if !ON_STACK.replace(false) {
        return Err(Error::new("nothing can wait here: this stack cannot be put aside").into());
    }
    let settled = js_sys::futures::jspi_block_on_promise(promise);
    ON_STACK.set(true);
    if !EXPORTS.with(|own| *own == wasm_bindgen::exports()) {
        std::process::abort();
    }
    if BROKEN.get() {
        return Err(Error::new("the Worker's instance was lost").into());
    }
    settled
}

/// A time until which a query waits. Its timer belongs to the request that made it, which therefore does not count as hung.
pub struct Deadline {
    /// Resolves with `late`.
    passed: Promise,
    late: JsValue,
    timer: JsValue,
}

impl Deadline {
    /// That many milliseconds from now.
    pub fn after(milliseconds: f64) -> Deadline {
        let late: JsValue = Object::new().into();
        let mut timer = JsValue::UNDEFINED;
        let passed = Promise::new(&mut |resolve, _| timer = set_timeout(&resolve, milliseconds, &late));
        Deadline { passed, late, timer }
    }

    /// As [`block_on`], but no longer than to the deadline; an error then.
    pub fn block_on(&self, promise: &Promise) -> Result<JsValue, JsValue> {
        block_on(&self.race(promise)).and_then(|settled| self.in_time(settled))
    }

    /// As [`Deadline::block_on`], but no longer than to the earlier of two deadlines.
    pub fn block_on_both(&self, other: &Deadline, promise: &Promise) -> Result<JsValue, JsValue> {
        block_on(&self.race(&other.race(promise))).and_then(|settled| self.in_time(settled)).and_then(|settled| other.in_time(settled))
    }

    /// Waits for `promise` as futures do, no longer than to the deadline; an error then.
    pub async fn wait_for(&self, promise: &Promise) -> Result<JsValue, JsValue> {
        JsFuture::from(self.race(promise)).await.and_then(|settled| self.in_time(settled))
    }

    fn race(&self, promise: &Promise) -> Promise {
        Promise::race(&Array::of2(promise, &self.passed))
    }

    fn in_time(&self, settled: JsValue) -> Result<JsValue, JsValue> {
        if settled == self.late { Err(Error::new("waited too long").into()) } else { Ok(settled) }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        clear_timeout(&self.timer);
    }
}

fn enter(job: Job) -> Result<Promise, JsValue> {
    let enter = ENTER.with(|known| match known.get() {
        Some(enter) => Ok(enter.clone()),
        None => {
            let export: Function = EXPORTS.with(|own| Reflect::get(own, &RUN.into()))?.dyn_into()?;
            let enter = promising(&export)?;
            note_panics();
            Ok::<_, JsValue>(known.get_or_init(|| enter).clone())
        }
    })?;
    JOB.set(Some(job));
    let caller = ON_STACK.replace(true);
    // Comes back when the job has ended or waits for the first time.
    let ended = enter.call0(&JsValue::UNDEFINED);
    ON_STACK.set(caller);
    // Taken already, unless the call failed.
    drop(JOB.take());
    ended?.dyn_into()
}

fn note_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        BROKEN.set(true);
        before(panic);
    }));
}

/// Lets the JavaScript around the module replace the instance at the next request. It does so by itself after a panic; a trap on a
/// promising stack it does not see.
fn condemn() {
    BROKEN.set(true);
    if let Ok(state) = Reflect::get(&js_sys::global(), &STATE.into()) {
        // Where there is no such state nobody replaces instances.
        let _ = Reflect::set(&state, &LOST.into(), &JsValue::TRUE);
    }
}

/// Whether the instance is about to be replaced, after a trap of any stack.
#[cfg(feature = "server")]
pub(super) fn is_condemned() -> bool {
    let state = Reflect::get(&js_sys::global(), &STATE.into());
    BROKEN.get() || state.and_then(|state| Reflect::get(&state, &LOST.into())).is_ok_and(|lost| lost.is_truthy())
}

fn text(error: &JsValue) -> String {
    error.dyn_ref::<Error>().map_or_else(|| format!("{error:?}"), |error| String::from(error.to_string()))
}
