//! The Durable Object of one database: its storage below, requests above.
//!
//! Its methods are called by `entry.mjs` over RPC. They are synchronous: one request runs from beginning to end before the next. The
//! runtime holds an answer back until everything written before it is durable.
//!
//! **Invariants**
//! 1. Nothing in memory is needed after a restart or a trap: the database is opened again from storage.
//!
//! **Not here:** which callers may reach which database (`entry.mjs`).

use crate::engine::{Database as Engine, Limits};
use crate::http::d1::{Answer, ResultsFormat, answer_calls, answer_query};
use crate::store::durable::object::{ObjectSql, ObjectStorage};
use crate::store::{DurableStore, StoreError};
use crate::wire::d1::{failure, malformed};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

/// The Durable Object class.
#[durable_object(fetch)]
pub struct Database {
    state: State,
    engine: RefCell<Option<Engine>>,
}

impl DurableObject for Database {
    fn new(state: State, _env: Env) -> Database {
        console_error_panic_hook::set_once();
        Database { state, engine: RefCell::new(None) }
    }

    async fn fetch(&self, _request: Request) -> worker::Result<Response> {
        Response::error("a database is reached through a service binding with a database in its props", 404)
    }
}

#[wasm_bindgen]
impl Database {
    /// Answers a request of many calls.
    pub fn query(&self, request: &str) -> String {
        self.with_engine(|engine| answer_calls(engine, request)).unwrap_or_else(|error| malformed(&error.to_string()))
    }

    /// Answers a request of D1's protocol: its body, `resultsFormat` and session token. Returns the body and the new token.
    pub fn d1(&self, body: &str, format: Option<String>, session: Option<String>) -> js_sys::Array {
        let format = ResultsFormat::parse(format.as_deref());
        let answer = self
            .with_engine(|engine| answer_query(engine, body, format, session.as_deref()))
            .unwrap_or_else(|error| Answer { body: failure(&error, None), bookmark: None });
        js_sys::Array::of2(&answer.body.into(), &answer.bookmark.map_or(JsValue::NULL, JsValue::from))
    }

    /// The database file.
    pub fn dump(&self) -> Result<js_sys::Uint8Array, JsError> {
        let file = self.with_engine(|engine| engine.dump()).and_then(|file| file).map_err(|error| JsError::new(&error.to_string()))?;
        Ok(js_sys::Uint8Array::from(&*file))
    }
}

impl Database {
    fn with_engine<T>(&self, ask: impl FnOnce(&mut Engine) -> T) -> Result<T, StoreError> {
        let mut engine = self.engine.borrow_mut();
        if engine.is_none() {
            let storage: ObjectStorage = JsValue::from(self.state.as_raw().storage()?).unchecked_into();
            let store = DurableStore::open(ObjectSql::new(storage))?;
            *engine = Some(Engine::open(Rc::new(store), Limits::default(), Rc::new(|| js_sys::Date::now() as u64)));
        }
        engine.as_mut().map(ask).ok_or_else(|| StoreError::Io("the database is not open".into()))
    }
}

impl From<JsValue> for StoreError {
    fn from(error: JsValue) -> StoreError {
        StoreError::Io(format!("{error:?}"))
    }
}
