//! The Durable Object of the catalogue: its storage below, questions above.
//!
//! **Not here:** what is answered (`littoral_engine::catalog`), objects of databases (`catalog.mjs`).

use crate::runtime::storage::{ObjectSql, ObjectStorage};
use crate::runtime::time::now_ms;
use js_sys::Array;
use littoral_engine::catalog::{Catalog, Entry, Reply};
use littoral_engine::store::StoreError;
use littoral_protocol::rest::Refusal;
use wasm_bindgen::prelude::*;

/// The Durable Object class's Rust half.
#[wasm_bindgen]
pub struct CatalogObject {
    storage: ObjectStorage,
}

#[wasm_bindgen]
impl CatalogObject {
    /// The catalogue on the storage of its object.
    #[wasm_bindgen(constructor)]
    pub fn new(storage: ObjectStorage) -> CatalogObject {
        CatalogObject { storage }
    }

    /// Answers a question, both as JSON. `id` is a new UUID.
    pub fn ask(&self, question: &str, id: &str) -> Result<String, JsError> {
        let question = serde_json::from_str(question)?;
        let reply =
            self.open().map_or_else(|error| Reply::Refused(Refusal::failed(&error)), |catalog| catalog.answer(question, id, now_ms()));
        Ok(serde_json::to_string(&reply)?)
    }

    /// Which database an object of this name is, as JSON; undefined: none. It may be created by asking, with a new UUID.
    pub fn claim(&self, name: &str, create: bool, id: &str) -> Result<Option<String>, JsError> {
        let claimed = self.open()?.claim(name, create, id, now_ms()).map_err(refused)?;
        Ok(claimed.map(|entry| serde_json::to_string(&entry)).transpose()?)
    }

    /// Begins to delete a database: the answer as JSON, and the database's name and id if it is to go on.
    #[wasm_bindgen(js_name = beginDeletion)]
    pub fn begin_deletion(&self, database: &str) -> Result<Array, JsError> {
        let going = self.open()?.begin_deletion(database);
        let named = going.as_ref().ok().map(|entry| (entry.name.clone(), entry.id.clone()));
        let reply = serde_json::to_string(&going.map_or_else(Reply::Refused, Reply::One))?;
        Ok(named
            .map_or_else(|| Array::of1(&reply.clone().into()), |(name, id)| Array::of3(&reply.clone().into(), &name.into(), &id.into())))
    }

    /// Everything of a database is gone.
    #[wasm_bindgen(js_name = endDeletion)]
    pub fn end_deletion(&self, id: &str) -> Result<(), JsError> {
        self.open()?.end_deletion(id).map_err(refused)
    }

    /// The name and the id of the database that keeps a state for this one, a branch that lacks pages; undefined: none does.
    pub fn lender(&self, id: &str) -> Result<JsValue, JsError> {
        let named = |(name, id): (String, String)| Array::of2(&name.into(), &id.into()).into();
        Ok(self.open()?.lender(id).map_err(refused)?.map_or(JsValue::UNDEFINED, named))
    }

    /// Some of the databases whose deletion was begun: name and id of each.
    pub fn going(&self) -> Result<Array, JsError> {
        let named = |Entry { name, id, .. }| JsValue::from(Array::of2(&name.into(), &id.into()));
        Ok(self.open()?.going().map_err(refused)?.into_iter().map(named).collect())
    }
}

fn refused(refusal: Refusal) -> JsError {
    JsError::new(&refusal.error.message)
}

impl CatalogObject {
    fn open(&self) -> Result<Catalog<ObjectSql>, StoreError> {
        Catalog::open(ObjectSql::new(self.storage.clone()))
    }
}
