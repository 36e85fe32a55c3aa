//! Parameters: from what serde can serialize to SQLite's values.

use super::Error;
use littoral_protocol::sql::Value;
use serde::Serialize;
use serde_json::Value as Json;

/// The parameters of a statement.
pub(super) fn parameters(params: impl Serialize) -> Result<Vec<Value>, Error> {
    match serde_json::to_value(params).map_err(Error::encoding)? {
        Json::Array(values) => values.into_iter().map(parameter).collect(),
        Json::Null => Ok(Vec::new()),
        other => Err(unsupported("parameters are given as a tuple, an array or a slice, not as", &other)),
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

fn unsupported(what: &str, value: &Json) -> Error {
    Error::Type { message: format!("{what} {value}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rust_types_become_the_values_that_they_say() {
        let values = parameters((1, -2.0, "text", None::<i32>, true, [0u8, 255], i64::MAX)).unwrap();
        let expected = [
            Value::Integer(1),
            Value::Real(-2.0),
            Value::Text("text".into()),
            Value::Null,
            Value::Integer(1),
            Value::Blob(vec![0, 255]),
            Value::Integer(i64::MAX),
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn what_sqlite_has_no_value_for_is_refused() {
        assert!(parameters((u64::MAX,)).is_err());
        assert!(parameters(([256],)).is_err());
        assert!(parameters((json!({ "a": 1 }),)).is_err());
        assert!(parameters("bare").is_err());
    }
}
