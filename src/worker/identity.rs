//! Which database an object is: what the catalogue has told it, kept in its storage under one key.
//!
//! **Invariants**
//! 1. Where there is a catalogue, nothing is opened before the object knows its database, and nothing once that was deleted.
//! 2. A request for an id is not answered by another database that has its name.
//!
//! **Not here:** which databases there are (`littoral_engine::catalog`), asking (`database.mjs`).

use crate::runtime::storage::ObjectStorage;
use js_sys::Reflect;
use littoral_engine::catalog::Entry;
use littoral_engine::store::StoreError;
use littoral_protocol::DatabaseId;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// The key of what the catalogue has told.
const ENTRY: &str = "entry";
/// The name of the catalogue's binding. A Worker without it has no control plane: every name is a database.
const CATALOG: &str = "CATALOG";

/// Which database an object is.
pub(super) struct Identity {
    storage: ObjectStorage,
    is_catalogued: bool,
    /// Read when it is first asked for.
    entry: OnceCell<RefCell<Option<Rc<Entry>>>>,
}

impl Identity {
    /// That of the object with this storage.
    pub(super) fn new(storage: ObjectStorage, env: &JsValue) -> Identity {
        let is_catalogued = Reflect::get(env, &CATALOG.into()).is_ok_and(|binding| binding.is_object());
        Identity { storage, is_catalogued, entry: OnceCell::new() }
    }

    fn entry(&self) -> &RefCell<Option<Rc<Entry>>> {
        self.entry.get_or_init(|| {
            let stored = self.storage.kv().get(ENTRY).as_string();
            RefCell::new(stored.and_then(|json| serde_json::from_str(&json).ok()).map(Rc::new))
        })
    }

    /// What `ask` finds in the entry; `None`: there is none, or nothing in it.
    pub(super) fn with_entry<T>(&self, ask: impl FnOnce(&Entry) -> Option<T>) -> Option<T> {
        self.entry().borrow().as_deref().and_then(ask)
    }

    /// Whether there is nothing to ask the catalogue.
    pub(super) fn is_known(&self) -> bool {
        !self.is_catalogued || self.entry().borrow().is_some()
    }

    /// The catalogue has said which database this is.
    pub(super) fn becomes(&self, json: &str) {
        if let Ok(entry) = serde_json::from_str(json) {
            self.storage.kv().put(ENTRY, &json.into());
            self.entry().replace(Some(Rc::new(entry)));
        }
    }

    /// The database is being deleted: whatever becomes of that, it does not come to life again.
    pub(super) fn ends(&self) {
        if self.entry().replace(None).is_some() {
            self.storage.kv().delete(ENTRY);
        }
    }

    /// Whether there is a database.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.is_known() { Ok(()) } else { Err(StoreError::NoDatabase) }
    }

    /// The id for the store of this database.
    pub(super) fn database(&self) -> DatabaseId {
        self.entry().borrow().as_deref().and_then(|entry| DatabaseId::of_uuid(&entry.id)).unwrap_or_default()
    }

    /// Whether there is a database, with this id if one is meant.
    pub(super) fn is(&self, id: Option<&str>) -> bool {
        let is_meant = |entry: &Entry| id.is_none_or(|id| id == entry.id);
        !self.is_catalogued || self.entry().borrow().as_deref().is_some_and(is_meant)
    }
}
