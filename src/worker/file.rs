//! The database file, in parts: pages of a state one after the other, as plain SQLite opens them.
//!
//! **Not here:** who sends them, as one stream (`dump.mjs`) or by ranges (`front/export.rs`).

use super::branch::waited;
use super::database::{DatabaseObject, js_error};
use js_sys::{Array, Uint8Array};
use littoral_engine::store::{PageStore, StoreError};
use littoral_protocol::sql::Point;
use littoral_protocol::{Pgno, State, Txid};
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// Bytes of a part, and what the file has.
struct Part {
    state: State,
    begin: u64,
    count: u64,
}

impl Part {
    fn read(&self, store: &dyn PageStore) -> Result<Array, StoreError> {
        let (page_bytes, size) = (self.state.page_size.bytes() as u64, self.state.size_bytes());
        let end = self.begin.saturating_add(self.count).min(size);
        let bytes = Uint8Array::new_with_length(end.saturating_sub(self.begin) as u32);
        if self.begin < end {
            let (first, last) = (self.begin / page_bytes, (end - 1) / page_bytes);
            let pages = store.read_file(&self.state, Pgno(first as u32 + 1), (last - first + 1) as u32)?;
            let skipped = (self.begin - first * page_bytes) as usize;
            bytes.copy_from(&pages[skipped..skipped + (end - self.begin) as usize]);
        }
        Ok(Array::of2(&bytes, &(size as f64).into()))
    }
}

#[wasm_bindgen]
impl DatabaseObject {
    /// The newest state, for a dump: its txid, pages and bytes of a page.
    #[wasm_bindgen(js_name = dumpState)]
    pub fn dump_state(&self) -> Result<Vec<f64>, JsError> {
        let state = self.with_engine(|engine| engine.state()).map_err(js_error)?;
        Ok(vec![state.txid.0 as f64, f64::from(state.page_count), state.page_size.bytes() as f64])
    }

    /// Pages of the database file at `txid`, `count` from `first`, or a promise of them.
    #[wasm_bindgen(js_name = dumpPages)]
    pub fn dump_pages(&self, txid: f64, first: u32, count: u32) -> Result<JsValue, JsError> {
        self.waiting_if_lacking(move |store| {
            let state = store.state(Txid(txid as u64))?;
            Ok(Uint8Array::from(&*store.read_file(&state, Pgno(first), count)?).into())
        })
    }

    /// Bytes of the database file at a bookmark, and how many it has, or a promise of them; or the reason why there are none.
    #[wasm_bindgen(js_name = filePart)]
    pub fn file_part(&self, bookmark: &str, begin: f64, count: f64) -> Result<JsValue, JsError> {
        let at = match bookmark.parse() {
            Ok(bookmark) => self.with_engine(|engine| engine.state_at(Some(Point::Bookmark(bookmark)))).map_err(js_error)?,
            Err(error) => return Ok(Array::of1(&format!("{error}").into()).into()),
        };
        match at {
            Ok(state) if state.bookmark().to_string() == bookmark => {
                let part = Part { state, begin: begin as u64, count: count as u64 };
                self.waiting_if_lacking(move |store| part.read(store).map(JsValue::from))
            }
            Ok(_) => Ok(Array::of1(&format!("the state at {bookmark} was thinned out").into()).into()),
            Err(error) => Ok(Array::of1(&error.to_string().into()).into()),
        }
    }
}

impl DatabaseObject {
    /// What `read` finds; a promise of it, if pages of the store are missing for it.
    fn waiting_if_lacking(&self, read: impl Fn(&dyn PageStore) -> Result<JsValue, StoreError> + 'static) -> Result<JsValue, JsError> {
        let store: Rc<dyn PageStore> = self.with_engine(|engine| engine.store().clone()).map_err(js_error)?;
        match read(&*store) {
            Err(StoreError::Missing(_)) => Ok(waited(move || read(&*store).map_err(|error| error.to_string())).into()),
            found => found.map_err(js_error),
        }
    }
}
