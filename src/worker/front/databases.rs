//! Databases and the catalogue, as the HTTP surface asks them.
//!
//! **Not here:** JSON of a face (the other files).

use super::{awaited, thrown};
use crate::runtime::request::{body_text, write};
use crate::runtime::stubs::{Namespace, ObjectStub};
use crate::worker::replicas::nearest;
use js_sys::{Array, Object, Promise, Reflect};
use littoral_engine::answer::{Form, Request};
use littoral_engine::catalog::{Entry, Question, Reply};
use littoral_protocol::d1::{BlobFormat, PointBody, Response, Responses};
use littoral_protocol::rest::Refusal;
use littoral_protocol::sql::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use wasm_bindgen::prelude::*;

/// The name of the catalogue's object, as in `catalog.mjs`.
const CATALOG: &str = "catalog";

/// How many tables a database has.
const COUNT_TABLES: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

/// Asks the catalogue.
pub(super) async fn ask(env: &JsValue, question: &Question) -> Result<Reply, Refusal> {
    let question = serde_json::to_string(question).map_err(|error| Refusal::failed(&error))?;
    reply(stub(env, "CATALOG", CATALOG, None)?.ask(&question)).await
}

/// The database of an id or a name.
pub(super) async fn find(env: &JsValue, database: &str) -> Result<Entry, Refusal> {
    one(ask(env, &Question::Find(database.into())).await?)
}

thread_local! {
    /// Databases by the ids and names that they were asked for by: their names and ids.
    static KNOWN: RefCell<HashMap<String, Entry>> = RefCell::default();
}
/// Databases that an isolate remembers.
const MOST_KNOWN: usize = 10_000;

/// The same, as this isolate remembers it. It may be gone: its object refuses what is meant for another one.
pub(super) async fn find_known(env: &JsValue, database: &str) -> Result<Entry, Refusal> {
    if let Some(known) = KNOWN.with_borrow(|known| known.get(database).cloned()) {
        return Ok(known);
    }
    let entry = find(env, database).await?;
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(database.to_owned(), entry.clone());
    });
    Ok(entry)
}

/// Forgets what this isolate remembers of a database.
pub(super) fn forget_known(database: &str) {
    KNOWN.with_borrow_mut(|known| known.remove(database));
}

/// Deletes a database.
pub(super) async fn destroy(env: &JsValue, database: &str) -> Result<Entry, Refusal> {
    one(reply(stub(env, "CATALOG", CATALOG, None)?.destroy(database)).await?)
}

/// The database that a reply is about.
pub(super) fn one(reply: Reply) -> Result<Entry, Refusal> {
    match reply {
        Reply::One(entry) => Ok(entry),
        Reply::Refused(refusal) => Err(refusal),
        Reply::Page(..) | Reply::Done => Err(Refusal::failed(&"the catalogue answered something else")),
    }
}

/// Makes a database's object near the place that it was created for, by telling it.
pub(super) async fn place(env: &JsValue, entry: &Entry) -> Result<(), Refusal> {
    let json = serde_json::to_string(entry).map_err(|error| Refusal::failed(&error))?;
    let hint = Some(&*entry.region).filter(|region| !region.is_empty());
    awaited(stub(env, "DATABASE", &entry.name, hint)?.adopt(&json)).await.map(drop)
}

/// Has a request answered by the nearest that can; the answer, and the bookmark if it went well.
pub(super) async fn run(env: &JsValue, entry: &Entry, cf: &JsValue, request: Request) -> Result<(JsValue, Option<String>), Refusal> {
    let request = write(&request.of(Some(entry.id.clone()))).map_err(|error| thrown(&error))?;
    Reflect::set(&request, &"create".into(), &JsValue::FALSE).map_err(|error| thrown(&error))?;
    nearest(env, &entry.name, cf, &request).await.map_err(|error| thrown(&error))
}

/// Runs a request of calls.
pub(super) async fn calls(env: &JsValue, entry: &Entry, request: Request) -> Result<Responses, Refusal> {
    let (body, _) = run(env, entry, &JsValue::UNDEFINED, request).await?;
    let text = body_text(body).map_err(|error| Refusal::failed(&error))?;
    let responses: Responses = serde_json::from_str(&text).map_err(|error| Refusal::failed(&error))?;
    match (&responses.error, responses.code) {
        (Some(error), Some(code)) => Err(Refusal::sql(error, code)),
        (Some(error), None) => Err(Refusal::failed(error)),
        (None, _) => Ok(responses),
    }
}

/// The bookmark of a point of the past, or the newest.
pub(super) async fn bookmark_at(env: &JsValue, entry: &Entry, at: Option<PointBody>) -> Result<String, Refusal> {
    let nothing = Request::new(Form::Calls { blobs: BlobFormat::default() }, r#"{"calls":[]}"#, None, at);
    Ok(calls(env, entry, nothing).await?.bookmark)
}

/// The newest bookmark.
pub(super) async fn newest(env: &JsValue, entry: &Entry) -> Result<String, Refusal> {
    bookmark_at(env, entry, None).await
}

/// Imports an upload, or waits for that a while: its answer, if there is one then, and how many statements have run.
pub(super) async fn import_upload(env: &JsValue, entry: &Entry, upload: &str) -> Result<(Option<String>, u64), Refusal> {
    let told = awaited(stub(env, "DATABASE", &entry.name, None)?.import_upload(upload, &entry.id)).await?;
    let parts: &Array = told.unchecked_ref();
    let answer = Some(parts.get(0)).filter(|answer| !answer.is_undefined());
    let answer = answer.map(body_text).transpose().map_err(|error| Refusal::failed(&error))?;
    Ok((answer, parts.get(1).as_f64().unwrap_or_default() as u64))
}

/// Bytes of the database file at a bookmark, and how many it has.
pub(super) async fn file_part(env: &JsValue, entry: &Entry, bookmark: &str, begin: u64, count: u64) -> Result<(JsValue, u64), Refusal> {
    let part = stub(env, "DATABASE", &entry.name, None)?.file_part(&entry.id, bookmark, begin as f64, count as f64);
    let told = awaited(part).await?;
    let parts: &Array = told.unchecked_ref();
    match parts.get(1).as_f64() {
        Some(bytes) => Ok((parts.get(0), bytes as u64)),
        None => Err(Refusal::malformed(&parts.get(0).as_string().unwrap_or_default())),
    }
}

/// Drops an upload.
pub(super) async fn drop_upload(env: &JsValue, entry: &Entry, upload: &str) -> Result<(), Refusal> {
    awaited(stub(env, "DATABASE", &entry.name, None)?.drop_upload(upload)).await.map(drop)
}

/// Measures a database: bytes and tables, which the catalogue keeps for its lists.
pub(super) async fn measure(env: &JsValue, entry: Entry) -> Result<Entry, Refusal> {
    let body = serde_json::json!({ "calls": [{ "sql": COUNT_TABLES }] }).to_string();
    let mut responses = calls(env, &entry, Request::calls(body)).await?.responses;
    let (num_tables, file_size) = match responses.pop() {
        Some(Response::Single(result)) => match result.results.rows.first().and_then(|row| row.first()) {
            Some(Value::Integer(count)) => (u64::try_from(*count).unwrap_or_default(), result.meta.size_after),
            _ => return Err(Refusal::failed(&"the database did not count its tables")),
        },
        Some(Response::Failure(failure)) => return Err(Refusal::failed(&failure.error)),
        _ => return Err(Refusal::failed(&"the database did not answer")),
    };
    if (num_tables, file_size) != (entry.num_tables, entry.file_size) {
        ask(env, &Question::Measured(entry.id.clone(), file_size, num_tables)).await?;
    }
    Ok(Entry { num_tables, file_size, ..entry })
}

/// The stub of an object, made for this request.
fn stub(env: &JsValue, binding: &str, name: &str, hint: Option<&str>) -> Result<ObjectStub, Refusal> {
    let namespace = Reflect::get(env, &binding.into()).ok().filter(|binding| binding.is_object());
    let namespace: Namespace = namespace.ok_or_else(|| no_binding(binding))?.unchecked_into();
    let options = Object::new();
    if let Some(hint) = hint {
        Reflect::set(&options, &"locationHint".into(), &hint.into()).map_err(|error| thrown(&error))?;
    }
    namespace.get_by_name(name, &options).map_err(|error| thrown(&error))
}

fn no_binding(binding: &str) -> Refusal {
    let how = format_args!("this Worker has no binding {binding}: wrangler.toml of Littoral shows the three that it needs");
    Refusal::failed(&how)
}

async fn reply(promise: Result<Promise, JsValue>) -> Result<Reply, Refusal> {
    let json = awaited(promise).await?.as_string().unwrap_or_default();
    serde_json::from_str(&json).map_err(|error| Refusal::failed(&error))
}
