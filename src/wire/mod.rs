//! The JSON of the protocols: what requests and answers look like, and nothing of what they mean.
//!
//! **Not here:** running anything (`http`).

pub mod d1;
