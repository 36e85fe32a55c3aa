//! What the engine offers beyond D1, for other protocols and for extensions: named parameters, descriptions, declared types, functions of one's
//! own at the primary and at readers, changes of rows.

mod common;

use common::{Fixture, run};
use littoral_engine::engine::{
    Column, Description, Engine, Error, Extension, Limits, Profile, ResultSet, RowChange, RowEncoder, RowValues, Setup, ValueRef, Watcher,
    from_sqlite,
};
use littoral_engine::store::MemoryStore;
use littoral_protocol::sql::{Meta, Statement, Value};
use rusqlite::functions::FunctionFlags;
use std::cell::RefCell;
use std::rc::Rc;

fn named(sql: &str, parameters: Vec<Value>, named: &[(&str, i64)]) -> Statement {
    let named = named.iter().map(|(name, value)| (name.to_string(), Value::Integer(*value))).collect();
    Statement { named, ..Statement::new(sql, parameters) }
}

fn rows(db: &mut Engine, statement: Statement) -> Result<Vec<Vec<Value>>, Error> {
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
    let open = |setup: Setup| Engine::open(Rc::new(MemoryStore::new()), setup, Rc::new(|| 1));
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

#[test]
fn a_profile_says_what_sql_may_do_at_the_primary_and_at_readers() {
    let open = |profile: Profile| Engine::open(Rc::new(MemoryStore::new()), Setup::default().with_profile(profile), Rc::new(|| 1));
    let search = Statement::new("CREATE VIRTUAL TABLE search USING vec0(body)", vec![]);
    let refused = |db: &mut Engine, statement: &Statement| rows(db, statement.clone()).unwrap_err().to_string();
    let mut db = open(Profile::d1());
    assert!(refused(&mut db, &search).starts_with("not authorized"));
    let mut db = open(Profile::d1().with_virtual_table("VEC0").without_function("Random"));
    assert_eq!(refused(&mut db, &search), "no such module: vec0: SQLITE_ERROR", "nobody but SQLite refuses it");
    let random = Statement::new("SELECT random()", vec![]);
    assert!(refused(&mut db, &random).contains("not authorized to use function: random"));
    let reader = db.snapshot(db.state().txid).unwrap();
    assert!(reader.run::<ResultSet>(&vec![random]).unwrap_err().to_string().contains("not authorized to use function: random"));
}

/// Writes down what it is told, a line for each change.
#[derive(Clone, Default)]
struct Log {
    name: &'static str,
    lines: Rc<RefCell<Vec<String>>>,
    skips_deletions: bool,
}

impl Watcher for Log {
    fn row_changes(&self, change: &RowChange<'_>) {
        let side = |rowid: Option<i64>, value: &dyn Fn(usize) -> Option<String>| {
            let values: Vec<String> = (0..change.columns()).filter_map(value).collect();
            rowid.map_or("-".into(), |rowid| format!("{rowid}({})", values.join(",")))
        };
        let text = |value: ValueRef<'_>| match from_sqlite(value) {
            Value::Null => "NULL".into(),
            Value::Integer(value) => value.to_string(),
            Value::Real(value) => format!("{value:?}"),
            Value::Text(text) => text,
            Value::Blob(bytes) => format!("x{bytes:x?}"),
        };
        let old = side(change.old_rowid(), &|column| change.old_value(column).map(text));
        let new = side(change.new_rowid(), &|column| change.new_value(column).map(text));
        let (name, depth) = (self.name, "^".repeat(change.depth()));
        self.lines.borrow_mut().push(format!("{name}{depth}{:?} {} {old} {new}", change.operation(), change.table()));
        assert_eq!((change.old_value(change.columns()), change.new_value(usize::MAX)), (None, None));
    }

    fn needs_every_deletion(&self) -> bool {
        !self.skips_deletions
    }
}

impl Extension for Log {
    fn name(&self) -> &str {
        "log"
    }

    fn install(&self, _sqlite: &rusqlite::Connection) -> rusqlite::Result<()> {
        Ok(())
    }

    fn watcher(&self) -> Option<Rc<dyn Watcher>> {
        Some(Rc::new(self.clone()))
    }
}

/// What a watcher is told of texts, in a database with these tables. No count may be another than without it.
fn told(tables: &str, texts: &[&str]) -> Vec<String> {
    let log = Log::default();
    let mut watched = Engine::open(Rc::new(MemoryStore::new()), Setup::default().with(log.clone()), Rc::new(|| 1));
    let mut plain = Fixture::memory().database;
    let counts = |db: &mut Engine, text: &str| {
        let counts = |result: &ResultSet| (result.meta.rows_written, result.meta.changes, result.meta.last_row_id, result.rows.clone());
        let result = db.run::<ResultSet>(&[vec![Statement::new(text, vec![])]]).remove(0);
        result.map(|results| results.iter().map(counts).collect::<Vec<_>>())
    };
    let mut run = |text| assert_eq!(counts(&mut watched, text), counts(&mut plain, text), "{text}");
    run(tables);
    log.lines.take();
    texts.iter().for_each(|text| run(text));
    log.lines.take()
}

#[test]
fn a_watcher_is_told_of_every_row_that_changes_with_its_values() {
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE, b REAL); CREATE INDEX i ON t (b)";
    let texts = [
        "INSERT INTO t VALUES (1, 'one', 1), (2, x'0102', NULL), (3, '', x'')",
        "UPDATE t SET b = b + 0.5 WHERE id = 1",
        "UPDATE t SET id = 7 WHERE id = 3",
        "REPLACE INTO t VALUES (1, x'0102', 9)",
        "ALTER TABLE t ADD COLUMN c DEFAULT 'new'",
        "UPDATE t SET a = 5 WHERE id = 7",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 'again'",
        "DELETE FROM t",
    ];
    let expected = [
        "Insert t - 1(1,one,1.0)",
        "Insert t - 2(2,x[1, 2],NULL)",
        "Insert t - 3(3,,x[])",
        "Update t 1(1,one,1.0) 1(1,one,1.5)",
        "Update t 3(3,,x[]) 7(7,,x[])",
        "Delete t 1(1,one,1.5) -",
        "Delete t 2(2,x[1, 2],NULL) -",
        "Insert t - 1(1,x[1, 2],9.0)",
        "Update t 7(7,,x[],new) 7(7,5,x[],new)",
        "Update t 1(1,x[1, 2],9.0,new) 1(1,again,9.0,new)",
        "Delete t 1(1,again,9.0,new) -",
        "Delete t 7(7,5,x[],new) -",
    ];
    assert_eq!(told(table, &texts), expected);
}

#[test]
fn a_watcher_is_told_what_triggers_foreign_keys_and_tables_of_other_kinds_do() {
    let tables = "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE); \
                  CREATE TABLE n (id INTEGER PRIMARY KEY); CREATE TRIGGER one AFTER INSERT ON p BEGIN INSERT INTO c VALUES (new.id, new.id); END; \
                  CREATE TRIGGER two AFTER INSERT ON c BEGIN INSERT INTO n VALUES (new.id); END; \
                  CREATE TABLE w (k PRIMARY KEY, v, twice AS (v * 2), thrice AS (v * 3) STORED) WITHOUT ROWID; CREATE VIRTUAL TABLE f USING fts5 (x)";
    let texts = [
        "INSERT INTO p VALUES (5)",
        "DELETE FROM p",
        "INSERT INTO w VALUES ('a', 1)",
        "UPDATE w SET v = 2",
        "UPDATE w SET k = 'b'",
        "DELETE FROM w",
    ];
    let expected = [
        "Insert p - 5(5)",
        "^Insert c - 5(5,5)",
        "^^Insert n - 5(5)",
        "Delete p 5(5) -",
        "^Delete c 5(5,5) -",
        "Insert w - 0(a,1,3)",
        "Update w 0(a,1,3) 0(a,2,6)",
        "Update w 0(a,2,6) 0(b,2,6)",
        "Delete w 0(b,2,6) -",
    ];
    assert_eq!(told(tables, &texts), expected);
    let of_search = told(tables, &["INSERT INTO f VALUES ('word')"]);
    assert!(of_search.iter().all(|line| line.contains(" f_")), "{of_search:?}");
    assert!(of_search.contains(&"Insert f_content - 1(1,word)".into()), "{of_search:?}");
    assert!(told("SELECT 1", &["CREATE TABLE t (a); CREATE INDEX i ON t (a); DROP TABLE t"]).is_empty(), "the schema is not told");
}

#[test]
fn a_watcher_is_told_of_what_is_undone_too() {
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY)";
    let failing = "INSERT INTO t VALUES (3), (2), (3)";
    assert_eq!(told(table, &[failing, "SELECT * FROM t"]), ["Insert t - 3(3)", "Insert t - 2(2)"]);
    assert_eq!(told(table, &["INSERT INTO t VALUES (1); SELECT abs(-9223372036854775807 - 1)"]), ["Insert t - 1(1)"]);
    let log = Log::default();
    let mut db = Engine::open(Rc::new(MemoryStore::new()), Setup::default().with(log.clone()), Rc::new(|| 1));
    let calls = ["CREATE TABLE t (id INTEGER PRIMARY KEY, t REFERENCES t DEFERRABLE INITIALLY DEFERRED)", "INSERT INTO t VALUES (1, 1)"];
    let calls = [calls[0], calls[1], "INSERT INTO t VALUES (2, 9)"].map(|sql| vec![Statement::new(sql, vec![])]);
    let answers = db.run::<ResultSet>(&calls);
    assert!(answers[1].is_ok() && answers[2].is_err());
    let twice = ["Insert t - 1(1,1)", "Insert t - 2(2,9)"];
    assert_eq!(log.lines.take(), [twice, twice].concat(), "together, and one by one");
}

#[test]
fn watchers_are_told_in_the_order_of_their_extensions_and_may_leave_deletions_out() {
    let lines = Rc::default();
    let log = |name| Log { name, lines: Rc::clone(&lines), skips_deletions: true };
    let open = |setup| Engine::open(Rc::new(MemoryStore::new()), setup, Rc::new(|| 1));
    let mut db = open(Setup::default().with(log("first: ")).with(log("second: ")));
    let mut run = |sql: &str| db.run::<ResultSet>(&[vec![Statement::new(sql, vec![])]]).remove(0).unwrap().remove(0).meta;
    run("CREATE TABLE t (a)");
    let meta = run("INSERT INTO t VALUES (1), (2)");
    assert_eq!(meta.rows_written, 2);
    let meta = run("DELETE FROM t");
    assert_eq!((meta.rows_written, meta.rows_read), (2, 0), "pages are freed whole");
    let expected = ["first: Insert t - 1(1)", "second: Insert t - 1(1)", "first: Insert t - 2(2)", "second: Insert t - 2(2)"];
    assert_eq!(lines.take(), expected);
    let mut watched = open(Setup::default().with(Log { skips_deletions: false, ..log("") }));
    let call = ["CREATE TABLE t (a)", "INSERT INTO t VALUES (1)", "DELETE FROM t"].map(|sql| Statement::new(sql, vec![]));
    let results = watched.run::<ResultSet>(&[call.into()]).remove(0).unwrap();
    assert_eq!(results[2].meta.rows_read, 1, "each row is visited");
}
