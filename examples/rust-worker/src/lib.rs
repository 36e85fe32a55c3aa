//! A reading list: which request means what. README.md lists the requests.
//!
//! A request may carry the bookmark that an earlier answer brought, in the header `x-d1-bookmark` or a cookie: what it reads is then never
//! older than that answer, whichever copy of the database it reaches.
//!
//! **Not here:** SQL ([`books`]; in [`d1`] once more, with the `worker` crate's own binding).

mod books;
mod d1;

use littoral::client::{D1DatabaseSession, Database, Error, SessionOptions};
use littoral::migrate::{Migration, apply};
use serde::{Deserialize, Serialize};
use serde_json::json;
use worker::{Context, Env, Method, Request, Response, event};

const MIGRATIONS: [Migration<'static>; 2] = [
    Migration { name: "0001_books.sql", sql: include_str!("../migrations/0001_books.sql") },
    Migration { name: "0002_sittings.sql", sql: include_str!("../migrations/0002_sittings.sql") },
];

/// A row of `books`, with the number of its sittings.
#[derive(Serialize, Deserialize)]
struct Book {
    id: i64,
    title: String,
    author: String,
    pages: i64,
    page: i64,
    finished_at: Option<String>,
    sittings: i64,
}

/// What has been read of an author.
#[derive(Serialize, Deserialize)]
struct Author {
    author: String,
    books: i64,
    finished: i64,
    pages_read: i64,
}

/// A book as a caller sends it.
#[derive(Deserialize)]
struct NewBook {
    title: String,
    author: String,
    pages: i32,
}

/// A sitting as a caller sends it: up to which page.
#[derive(Deserialize)]
struct NewSitting {
    to_page: i64,
}

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    let path = request.path();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let answer = match parts.as_slice() {
        ["d1", rest @ ..] => d1::answer(&mut request, rest, &env).await,
        parts => answer(&mut request, parts, &env).await,
    };
    answer.or_else(|error| refuse(500, &error.to_string()))
}

async fn answer(request: &mut Request, parts: &[&str], env: &Env) -> worker::Result<Response> {
    let db = Database::from_env(env, "LITTORAL")?;
    if let (Method::Post, ["migrate"]) = (request.method(), parts) {
        return match apply(&db, &MIGRATIONS).await {
            Ok(applied) => Response::from_json(&json!({ "applied": applied })),
            Err(error) => refuse(500, &error.to_string()),
        };
    }
    let session = db.open_session(request, SessionOptions { secure: request.inner().url().starts_with("https:"), ..Default::default() });
    match read_or_write(request, parts, &session).await {
        Ok(response) => session.save(response),
        // A bookmark of a database that has been replaced is refused: the session begins anew.
        Err(error) if error.to_string().contains("bookmark") => session.forget(refuse(500, &error.to_string())?),
        Err(error) => session.save(refuse(500, &error.to_string())?),
    }
}

async fn read_or_write(request: &mut Request, parts: &[&str], db: &D1DatabaseSession) -> worker::Result<Response> {
    match (request.method(), parts) {
        (Method::Get, ["books"]) => Response::from_json(&books::all(db).await?),
        (Method::Get, ["authors"]) => Response::from_json(&books::by_author(db).await?),
        (Method::Post, ["books"]) => match request.json::<Vec<NewBook>>().await {
            Ok(new) => added(books::add(db, &new).await),
            Err(error) => refuse(400, &error.to_string()),
        },
        (Method::Get, ["books", id]) => found(books::find(db, number(id)).await?),
        (Method::Delete, ["books", id]) => match books::remove(db, number(id)).await? {
            true => Ok(Response::empty()?.with_status(204)),
            false => found(None),
        },
        (Method::Post, ["books", id, "sittings"]) => match request.json::<NewSitting>().await {
            Ok(new) => found(books::sit(db, number(id), new.to_page).await?),
            Err(error) => refuse(400, &error.to_string()),
        },
        _ => refuse(404, "not found"),
    }
}

/// An id from a path; no book has the id 0.
fn number(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}

fn found(book: Option<Book>) -> worker::Result<Response> {
    match book {
        Some(book) => Response::from_json(&book),
        None => refuse(404, "there is no such book, or that page is not further on in it"),
    }
}

fn added(ids: Result<Vec<i64>, Error>) -> worker::Result<Response> {
    match ids {
        Ok(ids) => Ok(Response::from_json(&json!({ "ids": ids }))?.with_status(201)),
        Err(Error::Sql { message, .. }) if message.contains("constraint failed") => refuse(400, &message),
        Err(error) => Err(error.into()),
    }
}

fn refuse(status: u16, error: &str) -> worker::Result<Response> {
    Ok(Response::from_json(&json!({ "error": error }))?.with_status(status))
}
