//! Imports, in the three steps of D1's clients. The file is uploaded to the database's object, and run there as one transaction.
//!
//! **Invariant:** an address is good for one database, one file and one hour, and nobody can make another of it.
//!
//! **Not here:** running a text (`littoral_engine::engine`), the bytes of an upload (`entry.mjs`).

use super::auth::{check_signature, sign};
use super::databases::{find, import_upload};
use super::{FrontRequest, JSON, Reply};
use crate::runtime::time::now_ms;
use js_sys::Uint8Array;
use littoral_engine::catalog::Entry;
use littoral_protocol::rest::{Envelope, ImportAnswer, ImportRequest, ImportResult, ImportUpload, Refusal, signed};
use wasm_bindgen::prelude::*;

/// For how long an address is good, in milliseconds.
const GOOD_MS: u64 = 60 * 60 * 1_000;

/// Does a step.
pub(super) async fn step(env: &JsValue, request: &FrontRequest, entry: &Entry, asked: ImportRequest) -> Result<Reply, Refusal> {
    match asked {
        ImportRequest::Init { etag } => {
            check_etag(&etag)?;
            let expires_ms = now_ms() + GOOD_MS;
            let signature = sign(env, &signed_text(entry, &etag, expires_ms))?;
            let upload_url = format!("{}{}/{etag}?expires={expires_ms}&signature={signature}", request.origin(), request.path());
            Ok(Reply::ok(Envelope::of(ImportUpload { success: true, filename: format!("{etag}.sql"), upload_url }).to_json()))
        }
        ImportRequest::Ingest { etag, .. } | ImportRequest::Poll { current_bookmark: etag } => {
            check_etag(&etag)?;
            let (answer, statements) = import_upload(env, entry, &etag).await?;
            Ok(Reply::ok(Envelope::of(told(etag, answer.as_deref(), statements)).to_json()))
        }
    }
}

/// Whether an upload may begin: the names of the database and the upload, and the database's id, in `next`.
pub(super) async fn upload(env: &JsValue, request: &FrontRequest, database: &str) -> Result<Reply, Refusal> {
    let etag = request.path().rsplit('/').next().unwrap_or_default().to_owned();
    let (expires_ms, signature) = signed(&request.query());
    let entry = find(env, database).await.map_err(|_| Refusal::not_signed())?;
    check_signature(env, &signed_text(&entry, &etag, expires_ms), &signature)?;
    if expires_ms < now_ms() {
        return Err(Refusal::not_signed());
    }
    let next = serde_json::json!({ "name": entry.name, "id": entry.id, "etag": etag }).to_string();
    Ok(Reply { status: 200, kind: JSON, body: JsValue::from(""), bookmark: None, next: Some(next) })
}

/// How far an import is: its answer, if it has ended.
fn told(etag: String, answer: Option<&str>, statements: u64) -> ImportAnswer {
    let active = ImportAnswer {
        success: true,
        kind: "import".into(),
        at_bookmark: etag,
        messages: vec![format!("Processed {statements} queries.")],
        status: "active".into(),
        error: None,
        result: None,
    };
    let Some(answer) = answer else { return active };
    let failed = |error: String| ImportAnswer { success: false, status: "error".into(), error: Some(error), ..active.clone() };
    match serde_json::from_str::<Envelope<ImportResult>>(answer) {
        Ok(Envelope { result: Some(result), .. }) => {
            let messages = vec![format!("Processed {} queries.", result.num_queries)];
            ImportAnswer { messages, status: "complete".into(), result: Some(result), ..active }
        }
        Ok(Envelope { errors, .. }) => failed(errors.into_iter().map(|error| error.message).collect()),
        Err(error) => failed(error.to_string()),
    }
}

fn check_etag(etag: &str) -> Result<(), Refusal> {
    let is_md5 = etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_md5 { Ok(()) } else { Err(Refusal::malformed(&"etag is the MD5 of the file, in 32 hexadecimal digits")) }
}

fn signed_text(entry: &Entry, etag: &str, expires_ms: u64) -> String {
    format!("import\n{}\n{etag}\n{expires_ms}", entry.id)
}

/// The text of an answer.
pub(super) fn text(body: JsValue) -> Option<String> {
    match body.dyn_into::<Uint8Array>() {
        Ok(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        Err(body) => body.as_string(),
    }
}
