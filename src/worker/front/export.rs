//! Exports: an address is made at once, and the text while it is fetched, part by part, from one state: the database never stops for it.
//!
//! **Invariant:** an address is good for one database, one state and one hour, and nobody can make another of it.
//!
//! **Not here:** the text (`littoral_engine::engine`).

use super::auth::{check_signature, sign};
use super::databases::{find, newest, run};
use super::{FrontRequest, JSON, Reply, SQL};
use crate::runtime::time::now_ms;
use js_sys::Uint8Array;
use littoral_engine::answer::{ExportBody, Form, Request};
use littoral_engine::catalog::Entry;
use littoral_engine::engine::ExportOptions;
use littoral_protocol::d1::PointBody;
use littoral_protocol::rest::{DumpOptions, Envelope, ExportAnswer, ExportFile, ExportRequest, ExportTicket, Refusal};
use wasm_bindgen::prelude::*;

/// For how long an address is good, in milliseconds.
const GOOD_MS: u64 = 60 * 60 * 1_000;

/// Answers where an export is.
pub(super) async fn begin(env: &JsValue, request: &FrontRequest, entry: &Entry, asked: ExportRequest) -> Result<Reply, Refusal> {
    let ExportRequest { output_format, current_bookmark, dump_options } = asked;
    if output_format != "polling" {
        return Err(Refusal::malformed(&"output_format has to be \"polling\""));
    }
    let bookmark = match current_bookmark {
        Some(bookmark) => bookmark,
        None => newest(env, entry).await?,
    };
    let options = dump_options.unwrap_or_default();
    let (database, expires_ms) = (entry.id.clone(), now_ms() + GOOD_MS);
    let ticket = ExportTicket { database, bookmark, options, expires_ms };
    // What cannot be exported is told now, and not while it is fetched.
    let schema = DumpOptions { no_data: true, ..ticket.options.clone() };
    let tried = part(env, request, entry, &ExportTicket { options: schema, ..ticket.clone() }, None).await?;
    if tried.status != 200 {
        return Ok(tried);
    }
    let signature = sign(env, &signed_text(&ticket))?;
    let filename = format!("{}-{}.sql", entry.id, ticket.bookmark);
    let signed_url = format!("{}{}/{filename}?{}&signature={signature}", request.origin(), request.path(), ticket.query());
    let answer = ExportAnswer {
        success: true,
        kind: "export".into(),
        at_bookmark: ticket.bookmark,
        messages: vec!["It is made while it is fetched.".into()],
        status: "complete".into(),
        result: ExportFile { filename, signed_url },
    };
    Ok(Reply::ok(Envelope::of(answer).to_json()))
}

/// The text, or its next part.
pub(super) async fn download(env: &JsValue, request: &FrontRequest, database: &str, next: Option<&str>) -> Result<Reply, Refusal> {
    let (claimed, signature) = ExportTicket::parse("", &request.query());
    // Only then is anything told, even whether the database exists.
    let entry = find(env, database).await.map_err(|_| Refusal::not_signed())?;
    let ticket = ExportTicket { database: entry.id.clone(), ..claimed };
    check_signature(env, &signed_text(&ticket), &signature)?;
    // A fetch that has begun goes on to its end.
    if next.is_none() && ticket.expires_ms < now_ms() {
        return Err(Refusal::not_signed());
    }
    part(env, request, &entry, &ticket, next).await
}

fn signed_text(ticket: &ExportTicket) -> String {
    format!("export\n{}\n{}", ticket.database, ticket.query())
}

/// A part of the text: `next` is the place of the one before it, as JSON.
async fn part(env: &JsValue, request: &FrontRequest, entry: &Entry, ticket: &ExportTicket, next: Option<&str>) -> Result<Reply, Refusal> {
    let DumpOptions { no_schema, no_data, tables } = ticket.options.clone();
    let place = next.map(serde_json::from_str).transpose().map_err(|error| Refusal::failed(&error))?;
    let body = ExportBody { options: ExportOptions { no_schema, no_data, tables }, place };
    let body = serde_json::to_string(&body).map_err(|error| Refusal::failed(&error))?;
    let at = PointBody::Bookmark(ticket.bookmark.clone());
    let (answer, bookmark) = run(env, entry, &request.cf(), Request::new(Form::Export, body, None, Some(at))).await?;
    let text = match answer.dyn_into::<Uint8Array>() {
        Ok(bytes) => String::from_utf8_lossy(&bytes.to_vec()).into_owned(),
        Err(text) => text.as_string().unwrap_or_default(),
    };
    if bookmark.is_none() {
        return Ok(Reply { status: Refusal::status_of(&text), kind: JSON, body: text.into(), bookmark: None, next: None });
    }
    let (next, text) = text.split_once('\n').unwrap_or_default();
    let next = (next != "null").then(|| next.to_owned());
    Ok(Reply { status: 200, kind: SQL, body: crate::runtime::request::body_to_js(text.to_owned()), bookmark: None, next })
}
