//! Requests answered: text in, text out, for one database. A file for each protocol.
//!
//! **Not here:** where a request came from, and which database is meant.

pub mod d1;
pub mod json;
