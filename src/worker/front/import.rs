//! Imports, in the three steps of D1's clients. The file is uploaded to the database's object, and run there as one transaction.
//!
//! **Not here:** running a text (`littoral_engine::engine`), the bytes of an upload (`entry.mjs`).

use super::databases::{drop_upload, find, import_upload};
use super::{FrontRequest, Reply, address};
use littoral_engine::catalog::Entry;
use littoral_protocol::rest::{Envelope, ImportRequest, ImportResult, ImportUpload, Progress, Refusal};
use wasm_bindgen::prelude::*;

/// Does a step.
pub(super) async fn step(env: &JsValue, request: &FrontRequest, entry: &Entry, asked: ImportRequest) -> Result<Reply, Refusal> {
    match asked {
        ImportRequest::Init { etag } => {
            check_etag(&etag)?;
            let query = address::signed(env, &subject(entry, &etag), "")?;
            let upload_url = format!("{}{}/{etag}?{query}", request.origin(), request.path());
            Ok(Reply::json(Envelope::of(ImportUpload { success: true, filename: format!("{etag}.sql"), upload_url }).to_json()))
        }
        ImportRequest::Ingest { etag, .. } | ImportRequest::Poll { current_bookmark: etag } => {
            check_etag(&etag)?;
            let (answer, statements) = import_upload(env, entry, &etag).await?;
            Ok(Reply::json(Envelope::of(told(etag, answer.as_deref(), statements)).to_json()))
        }
    }
}

/// Takes a file, and answers with its MD5.
pub(super) async fn upload(env: &JsValue, request: &FrontRequest, database: &str) -> Result<Reply, Refusal> {
    let (path, query) = (request.path(), request.query());
    let etag = path.rsplit('/').next().unwrap_or_default();
    let entry = find(env, database).await.map_err(|_| Refusal::not_signed())?;
    address::check(env, &subject(&entry, etag), &query)?;
    address::check_time(&query)?;
    let md5 = request.stored(&entry, etag).await?;
    if !md5.eq_ignore_ascii_case(etag) {
        drop_upload(env, &entry, etag).await?;
        return Err(Refusal::malformed(&format_args!("the file that came has the MD5 {md5}, and not {etag}: upload it again")));
    }
    Ok(Reply { etag: Some(format!("\"{md5}\"")), ..Reply::json(String::new()) })
}

/// How far an import is: its answer, if it has ended.
fn told(etag: String, answer: Option<&str>, statements: u64) -> Progress<ImportResult> {
    let processed = |statements: u64| format!("Processed {statements} queries.");
    let Some(answer) = answer else { return Progress::active("import", etag, processed(statements)) };
    match serde_json::from_str::<Envelope<ImportResult>>(answer) {
        Ok(Envelope { result: Some(result), .. }) => Progress::active("import", etag, processed(result.num_queries)).complete(result),
        Ok(Envelope { errors, .. }) => {
            let why = errors.into_iter().map(|error| error.message).collect();
            Progress::active("import", etag, processed(statements)).failed(why)
        }
        Err(error) => Progress::active("import", etag, processed(statements)).failed(error.to_string()),
    }
}

fn check_etag(etag: &str) -> Result<(), Refusal> {
    let is_md5 = etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_md5 { Ok(()) } else { Err(Refusal::malformed(&"etag is the MD5 of the file, in 32 hexadecimal digits")) }
}

fn subject(entry: &Entry, etag: &str) -> String {
    format!("import\n{}\n{etag}", entry.id)
}
