//! Results of D1's protocol, and of the requests of many calls.
//!
//! **Not here:** what a request asks for (`request`), and how rows become JSON (`json`).

use super::json::JsonResult;
use super::request::{Form, Request};
use super::run::Answer;
use crate::engine::{CallResult, ExportOptions, Failure, Snapshot};
use littoral_protocol::d1::{FailureBody, responses};

/// The statements as the one row of a result, which is how clients of local D1 expect them.
pub(super) fn exported(request: &Request, reader: &Snapshot, options: &ExportOptions, bookmark: &str) -> Answer {
    let exported = reader.export(options);
    let is_exported = exported.is_ok();
    let body = match (exported, request.form()) {
        (Ok(row), Form::Calls { .. }) => {
            let columns: Vec<usize> = (0..row.len()).collect();
            serde_json::json!({ "success": true, "results": { "columns": columns, "rows": [row] }, "meta": {} }).to_string()
        }
        (Ok(row), _) => serde_json::json!({ "success": true, "results": [row], "meta": {} }).to_string(),
        (Err(failed), _) => failure(&Failure { place: None, ..failed }),
    };
    match request.form() {
        Form::Calls { .. } => Answer { body: responses(bookmark, &[body]), bookmark: Some(bookmark.into()) },
        _ => Answer { body, bookmark: is_exported.then(|| bookmark.into()) },
    }
}

/// The results of a call, or why there are none.
pub(super) fn results(result: CallResult<JsonResult>, batch: bool) -> String {
    match result {
        Ok(outputs) if batch => format!("[{}]", outputs.join(",")),
        Ok(mut outputs) => outputs.pop().unwrap_or_default(),
        Err(failed) => failure(&failed),
    }
}

fn failure(failed: &Failure) -> String {
    FailureBody::of_call(failed, Some(failed.error.code()), failed.place).to_json()
}
