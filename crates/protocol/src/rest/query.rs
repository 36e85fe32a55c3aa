//! Statements of a request: a text with `;` between its statements, or several texts.

use crate::d1::{Parameter, StatementBody};
use crate::sql::{Call, Statement};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// The body of `/query` and `/raw`. Everything in it takes effect together, or nothing.
#[derive(Debug)]
pub struct QueryBody(Vec<StatementBody>);

impl<'de> Deserialize<'de> for QueryBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<QueryBody, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            #[serde(default)]
            sql: Option<String>,
            #[serde(default)]
            params: Option<Vec<Parameter>>,
            #[serde(default)]
            batch: Option<Vec<StatementBody>>,
        }
        match Fields::deserialize(deserializer)? {
            Fields { sql: Some(sql), params, batch: None } => Ok(QueryBody(vec![StatementBody { sql, params }])),
            Fields { sql: None, params: None, batch: Some(batch) } => Ok(QueryBody(batch)),
            _ => Err(D::Error::custom("either \"sql\" (with \"params\") or \"batch\" is needed")),
        }
    }
}

impl QueryBody {
    /// The statements.
    pub fn into_call(self) -> Call {
        self.0.into_iter().map(|body| Statement { is_script: true, ..body.into() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::QueryBody;
    use crate::d1::parse;
    use crate::sql::{Statement, Value};

    fn call(json: &str) -> Result<Vec<Statement>, String> {
        parse::<QueryBody>(json, &mut String::new()).map(QueryBody::into_call).map_err(|error| error.to_string())
    }

    #[test]
    fn a_body_is_a_text_or_a_batch() {
        let one = Statement::script("SELECT ?", vec![Value::Text("a".into())]);
        assert_eq!(call(r#"{"sql":"SELECT ?","params":["a"]}"#).unwrap(), std::slice::from_ref(&one));
        assert_eq!(call(r#"{"batch":[{"sql":"SELECT ?","params":["a"]},{"sql":"x"}]}"#).unwrap(), [one, Statement::script("x", vec![])]);
        assert_eq!(call(r#"{"sql":"x","params":null}"#).unwrap(), [Statement::script("x", vec![])]);
        for wrong in ["{}", "[]", r#"{"sql":5}"#, r#"{"sql":"x","batch":[]}"#, r#"{"batch":{}}"#, r#"{"params":[]}"#] {
            assert!(call(wrong).is_err(), "{wrong}");
        }
    }
}
