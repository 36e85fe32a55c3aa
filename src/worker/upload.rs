//! Files that were uploaded to a database's object, in pieces under keys of its storage, until they have been imported.
//!
//! **Not here:** taking them (`database.mjs`), running them (`littoral_engine`).

use crate::runtime::storage::ObjectStorage;
use js_sys::Uint8Array;
use littoral_engine::engine::Error;
use littoral_engine::store::StoreError;
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// An upload.
#[derive(Clone)]
pub(super) struct Upload {
    storage: ObjectStorage,
    name: String,
    /// How many statements of it have run.
    pub(super) statements: Rc<Cell<u64>>,
    next: Rc<Cell<u32>>,
}

impl Upload {
    /// The one of this name.
    pub(super) fn new(storage: ObjectStorage, name: &str, statements: Rc<Cell<u64>>) -> Upload {
        Upload { storage, name: name.into(), statements, next: Rc::default() }
    }

    /// The next piece.
    pub(super) fn piece(&self) -> Result<Option<Vec<u8>>, Error> {
        let number = self.next.get();
        let piece = self.storage.kv().get(&key(&self.name, number)).dyn_into::<Uint8Array>().ok();
        if piece.is_none() && number == 0 {
            return Err(StoreError::Io("no file was uploaded, or it was imported before: begin again".into()).into());
        }
        self.next.set(number + 1);
        Ok(piece.map(|piece| piece.to_vec()))
    }
}

/// The key of a piece.
pub(super) fn key(name: &str, number: u32) -> String {
    format!("upload/{name}/{number}")
}
