//! Results: rows, `meta` and failures, written as JSON.

use super::{BASE64, BlobFormat};
use crate::engine::{Meta, Place, RowEncoder, RowValues, ValueRef};
use base64::Engine;
use serde::Serialize;
use std::fmt;

/// How a result is to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// Rows as objects, instead of columns and rows.
    pub objects: bool,
    /// How BLOBs look.
    pub blobs: BlobFormat,
    /// Who answers.
    pub served: Served,
}

/// Who answers, for `meta`. By default the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Which tier.
    pub tier: Tier,
    /// The region of a replica, as D1 names regions: `WEUR`.
    pub region: Option<&'static str>,
    /// The data centre that the request came to, if it is known: `LHR`.
    pub colo: Option<[u8; 3]>,
    /// Milliseconds that the state read may be behind the primary, at most, if that is known.
    pub staleness_ms: Option<u64>,
}

impl Default for Served {
    fn default() -> Served {
        Served { tier: Tier::Primary, region: None, colo: None, staleness_ms: Some(0) }
    }
}

/// The tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The Durable Object that owns the database.
    Primary,
    /// A Durable Object that keeps a replica for a region.
    Replica,
    /// The memory of the isolate that got the request.
    Isolate,
}

/// A result as JSON text.
pub struct JsonResult {
    json: Vec<u8>,
    format: Format,
    /// For objects: `"name":` of each column.
    keys: Vec<Vec<u8>>,
    first: bool,
}

impl RowEncoder for JsonResult {
    type Output = String;
    type Options = Format;

    fn start(columns: &[&str], format: Format) -> Self {
        let mut json = Vec::with_capacity(512);
        let mut keys = Vec::new();
        if format.objects {
            json.extend_from_slice(b"{\"success\":true,\"results\":[");
            keys.extend(columns.iter().map(|name| {
                let mut key = Vec::new();
                write_string(&mut key, name);
                key.push(b':');
                key
            }));
        } else {
            json.extend_from_slice(b"{\"success\":true,\"results\":{\"columns\":[");
            for (index, name) in columns.iter().enumerate() {
                separate(&mut json, index > 0);
                write_string(&mut json, name);
            }
            json.extend_from_slice(b"],\"rows\":[");
        }
        JsonResult { json, format, keys, first: true }
    }

    fn row(&mut self, row: &RowValues<'_>) -> usize {
        let json = &mut self.json;
        let Format { objects, blobs, .. } = self.format;
        separate(json, !self.first);
        self.first = false;
        json.push(if objects { b'{' } else { b'[' });
        for (index, value) in row.values().enumerate() {
            separate(json, index > 0);
            if objects {
                json.extend_from_slice(&self.keys[index]);
            }
            write_value(json, value, blobs);
        }
        json.push(if objects { b'}' } else { b']' });
        json.len()
    }

    fn bytes(&self) -> usize {
        self.json.len()
    }

    fn finish(mut self, meta: &Meta) -> String {
        self.json.extend_from_slice(if self.format.objects { b"],\"meta\":" } else { b"]},\"meta\":" });
        write_json(&mut self.json, &MetaBody::new(meta, &self.format.served));
        self.json.push(b'}');
        into_text(self.json)
    }
}

/// D1's `meta`, and after it what D1 does not tell.
#[derive(Serialize)]
struct MetaBody<'a> {
    served_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_by_region: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_by_colo: Option<&'a str>,
    served_by_primary: bool,
    duration: u64,
    timings: Timings,
    changes: u64,
    last_row_id: i64,
    changed_db: bool,
    size_after: u64,
    rows_read: u64,
    rows_written: u64,
    total_attempts: u8,
    served_by_tier: Tier,
    served_at_txid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_staleness_ms: Option<u64>,
    pages_fetched: u64,
}

/// Times inside an object: its clock stands still while SQL runs, so they are 0, as in D1's local simulators.
#[derive(Serialize)]
struct Timings {
    sql_duration_ms: u64,
}

impl<'a> MetaBody<'a> {
    fn new(meta: &Meta, served: &'a Served) -> MetaBody<'a> {
        let Meta { changes, last_row_id, changed_db, size_after, rows_read, rows_written, txid, pages_fetched } = *meta;
        MetaBody {
            served_by: "littoral",
            served_by_region: served.region,
            served_by_colo: served.colo.as_ref().and_then(|colo| std::str::from_utf8(colo).ok()),
            served_by_primary: served.tier == Tier::Primary,
            duration: 0,
            timings: Timings { sql_duration_ms: 0 },
            changes,
            last_row_id,
            changed_db,
            size_after,
            rows_read,
            rows_written,
            total_attempts: 1,
            served_by_tier: served.tier,
            served_at_txid: txid.0,
            max_staleness_ms: served.staleness_ms,
            pages_fetched,
        }
    }
}

/// A failure, as D1 answers it, and where the call failed.
pub fn failure(error: &impl fmt::Display, place: Option<Place>) -> String {
    #[derive(Serialize)]
    struct FailureBody {
        success: bool,
        error: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<PlaceBody>,
    }
    #[derive(Serialize)]
    struct PlaceBody {
        text: usize,
        offset: usize,
    }
    let at = place.map(|Place { text, offset }| PlaceBody { text, offset });
    let mut json = Vec::new();
    write_json(&mut json, &FailureBody { success: false, error: error.to_string(), at });
    into_text(json)
}

/// The answer to a request of many calls.
pub fn responses(bookmark: &str, responses: &[String]) -> String {
    format!("{{\"bookmark\":\"{bookmark}\",\"responses\":[{}]}}", responses.join(","))
}

/// The answer to a request that cannot be understood.
pub fn malformed(message: &str) -> String {
    #[derive(Serialize)]
    struct Malformed<'a> {
        error: &'a str,
    }
    let mut json = Vec::new();
    write_json(&mut json, &Malformed { error: message });
    into_text(json)
}

fn separate(json: &mut Vec<u8>, needed: bool) {
    if needed {
        json.push(b',');
    }
}

fn write_value(json: &mut Vec<u8>, value: ValueRef<'_>, blobs: BlobFormat) {
    match value {
        ValueRef::Null => json.extend_from_slice(b"null"),
        ValueRef::Integer(value) => write_json(json, &value),
        // JSON.stringify writes -0 as 0. serde_json writes what is not finite as null.
        ValueRef::Real(0.0) => json.extend_from_slice(b"0.0"),
        ValueRef::Real(value) => write_json(json, &value),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => write_string(json, text),
            Err(_) => write_string(json, &String::from_utf8_lossy(bytes)),
        },
        ValueRef::Blob(bytes) if blobs == BlobFormat::Base64 => {
            json.extend_from_slice(b"{\"blob\":\"");
            json.extend_from_slice(BASE64.encode(bytes).as_bytes());
            json.extend_from_slice(b"\"}");
        }
        ValueRef::Blob(bytes) => write_json(json, bytes),
    }
}

fn write_string(json: &mut Vec<u8>, text: &str) {
    write_json(json, text);
}

fn write_json<T: Serialize + ?Sized>(json: &mut Vec<u8>, value: &T) {
    // Writing into memory and these types cannot fail.
    let _ = serde_json::to_writer(json, value);
}

fn into_text(json: Vec<u8>) -> String {
    String::from_utf8(json).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_exactly() {
        let mut json = Vec::new();
        for value in [
            ValueRef::Integer(i64::MAX),
            ValueRef::Real(1.0),
            ValueRef::Real(f64::INFINITY),
            ValueRef::Text(b"\"\xff"),
            ValueRef::Blob(&[0, 255]),
        ] {
            write_value(&mut json, value, BlobFormat::Bytes);
            json.push(b' ');
        }
        write_value(&mut json, ValueRef::Blob(&[0, 255]), BlobFormat::Base64);
        assert_eq!(into_text(json), "9223372036854775807 1.0 null \"\\\"\u{fffd}\" [0,255] {\"blob\":\"AP8=\"}");
    }
}
