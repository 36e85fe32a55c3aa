//! **Littoral: SQLite databases that live at the edge, inside your own Cloudflare Worker.**
//!
//! A Worker that uses a Littoral database needs [`client`], and maybe [`migrate`]; one that answers reads in its own isolate also `edge`
//! (feature `edge`).
//!
//! | module | what it is | what it must not know |
//! |---|---|---|
//! | [`client`] | D1's binding for Rust request handlers | SQLite |
//! | [`migrate`] | numbered SQL files | the runtime |
//! | `edge` | reads answered by replicas in the isolate that got the request | which databases a caller may ask for |
//! | `runtime` | the Workers runtime and JavaScript | what is decided |
//! | `worker` | the Durable Objects and the entry points | pages |
//!
//! Below are two crates: `littoral-engine` (SQLite, the page store, replicas) and `littoral-protocol` (the words, D1's JSON).

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "edge")]
pub mod edge;
#[cfg(feature = "client")]
pub mod migrate;
#[cfg(all(feature = "client", target_arch = "wasm32"))]
mod runtime;
#[cfg(all(feature = "server", target_arch = "wasm32"))]
mod worker;

pub use littoral_protocol::{Bookmark, ParseBookmarkError};
