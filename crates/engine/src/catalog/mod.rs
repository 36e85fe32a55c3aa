//! The catalogue: which databases there are. A database has a name, by which its object is found without asking anybody, and an id, which no
//! other one ever has, whatever becomes of the name.
//!
//! **Invariants**
//! 1. A name belongs to one database at most, and to none while the last one of that name is being deleted.
//! 2. A database that is not in the catalogue is none: its object opens nothing before it has been told its id.
//! 3. Every question is one atomic step. What was begun (a deletion) is remembered until it has ended.
//!
//! **Not here:** objects and their storage (the Worker), HTTP (`littoral_protocol::rest` and the Worker).

mod branches;
mod question;

pub use branches::ParentEntry;
pub use question::{Question, Reply};

use crate::settings::region::Region;
use crate::store::StoreError;
use crate::store::durable::{Param, Sql, SqlError, StoredValue};
use littoral_protocol::rest::{
    CreateBody, DatabaseBody, ListQuery, ReadReplication, Refusal, ReplicationMode, ResultInfo, UpdateBody, time_text,
};
use serde::{Deserialize, Serialize};

/// The longest name, in bytes.
const LONGEST_NAME: usize = 256;

/// One row for each database. `going`: it is being deleted.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS databases (
    name TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL, region TEXT NOT NULL, replication TEXT NOT NULL,
    file_size INTEGER NOT NULL DEFAULT 0, num_tables INTEGER NOT NULL DEFAULT 0, going INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID";
const COLUMNS: &str = "name, id, created_ms, region, replication, file_size, num_tables, going, \
                       branches.parent, parent_name, bookmark, time_ms, is_full";
/// What `COLUMNS` are of.
const ENTRIES: &str = "databases LEFT JOIN branches ON branch = id";

/// A database, as the catalogue knows it and its object keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its id: a UUID.
    pub id: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// The location hint that it was created with; empty: none.
    pub region: String,
    /// Whether replicas answer.
    pub replication: ReplicationMode,
    /// Bytes, when they were last measured.
    pub file_size: u64,
    /// Tables, when they were last counted.
    pub num_tables: u64,
    /// It is being deleted.
    pub going: bool,
    /// What it is a branch of.
    #[serde(default)]
    pub branch_of: Option<ParentEntry>,
}

impl Entry {
    /// As a list of the API shows it.
    pub fn listed(&self) -> DatabaseBody {
        DatabaseBody { created_in_region: None, running_in_region: None, read_replication: None, ..self.body() }
    }

    /// As the API shows it.
    pub fn body(&self) -> DatabaseBody {
        let region = (!self.region.is_empty()).then(|| self.region.to_uppercase());
        DatabaseBody {
            uuid: self.id.clone(),
            name: self.name.clone(),
            version: "production".into(),
            created_at: time_text(self.created_ms),
            jurisdiction: None,
            num_tables: Some(self.num_tables),
            file_size: Some(self.file_size),
            created_in_region: region.clone(),
            running_in_region: region,
            read_replication: Some(ReadReplication { mode: self.replication }),
            branch_of: self.branch_of.as_ref().map(ParentEntry::body),
        }
    }
}

/// The catalogue on some storage.
pub struct Catalog<Q> {
    sql: Q,
}

impl<Q: Sql> Catalog<Q> {
    /// The catalogue that this storage holds, or a new one.
    pub fn open(sql: Q) -> Result<Catalog<Q>, StoreError> {
        sql.run(TABLE, &[])?;
        branches::open(&sql)?;
        Ok(Catalog { sql })
    }

    /// Adds a database. `id` is one that was never used.
    pub fn create(&self, body: &CreateBody, id: &str, now_ms: u64) -> Result<Entry, Refusal> {
        let CreateBody { name, primary_location_hint, jurisdiction, read_replication, branch_of } = body;
        check_name(name)?;
        if let Some(jurisdiction) = jurisdiction {
            return Err(Refusal::malformed(&format_args!(
                "the jurisdiction {jurisdiction:?} is not offered: databases have a location hint"
            )));
        }
        let region = primary_location_hint.as_deref().unwrap_or_default();
        if !region.is_empty() && Region::from_hint(region).is_none() {
            return Err(Refusal::malformed(&format_args!("{region:?} is no location hint; there are {}", hints())));
        }
        let entry = Entry {
            name: name.clone(),
            id: id.into(),
            created_ms: now_ms,
            region: region.into(),
            replication: read_replication.map_or_else(ReplicationMode::default, |replication| replication.mode),
            file_size: 0,
            num_tables: 0,
            going: false,
            branch_of: branch_of.as_ref().map(|point| self.parent_of(point)).transpose()?,
        };
        match self.named(name)? {
            Some(_) => Err(Refusal::exists(name)),
            None => self.insert(&entry).map(|()| entry).map_err(failed),
        }
    }

    fn insert(&self, entry: &Entry) -> Result<(), SqlError> {
        let Entry { name, id, created_ms, region, replication, .. } = entry;
        let params = [Param::Text(name), Param::Text(id), Param::Int(*created_ms), Param::Text(region), Param::Text(mode(*replication))];
        self.insert_branch(entry)?;
        self.sql.run("INSERT INTO databases (name, id, created_ms, region, replication) VALUES (?, ?, ?, ?, ?)", &params)
    }

    /// The database that an object of this name is, which may be created by asking. `None`: there is none.
    pub fn claim(&self, name: &str, create: bool, id: &str, now_ms: u64) -> Result<Option<Entry>, Refusal> {
        match self.named(name)? {
            Some(entry) => Ok(Some(entry).filter(|entry| !entry.going)),
            None if create => self.create(&CreateBody { name: name.into(), ..CreateBody::default() }, id, now_ms).map(Some),
            None => Ok(None),
        }
    }

    /// The database of an id or a name. What looks like an id is looked for as one first.
    pub fn find(&self, database: &str) -> Result<Entry, Refusal> {
        let of_id = self.one("id", database)?;
        let found = if of_id.is_some() { of_id } else { self.named(database)? };
        found.filter(|entry| !entry.going).ok_or_else(|| Refusal::no_database(database))
    }

    /// A page of the databases in the order of their names, and how many there are.
    pub fn list(&self, query: &ListQuery) -> Result<(Vec<Entry>, ResultInfo), Refusal> {
        let ListQuery { name, page, per_page } = query;
        let name = name.as_deref().unwrap_or_default();
        let skipped = (page - 1).saturating_mul(*per_page);
        let sql = format!("SELECT {COLUMNS} FROM {ENTRIES} WHERE NOT going AND instr(name, ?) ORDER BY name LIMIT ? OFFSET ?");
        let rows = self.sql.rows(&sql, &[Param::Text(name), Param::Int(*per_page), Param::Int(skipped)]).map_err(failed)?;
        let entries: Vec<Entry> = rows.into_iter().filter_map(entry).collect();
        let counted = self.sql.rows("SELECT count(*) FROM databases WHERE NOT going AND instr(name, ?)", &[Param::Text(name)]);
        let total_count = match counted.map_err(failed)?.pop().and_then(|mut row| row.pop()) {
            Some(StoredValue::Int(count)) => count,
            _ => 0,
        };
        let info = ResultInfo { page: *page, per_page: *per_page, count: entries.len() as u64, total_count };
        Ok((entries, info))
    }

    /// Changes how a database is used.
    pub fn update(&self, database: &str, body: &UpdateBody) -> Result<Entry, Refusal> {
        let entry = self.find(database)?;
        let replication = body.read_replication.map_or(entry.replication, |replication| replication.mode);
        let params = [Param::Text(mode(replication)), Param::Text(&entry.name)];
        self.sql.run("UPDATE databases SET replication = ? WHERE name = ?", &params).map_err(failed)?;
        Ok(Entry { replication, ..entry })
    }

    /// Keeps what was measured of a database.
    pub fn measured(&self, id: &str, file_size: u64, num_tables: u64) -> Result<(), Refusal> {
        let params = [Param::Int(file_size), Param::Int(num_tables), Param::Text(id)];
        self.sql.run("UPDATE databases SET file_size = ?, num_tables = ? WHERE id = ?", &params).map_err(failed)
    }

    /// Begins to delete a database: from now on there is none of that name, and none may be created.
    pub fn begin_deletion(&self, database: &str) -> Result<Entry, Refusal> {
        let entry = self.find(database)?;
        self.check_not_needed(&entry)?;
        self.sql.run("UPDATE databases SET going = 1 WHERE id = ?", &[Param::Text(&entry.id)]).map_err(failed)?;
        Ok(Entry { going: true, ..entry })
    }

    /// A database is gone with all that was its: its name is free.
    pub fn end_deletion(&self, id: &str) -> Result<(), Refusal> {
        self.sql
            .run("DELETE FROM branches WHERE branch = ? AND branch IN (SELECT id FROM databases WHERE going)", &[Param::Text(id)])
            .map_err(failed)?;
        self.sql.run("DELETE FROM databases WHERE id = ? AND going", &[Param::Text(id)]).map_err(failed)
    }

    /// Some of the databases whose deletion was begun.
    pub fn going(&self) -> Result<Vec<Entry>, Refusal> {
        let rows = self.sql.rows(&format!("SELECT {COLUMNS} FROM {ENTRIES} WHERE going LIMIT 100"), &[]).map_err(failed)?;
        Ok(rows.into_iter().filter_map(entry).collect())
    }

    fn named(&self, name: &str) -> Result<Option<Entry>, Refusal> {
        self.one("name", name)
    }

    fn one(&self, column: &'static str, value: &str) -> Result<Option<Entry>, Refusal> {
        let rows = self.sql.rows(&format!("SELECT {COLUMNS} FROM {ENTRIES} WHERE {column} = ?"), &[Param::Text(value)]).map_err(failed)?;
        Ok(rows.into_iter().next().and_then(entry))
    }
}

/// Names and ids stand in the same place of a path, so a name may not look like an id.
fn check_name(name: &str) -> Result<(), Refusal> {
    let is_id = name.len() == 36
        && name.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Refusal::malformed(&format_args!("a database's name has 1 to {LONGEST_NAME} bytes, and no control characters")));
    }
    if is_id { Err(Refusal::malformed(&"a database's name may not look like an id")) } else { Ok(()) }
}

fn hints() -> String {
    Region::ALL.map(Region::hint).join(", ")
}

fn mode(mode: ReplicationMode) -> &'static str {
    match mode {
        ReplicationMode::Auto => "auto",
        ReplicationMode::Disabled => "disabled",
    }
}

fn failed(error: SqlError) -> Refusal {
    Refusal::failed(&format_args!("the catalogue could not be read or written: {error}"))
}

fn entry(mut row: Vec<StoredValue>) -> Option<Entry> {
    use StoredValue::{Int, Text};
    let branch_of = branches::parent(row.split_off(row.len().min(8)));
    let [Text(name), Text(id), Int(created_ms), Text(region), Text(replication), Int(file_size), Int(num_tables), Int(going)] =
        <[StoredValue; 8]>::try_from(row).ok()?
    else {
        return None;
    };
    let replication = if replication == mode(ReplicationMode::Disabled) { ReplicationMode::Disabled } else { ReplicationMode::Auto };
    Some(Entry { name, id, created_ms, region, replication, file_size, num_tables, going: going != 0, branch_of })
}

#[cfg(test)]
mod tests;
