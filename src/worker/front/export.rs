//! Exports: an address is made at once, and the text while it is fetched, part by part, from one state: the database never stops for it.
//!
//! **Not here:** the text (`littoral_engine::engine`).

use super::databases::{find, newest, run};
use super::{FrontRequest, Reply, address};
use crate::runtime::request::{body_text, body_to_js};
use littoral_engine::answer::{ExportBody, Form, Request};
use littoral_engine::catalog::Entry;
use littoral_engine::engine::ExportOptions;
use littoral_protocol::d1::PointBody;
use littoral_protocol::rest::{DumpOptions, Envelope, ExportFile, ExportRequest, ExportTicket, Progress, Refusal};
use wasm_bindgen::prelude::*;

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
    let ticket = ExportTicket { bookmark, options: dump_options.unwrap_or_default() };
    // What cannot be exported is told now, and not while it is fetched.
    let schema = DumpOptions { no_data: true, ..ticket.options.clone() };
    let tried = part(env, request, entry, ExportTicket { options: schema, ..ticket.clone() }, None).await?;
    if tried.status != 200 {
        return Ok(tried);
    }
    let filename = format!("{}-{}.sql", entry.id, ticket.bookmark);
    let query = address::signed(env, &subject(entry), &ticket.query())?;
    let signed_url = format!("{}{}/{filename}?{query}", request.origin(), request.path());
    let progress = Progress::active("export", ticket.bookmark, "It is made while it is fetched.".into());
    Ok(Reply::json(Envelope::of(progress.complete(ExportFile { filename, signed_url })).to_json()))
}

/// The text, or its next part.
pub(super) async fn download(env: &JsValue, request: &FrontRequest, database: &str, next: Option<&str>) -> Result<Reply, Refusal> {
    let query = request.query();
    // Nothing is told before the signature was looked at, not even whether the database exists.
    let entry = find(env, database).await.map_err(|_| Refusal::not_signed())?;
    address::check(env, &subject(&entry), &query)?;
    if next.is_none() {
        address::check_time(&query)?;
    }
    part(env, request, &entry, ExportTicket::parse(&query), next).await
}

fn subject(entry: &Entry) -> String {
    format!("export\n{}", entry.id)
}

/// A part of the text: `next` is the place of the one before it, as JSON.
async fn part(env: &JsValue, request: &FrontRequest, entry: &Entry, ticket: ExportTicket, next: Option<&str>) -> Result<Reply, Refusal> {
    let DumpOptions { no_schema, no_data, tables } = ticket.options;
    let place = next.map(serde_json::from_str).transpose().map_err(|error| Refusal::failed(&error))?;
    let body = ExportBody { options: ExportOptions { no_schema, no_data, tables }, place };
    let body = serde_json::to_string(&body).map_err(|error| Refusal::failed(&error))?;
    let at = PointBody::Bookmark(ticket.bookmark);
    let (answer, bookmark) = run(env, entry, &request.cf(), Request::new(Form::Export, body, None, Some(at))).await?;
    let text = body_text(answer).map_err(|error| Refusal::failed(&error))?;
    if bookmark.is_none() {
        return Ok(Reply { status: Refusal::status_of(&text), ..Reply::json(text) });
    }
    let (next, text) = text.split_once('\n').unwrap_or_default();
    let next = (next != "null").then(|| next.to_owned());
    Ok(Reply { next, ..Reply::of("application/sql", body_to_js(text.to_owned())) })
}
