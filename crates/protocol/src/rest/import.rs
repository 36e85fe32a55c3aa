//! Imports, in the three steps of D1's clients: `init` asks where to upload the file, `ingest` begins to run it, `poll` asks how far that is.

use serde::{Deserialize, Serialize};

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum ImportRequest {
    /// Where to upload.
    Init {
        /// The MD5 of the file, in hexadecimal digits.
        etag: String,
    },
    /// Run it.
    Ingest {
        /// The same.
        etag: String,
        /// The name that `init` answered.
        filename: String,
    },
    /// How far it is.
    Poll {
        /// What the answer before had in `at_bookmark`.
        current_bookmark: String,
    },
}

/// The answer to `init`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportUpload {
    /// It has not failed.
    pub success: bool,
    /// A name for the file, to be given to `ingest`.
    pub filename: String,
    /// Where to PUT it, without a token, within an hour. The answer's header `etag` has the MD5 of what came.
    pub upload_url: String,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportResult {
    /// Statements that ran.
    pub num_queries: u64,
    /// The state that it made.
    pub final_bookmark: String,
    /// What they did together.
    pub meta: ImportMeta,
}

/// What the statements did together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportMeta {
    /// Milliseconds; 0: an object's clock stands still while SQL runs.
    pub duration: u64,
    /// Rows visited.
    pub rows_read: u64,
    /// Rows and index entries written.
    pub rows_written: u64,
    /// Bytes of the database.
    pub size_after: u64,
}
