//! D1's REST API, below `/client/v4/accounts/{account}/d1`: which call a request is, what it says, and what is around every answer.
//!
//! | what | example |
//! |---|---|
//! | answer | `{"result":...,"success":true,"errors":[],"messages":[]}`; a list adds `result_info` |
//! | failure | `{"result":null,"success":false,"errors":[{"code":7500,"message":"..."}],"messages":[]}` |
//! | statements | `{"sql":"SELECT ?; SELECT 2","params":[1]}` or `{"batch":[{"sql":"...","params":[]}]}`: a result for each statement |
//!
//! A database is named in a path by its id or its name. Values in statements and rows are those of D1's JSON ([`crate::d1`]).
//!
//! Sources: Cloudflare's API reference for D1, and the requests of wrangler and of Cloudflare's SDKs.
//!
//! **Not here:** doing any of it, and who may.

mod database;
mod diff;
mod envelope;
mod export;
mod import;
mod progress;
mod query;
mod range;
mod route;

pub use database::{
    BookmarkBody, BranchBody, BranchPoint, CreateBody, DatabaseBody, ListQuery, PromoteBody, ReadReplication, ReplicationMode, RestoreBody,
    UpdateBody, bookmark, fields, time_text, timestamp,
};
pub use diff::{DiffBody, DiffQuery, RowDiffBody, SchemaDiffBody, TableDiffBody};
pub use envelope::{ApiError, Envelope, Refusal, ResultInfo};
pub use export::{DumpOptions, ExportFile, ExportFormat, ExportRequest, ExportTicket};
pub use import::{ImportMeta, ImportRequest, ImportResult, ImportUpload};
pub use progress::Progress;
pub use query::QueryBody;
pub use range::{Range, range};
pub use route::{Operation, Target, route};
