//! D1's wire protocol and the requests of many calls, answered from a [`Database`].
//!
//! Requests that wait together are answered together: the engine lets their calls share a commit.
//!
//! **Invariants**
//! 1. Every request is answered with JSON that its client understands, whatever came in.
//! 2. A bookmark answered names a state at least as new as everything in the answer.
//!
//! **Not here:** where a request came from (`worker`).

use crate::bookmark::Bookmark;
use crate::engine::{Call, CallResult, Database, Error, Point};
use crate::wire::d1::{self as wire, CallBody, CallsBody, Format, JsonResult, PointBody, failure, malformed, responses};

/// What a session may ask for instead of a bookmark.
const CONSTRAINTS: [&str; 2] = ["first-primary", "first-unconstrained"];

/// A request, as it arrived.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// `POST /query` or `/execute` of D1's protocol.
    D1 {
        /// A statement or an array of them.
        body: &'a str,
        /// The query parameter `resultsFormat`: `ROWS_AND_COLUMNS`; anything else is answered with objects, as D1 does.
        results_format: Option<&'a str>,
        /// The header `x-cf-d1-session-commit-token`.
        session: Option<&'a str>,
    },
    /// A request of many calls.
    Calls {
        /// `{"calls":[...]}`.
        body: &'a str,
    },
}

/// What is sent back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// JSON.
    pub body: String,
    /// For the header `x-cf-d1-session-commit-token`, if the request had one.
    pub bookmark: Option<String>,
}

/// Answers one request.
pub fn answer(database: &mut Database, request: Request<'_>) -> Answer {
    answer_together(database, &[request]).pop().unwrap_or_else(|| Answer { body: String::new(), bookmark: None })
}

/// Answers a request of many calls.
pub fn answer_calls(database: &mut Database, body: &str) -> String {
    answer(database, Request::Calls { body }).body
}

/// Answers requests that waited together, in order.
///
/// The answer to a request of many calls may hold fewer responses than it has calls, but at least one, if they would be too large
/// together: calls without a response have not run, and the client sends them again.
pub fn answer_together(database: &mut Database, requests: &[Request<'_>]) -> Vec<Answer> {
    let parsed: Vec<Parsed> = requests.iter().map(|request| parse(database, request)).collect();
    let mut answers = Vec::with_capacity(parsed.len());
    while answers.len() < parsed.len() {
        let waiting = &parsed[answers.len()..];
        let calls: Vec<(&Call, Format)> = waiting.iter().flat_map(Parsed::calls).collect();
        let mut results = database.run_with::<JsonResult>(&calls).into_iter();
        let bookmark = bookmark(database);
        answers.extend(waiting.iter().map_while(|request| match request {
            Parsed::Past { calls, format, point } => Some(answer_past(database, calls, *format, *point)),
            _ => request.answer(&mut results, &bookmark),
        }));
    }
    answers
}

/// The bookmark of the newest state.
pub fn bookmark(database: &Database) -> String {
    database.state().bookmark().to_string()
}

/// A request understood.
enum Parsed {
    D1 {
        call: Call,
        batch: bool,
        format: Format,
        in_session: bool,
    },
    Calls {
        calls: Vec<(Call, bool)>,
        format: Format,
    },
    /// Calls of the past: they share nothing with those of the present.
    Past {
        calls: Vec<(Call, bool)>,
        format: Format,
        point: Point,
    },
    /// Answered without the database.
    Refused(String),
}

impl Parsed {
    fn calls(&self) -> impl Iterator<Item = (&Call, Format)> {
        let (one, many, format) = match self {
            Parsed::D1 { call, format, .. } => (Some(call), &[][..], *format),
            Parsed::Calls { calls, format } => (None, calls.as_slice(), *format),
            Parsed::Past { .. } | Parsed::Refused(_) => (None, &[][..], Format::default()),
        };
        one.into_iter().chain(many.iter().map(|(call, _)| call)).map(move |call| (call, format))
    }

    /// The answer, made of the next results. `None`: there were none left for it.
    fn answer(&self, results: &mut impl Iterator<Item = CallResult<JsonResult>>, bookmark: &str) -> Option<Answer> {
        match self {
            Parsed::D1 { batch, in_session, .. } => {
                let result = results.next()?;
                let bookmark = (*in_session && result.is_ok()).then(|| bookmark.into());
                Some(Answer { body: answer_call(result, *batch), bookmark })
            }
            Parsed::Calls { calls, .. } => {
                let answers: Vec<String> = calls.iter().zip(results).map(|((_, batch), result)| answer_call(result, *batch)).collect();
                let answered = calls.is_empty() || !answers.is_empty();
                answered.then(|| Answer { body: responses(bookmark, &answers), bookmark: None })
            }
            Parsed::Refused(body) => Some(Answer { body: body.clone(), bookmark: None }),
            Parsed::Past { .. } => None,
        }
    }
}

fn parse(database: &Database, request: &Request<'_>) -> Parsed {
    match request {
        Request::D1 { body, results_format, session } => {
            if let Err(error) = check_session(database, *session) {
                return Parsed::Refused(failure(&error, None));
            }
            let format = Format { objects: *results_format != Some("ROWS_AND_COLUMNS"), ..Format::default() };
            match wire::parse::<CallBody>(body, &mut String::new()).map(CallBody::into_call) {
                Ok((call, _)) if call.is_empty() => Parsed::Refused(failure(&Error::NoStatement, None)),
                Ok((call, batch)) => Parsed::D1 { call, batch, format, in_session: session.is_some() },
                Err(error) => Parsed::Refused(failure(&not_understood(&error), None)),
            }
        }
        Request::Calls { body } => match wire::parse::<CallsBody>(body, &mut String::new()) {
            Ok(request) => match check_session(database, request.bookmark.as_deref()) {
                Ok(()) => {
                    let format = Format { objects: false, blobs: request.blobs };
                    let calls = request.calls.into_iter().map(CallBody::into_call).collect();
                    match request.at.map(read_point).transpose() {
                        Ok(None) => Parsed::Calls { calls, format },
                        Ok(Some(point)) => Parsed::Past { calls, format, point },
                        Err(error) => Parsed::Refused(malformed(&error)),
                    }
                }
                Err(error) => Parsed::Refused(malformed(&error)),
            },
            Err(error) => Parsed::Refused(malformed(&not_understood(&error))),
        },
    }
}

fn read_point(point: PointBody) -> Result<Point, String> {
    match point {
        PointBody::Bookmark(text) => text.parse().map(Point::Bookmark).map_err(|error| format!("invalid bookmark: {error}")),
        PointBody::TimeMs(time_ms) => Ok(Point::Time(time_ms)),
    }
}

fn answer_past(database: &mut Database, calls: &[(Call, bool)], format: Format, point: Point) -> Answer {
    let (calls, batches): (Vec<Call>, Vec<bool>) = calls.iter().cloned().unzip();
    let body = match database.at(point) {
        Ok(snapshot) => {
            let results = snapshot.run_with::<JsonResult>(&calls, format);
            let answers: Vec<String> = results.into_iter().zip(batches).map(|(result, batch)| answer_call(result, batch)).collect();
            responses(&snapshot.state().bookmark().to_string(), &answers)
        }
        Err(error) => malformed(&error.to_string()),
    };
    Answer { body, bookmark: None }
}

fn answer_call(result: CallResult<JsonResult>, batch: bool) -> String {
    match result {
        Ok(outputs) if batch => format!("[{}]", outputs.join(",")),
        Ok(mut outputs) => outputs.pop().unwrap_or_default(),
        Err(failed) => failure(&failed, failed.place),
    }
}

/// Checks what a session sent. The primary has every state, so it only has to exist.
fn check_session(database: &Database, session: Option<&str>) -> Result<(), String> {
    let Some(text) = session.filter(|text| !CONSTRAINTS.contains(text)) else { return Ok(()) };
    let bookmark: Bookmark = text.parse().map_err(|error| format!("invalid bookmark or constraint: {error}"))?;
    let head = database.state();
    if bookmark.txid > head.txid {
        return Err(Error::UnknownBookmark { bookmark, newest: head.bookmark() }.to_string());
    }
    Ok(())
}

fn not_understood(error: &serde_json::Error) -> String {
    format!("the request is not what D1's protocol sends: {error}")
}
