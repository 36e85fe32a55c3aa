//! Parameters: from what serde can serialize to what the wire carries (`wire::d1`).

use super::Error;
use serde::Serialize;
use serde_json::{Value, json};

/// The parameters of a statement, as the wire carries them.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Parameters(Vec<Value>);

impl Parameters {
    pub(super) fn of(params: impl Serialize) -> Result<Parameters, Error> {
        match serde_json::to_value(params).map_err(Error::encoding)? {
            Value::Array(values) => values.into_iter().map(parameter).collect::<Result<_, _>>().map(Parameters),
            Value::Null => Ok(Parameters::default()),
            other => Err(unsupported("parameters are given as a tuple, an array or a slice, not as", &other)),
        }
    }
}

fn parameter(value: Value) -> Result<Value, Error> {
    match value {
        Value::Null | Value::String(_) => Ok(value),
        Value::Bool(value) => Ok(json!({ "int": if value { "1" } else { "0" } })),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(json!({ "int": integer.to_string() })),
            (None, Some(float)) if number.is_f64() => Ok(json!(float)),
            _ => Err(Error::Type { message: format!("{number} does not fit an INTEGER of 64 bits with a sign") }),
        },
        Value::Array(ref items) if items.iter().all(|item| item.as_u64().is_some_and(|byte| byte < 256)) => Ok(value),
        other => Err(unsupported("SQLite has no value for", &other)),
    }
}

fn unsupported(what: &str, value: &Value) -> Error {
    Error::Type { message: format!("{what} {value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

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
