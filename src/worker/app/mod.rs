//! The example application at `/`: a log of what was seen on the shore, kept in a Littoral database.
//!
//! It uses the Rust binding as any Worker does. It is switched on by the variable `EXAMPLE_APP` (`make dev` sets it): a deployed Littoral
//! has no page of its own, and this database is its own, not one of the user's.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page |
//! | `POST /setup` | applies `migrations/`, loads sample rows into an empty database; names what was applied |
//! | `GET /api/species` | species with how often they were seen |
//! | `GET /api/sightings?q=` | the newest sightings, or those that match |
//! | `POST /api/sightings` | adds one: `{"species_id":1,"shore":"...","note":"..."}` |
//! | `DELETE /api/sightings/:id` | removes one |
//!
//! **Not here:** D1's protocol (`entry.mjs` and `http`).

use crate::client::Database;
use crate::migrate::{Migration, apply};
use serde::{Deserialize, Serialize};
use serde_json::json;
use worker::{Context, Env, Method, Request, Response, Url, event};

/// The database of the example application.
const DATABASE: &str = "example";

const PAGE: &str = include_str!("page.html");
const SAMPLE: &str = include_str!("sample.sql");
const MIGRATIONS: [Migration<'static>; 2] = [
    Migration { name: "0001_shore_log.sql", sql: include_str!("../../../migrations/0001_shore_log.sql") },
    Migration { name: "0002_search.sql", sql: include_str!("../../../migrations/0002_search.sql") },
];

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    if env.var("EXAMPLE_APP").is_err() {
        return Response::ok("Littoral is running. Its databases are reached through service bindings.\n");
    }
    let url = request.url()?;
    let failed = |error: worker::Error| Ok(Response::from_json(&json!({ "error": error.to_string() }))?.with_status(400));
    answer(request, &url, &env).await.or_else(failed)
}

async fn answer(request: Request, url: &Url, env: &Env) -> worker::Result<Response> {
    let db = Database::from_namespace(env, "DATABASE", DATABASE)?;
    let sighting = url.path().strip_prefix("/api/sightings/").and_then(|id| id.parse::<i64>().ok());
    match (request.method(), url.path(), sighting) {
        (Method::Get, "/", _) => Response::from_html(PAGE),
        (Method::Post, "/setup", _) => set_up(&db).await,
        (Method::Get, "/api/species", _) => species(&db).await,
        (Method::Get, "/api/sightings", _) => sightings(&db, url).await,
        (Method::Post, "/api/sightings", _) => add(&db, request).await,
        (Method::Delete, _, Some(id)) => remove(&db, id).await,
        _ => Response::error("not found", 404),
    }
}

async fn set_up(db: &Database) -> worker::Result<Response> {
    let applied = apply(db, &MIGRATIONS).await?;
    let empty = db.prepare("SELECT NOT EXISTS (SELECT 1 FROM species) AS empty").first::<i64>(Some("empty")).await? == Some(1);
    let mut loaded = 0;
    if empty {
        db.prepare(SAMPLE).run().await?;
        loaded = db.prepare("SELECT count(*) AS n FROM sightings").first::<i64>(Some("n")).await?.unwrap_or(0);
    }
    Response::from_json(&json!({ "migrations": applied, "sightings_loaded": loaded }))
}

#[derive(Serialize, Deserialize)]
struct Species {
    id: i64,
    name: String,
    scientific: String,
    seen: i64,
}

async fn species(db: &Database) -> worker::Result<Response> {
    let sql = "SELECT species.id, name, scientific, count(sightings.id) AS seen FROM species \
               LEFT JOIN sightings ON species_id = species.id GROUP BY species.id ORDER BY name";
    let rows: Vec<Species> = db.prepare(sql).all().await?.results()?;
    Response::from_json(&rows)
}

#[derive(Serialize, Deserialize)]
struct Sighting {
    id: i64,
    name: String,
    shore: String,
    note: String,
    seen_at: String,
}

async fn sightings(db: &Database, url: &Url) -> worker::Result<Response> {
    let search = url.query_pairs().find_map(|(key, value)| (key == "q" && !value.trim().is_empty()).then(|| quote_for_search(&value)));
    let columns = "SELECT sightings.id, name, shore, note, seen_at FROM sightings JOIN species ON species.id = species_id";
    let newest = "ORDER BY seen_at DESC, sightings.id DESC LIMIT 50";
    let session = db.with_session(None);
    let statement = match search {
        Some(words) => session
            .prepare(format!("{columns} WHERE sightings.id IN (SELECT rowid FROM sightings_text WHERE sightings_text MATCH ?) {newest}"))
            .bind((words,))?,
        None => session.prepare(format!("{columns} {newest}")),
    };
    let result = statement.all().await?;
    let rows: Vec<Sighting> = result.results()?;
    let meta = result.meta();
    let bookmark = session.get_bookmark();
    Response::from_json(&json!({
        "sightings": rows, "bookmark": bookmark, "rows_read": meta.rows_read, "size_after": meta.size_after,
    }))
}

/// Each word as a quoted prefix: what people type is no FTS5 expression.
fn quote_for_search(text: &str) -> String {
    text.split_whitespace().map(|word| format!("\"{}\"*", word.replace('"', "\"\""))).collect::<Vec<_>>().join(" ")
}

#[derive(Deserialize)]
struct NewSighting {
    species_id: i64,
    shore: String,
    #[serde(default)]
    note: String,
}

async fn add(db: &Database, mut request: Request) -> worker::Result<Response> {
    let new: NewSighting = request.json().await?;
    let insert = db.prepare("INSERT INTO sightings (species_id, shore, note) VALUES (?, ?, ?)");
    let result = insert.bind((new.species_id, new.shore.trim(), new.note.trim()))?.run().await?;
    Ok(Response::from_json(&json!({ "id": result.meta().last_row_id }))?.with_status(201))
}

async fn remove(db: &Database, id: i64) -> worker::Result<Response> {
    let removed = db.prepare("DELETE FROM sightings WHERE id = ?").bind((id,))?.run().await?.meta().changes;
    Ok(Response::from_json(&json!({ "removed": removed }))?.with_status(if removed == 0 { 404 } else { 200 }))
}
