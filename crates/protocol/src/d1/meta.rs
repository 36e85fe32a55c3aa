//! D1's `meta`, and what Littoral tells beyond it.

use crate::sql::{Meta, Served, Tier};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// D1's `meta`. What a server does not tell is as by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct D1Meta {
    /// What answered.
    pub served_by: Cow<'static, str>,
    /// The region that answered, by D1's names: `WEUR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_by_region: Option<Cow<'static, str>>,
    /// The data centre that answered: `AMS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_by_colo: Option<Cow<'static, str>>,
    /// Whether the primary answered.
    pub served_by_primary: bool,
    /// Milliseconds of SQL.
    #[serde(serialize_with = "write_ms")]
    pub duration: f64,
    /// The same once more, as newer versions of D1 tell it.
    pub timings: Timings,
    /// Rows inserted, updated and deleted.
    pub changes: u64,
    /// Rowid of the last insert.
    pub last_row_id: i64,
    /// Whether the database changed.
    pub changed_db: bool,
    /// Bytes of the database.
    pub size_after: u64,
    /// Rows visited.
    pub rows_read: u64,
    /// Rows and index entries written.
    pub rows_written: u64,
    /// How often it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_attempts: Option<u32>,
    /// Which kind of copy answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_by_tier: Option<Tier>,
    /// The number of the commit whose state was read or made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_at_txid: Option<u64>,
    /// How old that state may have been at most, in milliseconds; 0 at the primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staleness_ms: Option<u64>,
    /// Pages that had to be fetched from another copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages_fetched: Option<u64>,
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// Milliseconds of SQL.
    #[serde(serialize_with = "write_ms")]
    pub sql_duration_ms: f64,
}

/// Whole milliseconds are written as D1 does: without a point.
fn write_ms<S: serde::Serializer>(ms: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if ms.fract() == 0.0 { serializer.serialize_i64(*ms as i64) } else { serializer.serialize_f64(*ms) }
}

impl D1Meta {
    /// What Littoral tells. Times are 0, as in D1's local simulators: an object's clock stands still while SQL runs.
    pub fn new(meta: &Meta, served: &Served) -> D1Meta {
        let Meta { changes, last_row_id, changed_db, size_after, rows_read, rows_written, txid, pages_fetched } = *meta;
        D1Meta {
            served_by: Cow::Borrowed("littoral"),
            served_by_region: served.region.map(Cow::Borrowed),
            served_by_colo: served.colo.and_then(|colo| String::from_utf8(colo.to_vec()).ok()).map(Cow::Owned),
            served_by_primary: served.tier == Tier::Primary,
            duration: 0.0,
            timings: Timings::default(),
            changes,
            last_row_id,
            changed_db,
            size_after,
            rows_read,
            rows_written,
            total_attempts: Some(1),
            served_by_tier: Some(served.tier),
            served_at_txid: Some(txid.0),
            max_staleness_ms: served.staleness_ms,
            pages_fetched: Some(pages_fetched),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_says_who_answered_where_the_answer_does() {
        let meta = |json| serde_json::from_str::<D1Meta>(json).unwrap();
        assert_eq!(meta("{}"), D1Meta::default());
        let replica = meta(r#"{"served_by_tier":"replica","served_by_colo":"AMS","served_at_txid":42,"max_staleness_ms":12,"new":[]}"#);
        assert_eq!((replica.served_by_tier, replica.served_by_colo.as_deref()), (Some(Tier::Replica), Some("AMS")));
        assert_eq!((replica.served_at_txid, replica.max_staleness_ms, replica.pages_fetched), (Some(42), Some(12), None));
        assert_eq!(meta(r#"{"served_by_tier":"moon"}"#).served_by_tier, Some(Tier::Other));
    }

    #[test]
    fn what_is_told_is_read_back() {
        let served = Served { tier: Tier::Isolate, region: Some("WEUR"), colo: Some(*b"AMS"), staleness_ms: Some(7) };
        let meta = D1Meta::new(&Meta { changes: 3, ..Meta::default() }, &served);
        let json = serde_json::to_string(&meta).unwrap();
        assert!(json.contains(r#""duration":0,"timings":{"sql_duration_ms":0},"changes":3,"#), "{json}");
        assert_eq!(serde_json::from_str::<D1Meta>(&json).unwrap(), meta);
    }
}
