//! D1's wire protocol and the requests of many calls, answered from a [`Database`] or, where they only read, from a [`Reader`].
//!
//! Requests that wait together are answered together: the engine lets their calls share a commit.
//!
//! **Invariants**
//! 1. Every request is answered with JSON that its client understands, whatever came in.
//! 2. A bookmark answered names a state at least as new as everything in the answer.
//!
//! **Not here:** where a request came from, and how rows become JSON (`json`).

use super::json::{Format, JsonResult};
use crate::engine::{CallResult, Database, Error, ExportOptions, Failure, Reader};
use crate::session::Freshness;
use littoral_protocol::d1::{CallBody, CallsBody, FailureBody, PointBody, parse, responses};
use littoral_protocol::sql::{Call, Code, Point, Served, Value};

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

/// The text by which clients of local D1 ask for the database as SQL. Its parameters: whether to leave out the schema, whether to leave out the
/// data, and the names of tables; none: all.
const EXPORT: &str = "PRAGMA miniflare_d1_export(?,?,?);";

/// What a session's token is refused with that has no known form.
const INVALID_TOKEN: &str = "invalid bookmark or constraint: expected 8-8-8-32 hexadecimal digits, first-primary or first-unconstrained";

/// What is sent back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// JSON.
    pub body: String,
    /// The state that was read or made; `None` where nothing succeeded. Sessions get it in the header `x-cf-d1-session-commit-token`.
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
    let parsed: Vec<Parsed> = requests.iter().map(|request| Parsed::parse(request).admit(database)).collect();
    let mut answers = Vec::with_capacity(parsed.len());
    while answers.len() < parsed.len() {
        let waiting = &parsed[answers.len()..];
        let calls: Vec<(&Call, Format)> = waiting.iter().flat_map(Parsed::present_calls).collect();
        let mut results = database.run_with::<JsonResult>(&calls).into_iter();
        let bookmark = database.state().bookmark().to_string();
        answers.extend(waiting.iter().map_while(|request| match &request.0 {
            Err(refused) => Some(Answer { body: refused.clone(), bookmark: None }),
            Ok(asked @ Asked { export: Some(options), .. }) => Some(answer_export(database, asked, options)),
            Ok(asked @ Asked { point: Some(point), .. }) => Some(answer_past(database, asked, *point)),
            Ok(asked) => asked.answer(&mut results, &bookmark),
        }));
    }
    answers
}

/// A request, understood: for whoever may answer it. The error is an answer already.
pub struct Parsed(Result<Asked, String>);

/// What a request asks for.
struct Asked {
    calls: Vec<Call>,
    /// Which of the calls are batches: it decides the shape of their answers.
    batches: Vec<bool>,
    format: Format,
    protocol: Protocol,
    /// The session's bookmark or constraint.
    token: Option<String>,
    /// The point of the past to read.
    point: Option<Point>,
    /// The calls are none: the database is to be exported.
    export: Option<ExportOptions>,
}

#[derive(Clone, Copy)]
enum Protocol {
    D1,
    Calls,
}

impl Protocol {
    fn refuse(self, message: &str, code: Code) -> String {
        let body = match self {
            Protocol::D1 => FailureBody::of_call(&message, Some(code), None),
            Protocol::Calls => FailureBody::of_request(&message, Some(code)),
        };
        body.to_json()
    }
}

impl Parsed {
    /// Reads a request.
    pub fn parse(request: &Request<'_>) -> Parsed {
        Parsed(match request {
            Request::D1 { body, results_format, session } => parse_d1(body, *results_format, *session),
            Request::Calls { body } => parse_calls(body),
        })
    }

    /// How fresh the answer has to be; `None`: the session's token is of no known form.
    pub fn freshness(&self) -> Option<Freshness> {
        self.0.as_ref().ok().and_then(|asked| Freshness::of(asked.token.as_deref()))
    }

    /// The point of the past that is asked for.
    pub fn point(&self) -> Option<Point> {
        self.0.as_ref().ok()?.point
    }

    /// Whether only the primary can answer: no replica needs to look.
    pub fn goes_to_primary(&self, max_staleness_ms: Option<u64>) -> bool {
        match self.freshness() {
            _ if self.0.as_ref().is_ok_and(|asked| asked.export.is_some()) => true,
            _ if self.point().is_some() => false,
            Some(Freshness::None) => max_staleness_ms.is_none(),
            None | Some(Freshness::Primary) => true,
            Some(Freshness::Anywhere | Freshness::AtLeast(_)) => false,
        }
    }

    /// Answers from a connection that only reads, or says why it cannot be: a statement writes, or fails. Whoever can write decides then.
    pub fn answer_from(&self, reader: &Reader, served: Served) -> Result<Answer, Failure> {
        let asked = self.0.as_ref().map_err(|_| Error::NoStatement)?;
        let results = reader.run_with::<JsonResult>(&asked.calls, Format { served, ..asked.format });
        // The primary would stop a call that runs too long, too, and take as long for it.
        let is_for_primary = |failure: &&Failure| !matches!(failure.error, Error::RanTooLong);
        if let Some(failed) = results.iter().filter_map(|result| result.as_ref().err()).find(is_for_primary) {
            return Err(failed.clone());
        }
        let bookmark = reader.state().bookmark().to_string();
        asked.answer(&mut results.into_iter(), &bookmark).ok_or_else(|| Error::NoStatement.into())
    }

    /// Refuses a session that names no state of this database. The primary has every state, so it only has to exist.
    fn admit(self, database: &Database) -> Parsed {
        let Ok(asked) = &self.0 else { return self };
        let protocol = asked.protocol;
        let refused = match Freshness::of(asked.token.as_deref()) {
            None => protocol.refuse(INVALID_TOKEN, Code::BookmarkInvalid),
            Some(Freshness::AtLeast(bookmark)) if bookmark.txid > database.state().txid => {
                let error = Error::UnknownBookmark { bookmark, newest: database.state().bookmark() };
                protocol.refuse(&error.to_string(), error.code())
            }
            Some(_) => return self,
        };
        Parsed(Err(refused))
    }

    fn present_calls(&self) -> impl Iterator<Item = (&Call, Format)> {
        let asked = self.0.as_ref().ok().filter(|asked| asked.point.is_none() && asked.export.is_none());
        asked.into_iter().flat_map(|asked| asked.calls.iter().map(|call| (call, asked.format)))
    }
}

impl Asked {
    /// The answer, made of the next results. `None`: there were none left for it.
    fn answer(&self, results: &mut impl Iterator<Item = CallResult<JsonResult>>, bookmark: &str) -> Option<Answer> {
        match self.protocol {
            Protocol::D1 => {
                let result = results.next()?;
                let bookmark = result.is_ok().then(|| bookmark.into());
                Some(Answer { body: answer_call(result, self.batches == [true]), bookmark })
            }
            Protocol::Calls => {
                let answers: Vec<String> = self.batches.iter().zip(results).map(|(batch, result)| answer_call(result, *batch)).collect();
                let answered = self.calls.is_empty() || !answers.is_empty();
                answered.then(|| Answer { body: responses(bookmark, &answers), bookmark: Some(bookmark.into()) })
            }
        }
    }
}

fn parse_d1(body: &str, results_format: Option<&str>, session: Option<&str>) -> Result<Asked, String> {
    let format = Format { objects: results_format != Some("ROWS_AND_COLUMNS"), ..Format::default() };
    match parse::<CallBody>(body, &mut String::new()).map(CallBody::into_call) {
        Ok((call, _)) if call.is_empty() => Err(failure(&Error::NoStatement.into())),
        Ok((call, batch)) => Ok(Asked {
            export: export_options(&call),
            calls: vec![call],
            batches: vec![batch],
            format,
            protocol: Protocol::D1,
            token: session.map(str::to_string),
            point: None,
        }),
        Err(error) => Err(Protocol::D1.refuse(&not_understood(&error), Code::RequestMalformed)),
    }
}

fn parse_calls(body: &str) -> Result<Asked, String> {
    let malformed = |message: String| Protocol::Calls.refuse(&message, Code::RequestMalformed);
    let request = parse::<CallsBody>(body, &mut String::new()).map_err(|error| malformed(not_understood(&error)))?;
    let (calls, batches): (Vec<Call>, _) = request.calls.into_iter().map(CallBody::into_call).unzip();
    let format = Format { blobs: request.blobs, ..Format::default() };
    let point = request.at.as_ref().map(PointBody::point).transpose();
    let point = point.map_err(|error| Protocol::Calls.refuse(&error, Code::BookmarkInvalid))?;
    let export = if let [call] = &calls[..] { export_options(call) } else { None };
    Ok(Asked { calls, batches, format, protocol: Protocol::Calls, token: request.bookmark, point, export })
}

fn export_options(call: &Call) -> Option<ExportOptions> {
    let [statement] = &call[..] else { return None };
    let [no_schema, no_data, tables @ ..] = &statement.parameters[..] else { return None };
    let is_set = |value: &Value| !matches!(value, Value::Null | Value::Integer(0)) && *value != Value::Real(0.0);
    let tables = tables.iter().filter_map(|table| if let Value::Text(name) = table { Some(name.clone()) } else { None }).collect();
    (statement.sql == EXPORT).then(|| ExportOptions { no_schema: is_set(no_schema), no_data: is_set(no_data), tables })
}

fn answer_past(database: &mut Database, asked: &Asked, point: Point) -> Answer {
    let body = match database.at(point) {
        Ok(snapshot) => {
            let mut results = snapshot.run_with::<JsonResult>(&asked.calls, asked.format).into_iter();
            let bookmark = snapshot.state().bookmark().to_string();
            asked.answer(&mut results, &bookmark).map(|answer| answer.body).unwrap_or_default()
        }
        Err(error) => Protocol::Calls.refuse(&error.to_string(), error.code()),
    };
    Answer { body, bookmark: None }
}

/// The statements as the one row of a result, which is how clients of local D1 expect them.
fn answer_export(database: &mut Database, asked: &Asked, options: &ExportOptions) -> Answer {
    let bookmark = database.state().bookmark();
    let point = asked.point.unwrap_or(Point::Bookmark(bookmark));
    let exported = database.at(point).map_err(Failure::from).and_then(|snapshot| snapshot.export(options));
    let is_exported = exported.is_ok();
    let body = match (exported, asked.protocol) {
        (Ok(row), Protocol::D1) => serde_json::json!({ "success": true, "results": [row], "meta": {} }).to_string(),
        (Ok(row), Protocol::Calls) => {
            let columns: Vec<usize> = (0..row.len()).collect();
            serde_json::json!({ "success": true, "results": { "columns": columns, "rows": [row] }, "meta": {} }).to_string()
        }
        (Err(failed), _) => failure(&Failure { place: None, ..failed }),
    };
    let bookmark = bookmark.to_string();
    match asked.protocol {
        Protocol::D1 => Answer { body, bookmark: is_exported.then_some(bookmark) },
        Protocol::Calls => Answer { body: responses(&bookmark, &[body]), bookmark: Some(bookmark) },
    }
}

fn answer_call(result: CallResult<JsonResult>, batch: bool) -> String {
    match result {
        Ok(outputs) if batch => format!("[{}]", outputs.join(",")),
        Ok(mut outputs) => outputs.pop().unwrap_or_default(),
        Err(failed) => failure(&failed),
    }
}

fn failure(failed: &Failure) -> String {
    FailureBody::of_call(failed, Some(failed.error.code()), failed.place).to_json()
}

/// In words about the request: where its JSON goes wrong nobody sees who calls a binding.
fn not_understood(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = match error.classify() {
        serde_json::error::Category::Data => text.split(" at line ").next().unwrap_or_default(),
        _ => "it is no JSON",
    };
    format!("the request is not what D1's protocol sends: {what}")
}
