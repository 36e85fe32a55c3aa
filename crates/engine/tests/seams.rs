//! What the engine offers beyond D1, for other protocols and for extensions: named parameters, descriptions, declared types, functions of one's
//! own at the primary and at readers.

mod common;

use common::{Fixture, run};
use littoral_engine::engine::{Column, Database, Description, Error, Extension, Limits, ResultSet, RowEncoder, RowValues, Setup};
use littoral_engine::store::MemoryStore;
use littoral_protocol::sql::{Meta, Statement, Value};
use rusqlite::functions::FunctionFlags;
use std::rc::Rc;

fn named(sql: &str, parameters: Vec<Value>, named: &[(&str, i64)]) -> Statement {
    let named = named.iter().map(|(name, value)| (name.to_string(), Value::Integer(*value))).collect();
    Statement { named, ..Statement::new(sql, parameters) }
}

fn rows(db: &mut Database, statement: Statement) -> Result<Vec<Vec<Value>>, Error> {
    let result = db.run::<ResultSet>(&[vec![statement]]).remove(0);
    result.map(|mut results| results.remove(0).rows).map_err(|failure| failure.error)
}

#[test]
fn parameters_are_named_with_and_without_what_stands_before_them() {
    let mut db = Fixture::memory().database;
    let sql = "SELECT :a, @b, $c, ?4, :a";
    let integers = |values: [Option<i64>; 5]| vec![values.map(|value| value.map_or(Value::Null, Value::Integer)).to_vec()];
    let all = named(sql, vec![], &[("a", 1), ("@b", 2), ("$c", 3), ("?4", 4)]);
    assert_eq!(rows(&mut db, all), Ok(integers([Some(1), Some(2), Some(3), Some(4), Some(1)])));
    let mixed = named(sql, vec![Value::Integer(9)], &[("b", 2)]);
    assert_eq!(rows(&mut db, mixed), Ok(integers([Some(9), Some(2), None, None, Some(9)])), "what has no value is NULL");
    assert_eq!(rows(&mut db, named(sql, vec![], &[("d", 1)])), Err(Error::UnknownParameter { name: "d".into() }));
    assert_eq!(rows(&mut db, named(sql, vec![Value::Null; 5], &[("a", 1)])), Err(Error::ParameterCount));
    assert_eq!(rows(&mut db, named(sql, vec![Value::Null; 3], &[])), Err(Error::ParameterCount), "D1's rule where there are no names");
}

#[test]
fn a_statement_is_described_without_being_run() {
    let mut fixture = Fixture::memory();
    run(&mut fixture, "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), anything)", vec![]);
    let mut db = fixture.database;
    let described = db.describe("INSERT INTO t VALUES (?, :name, ?3) RETURNING id, name AS n, anything, 1; SELECT 2").unwrap();
    let columns = [("id", Some("INTEGER")), ("n", Some("VARCHAR(20)")), ("anything", None), ("1", None)];
    let expected = Description {
        parameters: vec![None, Some(":name".into()), Some("?3".into())],
        columns: columns.map(|(name, declared)| (name.to_owned(), declared.map(String::from))).to_vec(),
        is_explain: false,
        is_read_only: false,
    };
    assert_eq!(described, expected);
    assert!(rows(&mut db, Statement::new("SELECT * FROM t", vec![])).unwrap().is_empty(), "nothing ran");
    let explained = db.describe("EXPLAIN SELECT 1").unwrap();
    assert!(explained.is_explain && explained.is_read_only);
    let reader = db.snapshot(db.state().txid).unwrap();
    assert_eq!(reader.describe("SELECT name FROM t").unwrap().columns, [("name".into(), Some("VARCHAR(20)".into()))]);
    assert!(db.describe("SELEC 1").is_err_and(|error| error.to_string().contains("syntax error")));
    assert_eq!(db.describe("-- nothing"), Err(Error::NoStatement));
    assert!(db.describe("BEGIN").is_err(), "it is compiled under the authorizer");
}

/// Keeps the declared types only.
struct Types(Vec<Option<String>>);

impl RowEncoder for Types {
    type Output = Vec<Option<String>>;
    type Options = ();

    fn start(columns: &[Column<'_>], (): ()) -> Types {
        Types(columns.iter().map(|column| column.declared_type().map(String::from)).collect())
    }

    fn row(&mut self, _row: &RowValues<'_>) -> usize {
        0
    }

    fn bytes(&self) -> usize {
        0
    }

    fn finish(self, _meta: &Meta) -> Vec<Option<String>> {
        self.0
    }
}

#[test]
fn an_encoder_is_told_the_declared_types() {
    let mut fixture = Fixture::memory();
    run(&mut fixture, "CREATE TABLE t (a DATETIME, b DECIMAL(10, 2))", vec![]);
    let call = vec![Statement::new("SELECT a, b, a || b FROM t", vec![])];
    let types = fixture.database.run::<Types>(&[call]).remove(0).unwrap();
    assert_eq!(types, [[Some("DATETIME".into()), Some("DECIMAL(10, 2)".into()), None]]);
}

struct Half;

impl Extension for Half {
    fn name(&self) -> &str {
        "half"
    }

    fn install(&self, sqlite: &rusqlite::Connection) -> rusqlite::Result<()> {
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        sqlite.create_scalar_function("half", 1, flags, |context| Ok(context.get::<f64>(0)? / 2.0))
    }
}

struct Broken;

impl Extension for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn install(&self, _sqlite: &rusqlite::Connection) -> rusqlite::Result<()> {
        Err(rusqlite::Error::InvalidQuery)
    }
}

#[test]
fn an_extension_is_there_at_the_primary_and_at_readers() {
    let open = |setup: Setup| Database::open(Rc::new(MemoryStore::new()), setup, Rc::new(|| 1));
    let mut db = open(Setup::from(Limits::default()).with(Half));
    let index = Statement::new("CREATE TABLE t (v); CREATE INDEX i ON t (half(v)); INSERT INTO t VALUES (5)", vec![]);
    assert_eq!(rows(&mut db, index), Ok(vec![]));
    let half = Statement::new("SELECT half(v) FROM t WHERE half(v) = 2.5", vec![]);
    assert_eq!(rows(&mut db, half.clone()), Ok(vec![vec![Value::Real(2.5)]]));
    let reader = db.snapshot(db.state().txid).unwrap();
    assert_eq!(reader.run::<ResultSet>(&vec![half.clone()]).unwrap()[0].rows, [[Value::Real(2.5)]]);
    assert!(rows(&mut open(Limits::default().into()), half).is_err_and(|error| error.to_string().contains("no such table")));
    let error = rows(&mut open(Setup::default().with(Broken)), Statement::new("SELECT 1", vec![])).unwrap_err();
    assert!(error.to_string().contains("the extension broken"), "{error}");
}
