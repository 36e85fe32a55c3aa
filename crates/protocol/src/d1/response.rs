//! Responses: results and failures, read from JSON; failures and what is around results, written.

use super::D1Meta;
use crate::sql::{Code, Place, Value};
use serde::de::{Deserializer, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The answer to a request of many calls.
#[derive(Debug, Deserialize)]
pub struct Responses {
    /// The state that was read or made.
    #[serde(default)]
    pub bookmark: String,
    /// One for each call, or for the first of them.
    #[serde(default)]
    pub responses: Vec<Response>,
    /// Why there are none.
    #[serde(default)]
    pub error: Option<String>,
    /// The same as a code.
    #[serde(default)]
    pub code: Option<Code>,
}

/// The answer to a call.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Response {
    /// Of a batch.
    Batch(Vec<ResultBody>),
    /// Of a statement.
    Single(ResultBody),
    /// It failed.
    Failure(FailureBody),
}

/// The result of a statement.
#[derive(Clone, Debug, Deserialize)]
pub struct ResultBody {
    /// The rows.
    pub results: Table,
    /// What the statement did.
    pub meta: D1Meta,
}

/// Rows, each with a value for every column.
#[derive(Clone, Debug, Deserialize)]
pub struct Table {
    /// Names, in order; they need not differ.
    pub columns: Arc<[String]>,
    /// Rows.
    #[serde(deserialize_with = "read_rows")]
    pub rows: Vec<Vec<Value>>,
}

/// A call that failed, or with no `success` a whole request.
#[derive(Debug, Serialize, Deserialize)]
pub struct FailureBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    /// What went wrong, in D1's words.
    pub error: String,
    /// The same as a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The statement that failed, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
}

impl FailureBody {
    /// The failure of a call, as D1 answers it, and where it failed.
    pub fn of_call(error: &impl fmt::Display, code: Option<Code>, at: Option<Place>) -> FailureBody {
        FailureBody { success: Some(false), error: error.to_string(), code, at }
    }

    /// The failure of a request of many calls as a whole.
    pub fn of_request(error: &impl fmt::Display, code: Option<Code>) -> FailureBody {
        FailureBody { success: None, error: error.to_string(), code, at: None }
    }

    /// The JSON.
    pub fn to_json(&self) -> String {
        // Texts and numbers in memory: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The answer to a request of many calls, made of those to each.
pub fn responses(bookmark: &str, responses: &[String]) -> String {
    format!("{{\"bookmark\":\"{bookmark}\",\"responses\":[{}]}}", responses.join(","))
}

fn read_rows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<Value>>, D::Error> {
    let rows = Vec::<Vec<JsonValue>>::deserialize(deserializer)?;
    Ok(rows.into_iter().map(|row| row.into_iter().map(|JsonValue(value)| value).collect()).collect())
}

/// A value in a row.
struct JsonValue(Value);

impl<'de> Deserialize<'de> for JsonValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JsonValue, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(JsonValue)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a number, a string or an array of bytes")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map(Value::Integer).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
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
        while let Some(byte) = items.next_element()? {
            bytes.push(byte);
        }
        Ok(Value::Blob(bytes))
    }
}
