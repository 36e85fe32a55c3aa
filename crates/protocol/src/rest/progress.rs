//! Work of which a client asks how far it is: imports and exports.

use serde::{Deserialize, Serialize};

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress<T> {
    /// It has not failed.
    pub success: bool,
    /// `import` or `export`
    #[serde(rename = "type")]
    pub kind: String,
    /// Which work this is, for the next question; of an export the state that is exported.
    pub at_bookmark: String,
    /// The same for people.
    pub messages: Vec<String>,
    /// `active`, `complete` or `error`.
    pub status: String,
    /// Why it failed; nothing was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it came to, once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<T>,
}

impl<T> Progress<T> {
    /// It is under way.
    pub fn active(kind: &str, at_bookmark: String, message: String) -> Progress<T> {
        let (kind, messages, status) = (kind.into(), vec![message], "active".into());
        Progress { success: true, kind, at_bookmark, messages, status, error: None, result: None }
    }

    /// It is done.
    pub fn complete(self, result: T) -> Progress<T> {
        Progress { status: "complete".into(), result: Some(result), ..self }
    }

    /// It has failed.
    pub fn failed(self, error: String) -> Progress<T> {
        Progress { success: false, status: "error".into(), error: Some(error), ..self }
    }
}
