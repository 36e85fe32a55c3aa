//! SQL storage of a Durable Object: `ctx.storage.sql` and `ctx.storage.transactionSync`.
//!
//! **Not here:** the tables (`littoral_engine::store::durable`).

use super::js::error_text;
use js_sys::{Array, ArrayBuffer, JsString, Uint8Array};
use littoral_engine::store::StoreError;
use littoral_engine::store::durable::{MAX_VALUE_BYTES, Param, Sql, SqlError, StoredValue};
use std::cell::RefCell;
use std::collections::HashMap;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `DurableObjectStorage`.
    #[derive(Clone)]
    pub type ObjectStorage;

    #[wasm_bindgen(method, getter)]
    fn sql(this: &ObjectStorage) -> SqlStorage;

    /// Values by keys, beside the tables.
    #[wasm_bindgen(method, getter)]
    pub(crate) fn kv(this: &ObjectStorage) -> KeyValues;

    /// `SyncKvStorage`.
    pub(crate) type KeyValues;

    #[wasm_bindgen(method)]
    pub(crate) fn get(this: &KeyValues, key: &str) -> JsValue;

    #[wasm_bindgen(method)]
    pub(crate) fn put(this: &KeyValues, key: &str, value: &JsValue);

    #[wasm_bindgen(method)]
    pub(crate) fn delete(this: &KeyValues, key: &str);

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(this: &ObjectStorage, body: &mut dyn FnMut() -> Result<JsValue, JsValue>) -> Result<JsValue, JsValue>;

    type SqlStorage;

    #[wasm_bindgen(method, catch, variadic)]
    fn exec(this: &SqlStorage, query: &JsString, params: &Array) -> Result<Cursor, JsValue>;

    type Cursor;

    #[wasm_bindgen(method, catch)]
    fn raw(this: &Cursor) -> Result<RowIterator, JsValue>;

    type RowIterator;

    #[wasm_bindgen(method, catch, js_name = toArray)]
    fn to_array(this: &RowIterator) -> Result<Array, JsValue>;
}

/// The SQL storage of the object that this code runs in.
pub struct ObjectSql {
    storage: ObjectStorage,
    sql: SqlStorage,
    /// The store's queries as JavaScript strings: there are few of them, and each would be copied on every call.
    queries: RefCell<HashMap<Box<str>, JsString>>,
}

impl ObjectSql {
    /// The storage of an object.
    pub fn new(storage: ObjectStorage) -> ObjectSql {
        let sql = storage.sql();
        ObjectSql { storage, sql, queries: RefCell::default() }
    }

    fn query(&self, text: &str) -> JsString {
        if let Some(query) = self.queries.borrow().get(text) {
            return query.clone();
        }
        let query = JsString::from(text);
        self.queries.borrow_mut().insert(text.into(), query.clone());
        query
    }

    fn exec(&self, sql: &str, params: &[Param<'_>]) -> Result<Cursor, SqlError> {
        let values = Array::new_with_length(params.len() as u32);
        for (index, param) in params.iter().enumerate() {
            values.set(index as u32, bind(param)?);
        }
        #[cfg(feature = "testing")]
        trap::pass();
        self.sql.exec(&self.query(sql), &values).map_err(failed)
    }
}

impl Sql for ObjectSql {
    fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<StoredValue>>, SqlError> {
        let rows = self.exec(sql, params)?.raw().and_then(|rows| rows.to_array()).map_err(failed)?;
        rows.iter().map(|row| row.unchecked_into::<Array>().iter().map(cell).collect()).collect()
    }

    /// The runtime makes the first step when it makes the cursor, and a statement without rows has no other.
    fn run(&self, sql: &str, params: &[Param<'_>]) -> Result<(), SqlError> {
        self.exec(sql, params).map(drop)
    }

    fn transaction(&self, body: &mut dyn FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut failure = None;
        let result = self.storage.transaction_sync(&mut || match body() {
            Ok(()) => Ok(JsValue::UNDEFINED),
            Err(error) => {
                let thrown = JsValue::from_str(&error.to_string());
                failure = Some(error);
                Err(thrown)
            }
        });
        match (result, failure) {
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(failed(error).into()),
            (Ok(_), None) => Ok(()),
        }
    }
}

fn bind(param: &Param<'_>) -> Result<JsValue, SqlError> {
    let too_long = |bytes: usize| {
        SqlError::Failed(format!("a value of {bytes} bytes is longer than the {MAX_VALUE_BYTES} that a Durable Object stores"))
    };
    match param {
        Param::Int(value) => Ok(JsValue::from_f64(*value as f64)),
        Param::Blob(bytes) if bytes.len() > MAX_VALUE_BYTES => Err(too_long(bytes.len())),
        Param::Text(text) if text.len() > MAX_VALUE_BYTES => Err(too_long(text.len())),
        Param::Blob(bytes) => Ok(Uint8Array::from(*bytes).into()),
        Param::Text(text) => Ok(JsValue::from_str(text)),
    }
}

fn cell(value: JsValue) -> Result<StoredValue, SqlError> {
    if let Some(number) = value.as_f64() {
        return Ok(StoredValue::Int(number as u64));
    }
    if value.is_null() {
        return Ok(StoredValue::Null);
    }
    match value.dyn_into::<ArrayBuffer>() {
        Ok(buffer) => Ok(StoredValue::Blob(Uint8Array::new(&buffer).to_vec())),
        Err(other) => {
            other.as_string().map(StoredValue::Text).ok_or_else(|| SqlError::Failed("storage answered a value of an unknown type".into()))
        }
    }
}

fn failed(error: JsValue) -> SqlError {
    let message = error_text(&error);
    let full = message.contains("SQLITE_FULL") || message.contains("disk is full") || message.contains("maximum DB size");
    if full { SqlError::Full(message) } else { SqlError::Failed(message) }
}

/// A trap on purpose, for tests of what follows one.
#[cfg(feature = "testing")]
pub(crate) mod trap {
    use std::sync::atomic::{AtomicU32, Ordering};

    static LEFT: AtomicU32 = AtomicU32::new(0);

    /// Arms the trap for the n-th operation from now.
    pub(crate) fn arm(operation: u32) {
        LEFT.store(operation, Ordering::Relaxed);
    }

    pub(super) fn pass() {
        let left = LEFT.load(Ordering::Relaxed);
        LEFT.store(left.saturating_sub(1), Ordering::Relaxed);
        assert!(left != 1, "trapped on purpose");
    }
}
