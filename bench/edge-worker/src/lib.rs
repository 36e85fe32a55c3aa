//! A Rust Worker that answers reads in its own isolate: for measurements, and for tests of the feature `edge`.
//!
//! `POST /edge`: runs a statement again and again in one session. `POST /memory`: the same on an SQLite database in memory, which
//! `setup` fills once, without any of Littoral. Both answer with the last run's rows; `/edge` also with its `meta`.
//!
//! **Not here:** time. The runtime's clock stands still while a Worker computes: it is taken outside.

use littoral::client::{D1Result, Error};
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use worker::{Context, Env, Request, Response, event};

#[derive(Deserialize)]
struct Run {
    #[serde(default)]
    database: String,
    /// The session's bookmark or constraint.
    #[serde(default)]
    session: Option<String>,
    sql: String,
    /// The k-th run binds `k % modulus + 1`, unless it is 0.
    #[serde(default)]
    modulus: u64,
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

thread_local! {
    static MEMORY: OnceCell<rusqlite::Connection> = const { OnceCell::new() };
}

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    let run: Run = request.json().await?;
    let ran = match request.path().as_str() {
        "/edge" => edge(&env, &request, &run).await.map_err(|error| error.to_string()),
        "/memory" => memory(&run).map_err(|error| error.to_string()),
        other => Err(format!("there is no {other}")),
    };
    match ran {
        Ok(ran) => Response::from_json(&ran),
        Err(error) => Response::error(error, 500),
    }
}

async fn edge(env: &Env, request: &Request, run: &Run) -> Result<Ran, Error> {
    let session = littoral::edge::open(env, request, &run.database)?.with_session(run.session.as_deref());
    let statement = session.prepare(&run.sql);
    let mut last: Option<D1Result> = None;
    let mut pages_fetched = 0;
    let mut rows: Vec<Row> = Vec::new();
    for k in 0..run.times {
        let result = if run.modulus == 0 { statement.all().await? } else { statement.bind((k % run.modulus + 1,))?.all().await? };
        rows = result.results()?;
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

fn memory(run: &Run) -> rusqlite::Result<Ran> {
    MEMORY.with(|memory| {
        let connection = match memory.get() {
            Some(connection) => connection,
            None => {
                let connection = rusqlite::Connection::open_in_memory()?;
                connection.execute_batch(&run.setup)?;
                memory.get_or_init(|| connection)
            }
        };
        let mut rows: Vec<Row> = Vec::new();
        for k in 0..run.times {
            let mut statement = connection.prepare_cached(&run.sql)?;
            let read = |row: &rusqlite::Row<'_>| Ok(Row { id: row.get(0)?, name: row.get(1)? });
            rows = statement.query_map([(k % run.modulus.max(1) + 1) as i64], read)?.collect::<rusqlite::Result<_>>()?;
        }
        Ok(Ran { rows, tier: None, txid: None, pages_fetched: 0, bookmark: None })
    })
}
