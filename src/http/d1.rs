//! D1's wire protocol and the requests of many calls, answered from a [`Database`].
//!
//! **Invariants**
//! 1. Every request is answered with JSON that a D1 client understands, whatever came in.
//! 2. A bookmark answered names a state at least as new as everything in the answer.
//!
//! **Not here:** where the request came from (`worker`).

use crate::bookmark::Bookmark;
use crate::engine::{Call, CallResult, Database, Error, RowEncoder};
use crate::wire::d1::{BlobFormat, CallBody, CallsBody, JsonResult, failure, malformed, responses};

/// What a session may ask for instead of a bookmark.
const CONSTRAINTS: [&str; 2] = ["first-primary", "first-unconstrained"];

/// The answer to a request of D1's protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// JSON.
    pub body: String,
    /// For the header `x-cf-d1-session-commit-token`; only if the request had one.
    pub bookmark: Option<String>,
}

/// How results are to look: the query parameter `resultsFormat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultsFormat {
    /// `ROWS_AND_COLUMNS`.
    RowsAndColumns,
    /// `ARRAY_OF_OBJECTS`, and `NONE`, which D1 answers in the same way.
    Objects,
}

impl ResultsFormat {
    /// The format that a request asks for.
    pub fn parse(name: Option<&str>) -> ResultsFormat {
        match name {
            Some("ROWS_AND_COLUMNS") => ResultsFormat::RowsAndColumns,
            _ => ResultsFormat::Objects,
        }
    }
}

/// Answers `POST /query` and `POST /execute`.
pub fn answer_query(database: &mut Database, body: &str, format: ResultsFormat, session: Option<&str>) -> Answer {
    if let Err(error) = check_session(database, session) {
        return Answer { body: failure(&error, None), bookmark: None };
    }
    let body = match serde_json::from_str::<CallBody>(body) {
        Ok(call) => {
            let (call, batch) = call.into_call();
            match format {
                ResultsFormat::RowsAndColumns => answer_one::<JsonResult<false, false>>(database, call, batch),
                ResultsFormat::Objects => answer_one::<JsonResult<true, false>>(database, call, batch),
            }
        }
        Err(error) => failure(&not_understood(&error), None),
    };
    Answer { body, bookmark: session.map(|_| bookmark(database)) }
}

/// Answers a request of many calls.
pub fn answer_calls(database: &mut Database, body: &str) -> String {
    let request = match serde_json::from_str::<CallsBody>(body) {
        Ok(request) => request,
        Err(error) => return malformed(&not_understood(&error)),
    };
    if let Err(error) = check_session(database, request.bookmark.as_deref()) {
        return malformed(&error);
    }
    let (calls, batches): (Vec<Call>, Vec<bool>) = request.calls.into_iter().map(CallBody::into_call).unzip();
    let answers = match request.blobs {
        BlobFormat::Bytes => answer_all::<JsonResult<false, false>>(database, &calls, &batches),
        BlobFormat::Base64 => answer_all::<JsonResult<false, true>>(database, &calls, &batches),
    };
    responses(&bookmark(database), &answers)
}

fn answer_one<E: RowEncoder<Output = String>>(database: &mut Database, call: Call, batch: bool) -> String {
    if call.is_empty() {
        return failure(&Error::NoStatement, None);
    }
    answer_all::<E>(database, &[call], &[batch]).pop().unwrap_or_default()
}

fn answer_all<E: RowEncoder<Output = String>>(database: &mut Database, calls: &[Call], batches: &[bool]) -> Vec<String> {
    database.run::<E>(calls).into_iter().zip(batches).map(|(result, batch)| answer_call::<E>(result, *batch)).collect()
}

fn answer_call<E: RowEncoder<Output = String>>(result: CallResult<E>, batch: bool) -> String {
    match result {
        Ok(outputs) if batch => format!("[{}]", outputs.join(",")),
        Ok(mut outputs) => outputs.pop().unwrap_or_default(),
        Err(error) => failure(&error, error.place),
    }
}

/// The bookmark of the newest state.
pub fn bookmark(database: &Database) -> String {
    database.state().bookmark().to_string()
}

/// Checks what a session sent. The primary has every state, so it only has to exist.
fn check_session(database: &Database, session: Option<&str>) -> Result<(), String> {
    let Some(text) = session.filter(|text| !CONSTRAINTS.contains(text)) else { return Ok(()) };
    let bookmark: Bookmark = text.parse().map_err(|error| format!("invalid bookmark or constraint: {error}"))?;
    let head = database.state();
    if bookmark.txid > head.txid {
        return Err(format!("the bookmark {text} is not of this database: its newest state is {}", head.bookmark()));
    }
    Ok(())
}

fn not_understood(error: &serde_json::Error) -> String {
    format!("the request is not what D1's protocol sends: {error}")
}
