//! The Worker: the Durable Objects, and the HTTP surface (`front`). The JavaScript beside it (`entry.mjs`) decides which database a binding means.
//!
//! **Not here:** SQL, pages, JSON.

mod branch;
mod catalog;
mod database;
mod file;
mod front;
mod host;
mod identity;
mod long_read;
mod long_write;
mod replica;
mod replicas;
#[cfg(feature = "testing")]
mod testing;
mod upload;
