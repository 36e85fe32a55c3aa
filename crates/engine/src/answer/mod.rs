//! Requests answered: text in, text out, for one database.
//!
//! **Not here:** where a request came from, and which database is meant.

mod d1;
pub mod json;
mod request;
mod rest;
mod run;

pub use request::{ExportBody, Form, Request};
pub use run::{
    Answer, Attempt, answer, answer_calls, answer_from, answer_import, answer_long, answer_long_write, answer_promotion, answer_together,
    reader_for,
};
