//! Results of D1's REST API: those of D1's protocol, with the envelope around them.
//!
//! **Not here:** what a request asks for (`request`), paths and who may (`front` of the Worker).

use super::d1::Answer;
use super::json::JsonResult;
use crate::engine::{CallResult, Failure, Restored};
use littoral_protocol::rest::{Envelope, Refusal, RestoreBody};

/// The results of a call, or why there are none.
pub(super) fn enveloped(result: CallResult<JsonResult>) -> String {
    match result {
        Ok(outputs) => format!("{{\"result\":[{}],\"success\":true,\"errors\":[],\"messages\":[]}}", outputs.join(",")),
        Err(failed) => Refusal::sql(&failed, failed.error.code()).to_json(),
    }
}

/// What was restored, or why nothing was.
pub(super) fn restored(restored: Result<Restored, Failure>) -> Answer {
    match restored {
        Ok(Restored { bookmark, previous }) => {
            let (bookmark, previous_bookmark) = (bookmark.to_string(), previous.to_string());
            let message = format!("restored; to undo this, restore {previous_bookmark}");
            let body = RestoreBody { bookmark: bookmark.clone(), previous_bookmark, message };
            Answer { body: Envelope::of(body).to_json(), bookmark: Some(bookmark) }
        }
        Err(failed) => Answer { body: Refusal::sql(&failed, failed.error.code()).to_json(), bookmark: None },
    }
}
