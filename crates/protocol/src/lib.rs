//! The words that every part of Littoral shares, and the protocols as types: no C, no JavaScript, no I/O.
//!
//! | module | what it has |
//! |---|---|
//! | the root | pages, commits, states, bookmarks, positions |
//! | [`sql`] | values, statements, what they did, who answered, points of the past |
//! | [`d1`] | D1's JSON, both directions |
//! | [`rest`] | D1's REST API: routes, bodies, what is around an answer |
//!
//! **Not here:** running anything. A protocol knows the vocabulary and no other protocol, but that D1's REST API holds D1's JSON.

mod bookmark;
mod checksum;
mod commit;
pub mod d1;
mod page;
mod page_set;
mod position;
pub mod rest;
pub mod sql;
mod txid;

pub use bookmark::{Bookmark, ParseBookmarkError};
pub use checksum::Checksum;
pub use commit::{Commit, Frame, InvalidCommit, State};
pub use page::{PageSize, Pgno};
pub use page_set::PageSet;
pub use position::{DatabaseId, Position};
pub use txid::Txid;
