//! SQLite over a store of page versions, with replicas that follow its commit log. Synchronous Rust, native and wasm.
//!
//! # Map, from the bottom up
//!
//! | module | what it is | what it must not know |
//! |---|---|---|
//! | [`commit_log`] | what followers and sources say to each other, as bytes | who they are |
//! | [`store`] | versions of pages and the commit log | SQLite's meaning of pages |
//! | [`fetch`] | pages of a state that somebody else has, fetched when they are missing | whose they are |
//! | [`replica`] | followers of a commit log that keep some pages | SQL, sessions, the network |
//! | `sqlite` | all unsafe code: what SQLite calls and what is called in C | what a file does |
//! | `vfs` | SQLite's file calls turned into page reads and commits | what SQL means |
//! | [`engine`] | statements, batches, limits, D1's error texts | JSON, the runtime |
//! | [`session`] | who may answer a read | how it is carried |
//! | [`primary`] | when requests run, who is told of news, when the past is cut | storage, clocks |
//! | [`settings`] | regions, and what a Worker's configuration says of replicas | where it stands |
//! | [`branch`] | the store of a branch: pages of its parent, until all are here | which database is a branch of which |
//! | [`catalog`] | which databases there are | objects, HTTP |
//! | [`answer`] | requests of a protocol, answered from a database | where they came from |

pub mod answer;
pub mod branch;
pub mod catalog;
pub mod commit_log;
pub mod engine;
pub mod fetch;
pub mod primary;
pub mod replica;
pub mod session;
pub mod settings;
mod sqlite;
pub mod store;
mod vfs;
