//! A database that is a branch of another, and one that has branches: what the two objects say to each other.
//!
//! A branch asks its parent to *lend* a state, which the parent keeps from then on, and begins with it. Pages of it come when they are asked
//! for, and the rest in parts, by the alarm; once all are there the branch lets go of the state.
//!
//! **Invariants**
//! 1. A branch is no database before its parent keeps the state for it: an object that was ended in between asks again.
//! 2. What the parent lends is in its storage before it is answered.
//!
//! **Not here:** which pages are missing (`littoral_engine::store`), who is a branch of whom (`littoral_engine::catalog`).

use super::database::{DatabaseObject, js_error, source};
use crate::runtime::js::error_text;
use crate::runtime::jspi::{Lost, can_wait, suspendable};
use crate::runtime::link::{MissBudget, StubLink, Waiting};
use crate::runtime::storage::{ObjectSql, ObjectStorage};
use crate::runtime::stubs::Namespace;
use js_sys::{Array, Promise, Reflect, Uint8Array};
use littoral_engine::answer::Request;
use littoral_engine::branch::BranchStore;
use littoral_engine::catalog::{Entry, ParentEntry};
use littoral_engine::commit_log::{Body, Message};
use littoral_engine::engine::bring_schema;
use littoral_engine::fetch::Fetcher;
use littoral_engine::replica::{Link, Source};
use littoral_engine::store::durable::Base;
use littoral_engine::store::{DurableStore, PageStore, StoreError};
use littoral_protocol::d1::PointBody;
use littoral_protocol::rest::PromoteBody;
use littoral_protocol::{DatabaseId, Pgno, Position, Txid};
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// The key of what a parent lends: a list of [`Lent`], as JSON.
const LENT: &str = "lent";
/// The key that says that a branch has let go of what its parent lent it.
const RELEASED: &str = "released";
/// What one question may cost.
const BUDGET: MissBudget = MissBudget { round_trips: 1, ms: 5_000.0 };

/// A state that a branch needs.
#[derive(Serialize, Deserialize)]
struct Lent {
    /// The branch's id.
    branch: String,
    txid: u64,
}

fn lent(storage: &ObjectStorage) -> Vec<Lent> {
    let json = storage.kv().get(LENT).as_string();
    json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
}

/// The states that branches need.
pub(super) fn lent_states(storage: &ObjectStorage) -> Vec<Txid> {
    lent(storage).into_iter().map(|lent| Txid(lent.txid)).collect()
}

#[wasm_bindgen]
impl DatabaseObject {
    /// What a branch asks its parent for: the parent's name and id, the branch's id, a bookmark and a time in milliseconds since 1970, if one of
    /// them is wanted. Undefined: an entry of the catalogue says that this is no branch.
    #[wasm_bindgen(js_name = lending)]
    pub fn lending(&self, entry: &str) -> Result<JsValue, JsError> {
        let Entry { id, branch_of, .. } = serde_json::from_str(entry)?;
        let Some(ParentEntry { id: parent, name, bookmark, time_ms, .. }) = branch_of else { return Ok(JsValue::UNDEFINED) };
        let time_ms = time_ms.map(|time_ms| time_ms as f64);
        Ok(Array::of5(&name.into(), &parent.into(), &id.into(), &bookmark.into(), &time_ms.into()).into())
    }

    /// Keeps a state for a branch, and answers with it: a message of the commit log. Asked again, it is the same.
    pub fn lend(&self, branch: String, bookmark: Option<String>, time_ms: Option<f64>) -> Result<Uint8Array, JsError> {
        let mut all = lent(&self.storage);
        let known = all.iter().find(|lent| lent.branch == branch).map(|lent| Txid(lent.txid));
        let at = bookmark.map(PointBody::Bookmark).or_else(|| time_ms.map(|time_ms| PointBody::TimeMs(time_ms as u64)));
        let point = at.map(|at| at.point()).transpose().map_err(|error| JsError::new(&error))?;
        let state = self.with_engine(|engine| {
            let state = match known {
                Some(txid) => engine.store().state(txid).map_err(Into::into),
                None => engine.state_at(point),
            };
            state.map(|state| (engine.store().id(), state))
        });
        let (database, state) = state.map_err(js_error)?.map_err(|error| JsError::new(&error.to_string()))?;
        if known.is_none() {
            all.push(Lent { branch, txid: state.txid.0 });
            self.keep_lent(&all)?;
        }
        Ok(Uint8Array::from(&*Message { database, body: Body::Found(state) }.encode()))
    }

    /// A branch needs its state no longer.
    pub fn release(&self, branch: &str) -> Result<(), JsError> {
        let mut all = lent(&self.storage);
        all.retain(|lent| lent.branch != branch);
        self.keep_lent(&all)
    }

    /// Begins with the state that the parent lends. Returns its bookmark.
    pub fn begins(&self, entry: &str, lent: &[u8]) -> Result<String, JsError> {
        let Message { database: parent, body: Body::Found(state) } = Message::decode(lent)? else {
            return Err(JsError::new("the branch's parent lent no state"));
        };
        let id = DatabaseId::of_uuid(&serde_json::from_str::<Entry>(entry)?.id).unwrap_or_default();
        let store = DurableStore::open_as(ObjectSql::new(self.storage.clone()), id).map_err(js_error)?;
        store.begin_at(Base { parent, state }).map_err(js_error)?;
        self.identity.becomes(entry);
        Ok(state.bookmark().to_string())
    }

    /// A promise that everything is here without which no connection can be opened; undefined: it is.
    pub fn prepare(&self) -> Result<Option<Promise>, JsError> {
        let Some(store) = self.lacking().map_err(js_error)? else { return Ok(None) };
        Ok(Some(waited(move || bring_schema(store).map(|()| JsValue::UNDEFINED).map_err(|error| error.to_string()))))
    }

    /// The parent's name and id, and the own id, as long as that keeps a state for this; undefined: it does not, or this is no branch.
    pub fn parent(&self) -> JsValue {
        let is_released = || !self.storage.kv().get(RELEASED).is_undefined();
        let lending = |entry: &Entry| Some((entry.branch_of.clone()?, entry.id.clone()));
        match self.identity.with_entry(lending) {
            Some((ParentEntry { id: parent, name, .. }, id)) if !is_released() => {
                Array::of3(&name.into(), &parent.into(), &id.into()).into()
            }
            _ => JsValue::UNDEFINED,
        }
    }

    /// The question for the next pages that are missing; undefined: none is.
    #[wasm_bindgen(js_name = askMore)]
    pub fn ask_more(&self) -> Result<Option<Uint8Array>, JsError> {
        self.lacking().map_err(js_error)?;
        let branch = self.branch.borrow().clone();
        let question = branch.map_or(Ok(None), |branch| branch.ask_more()).map_err(js_error)?;
        Ok(question.map(|question| Uint8Array::from(&*question.encode())))
    }

    /// Takes the answer.
    #[wasm_bindgen(js_name = takeMore)]
    pub fn take_more(&self, answer: &[u8]) -> Result<(), JsError> {
        let answer = Message::decode(answer)?;
        // The store may have been opened anew since it was asked.
        self.lacking().map_err(js_error)?;
        let branch = self.branch.borrow().clone();
        branch.map_or(Ok(()), |branch| branch.take(&answer)).map_err(js_error)
    }

    /// The parent keeps nothing for this any more.
    pub fn released(&self) {
        self.storage.kv().put(RELEASED, &JsValue::TRUE);
    }
}

impl DatabaseObject {
    fn keep_lent(&self, all: &[Lent]) -> Result<(), JsError> {
        self.storage.kv().put(LENT, &serde_json::to_string(all)?.into());
        self.with_engine(|engine| engine.keep_states(all.iter().map(|lent| Txid(lent.txid)))).map_err(js_error)
    }

    /// The way to a branch that is to be promoted.
    pub(super) fn way_to_branch(&self, request: &Request) -> Rc<dyn Fetcher> {
        let name = serde_json::from_str(request.body()).map(|body: PromoteBody| body.name).unwrap_or_default();
        Rc::new(ObjectFetcher { env: self.env.clone(), name, waiting: Waiting::default() })
    }

    /// The store as an engine uses it.
    pub(super) fn with_parent(&self, own: DurableStore<ObjectSql>) -> Rc<dyn PageStore> {
        let Some(name) = self.identity.with_entry(|entry| entry.branch_of.as_ref().map(|parent| parent.name.clone())) else {
            return Rc::new(own);
        };
        let (own, fetcher) = (Rc::new(own), ObjectFetcher { env: self.env.clone(), name, waiting: Waiting::default() });
        match BranchStore::new(own.clone(), Rc::new(fetcher)) {
            Some(branch) => self.branch.borrow_mut().insert(Rc::new(branch)).clone(),
            None => own,
        }
    }

    /// The store, if pages of it are missing.
    fn lacking(&self) -> Result<Option<Rc<dyn PageStore>>, StoreError> {
        let store = self.with_engine(|engine| engine.store().clone())?;
        let is_lacking = self.branch.borrow().as_ref().is_some_and(|branch| branch.lacks_pages());
        Ok(is_lacking.then_some(store))
    }

    /// The answer to a follower's question; a promise of it, if pages are missing for it.
    pub(super) fn answer_follower(&self, question: Vec<u8>) -> Result<(JsValue, Option<Position>), JsError> {
        let (answer, reaches) = self.with_engine(|engine| source(engine).answer_follower(&question)).map_err(js_error)?;
        let store = match Message::decode(&answer) {
            Ok(Message { body: Body::Refused(_), .. }) => self.lacking().map_err(js_error)?,
            _ => None,
        };
        let Some(store) = store else { return Ok((Uint8Array::from(&*answer).into(), reaches)) };
        let answer = waited(move || Ok(Uint8Array::from(&*Source::new(&*store, store.id()).answer(&question)).into()));
        Ok((answer.into(), None))
    }
}

/// A promise of what `run` brings, below which pages are waited for.
pub(super) fn waited(run: impl FnOnce() -> Result<JsValue, String> + 'static) -> Promise {
    let work = async move {
        match suspendable(run).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(js_sys::Error::new(&error).into()),
            Err(lost @ (Lost::Trap(_) | Lost::Unsupported(_))) => Err(js_sys::Error::new(&lost.to_string()).into()),
        }
    };
    js_sys::futures::future_to_promise(work)
}

/// The way to the object of a database, for whoever can wait.
struct ObjectFetcher {
    env: JsValue,
    name: String,
    waiting: Waiting,
}

impl ObjectFetcher {
    fn fetcher(&self) -> Result<Rc<dyn Fetcher>, StoreError> {
        if !can_wait() {
            return Err(StoreError::Missing(Pgno::FIRST));
        }
        let namespace: Namespace = Reflect::get(&self.env, &"DATABASE".into()).map_err(unreachable)?.unchecked_into();
        let parent = namespace.get_by_name(&self.name, &JsValue::UNDEFINED).map_err(unreachable)?;
        Ok(StubLink::new(parent, self.waiting.clone(), BUDGET, None).fetcher())
    }
}

fn unreachable(error: JsValue) -> StoreError {
    StoreError::Io(format!("the branch's object or that of its parent could not be asked: {}", error_text(&error)))
}

impl Fetcher for ObjectFetcher {
    fn fetch(&self, question: &Message) -> Result<Message, StoreError> {
        self.fetcher()?.fetch(question)
    }

    fn wait(&self) -> Result<bool, StoreError> {
        self.fetcher()?.wait()
    }

    fn wake(&self) {
        if let Ok(fetcher) = self.fetcher() {
            fetcher.wake();
        }
    }
}
