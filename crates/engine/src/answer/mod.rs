//! Requests answered: text in, text out, for one database.
//!
//! **Not here:** where a request came from, and which database is meant.

pub mod d1;
pub mod json;
mod request;
pub mod rest;

pub use request::{ExportBody, Form, Request};
