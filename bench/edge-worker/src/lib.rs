//! A Rust Worker that answers reads in its own isolate: for measurements, and for tests of the feature `edge`.
//!
//! `POST /edge`: runs a statement again and again in one session. `POST /service`: the same over the service binding `DB`. `POST /memory`: the
//! same on an SQLite database in memory, which `setup` fills once, without any of Littoral. All answer with the last run's rows; the first two
//! also with its `meta`.
//!
//! **Not here:** time. The runtime's clock stands still while a Worker computes: it is taken outside.

use littoral::client::{D1Result, Database, Error};
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::time::Duration;
use worker::{Context, Env, Request, Response, event};

/// Steps from one id to the next, so that neighbours are not read one after the other.
const STRIDE: u64 = 7_919;

#[derive(Deserialize)]
struct Run {
    #[serde(default)]
    database: String,
    /// The session's bookmark or constraint.
    #[serde(default)]
    session: Option<String>,
    /// How long each run may take.
    #[serde(default)]
    timeout_ms: Option<u64>,
    sql: String,
    /// The k-th run, from `from` on, binds `k * STRIDE % modulus + 1` and is to find one row of that id; if it is 0, nothing is bound.
    #[serde(default)]
    modulus: u64,
    #[serde(default)]
    from: u64,
    times: u64,
    /// For `/memory`.
    #[serde(default)]
    setup: String,
}

#[derive(Deserialize, Serialize)]
struct Row {
    id: i64,
    name: String,
}

#[derive(Serialize)]
struct Ran {
    rows: Vec<Row>,
    tier: Option<String>,
    txid: Option<u64>,
    pages_fetched: u64,
    bookmark: Option<String>,
}

impl Run {
    fn id(&self, k: u64) -> Option<i64> {
        (self.modulus > 0).then(|| (k * STRIDE % self.modulus + 1) as i64)
    }
}

fn check(rows: &[Row], id: Option<i64>) -> Result<(), String> {
    match (rows, id) {
        (_, None) => Ok(()),
        ([row], Some(id)) if row.id == id && row.name.ends_with(&id.to_string()) => Ok(()),
        (_, Some(id)) => Err(format!("{} rows of another id than {id}", rows.len())),
    }
}

thread_local! {
    static MEMORY: OnceCell<rusqlite::Connection> = const { OnceCell::new() };
}

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    let run: Run = request.json().await?;
    let ran = match request.path().as_str() {
        "/edge" => run_on(littoral::edge::open(&env, &request, &run.database), &run).await.map_err(|error| error.to_string()),
        "/service" => run_on(Database::from_env(&env, "DB"), &run).await.map_err(|error| error.to_string()),
        "/memory" => memory(&run),
        other => Err(format!("there is no {other}")),
    };
    match ran {
        Ok(ran) => Response::from_json(&ran),
        Err(error) => Response::error(error, 500),
    }
}

async fn run_on(database: Result<Database, Error>, run: &Run) -> Result<Ran, Error> {
    let mut database = database?;
    if let Some(timeout_ms) = run.timeout_ms {
        database = database.with_timeout(Duration::from_millis(timeout_ms));
    }
    let session = database.with_session(run.session.as_deref());
    let statement = session.prepare(&run.sql);
    let mut last: Option<D1Result> = None;
    let mut pages_fetched = 0;
    let mut rows: Vec<Row> = Vec::new();
    for k in run.from..run.from + run.times {
        let id = run.id(k);
        let result = if let Some(id) = id { statement.bind((id,))?.all().await? } else { statement.all().await? };
        rows = result.results()?;
        check(&rows, id).map_err(|message| Error::Sql { message, code: None, place: None })?;
        pages_fetched += result.meta().pages_fetched.unwrap_or(0);
        last = Some(result);
    }
    let meta = last.as_ref().map(D1Result::meta);
    Ok(Ran {
        rows,
        tier: meta.and_then(|meta| meta.served_by_tier).map(|tier| format!("{tier:?}").to_lowercase()),
        txid: meta.and_then(|meta| meta.served_at_txid),
        pages_fetched,
        bookmark: session.get_bookmark(),
    })
}

fn memory(run: &Run) -> Result<Ran, String> {
    MEMORY.with(|memory| {
        let connection = match memory.get() {
            Some(connection) => connection,
            None => {
                let connection = fill(&run.setup).map_err(|error| error.to_string())?;
                memory.get_or_init(|| connection)
            }
        };
        let mut rows: Vec<Row> = Vec::new();
        for k in run.from..run.from + run.times {
            let id = run.id(k).unwrap_or(1);
            rows = read(connection, &run.sql, id).map_err(|error| error.to_string())?;
            check(&rows, Some(id))?;
        }
        Ok(Ran { rows, tier: None, txid: None, pages_fetched: 0, bookmark: None })
    })
}

fn fill(setup: &str) -> rusqlite::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open_in_memory()?;
    connection.execute_batch(setup)?;
    Ok(connection)
}

fn read(connection: &rusqlite::Connection, sql: &str, id: i64) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map([id], |row| Ok(Row { id: row.get(0)?, name: row.get(1)? }))?.collect()
}
