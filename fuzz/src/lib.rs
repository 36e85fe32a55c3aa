//! What the fuzz targets share: messages with the right seal, and a primary that never changes.

use littoral_engine::answer::answer_calls;
use littoral_engine::engine::{Engine, Limits};
use littoral_engine::store::{MemoryStore, PageStore};
use littoral_protocol::DatabaseId;
use std::rc::Rc;

/// A message of the commit log whose envelope is right: kind and body are the fuzzer's.
pub fn sealed(kind_and_body: &[u8]) -> Vec<u8> {
    let (kind, body) = kind_and_body.split_first().unwrap_or((&0, &[]));
    let mut bytes = b"LTRL\x01".to_vec();
    bytes.push(*kind);
    // Of nobody's, or of the primary's database, which the fuzzer cannot guess.
    bytes.extend_from_slice(&body.first().map_or(0, |_| ID.0).to_be_bytes());
    bytes.extend_from_slice(body);
    let seal = xxhash_rust::xxh64::xxh64(&bytes, 0);
    bytes.extend_from_slice(&seal.to_be_bytes());
    bytes
}

/// The database of [`primary`].
pub const ID: DatabaseId = DatabaseId(7);

/// A store with a few commits.
pub fn primary() -> Rc<MemoryStore> {
    let store = Rc::new(MemoryStore::new());
    let mut database = Engine::open(store.clone(), Limits::default(), Rc::new(|| 1_700_000_000_000));
    for sql in ["CREATE TABLE t (a PRIMARY KEY, b)", "INSERT INTO t VALUES (1, hex(zeroblob(3000)))", "INSERT INTO t VALUES (2, 'two')"] {
        answer_calls(&mut database, &serde_json::json!({ "calls": [{ "sql": sql }] }).to_string());
    }
    assert_eq!(store.head().txid.0, 3);
    store
}
