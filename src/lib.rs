//! **Littoral: SQLite databases that live at the edge, inside your own Cloudflare Worker.**
//!
//! # Map, from the bottom up
//!
//! | module | what it is | what it must not know |
//! |---|---|---|
//! | `page`, `txid`, `checksum`, `bookmark`, `commit`, `position` | the vocabulary | I/O, SQLite, JavaScript |
//! | [`commit_log`] | what followers and sources say to each other, as bytes | who they are |
//! | [`store`] | versions of pages and the commit log | SQLite's meaning of pages |
//! | [`replica`] | followers of a commit log that keep some pages | SQL, sessions, the network |
//! | `vfs` | SQLite's file calls turned into page reads and commits; beside them everything else that is called in C, in `vfs/ffi` | what SQL means |
//! | [`engine`] | statements, batches, limits, D1's error texts | JSON, the runtime |
//! | [`wire`] | D1's JSON | SQLite |
//! | [`session`] | who may answer a read | how it is carried |
//! | [`edge`] | reads answered by replicas | the runtime |
//! | [`migrate`] | numbered SQL files | the runtime |
//! | `worker` | the Durable Object and the entry points | pages |

#[cfg(feature = "engine")]
mod bookmark;
#[cfg(feature = "engine")]
mod checksum;
#[cfg(feature = "engine")]
mod commit;
#[cfg(feature = "engine")]
pub mod commit_log;
#[cfg(feature = "engine")]
mod page;
#[cfg(feature = "engine")]
mod position;
#[cfg(feature = "engine")]
mod txid;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "engine")]
pub mod edge;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "engine")]
pub mod http;
#[cfg(feature = "client")]
pub mod migrate;
#[cfg(feature = "engine")]
pub mod replica;
#[cfg(feature = "engine")]
pub mod session;
#[cfg(feature = "engine")]
pub mod store;
#[cfg(feature = "engine")]
mod vfs;
#[cfg(feature = "engine")]
pub mod wire;
#[cfg(all(feature = "server", target_arch = "wasm32"))]
mod worker;

#[cfg(feature = "engine")]
pub use {
    bookmark::{Bookmark, ParseBookmarkError},
    checksum::Checksum,
    commit::{Commit, Frame, InvalidCommit, State},
    page::{PageSize, Pgno},
    position::{DatabaseId, Position},
    txid::Txid,
};
