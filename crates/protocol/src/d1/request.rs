//! Requests: statements, batches and parameters, read from JSON and written.

use super::BASE64;
use crate::sql::{Call, Point, Statement, Value};
use base64::Engine;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// A statement or a batch, as D1 sends it.
#[derive(Debug)]
pub enum CallBody {
    /// One text.
    Statement(StatementBody),
    /// Several, to take effect together.
    Batch(Vec<StatementBody>),
}

/// A statement, as D1 sends it.
#[derive(Debug)]
pub struct StatementBody {
    pub(crate) sql: String,
    pub(crate) params: Option<Vec<Parameter>>,
}

// By hand: derived code would also take an array of fields for a statement, and read each call twice to tell the two kinds apart.
impl<'de> Deserialize<'de> for CallBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CallBody, D::Error> {
        struct Call;
        impl<'de> Visitor<'de> for Call {
            type Value = CallBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a statement, which is an object with \"sql\" and \"params\", or an array of statements")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CallBody, A::Error> {
                ObjectVisitor.visit_map(map).map(CallBody::Statement)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<CallBody, A::Error> {
                let mut statements = Vec::with_capacity(items.size_hint().unwrap_or(0));
                while let Some(statement) = items.next_element()? {
                    statements.push(statement);
                }
                Ok(CallBody::Batch(statements))
            }
        }
        deserializer.deserialize_any(Call)
    }
}

impl<'de> Deserialize<'de> for StatementBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StatementBody, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = StatementBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"sql\" and \"params\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StatementBody, A::Error> {
        #[derive(Deserialize)]
        struct Fields {
            sql: String,
            #[serde(default)]
            params: Option<Vec<Parameter>>,
        }
        let Fields { sql, params } = Fields::deserialize(MapAccessDeserializer::new(map))?;
        Ok(StatementBody { sql, params })
    }
}

/// Reads a request body.
///
/// JavaScript's strings may hold lone surrogates, which no UTF-8 text can: they become U+FFFD.
pub fn parse<'de, T: Deserialize<'de>>(json: &'de str, mended: &'de mut String) -> Result<T, serde_json::Error> {
    match serde_json::from_str(json) {
        Err(error) if error.to_string().contains("surrogate") || error.to_string().contains("hex escape") => {
            *mended = mend_surrogates(json);
            serde_json::from_str(mended)
        }
        result => result,
    }
}

/// Replaces the escapes of lone surrogates.
fn mend_surrogates(json: &str) -> String {
    let unit = |at: usize| json.get(at..at + 6).and_then(|escape| u16::from_str_radix(escape.strip_prefix("\\u")?, 16).ok());
    let mut mended = String::with_capacity(json.len());
    let mut at = 0;
    while let Some(found) = json[at..].find('\\') {
        mended.push_str(&json[at..at + found]);
        at += found;
        let pair = unit(at).zip(unit(at + 6));
        let length = match (unit(at), pair) {
            (_, Some((0xd800..=0xdbff, 0xdc00..=0xdfff))) => 12,
            (Some(0xd800..=0xdfff), _) => 0,
            (Some(_), _) => 6,
            (None, _) => 1 + json[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        if length == 0 {
            mended.push_str("\\ufffd");
            at += 6;
        } else {
            mended.push_str(&json[at..at + length]);
            at += length;
        }
    }
    mended.push_str(&json[at..]);
    mended
}

/// A request of many calls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallsBody {
    /// The calls, each on its own.
    pub calls: Vec<CallBody>,
}

/// A point of the past, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PointBody {
    /// The state that this bookmark names.
    Bookmark(String),
    /// The state that was there at this time, in milliseconds since 1970.
    TimeMs(u64),
}

impl PointBody {
    /// The point. The error says what is wrong with the bookmark.
    pub fn point(&self) -> Result<Point, String> {
        match self {
            PointBody::Bookmark(text) => text.parse().map(Point::Bookmark).map_err(|error| format!("invalid bookmark: {error}")),
            PointBody::TimeMs(time_ms) => Ok(Point::Time(*time_ms)),
        }
    }
}

impl From<Point> for PointBody {
    fn from(point: Point) -> PointBody {
        match point {
            Point::Bookmark(bookmark) => PointBody::Bookmark(bookmark.to_string()),
            Point::Time(time_ms) => PointBody::TimeMs(time_ms),
        }
    }
}

/// How BLOBs look in answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlobFormat {
    /// An array of numbers, as D1 answers.
    #[default]
    Bytes,
    /// `{"blob":"<base64>"}`.
    Base64,
}

impl CallBody {
    /// The statements, and whether they are a batch (which decides the shape of the answer).
    pub fn into_call(self) -> (Call, bool) {
        match self {
            CallBody::Statement(statement) => (vec![statement.into()], false),
            CallBody::Batch(statements) => (statements.into_iter().map(Statement::from).collect(), true),
        }
    }
}

impl From<StatementBody> for Statement {
    fn from(body: StatementBody) -> Statement {
        Statement::new(body.sql, body.params.unwrap_or_default().into_iter().map(|parameter| parameter.0).collect())
    }
}

/// A request of one call, as it is sent.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CallsRequest<'a> {
    /// The call.
    pub calls: [CallRef<'a>; 1],
}

/// A statement or a batch, as it is sent.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum CallRef<'a> {
    /// One text.
    Statement(StatementRef<'a>),
    /// Several, to take effect together.
    Batch(&'a [StatementRef<'a>]),
}

/// A statement, as it is sent.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StatementRef<'a> {
    /// The SQL text.
    pub sql: &'a str,
    /// Values for its parameters, in order.
    #[serde(serialize_with = "write_parameters")]
    pub params: &'a [Value],
}

fn write_parameters<S: Serializer>(values: &[Value], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Integer {
        int: String,
    }
    let mut sequence = serializer.serialize_seq(Some(values.len()))?;
    for value in values {
        match value {
            Value::Null => sequence.serialize_element(&()),
            Value::Integer(integer) => sequence.serialize_element(&Integer { int: integer.to_string() }),
            Value::Real(real) => sequence.serialize_element(real),
            Value::Text(text) => sequence.serialize_element(text),
            Value::Blob(bytes) => sequence.serialize_element(bytes),
        }?;
    }
    sequence.end()
}

/// A value of a parameter, as D1 sends it.
#[derive(Debug)]
pub struct Parameter(Value);

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parameter, D::Error> {
        deserializer.deserialize_any(ParameterVisitor).map(Parameter)
    }
}

struct ParameterVisitor;

impl<'de> Visitor<'de> for ParameterVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a number, a string, an array of bytes, {\"int\":\"...\"} or {\"blob\":\"...\"}")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Real(f64::from(u8::from(value))))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Real(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Real(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Real(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut bytes = Vec::with_capacity(items.size_hint().unwrap_or(0));
        while let Some(number) = items.next_element::<f64>()? {
            // As a Uint8Array takes numbers: without the fraction, modulo 256.
            bytes.push((number.trunc() as i64) as u8);
        }
        Ok(Value::Blob(bytes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let value = match map.next_entry::<String, String>()? {
            Some((kind, text)) if kind == "int" => text.parse().map(Value::Integer).map_err(A::Error::custom)?,
            Some((kind, text)) if kind == "blob" => BASE64.decode(text).map(Value::Blob).map_err(A::Error::custom)?,
            _ => return Err(A::Error::custom("a parameter object has the key \"int\" or \"blob\"")),
        };
        match map.next_key::<String>()? {
            None => Ok(value),
            Some(_) => Err(A::Error::custom("a parameter object has one key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(json: &str) -> Result<Vec<Value>, String> {
        let text = format!(r#"{{"sql":"x","params":{json}}}"#);
        let body: CallBody = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(body.into_call().0.remove(0).parameters)
    }

    #[test]
    fn parameters_are_what_d1_binds() {
        let json = r#"[null, 1, -2.5, true, "a\u0000b", [1, 255, 256.9, -1], {"int":"-9223372036854775808"}, {"blob":"AQI="}]"#;
        let expected = [
            Value::Null,
            Value::Real(1.0),
            Value::Real(-2.5),
            Value::Real(1.0),
            Value::Text("a\0b".into()),
            Value::Blob(vec![1, 255, 0, 255]),
            Value::Integer(i64::MIN),
            Value::Blob(vec![1, 2]),
        ];
        assert_eq!(parameters(json).unwrap(), expected);
    }

    #[test]
    fn values_that_were_sent_are_read_back() {
        let values = [Value::Null, Value::Integer(i64::MIN), Value::Real(-2.0), Value::Text("a\"\0".into()), Value::Blob(vec![0, 255])];
        let statement = StatementRef { sql: "x", params: &values };
        for (call, batch) in [(CallRef::Statement(statement), false), (CallRef::Batch(&[statement]), true)] {
            let json = serde_json::to_string(&CallsRequest { calls: [call] }).unwrap();
            let read: CallsBody = serde_json::from_str(&json).unwrap();
            let calls: Vec<_> = read.calls.into_iter().map(CallBody::into_call).collect();
            assert_eq!(calls, [(vec![Statement::new("x", values.to_vec())], batch)]);
        }
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        let read = |json| parse::<String>(json, &mut String::new()).unwrap();
        assert_eq!(read(r#""a\ud800b""#), "a\u{fffd}b");
        assert_eq!(read(r#""\udc00\ud83d\ude00\ud800""#), "\u{fffd}\u{1f600}\u{fffd}");
        assert_eq!(read(r#""\\ud800\ud800\n\u0041""#), "\\ud800\u{fffd}\nA");
    }

    #[test]
    fn a_call_is_an_object_or_an_array_of_objects() {
        for json in [r#"["SELECT 1"]"#, r#"[["SELECT 1"]]"#, r#""SELECT 1""#, "5", "null", "{}", r#"{"sql":5}"#] {
            assert!(parse::<CallBody>(json, &mut String::new()).is_err(), "{json}");
        }
    }

    #[test]
    fn other_parameters_are_refused() {
        for json in [r#"[{}]"#, r#"[{"int":5}]"#, r#"[{"int":"x"}]"#, r#"[{"int":"1","blob":""}]"#, r#"[["a"]]"#, r#"[{"blob":"!"}]"#, "5"]
        {
            assert!(parameters(json).is_err(), "{json}");
        }
    }
}
