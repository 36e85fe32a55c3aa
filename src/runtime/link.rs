//! One request's way to the next tier: an RPC stub with a method `follow`, made in that request.
//!
//! **Invariants**
//! 1. Promises that a request waits for are its own: those of another would resume it in that one's context. So who waits for another
//!    request's fetch makes a promise, and that request resolves it.
//! 2. Nobody waits for ever: each wait has a deadline.
//!
//! **Not here:** what is asked (`replica`).

use super::js::error_text;
use super::jspi::{Deadline, suspendable};
use super::stubs::ObjectStub;
use super::time::now_ms;
use js_sys::{Function, Promise, Uint8Array};
use littoral_engine::commit_log::Message;
use littoral_engine::fetch::Fetcher;
use littoral_engine::replica::{Later, Link, LinkError};
use littoral_engine::store::StoreError;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// How long a question may take, in milliseconds.
const ANSWER_MS: f64 = 3_000.0;
/// How long one for pages may take while a query waits.
const PAGES_MS: f64 = 2_000.0;
/// How long another request's fetch is waited for before one's own.
const OTHERS_MS: f64 = 1_000.0;

/// What a query may spend on missing pages before it goes on to the next tier.
#[derive(Clone, Copy, Debug)]
pub struct MissBudget {
    /// Questions.
    pub round_trips: u32,
    /// Milliseconds.
    pub ms: f64,
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    fn warn(line: &str);
}

/// Those that wait for another request's question.
pub type Waiting = Rc<RefCell<Vec<Function>>>;

/// A way to a source.
#[derive(Clone)]
pub struct StubLink {
    source: ObjectStub,
    waiting: Waiting,
    budget: MissBudget,
    /// The region of the replica object that asks: it wants to be told of news.
    region: Option<&'static str>,
}

impl StubLink {
    /// A way to `source`, for one request.
    pub fn new(source: ObjectStub, waiting: Waiting, budget: MissBudget, region: Option<&'static str>) -> StubLink {
        StubLink { source, waiting, budget, region }
    }

    fn follow(&self, question: &[u8]) -> Result<Promise, JsValue> {
        // What RPC returns is no promise but can become one.
        self.source.follow(&Uint8Array::from(question), self.region).map(|answer| Promise::resolve(&answer))
    }

    /// A promise of this request's, which `wake` resolves.
    fn others(&self) -> Promise {
        Promise::new(&mut |resolve, _| self.waiting.borrow_mut().push(resolve))
    }

    fn wake_all(&self) {
        for resolve in self.waiting.take() {
            // The request may be gone.
            let _ = resolve.call0(&JsValue::UNDEFINED);
        }
    }
}

impl Link for StubLink {
    fn ask(&self, question: Vec<u8>) -> Later<Result<Vec<u8>, LinkError>> {
        let asked = self.follow(&question);
        Box::pin(async move {
            let answer = Deadline::after(ANSWER_MS).wait_for(&asked.map_err(link_error)?).await.map_err(link_error)?;
            bytes(&answer).ok_or_else(|| LinkError("the source did not answer with bytes".into()))
        })
    }

    fn run_waiting(&self, job: Box<dyn FnOnce()>) -> Later<Result<(), LinkError>> {
        Box::pin(async move { suspendable(job).await.map_err(|lost| LinkError(lost.to_string())) })
    }

    fn fetcher(&self) -> Rc<dyn Fetcher> {
        Rc::new(StubFetcher { link: self.clone(), deadline: RefCell::new(None), asked: Cell::new(0) })
    }

    fn wait(&self) -> Later<()> {
        let others = self.others();
        Box::pin(async move {
            // In vain is no error: whoever waited looks for itself.
            let _ = Deadline::after(OTHERS_MS).wait_for(&others).await;
        })
    }

    fn wake(&self) {
        self.wake_all();
    }

    fn turn(&self, longest_ms: u64) -> (Box<dyn FnOnce()>, Later<()>) {
        let mut resolve = None;
        let came = Promise::new(&mut |resolved, _| resolve = Some(resolved));
        let call = move || {
            // The request may be gone.
            let _ = resolve.map(|resolve: Function| resolve.call0(&JsValue::UNDEFINED));
        };
        let waiting = async move {
            let _ = Deadline::after(longest_ms as f64).wait_for(&came).await;
        };
        (Box::new(call), Box::pin(waiting))
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn log(&self, line: &str) {
        warn(line);
    }
}

/// Fetches pages for one query.
struct StubFetcher {
    link: StubLink,
    /// From the first miss on.
    deadline: RefCell<Option<Rc<Deadline>>>,
    asked: Cell<u32>,
}

impl StubFetcher {
    fn deadline(&self) -> Rc<Deadline> {
        self.deadline.borrow_mut().get_or_insert_with(|| Rc::new(Deadline::after(self.link.budget.ms))).clone()
    }
}

impl Fetcher for StubFetcher {
    fn fetch(&self, question: &Message) -> Result<Message, StoreError> {
        self.asked.set(self.asked.get() + 1);
        if self.asked.get() > self.link.budget.round_trips {
            return Err(StoreError::Io(format!("more than {} questions for missing pages", self.link.budget.round_trips)));
        }
        let asked = self.link.follow(&question.encode()).map_err(io_error)?;
        let answer = self.deadline().block_on_both(&Deadline::after(PAGES_MS), &asked).map_err(io_error)?;
        let bytes = bytes(&answer).ok_or_else(|| StoreError::Io("the source did not answer with bytes".into()))?;
        Message::decode(&bytes).map_err(|error| StoreError::Io(error.to_string()))
    }

    fn wait(&self) -> Result<bool, StoreError> {
        let others = self.link.others();
        let patience = Deadline::after(OTHERS_MS);
        Ok(patience.block_on(&others).is_ok())
    }

    fn wake(&self) {
        self.link.wake_all();
    }
}

fn bytes(answer: &JsValue) -> Option<Vec<u8>> {
    answer.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec)
}

fn link_error(error: JsValue) -> LinkError {
    LinkError(error_text(&error))
}

fn io_error(error: JsValue) -> StoreError {
    StoreError::Io(error_text(&error))
}
