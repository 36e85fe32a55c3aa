//! The Durable Object of one database: its storage below, requests above.
//!
//! Its methods are called by `entry.mjs` over RPC. They are synchronous: one request runs from beginning to end before the next. The
//! runtime holds an answer back until everything written before it is durable.
//!
//! **Invariants**
//! 1. Nothing in memory is needed after a restart or a trap: the database is opened again from storage.
//!
//! **Not here:** which callers may reach which database (`entry.mjs`).

use crate::edge::isolate::limits;
use crate::runtime::js::error_text;
use crate::runtime::request::body_to_js;
use crate::runtime::storage::{ObjectSql, ObjectStorage};
use littoral_engine::answer::d1::{Answer, Request, answer_together};
use littoral_engine::engine::Database as Engine;
use littoral_engine::replica::Source;
use littoral_engine::settings::region::Region;
use littoral_engine::store::{DurableStore, StoreError};
use littoral_protocol::d1::FailureBody;
use littoral_protocol::sql::Code;
use littoral_protocol::{Pgno, Position, Txid};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use worker::{DurableObject, Env, Response, State, console_error, durable_object};

/// The Durable Object class.
#[durable_object(fetch)]
pub struct Database {
    state: State,
    env: Env,
    engine: RefCell<Option<Engine>>,
}

impl DurableObject for Database {
    fn new(state: State, env: Env) -> Database {
        Database { state, env, engine: RefCell::new(None) }
    }

    async fn fetch(&self, _request: worker::Request) -> worker::Result<Response> {
        Response::error("a database is reached through a service binding with a database in its props", 404)
    }
}

#[wasm_bindgen]
impl Database {
    /// Answers requests that waited together. Each is `[body]` for a request of many calls, or `[body, resultsFormat, session]` for one of
    /// D1's protocol; a body is a string, or UTF-8 in a `Uint8Array`. Returns whether anything was written, and then `[body, session]` for each; a long body is UTF-8 in a `Uint8Array`.
    pub fn answer(&self, requests: js_sys::Array) -> js_sys::Array {
        let requests: Vec<Incoming> = requests.iter().map(Incoming::read).collect();
        let borrowed: Vec<Request<'_>> = requests.iter().map(Incoming::borrow).collect();
        let answered = self.with_engine(|engine| {
            let before = engine.state().txid;
            let answers = answer_together(engine, &borrowed);
            (engine.state().txid != before, answers)
        });
        let (wrote, answers) = answered.unwrap_or_else(|error| (false, requests.iter().map(|request| request.refuse(&error)).collect()));
        let all = js_sys::Array::of1(&JsValue::from_bool(wrote));
        for Answer { body, bookmark } in answers {
            all.push(&js_sys::Array::of2(&body_to_js(body), &bookmark.map_or(JsValue::NULL, JsValue::from)));
        }
        all
    }

    /// Answers a question of the commit log, whatever it is.
    pub fn follow(&self, question: &[u8]) -> Result<Vec<u8>, JsError> {
        self.with_engine(|engine| source(engine).answer(question)).map_err(js_error)
    }

    /// Whether a region that a follower says it is of exists.
    #[wasm_bindgen(js_name = isRegion)]
    pub fn is_region(&self, hint: &str) -> bool {
        Region::from_hint(hint).is_some()
    }

    /// The newest position, as bytes.
    pub fn position(&self) -> Result<Vec<u8>, JsError> {
        self.with_engine(|engine| engine.state().position().to_bytes().to_vec()).map_err(js_error)
    }

    /// The commits after a position, for a follower that did not ask. Undefined: there are none, or not all of them.
    pub fn news(&self, after: &[u8]) -> Result<Option<Vec<u8>>, JsError> {
        let Ok(after) = after.try_into().map(Position::from_bytes) else { return Ok(None) };
        let news = self.with_engine(|engine| source(engine).news(after)).and_then(|news| news).map_err(js_error)?;
        Ok(news.map(|news| news.encode()))
    }

    /// Does a small step of what keeps the past within its limits. Returns when the next is due, in milliseconds since 1970.
    pub fn maintain(&self) -> Result<Option<f64>, JsError> {
        let due = self.with_engine(|engine| engine.maintain(now_ms())).and_then(|due| due).map_err(js_error)?;
        Ok(due.map(|due| due as f64))
    }

    /// The newest state, for a dump: its txid, pages and bytes of a page.
    #[wasm_bindgen(js_name = dumpState)]
    pub fn dump_state(&self) -> Result<Vec<f64>, JsError> {
        let state = self.with_engine(|engine| engine.state()).map_err(js_error)?;
        Ok(vec![state.txid.0 as f64, f64::from(state.page_count), state.page_size.bytes() as f64])
    }

    /// Pages of the database file at `txid`, `count` from `first`.
    #[wasm_bindgen(js_name = dumpPages)]
    pub fn dump_pages(&self, txid: f64, first: u32, count: u32) -> Result<js_sys::Uint8Array, JsError> {
        let read = |engine: &mut Engine| engine.store().state(Txid(txid as u64)).and_then(|state| engine.pages(&state, Pgno(first), count));
        let pages = self.with_engine(read).and_then(|pages| pages).map_err(js_error)?;
        Ok(js_sys::Uint8Array::from(&*pages))
    }
}

fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}

fn js_error(error: StoreError) -> JsError {
    JsError::new(&error.to_string())
}

/// A request as `entry.mjs` passes it.
struct Incoming {
    body: String,
    /// Of D1's protocol: `resultsFormat` and session.
    d1: Option<(Option<String>, Option<String>)>,
}

impl Incoming {
    fn read(request: JsValue) -> Incoming {
        let request: js_sys::Array = request.unchecked_into();
        let text = |index| request.get(index).as_string();
        let body = match request.get(0).dyn_into::<js_sys::Uint8Array>() {
            Ok(utf8) => String::from_utf8(utf8.to_vec()).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            Err(body) => body.as_string().unwrap_or_default(),
        };
        Incoming { body, d1: (request.length() > 1).then(|| (text(1), text(2))) }
    }

    fn borrow(&self) -> Request<'_> {
        match &self.d1 {
            Some((format, session)) => Request::D1 { body: &self.body, results_format: format.as_deref(), session: session.as_deref() },
            None => Request::Calls { body: &self.body },
        }
    }

    fn refuse(&self, error: &StoreError) -> Answer {
        let code = Some(Code::StoreFailed);
        let body = if self.d1.is_some() { FailureBody::of_call(error, code, None) } else { FailureBody::of_request(error, code) };
        Answer { body: body.to_json(), bookmark: None }
    }
}

impl Database {
    /// The object's storage.
    pub(super) fn storage(&self) -> Result<ObjectStorage, StoreError> {
        let storage = self.state.as_raw().storage().map_err(|error| StoreError::Io(error_text(&error)))?;
        Ok(JsValue::from(storage).unchecked_into())
    }

    pub(super) fn with_engine<T>(&self, ask: impl FnOnce(&mut Engine) -> T) -> Result<T, StoreError> {
        let mut engine = self.engine.borrow_mut();
        if engine.is_none() {
            let limits = limits(&self.env).map_err(|error| StoreError::Schema(error_text(&error)))?;
            let store = DurableStore::open(ObjectSql::new(self.storage()?))?.with_step(limits.history_step_ms);
            *engine = Some(Engine::open(Rc::new(store), limits, Rc::new(now_ms)));
        }
        let answer = engine.as_mut().map(ask);
        if engine.as_ref().is_some_and(Engine::memory_damaged) {
            console_error!("a page in the cache was changed by something else than SQLite");
            // A trap is the way to leave the memory behind that all databases of this isolate share: `instance.mjs` does the rest.
            std::arch::wasm32::unreachable();
        }
        engine.take_if(|engine| engine.store_failed());
        answer.ok_or_else(|| StoreError::Io("the database is not open".into()))
    }
}

/// What followers ask.
fn source(engine: &Engine) -> Source<'_> {
    Source::new(&**engine.store(), engine.store().id())
}
