//! What is around every answer, and how a call is refused.

use crate::sql::Code;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// What is around every answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// What was asked for.
    pub result: Option<T>,
    /// Whether it was done.
    pub success: bool,
    /// Why not.
    pub errors: Vec<ApiError>,
    /// Never any; D1 has none either.
    pub messages: Vec<ApiError>,
    /// Of a list: which part of it this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_info: Option<ResultInfo>,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// One of D1's numbers; see [`Refusal`].
    pub code: u32,
    /// The same for people.
    pub message: String,
}

/// Which part of a list an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultInfo {
    /// From 1.
    pub page: u64,
    /// How many a page holds at most.
    pub per_page: u64,
    /// How many this one holds.
    pub count: u64,
    /// How many there are on all pages.
    pub total_count: u64,
}

impl<T: Serialize> Envelope<T> {
    /// Around a result.
    pub fn of(result: T) -> Envelope<T> {
        Envelope { result: Some(result), success: true, errors: Vec::new(), messages: Vec::new(), result_info: None }
    }

    /// Around nothing.
    pub fn done() -> Envelope<T> {
        Envelope { result: None, success: true, errors: Vec::new(), messages: Vec::new(), result_info: None }
    }

    /// The JSON.
    pub fn to_json(&self) -> String {
        // Texts and numbers in memory: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A call of which nothing was done: HTTP's status, and D1's code where D1 has one.
///
/// | status | code | |
/// |---|---|---|
/// | 400 | 7400 | the request is malformed |
/// | 400 | 7500 | SQL failed, or was stopped |
/// | 400 | 7502 | a database of this name exists |
/// | 401 | 10000 | no token, or one that is not known |
/// | 403 | 10001 | the address is not signed, or no longer good (Littoral's code) |
/// | 404 | 7000 | no such path |
/// | 404 | 7404 | no such database |
/// | 405 | 10405 | the path knows no such method |
/// | 409 | 7409 | the database is needed by others, or has moved on (Littoral's code) |
/// | 413 | 7413 | the request is too large (Littoral's code) |
/// | 416 | 7416 | there are no such bytes (Littoral's code) |
/// | 500 | 7501 | the database could not be read or written, or what became of the call is not known (Littoral's code) |
/// | 503 | 7503 | the API is not configured (Littoral's code) |
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// HTTP's.
    pub status: u16,
    /// The rest.
    pub error: ApiError,
}

impl Refusal {
    fn new(status: u16, code: u32, message: &impl Display) -> Refusal {
        Refusal { status, error: ApiError { code, message: message.to_string() } }
    }

    /// The request is malformed.
    pub fn malformed(what: &impl Display) -> Refusal {
        Refusal::new(400, 7400, &format_args!("the request is malformed: {what}"))
    }

    /// A statement failed.
    pub fn sql(message: &impl Display, code: Code) -> Refusal {
        match code {
            Code::RequestMalformed | Code::BookmarkInvalid => Refusal::new(400, 7400, message),
            Code::StoreFailed | Code::OutcomeUnknown => Refusal::new(500, 7501, message),
            Code::NoDatabase => Refusal::new(404, 7404, message),
            Code::Conflict => Refusal::conflict(message),
            _ => Refusal::new(400, 7500, message),
        }
    }

    /// A database of this name exists.
    pub fn exists(name: &str) -> Refusal {
        Refusal::new(400, 7502, &format_args!("a database with the name {name:?} already exists"))
    }

    /// The range is not one of the bytes that there are (RFC 9110, 15.5.17).
    pub fn no_range(bytes: u64) -> Refusal {
        Refusal::new(416, 7416, &format_args!("there are {bytes} bytes, and the range has none of them"))
    }

    /// The database is needed as it is, or has moved on.
    pub fn conflict(why: &impl Display) -> Refusal {
        Refusal::new(409, 7409, why)
    }

    /// No token, or none that is known.
    pub fn unauthenticated() -> Refusal {
        Refusal::new(
            401,
            10_000,
            &"Authentication error: the header Authorization has to be \"Bearer <token>\", with a token that is known here",
        )
    }

    /// An address whose signature is not good, or no longer.
    pub fn not_signed() -> Refusal {
        Refusal::new(403, 10_001, &"this address is not signed, or no longer good: ask for another one")
    }

    /// There is no such database.
    pub fn no_database(database: &str) -> Refusal {
        Refusal::new(404, 7404, &format_args!("the database {database} could not be found"))
    }

    /// There is no such path.
    pub fn no_route(path: &str) -> Refusal {
        Refusal::new(404, 7000, &format_args!("No route for that URI: {path}"))
    }

    /// There is such a path, but not such a method.
    pub fn no_method(method: &str, allowed: &str) -> Refusal {
        Refusal::new(405, 10_405, &format_args!("Method {method} not allowed here: {allowed}"))
    }

    /// It is too large.
    pub fn too_large(limit: usize) -> Refusal {
        Refusal::new(413, 7413, &format_args!("the request is larger than {limit} bytes"))
    }

    /// Something here failed.
    pub fn failed(why: &impl Display) -> Refusal {
        Refusal::new(500, 7501, why)
    }

    /// The API is not configured.
    pub fn not_configured() -> Refusal {
        let how = "the API is closed: set the secret LITTORAL_TOKENS (wrangler secret put LITTORAL_TOKENS) to one token or several, separated by blanks";
        Refusal::new(503, 7503, &how)
    }

    /// The status that a failure has which was answered as JSON elsewhere.
    pub fn status_of(json: &str) -> u16 {
        let code = serde_json::from_str::<Envelope<serde::de::IgnoredAny>>(json).ok().and_then(|body| Some(body.errors.first()?.code));
        match code {
            Some(7404) => 404,
            Some(7409) => 409,
            Some(7400 | 7500) => 400,
            _ => 500,
        }
    }

    /// The JSON.
    pub fn to_json(&self) -> String {
        let errors = vec![self.error.clone()];
        Envelope::<()> { result: None, success: false, errors, messages: Vec::new(), result_info: None }.to_json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_looks_as_d1s_does_and_keeps_its_status() {
        let failed = Refusal::sql(&"near \"SELEC\": syntax error", Code::Sqlite(1));
        assert_eq!(
            failed.to_json(),
            r#"{"result":null,"success":false,"errors":[{"code":7500,"message":"near \"SELEC\": syntax error"}],"messages":[]}"#
        );
        for code in [Code::Sqlite(1), Code::StoreFailed, Code::RequestMalformed, Code::NoDatabase, Code::TimedOut] {
            let failed = Refusal::sql(&"x", code);
            assert_eq!(Refusal::status_of(&failed.to_json()), failed.status, "{code}");
        }
        assert_eq!(Refusal::status_of("no JSON"), 500);
    }
}
