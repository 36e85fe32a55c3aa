//! What the project's own tests need inside the runtime: the store contract on real Durable Object storage, the options of the wasm build
//! of SQLite, a trap at a chosen storage operation, and the memory of the instance. Compiled with the feature `testing` only, never deployed.

use super::database::DatabaseObject;
use crate::runtime::storage::{ObjectSql, trap};
use littoral_engine::engine::compile_options;
use littoral_engine::store::{DurableStore, PageStore, suite};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// The names of the store contract's cases.
#[wasm_bindgen(js_name = storeCases)]
pub fn store_cases() -> js_sys::Array {
    suite::names().map(JsValue::from).collect()
}

/// The compile options of this build of SQLite, and the pragmas that options set.
#[wasm_bindgen(js_name = sqliteOptions)]
pub fn sqlite_options() -> Result<js_sys::Array, JsError> {
    let options = compile_options().map_err(|error| JsError::new(&error.to_string()))?;
    Ok(options.into_iter().map(JsValue::from).collect())
}

/// The memory of this instance (`WebAssembly.Memory`).
#[wasm_bindgen(js_name = instanceMemory)]
pub fn instance_memory() -> JsValue {
    wasm_bindgen::memory()
}

#[wasm_bindgen]
impl DatabaseObject {
    /// Runs one case of the store contract on this object's own storage, which has to be empty. Returns what is not as promised.
    #[wasm_bindgen(js_name = storeCase)]
    pub fn store_case(&self, name: &str) -> Option<String> {
        let mut open = |_: &str| Ok(Rc::new(DurableStore::open(ObjectSql::new(self.storage()))?) as Rc<dyn PageStore>);
        suite::run_case(name, &mut open).err()
    }

    /// The settings of this database's write connection.
    pub fn pragmas(&self) -> Result<js_sys::Array, JsError> {
        let pragmas = self.with_engine(|engine| engine.pragmas())?.map_err(|failure| JsError::new(&failure.to_string()))?;
        Ok(pragmas.into_iter().map(JsValue::from).collect())
    }

    /// Lets the wasm module trap at the n-th storage operation from now.
    #[wasm_bindgen(js_name = trapAt)]
    pub fn trap_at(&self, operation: u32) {
        trap::arm(operation);
    }
}
