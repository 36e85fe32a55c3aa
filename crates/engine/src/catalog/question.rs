//! What the catalogue is asked, and what it answers, as they travel between objects: JSON of these types.

use super::{Catalog, Entry};
use crate::store::durable::Sql;
use littoral_protocol::rest::{CreateBody, ListQuery, Refusal, ResultInfo, UpdateBody};
use serde::{Deserialize, Serialize};

/// A question.
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    /// Add a database.
    Create(CreateBody),
    /// The one of an id or a name.
    Find(String),
    /// A page of them.
    List(ListQuery),
    /// Change one.
    Update(String, UpdateBody),
    /// Keep what was measured of the one with this id: bytes, tables.
    Measured(String, u64, u64),
    /// The branch with this id has begun with the state of this bookmark.
    Begun(String, String),
    /// The branch with this id has all of its pages.
    Full(String),
}

/// An answer.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The database.
    One(Entry),
    /// A page of them.
    Page(Vec<Entry>, ResultInfo),
    /// It was not done.
    Refused(Refusal),
    /// It was done.
    Done,
}

impl<Q: Sql> Catalog<Q> {
    /// Answers a question. `id` is one that was never used.
    pub fn answer(&self, question: Question, id: &str, now_ms: u64) -> Reply {
        let one = |entry: Result<Entry, Refusal>| entry.map(Reply::One);
        let answer = match question {
            Question::Create(body) => one(self.create(&body, id, now_ms)),
            Question::Find(database) => one(self.find(&database)),
            Question::List(query) => self.list(&query).map(|(entries, info)| Reply::Page(entries, info)),
            Question::Update(database, body) => one(self.update(&database, &body)),
            Question::Measured(id, file_size, num_tables) => self.measured(&id, file_size, num_tables).map(|()| Reply::Done),
            Question::Begun(id, bookmark) => self.begun(&id, &bookmark).map(|()| Reply::Done),
            Question::Full(id) => self.full(&id).map(|()| Reply::Done),
        };
        answer.unwrap_or_else(Reply::Refused)
    }
}
