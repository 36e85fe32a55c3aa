//! The same database through the `worker` crate's own `env.d1()`, as a Worker written for D1 has it.
//!
//! `env.d1()` takes nothing but the runtime's `D1Database`. In `wrangler dev` the binding `DB` is that class in front of Littoral; once
//! deployed it is a service binding, and Littoral's binding ([`crate::books`]) is the one to use.

use crate::books::{AUTHORS, BOOKS, INSERT};
use crate::{Author, Book, NewBook, refuse};
use serde_json::json;
use worker::wasm_bindgen::JsValue;
use worker::{D1Type, Env, Method, Request, Response, Result};

const BOOKMARK: &str = "x-d1-bookmark";

pub async fn answer(request: &mut Request, parts: &[&str], env: &Env) -> Result<Response> {
    let db = match env.d1("DB") {
        Ok(db) => db,
        Err(error) => return refuse(501, &format!("DB is not the runtime's D1Database here: {error}")),
    };
    match (request.method(), parts) {
        (Method::Get, ["books"]) => {
            let books: Vec<Book> = db.prepare(format!("{BOOKS} ORDER BY author, title")).all().await?.results()?;
            Response::from_json(&books)
        }
        (Method::Get, ["books", id]) => {
            let id: i32 = id.parse().unwrap_or(0);
            match db.prepare(format!("{BOOKS} WHERE id = ?")).bind_refs(&D1Type::Integer(id))?.first::<Book>(None).await? {
                Some(book) => Response::from_json(&book),
                None => refuse(404, "there is no such book"),
            }
        }
        (Method::Post, ["books"]) => {
            let new: Vec<NewBook> = request.json().await?;
            let insert = db.prepare(INSERT);
            let values = new.iter().map(|book| [D1Type::Text(&book.title), D1Type::Text(&book.author), D1Type::Integer(book.pages)]);
            let statements = insert.batch_bind(&values.collect::<Vec<_>>())?;
            let results = db.batch(statements).await?;
            let ids: Result<Vec<_>> = results.iter().map(|result| Ok(result.meta()?.and_then(|meta| meta.last_row_id))).collect();
            Ok(Response::from_json(&json!({ "ids": ids? }))?.with_status(201))
        }
        (Method::Delete, ["books", id]) => {
            let id = id.parse::<i32>().unwrap_or(0);
            let result = db.prepare("DELETE FROM books WHERE id = ?").bind(&[JsValue::from(id)])?.run().await?;
            let removed = result.meta()?.and_then(|meta| meta.changes);
            Response::from_json(&json!({ "removed": removed }))
        }
        (Method::Get, ["authors"]) => {
            let session = db.with_session(request.headers().get(BOOKMARK)?.as_deref())?;
            let authors: Vec<Author> = session.prepare(AUTHORS).all().await?.results()?;
            let mut response = Response::from_json(&authors)?;
            if let Some(bookmark) = session.get_bookmark()? {
                response.headers_mut().set(BOOKMARK, &bookmark)?;
            }
            Ok(response)
        }
        (Method::Get, ["titles"]) => {
            let titles: Vec<Vec<String>> = db.prepare("SELECT title, author FROM books ORDER BY title").raw().await?;
            let longest: Option<i64> = db.prepare("SELECT max(pages) AS longest FROM books").first(Some("longest")).await?;
            Response::from_json(&json!({ "titles": titles, "longest": longest }))
        }
        _ => refuse(404, "not found"),
    }
}
