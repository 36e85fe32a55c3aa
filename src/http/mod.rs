//! Requests answered: text in, text out, for one database.
//!
//! **Not here:** HTTP objects of the runtime (`worker`), and which database is meant.

pub mod d1;
