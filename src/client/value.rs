//! How serde reads SQLite's values and rows.
//!
//! **Invariants**
//! 1. A row is the same whether it came as JSON or as values, and so is what a `T` makes of it. Hence a REAL that is not finite reads as
//!    NULL, as it does in JSON, and a BLOB as a sequence of bytes.
//! 2. Reading copies no text and no bytes but into the `T`.
//!
//! **Not here:** whole results (`result`), parameters (`parameter`).

use littoral_protocol::sql::Value;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Error;
use std::collections::BTreeMap;

/// Where each column is in a row; of columns with one name the last.
pub(super) struct Columns<'a>(BTreeMap<&'a str, usize>);

impl<'a> Columns<'a> {
    pub(super) fn of(names: &'a [String]) -> Columns<'a> {
        Columns(names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect())
    }
}

/// A row as serde reads it: by name as a map or a struct, by position as a tuple or a sequence.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) columns: &'a Columns<'a>,
    pub(super) values: &'a [Value],
}

impl<'de> Deserializer<'de> for Row<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let fields = self.columns.0.iter().filter_map(|(name, at)| Some((*name, SerdeValue::of(self.values.get(*at)?))));
        MapDeserializer::new(fields).deserialize_any(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        SeqDeserializer::new(self.values.iter().map(SerdeValue::of)).deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _name: &'static str, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct map struct enum identifier
        ignored_any
    }
}

/// A value as serde reads it, with serde_json's errors: what they say is the same whichever way a row came.
#[derive(Clone, Copy)]
pub(super) enum SerdeValue<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl<'a> SerdeValue<'a> {
    pub(super) fn of(value: &'a Value) -> SerdeValue<'a> {
        match value {
            Value::Integer(integer) => SerdeValue::Integer(*integer),
            Value::Real(real) if real.is_finite() => SerdeValue::Real(*real),
            Value::Real(_) | Value::Null => SerdeValue::Null,
            Value::Text(text) => SerdeValue::Text(text),
            Value::Blob(bytes) => SerdeValue::Blob(bytes),
        }
    }

    fn unexpected(self) -> Unexpected<'a> {
        match self {
            SerdeValue::Null => Unexpected::Unit,
            SerdeValue::Integer(integer) => Unexpected::Signed(integer),
            SerdeValue::Real(real) => Unexpected::Float(real),
            SerdeValue::Text(text) => Unexpected::Str(text),
            SerdeValue::Blob(_) => Unexpected::Seq,
        }
    }
}

impl<'de> IntoDeserializer<'de, Error> for SerdeValue<'de> {
    type Deserializer = SerdeValue<'de>;

    fn into_deserializer(self) -> SerdeValue<'de> {
        self
    }
}

impl<'de> Deserializer<'de> for SerdeValue<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            SerdeValue::Null => visitor.visit_unit(),
            // As a parser of JSON does: types may expect the one for positive and the other for negative numbers.
            SerdeValue::Integer(integer @ 0..) => visitor.visit_u64(integer.unsigned_abs()),
            SerdeValue::Integer(integer) => visitor.visit_i64(integer),
            SerdeValue::Real(real) => visitor.visit_f64(real),
            SerdeValue::Text(text) => visitor.visit_borrowed_str(text),
            SerdeValue::Blob(bytes) => {
                SeqDeserializer::new(bytes.iter().map(|byte| SerdeValue::Integer((*byte).into()))).deserialize_any(visitor)
            }
        }
    }

    /// 1 and 0, which is what a boolean binds as.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            SerdeValue::Integer(integer @ (0 | 1)) => visitor.visit_bool(integer == 1),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            SerdeValue::Blob(bytes) => visitor.visit_borrowed_bytes(bytes),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            SerdeValue::Null => visitor.visit_none(),
            other => visitor.visit_some(other),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// TEXT is the name of a variant.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            SerdeValue::Text(text) => visitor.visit_enum(text.into_deserializer()),
            other => Err(Error::invalid_type(other.unexpected(), &"the name of a variant")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

#[cfg(test)]
mod tests {
    use super::super::result::{parse, single};
    use super::super::{D1Meta, D1Result};
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value as Json, json};
    use std::collections::HashMap;
    use std::fmt;

    type Rows = (Vec<String>, Vec<Vec<Value>>);

    fn json_of(value: &Value) -> Json {
        match value {
            Value::Null => Json::Null,
            Value::Integer(integer) => json!(integer),
            Value::Real(real) => json!(real),
            Value::Text(text) => json!(text),
            Value::Blob(bytes) => json!(bytes),
        }
    }

    fn through_json((columns, rows): &Rows) -> D1Result {
        let rows: Vec<Vec<Json>> = rows.iter().map(|row| row.iter().map(json_of).collect()).collect();
        let answer =
            json!({ "bookmark": "", "responses": [{ "success": true, "results": { "columns": columns, "rows": rows }, "meta": {} }] });
        single(parse(&answer.to_string()).unwrap().1).unwrap()
    }

    /// What serde_json itself makes of the rows as objects.
    fn by_serde_json<T: DeserializeOwned>((columns, rows): &Rows) -> Option<Vec<T>> {
        let object = |row: &Vec<Value>| Json::Object(columns.iter().cloned().zip(row.iter().map(json_of)).collect());
        rows.iter().map(|row| serde_json::from_value(object(row)).ok()).collect()
    }

    /// Both ways give the same `T`s, or the same error; answers them.
    fn alike<T: DeserializeOwned + PartialEq + fmt::Debug>(rows: &Rows) -> Option<Vec<T>> {
        let direct = D1Result::from_rows(rows.0.clone(), rows.1.clone(), D1Meta::default());
        let parsed = through_json(rows);
        assert_eq!(direct.results::<T>(), parsed.results::<T>());
        assert_eq!(direct.first::<T>(None), parsed.first::<T>(None));
        assert_eq!(direct.first::<T>(Some("a")), parsed.first::<T>(Some("a")));
        assert_eq!(direct.raw::<T>(), parsed.raw::<T>());
        direct.results().ok()
    }

    fn as_before<T: DeserializeOwned + PartialEq + fmt::Debug>(rows: &Rows) {
        assert_eq!(alike::<T>(rows), by_serde_json(rows));
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Red,
        Green,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Id(i64);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Plain {
        a: i64,
        b: f64,
        c: String,
        d: Vec<u8>,
        e: Kind,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Optional {
        a: Option<Id>,
        b: Option<f32>,
        c: Option<char>,
        d: Option<[u8; 2]>,
        e: Option<Kind>,
        #[serde(default)]
        missing: u8,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Nested {
        a: u8,
        #[serde(flatten)]
        others: HashMap<String, Json>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Any {
        Integer(i64),
        Real(f64),
        Text(String),
        Bytes(Vec<Option<u8>>),
        Null(()),
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![Just("red".to_owned()), Just("x".to_owned()), any::<String>()];
        prop_oneof![
            Just(Value::Null),
            prop_oneof![0..2i64, any::<i64>()].prop_map(Value::Integer),
            prop_oneof![any::<f64>(), Just(f64::INFINITY)].prop_map(Value::Real),
            text.prop_map(Value::Text),
            prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::Blob),
        ]
    }

    /// Rows of any values under names of which some are alike.
    fn mixed() -> impl Strategy<Value = Rows> {
        prop::collection::vec("[a-c]", 0..4).prop_flat_map(|columns| {
            let row = prop::collection::vec(value(), columns.len());
            (Just(columns), prop::collection::vec(row, 0..3))
        })
    }

    /// Rows of the columns a to e, each mostly of its own type.
    fn typed() -> impl Strategy<Value = Rows> {
        let row = (any::<i64>(), any::<f32>(), ".{0,2}", prop::collection::vec(any::<u8>(), 1..4), any::<bool>(), 0..20usize, value());
        let row = row.prop_map(|(a, b, c, d, e, at, other)| {
            let e = if e { "red" } else { "green" };
            let mut row = vec![Value::Integer(a), Value::Real(b.into()), Value::Text(c), Value::Blob(d), Value::Text(e.into())];
            row.get_mut(at).into_iter().for_each(|value| *value = other.clone());
            row
        });
        prop::collection::vec(row, 1..3).prop_map(|rows| (["a", "b", "c", "d", "e"].map(String::from).into(), rows))
    }

    proptest! {
        #[test]
        fn rows_of_columns_with_types(rows in typed()) {
            as_before::<Plain>(&rows);
            as_before::<Optional>(&rows);
            as_before::<Nested>(&rows);
            as_before::<HashMap<String, Any>>(&rows);
            let tuples = alike::<(i64, f64, String, Vec<u8>, Kind)>(&rows);
            let structs = alike::<Plain>(&rows);
            let fields = |row: Plain| (row.a, row.b, row.c, row.d, row.e);
            prop_assert_eq!(tuples, structs.map(|rows| rows.into_iter().map(fields).collect()));
        }

        #[test]
        fn rows_of_anything(rows in mixed()) {
            as_before::<BTreeMap<String, Json>>(&rows);
            as_before::<HashMap<String, Option<String>>>(&rows);
            as_before::<HashMap<String, Option<f64>>>(&rows);
            as_before::<HashMap<String, Any>>(&rows);
            alike::<Vec<Any>>(&rows);
            alike::<(Any, Option<Id>)>(&rows);
            alike::<i8>(&rows);
            alike::<bool>(&rows);
            alike::<Option<Vec<u8>>>(&rows);
            alike::<serde::de::IgnoredAny>(&rows);
        }
    }

    #[test]
    fn a_value_is_what_its_type_says() {
        let values = vec![Value::Integer(1), Value::Integer(0), Value::Real(f64::INFINITY), Value::Blob(vec![7])];
        let columns: Vec<String> = ["yes", "no", "far", "bytes"].map(String::from).into();
        let result = D1Result::from_rows(columns, vec![values], D1Meta::default());
        assert_eq!(result.results(), Ok(vec![(true, false, None::<f64>, vec![7u8])]));
        assert_eq!(result.first::<String>(Some("nope")), Err(super::super::Error::ColumnNotFound { column: "nope".into() }));
        let error = result.first::<String>(Some("yes")).unwrap_err().to_string();
        assert_eq!(error, "D1_ERROR: a row is not of the type asked for: invalid type: integer `1`, expected a string");
    }
}
