//! A request as it arrives: what routes it, and its body, which is parsed once, by whoever answers.
//!
//! **Invariant:** nothing that decides who answers is inside the body, so whoever passes a request on does not read it.
//!
//! **Not here:** how requests travel (`worker`), and what is answered (`run`).

use super::json::Format;
use crate::engine::{DiffOptions, Error, ExportOptions, ExportPlace};
use crate::session::Freshness;
use littoral_protocol::d1::{BlobFormat, CallBody, CallsBody, FailureBody, PointBody, parse};
use littoral_protocol::rest::{DiffQuery, PromoteBody, QueryBody, Refusal};
use littoral_protocol::sql::{Call, Code, Point, Value};
use littoral_protocol::{Bookmark, DatabaseId};
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::fmt::Display;

/// The text by which clients of local D1 ask for the database as SQL. Its parameters: whether to leave out the schema, whether to leave out the
/// data, and the names of tables; none: all.
const EXPORT: &str = "PRAGMA miniflare_d1_export(?,?,?);";

/// What SQLite, compiled to WebAssembly, runs in a millisecond, less some: a query that counts runs 46 million instructions a second.
const KILOINSTRUCTIONS_PER_MS: u64 = 40;

/// Which protocol a request is of, and how its results are to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `POST /query` or `/execute` of D1's protocol: the body is a statement or an array of them.
    D1 {
        /// Rows as objects; else columns and rows.
        objects: bool,
    },
    /// Many calls, each on its own: `{"calls":[...]}`.
    Calls {
        /// How BLOBs look.
        blobs: BlobFormat,
    },
    /// `POST .../query` or `/raw` of D1's REST API: the body is a text or a batch of them, each statement has a result.
    Rest {
        /// Rows as objects; else columns and rows.
        objects: bool,
    },
    /// `POST .../time_travel/restore` of D1's REST API: the point of the past becomes the newest state.
    Restore,
    /// An import: the body names the upload, which whoever answers finds.
    Import,
    /// What differs between the state at the point of the past, or the newest, and another: the body is a [`DiffQuery`].
    Diff,
    /// A branch becomes the next commit: the body is a [`PromoteBody`].
    Promote,
    /// A part of the database as SQL text, at the point of the past: the body is an [`ExportBody`], the answer its continuation in JSON on the first
    /// line, and then the text.
    Export,
}

/// Which part of an export is asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ExportBody {
    /// What is exported.
    pub options: ExportOptions,
    /// Where the part begins; none: the first.
    pub place: Option<ExportPlace>,
}

impl Form {
    /// How a request of this form is told that nothing of it was done.
    pub fn refuse(self, message: &impl Display, code: Code) -> String {
        match self {
            Form::D1 { .. } => FailureBody::of_call(message, Some(code), None).to_json(),
            Form::Calls { .. } => FailureBody::of_request(message, Some(code)).to_json(),
            Form::Rest { .. } | Form::Restore | Form::Export | Form::Import | Form::Diff | Form::Promote => {
                Refusal::sql(message, code).to_json()
            }
        }
    }

    fn format(self) -> Format {
        match self {
            Form::D1 { objects } | Form::Rest { objects } => Format { objects, ..Format::default() },
            Form::Calls { blobs } => Format { blobs, ..Format::default() },
            Form::Restore | Form::Export | Form::Import | Form::Diff | Form::Promote => Format::default(),
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Request {
    form: Form,
    body: String,
    session: Option<String>,
    at: Option<PointBody>,
    /// The UUID of the database that is meant.
    database: Option<String>,
    /// When its caller no longer waits, in milliseconds since 1970.
    until_ms: Option<u64>,
    freshness: Option<Freshness>,
    parsed: OnceCell<Result<Parsed, String>>,
}

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) calls: Vec<Call>,
    /// Which of the calls are batches: it decides the shape of their answers.
    pub(super) batches: Vec<bool>,
    pub(super) format: Format,
    /// The point of the past to read.
    pub(super) point: Option<Point>,
    /// The calls are none: the database is to be exported.
    pub(super) export: Option<Exported>,
    /// The calls are none: the database is to be compared with the state at a point of the past.
    pub(super) diff: Option<(Point, DiffOptions)>,
}

/// What of the database is to be exported.
#[derive(Debug)]
pub(super) enum Exported {
    /// All of it, in one answer.
    Whole(ExportOptions),
    /// A part.
    Part(ExportBody),
}

impl Request {
    /// A request, with the session's bookmark or constraint, and the point of the past that is to be read instead of the present.
    pub fn new(form: Form, body: impl Into<String>, session: Option<String>, at: Option<PointBody>) -> Request {
        let freshness = Freshness::of(session.as_deref());
        Request { form, body: body.into(), session, at, database: None, until_ms: None, freshness, parsed: OnceCell::new() }
    }

    /// The same, of which nothing is to be done when this time has come, in milliseconds since 1970, and which ends soon then.
    pub fn until(self, until_ms: Option<u64>) -> Request {
        Request { until_ms, ..self }
    }

    /// The same, for the database with this UUID and no other of its name.
    pub fn of(self, database: Option<String>) -> Request {
        Request { database, ..self }
    }

    /// A request of many calls, outside sessions.
    pub fn calls(body: impl Into<String>) -> Request {
        Request::new(Form::Calls { blobs: BlobFormat::default() }, body, None, None)
    }

    /// Its form.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Its body: JSON, if all is well.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The session's token, as it came.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The point of the past, as it came.
    pub fn at(&self) -> Option<&PointBody> {
        self.at.as_ref()
    }

    /// The UUID of the database that is meant, where that was said.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Whether a copy of this database may answer.
    pub fn is_of(&self, database: DatabaseId) -> bool {
        self.database.as_deref().is_none_or(|uuid| DatabaseId::of_uuid(uuid) == Some(database))
    }

    /// How fresh the answer has to be; `None`: the session's token is of no known form.
    pub fn freshness(&self) -> Option<Freshness> {
        self.freshness
    }

    /// The point of the past that is asked for; `None` also where it is of no known form.
    pub fn point(&self) -> Option<Point> {
        self.at.as_ref()?.point().ok()
    }

    /// Milliseconds for which its caller still waits, if there is an end to that.
    pub fn remaining_ms(&self, now_ms: u64) -> Option<u64> {
        self.until_ms.map(|until_ms| until_ms.saturating_sub(now_ms))
    }

    /// When its caller no longer waits.
    pub fn until_ms(&self) -> Option<u64> {
        self.until_ms
    }

    /// Whether its caller no longer waits.
    pub fn is_late(&self, now_ms: u64) -> bool {
        self.remaining_ms(now_ms) == Some(0)
    }

    /// What each of its calls may run in the time that is left, in thousands of instructions. No clock goes on while a call computes.
    pub(super) fn kiloinstructions(&self, now_ms: u64) -> Option<u64> {
        Some(self.remaining_ms(now_ms)?.saturating_mul(KILOINSTRUCTIONS_PER_MS))
    }

    /// Whether only the primary can answer: no replica needs to look.
    pub fn goes_to_primary(&self, max_staleness_ms: Option<u64>) -> bool {
        match self.freshness {
            _ if matches!(self.form, Form::Restore | Form::Export | Form::Import | Form::Diff | Form::Promote) => true,
            _ if self.at.is_some() => self.point().is_none(),
            Some(Freshness::None) => max_staleness_ms.is_none(),
            None | Some(Freshness::Primary) => true,
            Some(Freshness::Anywhere | Freshness::AtLeast(_)) => false,
        }
    }

    /// The state that the branch began with which is to be promoted, and the branch's id.
    pub(super) fn promotion(&self) -> Option<(Bookmark, DatabaseId)> {
        let body: PromoteBody = parse(&self.body, &mut String::new()).ok()?;
        Some((body.bookmark.parse().ok()?, DatabaseId::of_uuid(&body.uuid)?))
    }

    /// What it asks for. The error is an answer already.
    pub(super) fn parsed(&self) -> Result<&Parsed, &String> {
        self.parsed.get_or_init(|| self.parse()).as_ref()
    }

    fn parse(&self) -> Result<Parsed, String> {
        let not_understood = |error| self.form.refuse(&in_words(&error), Code::RequestMalformed);
        let point = self.at.as_ref().map(PointBody::point).transpose();
        let point = point.map_err(|error| self.form.refuse(&error, Code::BookmarkInvalid))?;
        let mut part: Option<ExportBody> = None;
        let mut diff = None;
        let several = |calls: Vec<CallBody>| calls.into_iter().map(CallBody::into_call).unzip();
        let (calls, batches): (Vec<Call>, _) = match self.form {
            Form::D1 { .. } => several(vec![parse(&self.body, &mut String::new()).map_err(not_understood)?]),
            Form::Calls { .. } => several(parse::<CallsBody>(&self.body, &mut String::new()).map_err(not_understood)?.calls),
            Form::Rest { .. } => {
                let query: QueryBody = parse(&self.body, &mut String::new()).map_err(not_understood)?;
                (vec![query.into_call()], vec![true])
            }
            Form::Restore | Form::Export if point.is_none() => {
                return Err(self.form.refuse(&"there is no bookmark and no time", Code::RequestMalformed));
            }
            Form::Restore | Form::Import | Form::Promote => Default::default(),
            Form::Diff => {
                let DiffQuery { from, tables, rows, .. } = parse(&self.body, &mut String::new()).map_err(not_understood)?;
                let from = from.map(PointBody::Bookmark).ok_or_else(|| self.form.refuse(&"from is missing", Code::RequestMalformed))?;
                let from = from.point().map_err(|error| self.form.refuse(&error, Code::BookmarkInvalid))?;
                diff = Some((from, DiffOptions { tables, rows }));
                Default::default()
            }
            Form::Export => {
                part = Some(parse(&self.body, &mut String::new()).map_err(not_understood)?);
                Default::default()
            }
        };
        if !matches!(self.form, Form::Calls { .. }) && calls.iter().any(Vec::is_empty) {
            return Err(self.form.refuse(&Error::NoStatement, Error::NoStatement.code()));
        }
        let export = match &calls[..] {
            [call] if !matches!(self.form, Form::Rest { .. }) => export_options(call).map(Exported::Whole),
            _ => part.map(Exported::Part),
        };
        Ok(Parsed { calls, batches, format: self.form.format(), point, export, diff })
    }
}

fn export_options(call: &Call) -> Option<ExportOptions> {
    let [statement] = &call[..] else { return None };
    let [no_schema, no_data, tables @ ..] = &statement.parameters[..] else { return None };
    let is_set = |value: &Value| !matches!(value, Value::Null | Value::Integer(0)) && *value != Value::Real(0.0);
    let tables = tables.iter().filter_map(|table| if let Value::Text(name) = table { Some(name.clone()) } else { None }).collect();
    (statement.sql == EXPORT).then(|| ExportOptions { no_schema: is_set(no_schema), no_data: is_set(no_data), tables })
}

/// In words about the request: where its JSON goes wrong nobody sees who calls a binding.
fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = match error.classify() {
        serde_json::error::Category::Data => text.split(" at line ").next().unwrap_or_default(),
        _ => "it is no JSON",
    };
    format!("the request is not what D1's protocol sends: {what}")
}
