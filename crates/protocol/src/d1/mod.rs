//! D1's JSON: statements in, results out.
//!
//! | D1's | example |
//! |---|---|
//! | statement | `{"sql":"SELECT ?","params":[1]}` |
//! | batch | an array of statements |
//! | parameter | `null`, a number (binds as REAL), a string, a boolean (1 or 0), an array of bytes (BLOB) |
//! | result | `{"success":true,"results":{"columns":["a"],"rows":[[1]]},"meta":{...}}`; `results` may be an array of objects |
//! | failure | `{"success":false,"error":"..."}` |
//!
//! Added to it, for callers that know Littoral:
//!
//! | addition | example |
//! |---|---|
//! | INTEGER parameter | `{"int":"9007199254740993"}` |
//! | BLOB in base64, both ways | `{"blob":"AQID"}` |
//! | why a call failed, as a code, and where: which of its texts, and the byte at which the statement begins | `{"success":false,"error":"...","code":"SQLITE_ERROR","at":{"text":0,"offset":12}}` |
//! | request of many calls | `{"calls":[statement or batch, ...]}` |
//! | its answer | `{"bookmark":"...","responses":[result, array of results or failure, ...]}` |
//!
//! What routes a request is not in its body: the session's bookmark or constraint, a point of the past, how BLOBs are to look.
//!
//! INTEGERs are written in full, REALs with a point or an exponent, REALs that are not finite as `null`.
//!
//! **Not here:** running statements, and writing rows, which is done where SQL runs.

mod meta;
mod request;
mod response;

pub use meta::D1Meta;
pub(crate) use request::Parameter;
pub use request::{BlobFormat, CallBody, CallRef, CallsBody, CallsRequest, PointBody, StatementBody, StatementRef, parse};
pub use response::{FailureBody, Response, Responses, ResultBody, Table, responses};

use base64::engine::general_purpose::STANDARD as BASE64;
