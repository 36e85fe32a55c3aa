//! The Worker: the Durable Object that owns a database. The JavaScript beside it (`entry.mjs`) decides which database a request means.
//!
//! **Not here:** SQL, pages, JSON.

mod database;
mod host;
mod long_read;
mod long_write;
mod replica;
mod replicas;
#[cfg(feature = "testing")]
mod testing;
