//! Exports: an address is made at once, and the text or the file while it is fetched, part by part, from one state: the database never stops for
//! it.
//!
//! **Not here:** the text (`littoral_engine::engine`).

use super::databases::{file_part, find, newest, run};
use super::{FrontRequest, Reply, address};
use crate::runtime::request::{body_text, body_to_js};
use littoral_engine::answer::{ExportBody, Form, Request};
use littoral_engine::catalog::Entry;
use littoral_engine::engine::ExportOptions;
use littoral_protocol::d1::PointBody;
use littoral_protocol::rest::{
    DumpOptions, Envelope, ExportFile, ExportFormat, ExportRequest, ExportTicket, Progress, Range, Refusal, range,
};
use wasm_bindgen::prelude::*;

/// Answers where an export is.
pub(super) async fn begin(env: &JsValue, request: &FrontRequest, entry: &Entry, asked: ExportRequest) -> Result<Reply, Refusal> {
    let ExportRequest { output_format, current_bookmark, dump_options, format } = asked;
    if output_format != "polling" {
        return Err(Refusal::malformed(&"output_format has to be \"polling\""));
    }
    let bookmark = match current_bookmark {
        Some(bookmark) => bookmark,
        None => newest(env, entry).await?,
    };
    let ticket = ExportTicket { bookmark, options: dump_options.unwrap_or_default(), format };
    if format == ExportFormat::Sqlite {
        file_part(env, entry, &ticket.bookmark, 0, 0).await?;
        return told(env, request, entry, ticket, "sqlite");
    }
    // What cannot be exported is told now, and not while it is fetched.
    let schema = DumpOptions { no_data: true, ..ticket.options.clone() };
    let tried = part(env, request, entry, ExportTicket { options: schema, ..ticket.clone() }, None).await?;
    if tried.status != 200 {
        return Ok(tried);
    }
    told(env, request, entry, ticket, "sql")
}

/// Where it is.
fn told(env: &JsValue, request: &FrontRequest, entry: &Entry, ticket: ExportTicket, extension: &str) -> Result<Reply, Refusal> {
    let filename = format!("{}-{}.{extension}", entry.id, ticket.bookmark);
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
    match ExportTicket::parse(&query) {
        ticket @ ExportTicket { format: ExportFormat::Sql, .. } => part(env, request, &entry, ticket, next).await,
        ExportTicket { bookmark, .. } => file(env, request, &entry, bookmark, next).await,
    }
}

/// A part of the database file, or of the range that is asked for. `next` is where it begins and where the last one ends.
async fn file(env: &JsValue, request: &FrontRequest, entry: &Entry, bookmark: String, next: Option<&str>) -> Result<Reply, Refusal> {
    let (mut reply, Range { begin, end }) = match next.and_then(|next| next.split_once('-')) {
        Some((begin, end)) => {
            let number = |text: &str| text.parse().map_err(|error| Refusal::failed(&error));
            (Reply::of(FILE, JsValue::NULL), Range { begin: number(begin)?, end: number(end)? })
        }
        None => {
            let (_, bytes) = file_part(env, entry, &bookmark, 0, 0).await?;
            let asked = range(request.range().as_deref(), bytes)?;
            let content_range = asked.map(|Range { begin, end }| format!("bytes {begin}-{}/{bytes}", end - 1));
            let status = if asked.is_some() { 206 } else { 200 };
            let etag = Some(format!("\"{bookmark}\""));
            (Reply { status, content_range, etag, ..Reply::of(FILE, JsValue::NULL) }, asked.unwrap_or(Range { begin: 0, end: bytes }))
        }
    };
    (reply.body, _) = file_part(env, entry, &bookmark, begin, (end - begin).min(PART_BYTES)).await?;
    let reached = begin + PART_BYTES;
    reply.next = (reached < end).then(|| format!("{reached}-{end}"));
    Ok(reply)
}

/// The media type of a database file.
const FILE: &str = "application/vnd.sqlite3";
/// Bytes of a part of one.
const PART_BYTES: u64 = 4 << 20;

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
