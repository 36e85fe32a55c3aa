//! Migrations: numbered SQL files, applied in order, each in one transaction together with its row in `d1_migrations`.
//!
//! The table and the order are wrangler's, so `wrangler d1 migrations` and this agree on what is applied. What a file contained is kept
//! beside it as a SHA-256, in `littoral_migrations`, which the JavaScript package uses in the same way.
//!
//! ```no_run
//! # async fn at_start(db: littoral::client::Database) -> Result<(), littoral::migrate::MigrateError> {
//! use littoral::migrate::{Migration, apply};
//! let files = [Migration { name: "0001_artists.sql", sql: "CREATE TABLE artists (id INTEGER PRIMARY KEY, name TEXT);" }];
//! let applied: Vec<String> = apply(&db, &files).await?;
//! # Ok(()) }
//! ```
//!
//! `PRAGMA foreign_keys = OFF` is heard in a file, which then commits only if `PRAGMA foreign_key_check` finds nothing: a table can be made
//! anew without the loss of what refers to it.
//!
//! **Invariants**
//! 1. A file and its rows commit together.
//! 2. Of several who apply the same files at once, one applies each file and none fails.
//! 3. Before anything runs, the applied files are compared with the given ones: a changed, missing or late one stops everything.
//!
//! **Not here:** reading files; the caller passes names and texts (`include_str!`).

use crate::client::{Database, Error};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt;

/// A migration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration<'a> {
    /// The file's name, such as `0001_artists.sql`.
    pub name: &'a str,
    /// Its text: any number of statements.
    pub sql: &'a str,
}

/// Why migrations were not applied. What was applied before stays applied; the file named here left no trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MigrateError {
    /// Two of the given files have the same name.
    Duplicate {
        /// The name.
        name: String,
    },
    /// A file that was applied is not among the given ones.
    Missing {
        /// The name.
        name: String,
    },
    /// A file is not what it was when it was applied.
    Changed {
        /// The name.
        name: String,
    },
    /// A new file comes before one that is applied already.
    Late {
        /// The name.
        name: String,
        /// The applied file that comes after it.
        after: String,
    },
    /// A statement failed.
    Failed {
        /// The file.
        name: String,
        /// The line at which the statement begins, from 1; `None` when it was the commit that failed.
        line: Option<usize>,
        /// The statement's text, from its beginning to the end of the file or 500 bytes.
        sql: String,
        /// What the database said.
        error: Error,
    },
    /// The database could not be asked.
    Database(Error),
}

impl fmt::Display for MigrateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MigrateError::Duplicate { name } => write!(f, "two migrations are named {name}"),
            MigrateError::Missing { name } => write!(f, "migration {name} was applied to this database and is missing from the files"),
            MigrateError::Changed { name } => write!(f, "migration {name} has changed since it was applied to this database"),
            MigrateError::Late { name, after } => {
                write!(f, "migration {name} comes before {after}, which is applied already; give it a later number")
            }
            MigrateError::Failed { name, line: Some(line), sql, error } => {
                write!(f, "migration {name} failed at line {line} and was rolled back: {error}\n{sql}")
            }
            MigrateError::Failed { name, error, .. } => write!(f, "migration {name} failed and was rolled back: {error}"),
            MigrateError::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for MigrateError {}

#[cfg(target_arch = "wasm32")]
impl From<MigrateError> for worker::Error {
    fn from(error: MigrateError) -> worker::Error {
        worker::Error::RustError(error.to_string())
    }
}

impl From<Error> for MigrateError {
    fn from(error: Error) -> MigrateError {
        MigrateError::Database(error)
    }
}

const CREATE_TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS \"d1_migrations\"(
		id         INTEGER PRIMARY KEY AUTOINCREMENT,
		name       TEXT UNIQUE,
		applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);",
    "CREATE TABLE IF NOT EXISTS \"littoral_migrations\"(name TEXT PRIMARY KEY, sha256 TEXT NOT NULL)",
];

const APPLIED: &str = "SELECT m.name, l.sha256 FROM d1_migrations m LEFT JOIN littoral_migrations l USING (name) ORDER BY m.id";

/// Which text of the batch that applies a file is the file.
const FILE: usize = 2;

#[derive(Deserialize)]
struct Applied {
    name: String,
    /// `None`: wrangler applied it.
    sha256: Option<String>,
}

/// Applies those of `migrations` that the database lacks, in order, and returns their names.
pub async fn apply(database: &Database, migrations: &[Migration<'_>]) -> Result<Vec<String>, MigrateError> {
    let files = in_order(migrations)?;
    database.batch(CREATE_TABLES.map(|sql| database.prepare(sql)).into()).await?;
    let applied: Vec<Applied> = database.prepare(APPLIED).all().await?.results()?;
    check(&applied, &files)?;
    let mut names = Vec::new();
    for file in files.iter().filter(|file| !applied.iter().any(|done| done.name == file.name)) {
        if apply_one(database, file).await? {
            names.push(file.name.into());
        }
    }
    Ok(names)
}

/// Applies a file; `false`: somebody else has applied it meanwhile.
async fn apply_one(database: &Database, file: &Migration<'_>) -> Result<bool, MigrateError> {
    // The rows come first: of two who apply the same file at once, one fails there and has changed nothing.
    let batch = vec![
        database.prepare("INSERT INTO \"d1_migrations\" (name) VALUES (?)").bind((file.name,))?,
        database.prepare("INSERT INTO \"littoral_migrations\" (name, sha256) VALUES (?, ?)").bind((file.name, sha256(file.sql)))?,
        database.prepare(file.sql),
    ];
    match database.batch(batch).await {
        Ok(_) => Ok(true),
        Err(Error::Sql { place: Some(place), .. }) if place.text == 0 && is_applied(database, file).await? => Ok(false),
        Err(error) => Err(failed(file, error)),
    }
}

/// Whether the file is applied, and as it is given here.
async fn is_applied(database: &Database, file: &Migration<'_>) -> Result<bool, MigrateError> {
    let applied: Vec<Applied> = database.prepare(APPLIED).all().await?.results()?;
    match applied.into_iter().find(|done| done.name == file.name) {
        Some(done) if done.sha256.as_ref().is_some_and(|stored| *stored != sha256(file.sql)) => {
            Err(MigrateError::Changed { name: file.name.into() })
        }
        found => Ok(found.is_some()),
    }
}

fn failed(file: &Migration<'_>, error: Error) -> MigrateError {
    let place = match &error {
        Error::Sql { place, .. } => place.filter(|place| place.text == FILE),
        _ => None,
    };
    let begin = place.map(|place| first_token(file.sql, place.offset));
    let line = begin.map(|begin| file.sql[..begin].matches('\n').count() + 1);
    let sql = begin.map(|begin| excerpt(&file.sql[begin..])).unwrap_or_default();
    MigrateError::Failed { name: file.name.into(), line, sql, error }
}

/// Where the statement itself begins, after white space and line comments.
fn first_token(sql: &str, offset: usize) -> usize {
    let mut rest = sql.get(offset..).unwrap_or_default();
    loop {
        rest = rest.trim_start();
        match rest.strip_prefix("--") {
            Some(comment) => rest = comment.find('\n').map_or("", |end| &comment[end..]),
            None => return sql.len() - rest.len(),
        }
    }
}

fn excerpt(sql: &str) -> String {
    const LONGEST: usize = 500;
    let end = (0..=LONGEST.min(sql.len())).rev().find(|end| sql.is_char_boundary(*end)).unwrap_or(0);
    sql[..end].trim_end().into()
}

/// By number and then by name, as wrangler lists a folder.
fn in_order<'a>(migrations: &[Migration<'a>]) -> Result<Vec<Migration<'a>>, MigrateError> {
    let number = |name: &str| {
        let digits = name.find(|c: char| !c.is_ascii_digit()).map_or(name, |end| &name[..end]);
        digits.parse::<u64>().unwrap_or(u64::MAX)
    };
    let mut files = migrations.to_vec();
    files.sort_by(|a, b| number(a.name).cmp(&number(b.name)).then(a.name.cmp(b.name)));
    match files.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(MigrateError::Duplicate { name: pair[0].name.into() }),
        None => Ok(files),
    }
}

fn check(applied: &[Applied], files: &[Migration<'_>]) -> Result<(), MigrateError> {
    let mut latest = None;
    for Applied { name, sha256: stored } in applied {
        let Some(at) = files.iter().position(|file| file.name == name) else {
            return Err(MigrateError::Missing { name: name.clone() });
        };
        if stored.as_ref().is_some_and(|stored| *stored != sha256(files[at].sql)) {
            return Err(MigrateError::Changed { name: name.clone() });
        }
        latest = latest.max(Some(at));
    }
    let Some(latest) = latest else { return Ok(()) };
    match files[..latest].iter().find(|file| !applied.iter().any(|done| done.name == file.name)) {
        Some(late) => Err(MigrateError::Late { name: late.name.into(), after: files[latest].name.into() }),
        None => Ok(()),
    }
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
