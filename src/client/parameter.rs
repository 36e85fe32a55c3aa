//! Parameters: from what serde can serialize to what the wire carries (`wire::d1`).

use super::{Error, Value};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

/// The parameters of a statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(pub(super) Vec<Value>);

impl Parameters {
    pub(super) fn of(params: impl Serialize) -> Result<Parameters, Error> {
        match serde_json::to_value(params).map_err(Error::encoding)? {
            Json::Array(values) => values.into_iter().map(parameter).collect::<Result<_, _>>().map(Parameters),
            Json::Null => Ok(Parameters::default()),
            other => Err(unsupported("parameters are given as a tuple, an array or a slice, not as", &other)),
        }
    }
}

fn parameter(value: Json) -> Result<Value, Error> {
    match value {
        Json::Null => Ok(Value::Null),
        Json::String(text) => Ok(Value::Text(text)),
        Json::Bool(value) => Ok(Value::Integer(value.into())),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(Value::Integer(integer)),
            (None, Some(float)) if number.is_f64() => Ok(Value::Real(float)),
            _ => Err(Error::Type { message: format!("{number} does not fit an INTEGER of 64 bits with a sign") }),
        },
        Json::Array(ref items) => {
            let bytes: Option<Vec<u8>> = items.iter().map(|item| u8::try_from(item.as_u64()?).ok()).collect();
            bytes.map(Value::Blob).ok_or_else(|| unsupported("SQLite has no value for", &value))
        }
        other => Err(unsupported("SQLite has no value for", &other)),
    }
}

/// As the wire carries them.
impl Serialize for Parameters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.0.len()))?;
        for value in &self.0 {
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
}

#[derive(Serialize)]
struct Integer {
    int: String,
}

fn unsupported(what: &str, value: &Json) -> Error {
    Error::Type { message: format!("{what} {value}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rust_types_become_the_values_that_they_say() {
        let parameters = Parameters::of((1, -2.0, "text", None::<i32>, true, [0u8, 255], i64::MAX)).unwrap();
        let json = serde_json::to_string(&parameters).unwrap();
        assert_eq!(json, r#"[{"int":"1"},-2.0,"text",null,{"int":"1"},[0,255],{"int":"9223372036854775807"}]"#);
    }

    #[test]
    fn what_sqlite_has_no_value_for_is_refused() {
        assert!(Parameters::of((u64::MAX,)).is_err());
        assert!(Parameters::of(([256],)).is_err());
        assert!(Parameters::of((json!({ "a": 1 }),)).is_err());
        assert!(Parameters::of("bare").is_err());
    }
}
