//! Databases as the API shows them, and what a request may say of one.

use super::Refusal;
use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

/// A database. What is not known is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatabaseBody {
    /// Its id, which no other database ever has.
    pub uuid: String,
    /// Its name, which it has as long as it exists.
    pub name: String,
    /// `production`, as D1's newer ones say; nothing depends on it.
    pub version: String,
    /// When it was created, in RFC 3339.
    pub created_at: String,
    /// Where its object is held to be; `null`: anywhere.
    pub jurisdiction: Option<String>,
    /// How many tables it has, those of SQLite's own left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_tables: Option<u64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
    /// The region that it was asked to be created in, by D1's names: `WEUR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_in_region: Option<String>,
    /// The region that its object was asked to run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_in_region: Option<String>,
    /// Whether replicas answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_replication: Option<ReadReplication>,
    /// Of a branch: what it began with (Littoral's field).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_of: Option<BranchBody>,
}

/// What a branch began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchBody {
    /// The id of the database that it is a branch of: its parent.
    pub uuid: String,
    /// The parent's name.
    pub name: String,
    /// The state of the parent; `null`: it is not known yet.
    pub bookmark: Option<String>,
    /// Whether it has all of its pages. Before, its parent keeps that state for it, and cannot be deleted.
    pub is_full: bool,
}

/// A state of a database that a branch is to begin with: that of the bookmark, or of the time, or the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchPoint {
    /// The id or the name of the database.
    pub database: String,
    /// A bookmark of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bookmark: Option<String>,
    /// A time in RFC 3339, or seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

impl BranchPoint {
    /// The time, in milliseconds since 1970.
    pub fn time_ms(&self) -> Result<Option<u64>, Refusal> {
        if self.bookmark.is_some() && self.timestamp.is_some() {
            return Err(Refusal::malformed(&"a branch begins at a bookmark or at a timestamp, not at both"));
        }
        self.timestamp.as_deref().map(time_of).transpose()
    }
}

/// Which branch is to be promoted, as the parent's object is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoteBody {
    /// The branch's name.
    pub name: String,
    /// The branch's id.
    pub uuid: String,
    /// The state of the parent that it began with.
    pub bookmark: String,
}

/// Whether replicas answer reads of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadReplication {
    /// How.
    pub mode: ReplicationMode,
}

/// How replicas are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplicationMode {
    /// They answer.
    #[default]
    Auto,
    /// The primary answers everything.
    Disabled,
}

/// The body of a request to create a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateBody {
    /// Its name.
    pub name: String,
    /// Near which region its object is to be, by a location hint: `weur`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_location_hint: Option<String>,
    /// Where its object has to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// Whether replicas answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_replication: Option<ReadReplication>,
    /// It is to be a branch (Littoral's field): it begins with a state of another database, at once, whatever the size of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch_of: Option<BranchPoint>,
}

/// The body of a request to change a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateBody {
    /// Whether replicas answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_replication: Option<ReadReplication>,
}

/// The most databases on a page of a list, as in D1.
const MOST_PER_PAGE: u64 = 10_000;
/// Databases on a page where a request does not say.
const PER_PAGE: u64 = 1_000;

/// Which databases are to be listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListQuery {
    /// Only those with this in their name.
    pub name: Option<String>,
    /// From 1.
    pub page: u64,
    /// How many a page holds at most.
    pub per_page: u64,
}

impl ListQuery {
    /// Reads a query string, without its `?`. What it does not know it leaves alone.
    pub fn parse(query: &str) -> Result<ListQuery, Refusal> {
        let mut list = ListQuery { name: None, page: 1, per_page: PER_PAGE };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "name" if !value.is_empty() => list.name = Some(value.into_owned()),
                "page" => list.page = number("page", &value, u64::from(u32::MAX))?,
                "per_page" => list.per_page = number("per_page", &value, MOST_PER_PAGE)?,
                _ => {}
            }
        }
        Ok(list)
    }
}

fn number(name: &str, text: &str, most: u64) -> Result<u64, Refusal> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| Refusal::malformed(&format_args!("{name} is a number from 1 to {most}")))
}

/// The fields of a database that a query string asks for (`fields=uuid,name`); without a wish, all.
pub fn fields(database: &DatabaseBody, query: &str) -> serde_json::Value {
    let mut shown = serde_json::to_value(database).unwrap_or_default();
    let wish = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "fields");
    if let (Some((_, wish)), Some(all)) = (wish, shown.as_object_mut()) {
        all.retain(|name, _| wish.split(',').any(|wished| wished.trim() == name));
    }
    shown
}

/// The bookmark of a database at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookmarkBody {
    /// The bookmark.
    pub bookmark: String,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreBody {
    /// The new state.
    pub bookmark: String,
    /// The one before: restoring that takes it back.
    pub previous_bookmark: String,
    /// The same for people.
    pub message: String,
}

/// The time that a query string names (`timestamp=`), in milliseconds since 1970: in RFC 3339, or as seconds since 1970.
pub fn timestamp(query: &str) -> Result<Option<u64>, Refusal> {
    let Some((_, text)) = form_urlencoded::parse(query.as_bytes()).find(|(key, value)| key == "timestamp" && !value.is_empty()) else {
        return Ok(None);
    };
    time_of(&text).map(Some)
}

fn time_of(text: &str) -> Result<u64, Refusal> {
    let seconds = text.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1_000));
    let rfc_3339 = || DateTime::parse_from_rfc3339(text).ok().and_then(|time| u64::try_from(time.timestamp_millis()).ok());
    let wrong = || Refusal::malformed(&"timestamp is a time in RFC 3339, such as 2026-11-30T20:00:00Z, or seconds since 1970");
    seconds.or_else(rfc_3339).ok_or_else(wrong)
}

/// The bookmark that a query string names (`bookmark=`).
pub fn bookmark(query: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, value)| key == "bookmark" && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

/// A time in milliseconds since 1970, in RFC 3339: `2026-11-30T20:00:00.000Z`.
pub fn time_text(time_ms: u64) -> String {
    let time = i64::try_from(time_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_paged() {
        let parse = ListQuery::parse;
        assert_eq!(parse("").unwrap(), ListQuery { name: None, page: 1, per_page: 1_000 });
        let expected = ListQuery { name: Some("a b".into()), page: 3, per_page: 10 };
        assert_eq!(parse("page=3&per_page=10&name=a%20b&x=y").unwrap(), expected);
        for wrong in ["page=0", "page=x", "per_page=0", "per_page=10001", "page=-1", "page="] {
            assert_eq!(parse(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }

    #[test]
    fn a_request_may_ask_for_some_fields() {
        let database = DatabaseBody {
            uuid: "u".into(),
            name: "n".into(),
            version: "production".into(),
            created_at: time_text(0),
            jurisdiction: None,
            num_tables: None,
            file_size: Some(4_096),
            created_in_region: None,
            running_in_region: None,
            read_replication: None,
            branch_of: None,
        };
        assert_eq!(fields(&database, "fields=uuid,%20file_size,moon").to_string(), r#"{"file_size":4096,"uuid":"u"}"#);
        assert_eq!(fields(&database, "").as_object().unwrap().len(), 6);
    }

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(timestamp("").unwrap(), None);
        assert_eq!(timestamp("timestamp=1796068800").unwrap(), Some(1_796_068_800_000));
        assert_eq!(timestamp("timestamp=2026-11-30T20:00:00.007Z").unwrap(), Some(1_796_068_800_007));
        assert_eq!(timestamp("timestamp=2026-11-30T21:00:00%2B01:00").unwrap(), Some(1_796_068_800_000));
        for wrong in ["x", "-1", "2026-11-30", "1960-01-01T00:00:00Z", "99999999999999999999"] {
            assert_eq!(timestamp(&format!("timestamp={wrong}")).unwrap_err().status, 400, "{wrong}");
        }
    }

    #[test]
    fn times_are_written_as_d1_writes_them() {
        assert_eq!(time_text(1_796_068_800_007), "2026-11-30T20:00:00.007Z");
        assert_eq!(time_text(0), "1970-01-01T00:00:00.000Z");
    }
}
