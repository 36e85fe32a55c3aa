//! D1's REST API.
//!
//! **Not here:** paths and bodies (`littoral_protocol::rest`).

use super::databases::{ask, bookmark_at, destroy, find, find_known, forget_known, measure, one, place, run};
use super::{FrontRequest, Reply, export, import};
use littoral_engine::answer::{Form, Request};
use littoral_engine::catalog::{Entry, ParentEntry, Question, Reply as Cataloged};
use littoral_protocol::d1::PointBody;
use littoral_protocol::rest::{
    self, BookmarkBody, DatabaseBody, DiffQuery, Envelope, ListQuery, Operation, PromoteBody, Refusal, Target, fields, time_text, timestamp,
};
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

/// Answers a request for `target`.
pub(super) async fn answer(env: &JsValue, request: &FrontRequest, target: Target) -> Result<Reply, Refusal> {
    let Target { operation, database } = target;
    match operation {
        Operation::List => list(env, &ListQuery::parse(&request.query())?).await,
        Operation::Create => create(env, request).await,
        Operation::Get => Ok(shown(&measure(env, find(env, &database).await?).await?, request)),
        Operation::Update => Ok(shown(&one(ask(env, &Question::Update(database, body(request).await?)).await?)?, request)),
        Operation::Delete => {
            destroy(env, &database).await?;
            Ok(Reply::json(Envelope::<()>::done().to_json()))
        }
        Operation::Query => query(env, request, &database, Form::Rest { objects: true }).await,
        Operation::Raw => query(env, request, &database, Form::Rest { objects: false }).await,
        Operation::Bookmark => bookmark(env, request, &database).await,
        Operation::Restore => restore(env, request, &database).await,
        Operation::Promote => promote(env, request, &database).await,
        Operation::Diff => diff(env, request, &database).await,
        Operation::Export => export::begin(env, request, &find(env, &database).await?, body(request).await?).await,
        Operation::Import => import::step(env, request, &find(env, &database).await?, body(request).await?).await,
        Operation::Upload => import::upload(env, request, &database).await,
        Operation::Download => export::download(env, request, &database, None).await,
    }
}

async fn create(env: &JsValue, request: &FrontRequest) -> Result<Reply, Refusal> {
    let entry = one(ask(env, &Question::Create(body(request).await?)).await?)?;
    let placed = place(env, &entry).await;
    if entry.branch_of.is_none() {
        // Where it failed, the object asks the catalogue when it is first used.
        return Ok(shown(&entry, request));
    }
    if let Err(refusal) = placed {
        destroy(env, &entry.id).await?;
        return Err(Refusal::malformed(&format_args!("there is no such state to branch from: {}", refusal.error.message)));
    }
    Ok(shown(&find(env, &entry.id).await?, request))
}

async fn list(env: &JsValue, query: &ListQuery) -> Result<Reply, Refusal> {
    match ask(env, &Question::List(query.clone())).await? {
        Cataloged::Page(entries, info) => {
            let bodies: Vec<DatabaseBody> = entries.iter().map(Entry::listed).collect();
            Ok(Reply::json(Envelope { result_info: Some(info), ..Envelope::of(bodies) }.to_json()))
        }
        other => one(other).map(|_| Reply::json(String::new())),
    }
}

/// A database, with the fields that the request asks for.
fn shown(entry: &Entry, request: &FrontRequest) -> Reply {
    Reply::json(Envelope::of(fields(&entry.body(), &request.query())).to_json())
}

/// Statements, on the nearest copy where a session allows it.
async fn query(env: &JsValue, request: &FrontRequest, database: &str, form: Form) -> Result<Reply, Refusal> {
    let text = request.text().await?;
    // In a session a replica may answer, which does not know at once that its database is gone.
    let known = if request.session().is_some() { find(env, database).await? } else { find_known(env, database).await? };
    let reply = answered(env, request, &known, Request::new(form, text.clone(), request.session(), None)).await?;
    if reply.status != 404 {
        return Ok(reply);
    }
    forget_known(database);
    // Another one may have the name now.
    let entry = find_known(env, database).await?;
    if entry.id == known.id { Ok(reply) } else { answered(env, request, &entry, Request::new(form, text, request.session(), None)).await }
}

async fn answered(env: &JsValue, request: &FrontRequest, entry: &Entry, asked: Request) -> Result<Reply, Refusal> {
    let (body, bookmark) = run(env, entry, &request.cf(), asked).await?;
    let status = match (&bookmark, body.as_string()) {
        (Some(_), _) => 200,
        (None, text) => Refusal::status_of(&text.unwrap_or_default()),
    };
    Ok(Reply { status, bookmark, ..Reply::of("application/json", body) })
}

/// The bookmark of a time, or the newest.
async fn bookmark(env: &JsValue, request: &FrontRequest, database: &str) -> Result<Reply, Refusal> {
    let entry = find(env, database).await?;
    let at = timestamp(&request.query())?.map(|time_ms| at_time(&entry, time_ms)).transpose()?;
    let bookmark = bookmark_at(env, &entry, at).await?;
    Ok(Reply::json(Envelope::of(BookmarkBody { bookmark }).to_json()))
}

/// A state of the past becomes the newest one.
async fn restore(env: &JsValue, request: &FrontRequest, database: &str) -> Result<Reply, Refusal> {
    let (query, entry) = (request.query(), find(env, database).await?);
    let at = match (rest::bookmark(&query), timestamp(&query)?) {
        (Some(bookmark), None) => PointBody::Bookmark(bookmark),
        (None, Some(time_ms)) => at_time(&entry, time_ms)?,
        _ => return Err(Refusal::malformed(&"either bookmark or timestamp is needed")),
    };
    answered(env, request, &entry, Request::new(Form::Restore, "", None, Some(at))).await
}

/// What differs between two states; of a branch, from the one that it began with on.
async fn diff(env: &JsValue, request: &FrontRequest, database: &str) -> Result<Reply, Refusal> {
    let (mut asked, entry) = (DiffQuery::parse(&request.query())?, find(env, database).await?);
    let began = || entry.branch_of.as_ref().and_then(|parent| parent.bookmark.clone());
    asked.from = asked.from.or_else(began);
    if asked.from.is_none() {
        return Err(Refusal::malformed(&"from is needed: a bookmark of the state before"));
    }
    let to = asked.to.take().map(PointBody::Bookmark);
    let body = serde_json::to_string(&asked).map_err(|error| Refusal::failed(&error))?;
    answered(env, request, &entry, Request::new(Form::Diff, body, None, to)).await
}

/// What a branch changed becomes the next commit of its parent.
async fn promote(env: &JsValue, request: &FrontRequest, database: &str) -> Result<Reply, Refusal> {
    let branch = find(env, database).await?;
    let Some(ParentEntry { id, bookmark: Some(bookmark), .. }) = branch.branch_of else {
        return Err(Refusal::malformed(&format_args!("{} is no branch of another database", branch.name)));
    };
    let parent = find(env, &id).await?;
    let body = serde_json::to_string(&PromoteBody { name: branch.name, uuid: branch.id, bookmark });
    answered(env, request, &parent, Request::new(Form::Promote, body.map_err(|error| Refusal::failed(&error))?, None, None)).await
}

/// A time of the past, in which the database was there.
fn at_time(entry: &Entry, time_ms: u64) -> Result<PointBody, Refusal> {
    if time_ms >= entry.created_ms {
        return Ok(PointBody::TimeMs(time_ms));
    }
    let (asked, created) = (time_text(time_ms), time_text(entry.created_ms));
    Err(Refusal::malformed(&format_args!("the database was not there at {asked}: it was created at {created}")))
}

async fn body<T: DeserializeOwned>(request: &FrontRequest) -> Result<T, Refusal> {
    serde_json::from_str(&request.text().await?).map_err(|error| Refusal::malformed(&error))
}
