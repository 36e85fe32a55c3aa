//! Results of D1's protocol: rows and `meta`, written as JSON while SQL runs.

use crate::engine::{Column, RowEncoder, RowValues, ValueRef};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use littoral_protocol::d1::{BlobFormat, D1Meta};
use littoral_protocol::sql::{Meta, Served};
use serde::Serialize;

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

    fn start(columns: &[Column<'_>], format: Format) -> Self {
        let mut json = Vec::with_capacity(512);
        let mut keys = Vec::new();
        if format.objects {
            json.extend_from_slice(b"{\"success\":true,\"results\":[");
            keys.extend(columns.iter().map(|column| {
                let mut key = Vec::new();
                write_string(&mut key, column.name());
                key.push(b':');
                key
            }));
        } else {
            json.extend_from_slice(b"{\"success\":true,\"results\":{\"columns\":[");
            for (index, column) in columns.iter().enumerate() {
                separate(&mut json, index > 0);
                write_string(&mut json, column.name());
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
        write_json(&mut self.json, &D1Meta::new(meta, &self.format.served));
        self.json.push(b'}');
        into_text(self.json)
    }
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
