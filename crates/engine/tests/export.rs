//! The database as SQL text: run on an empty database it makes the same one, whatever the values are.
#![allow(missing_docs)]

mod common;

use common::{Fixture, run, values};
use littoral_engine::engine::ExportOptions;
use littoral_protocol::sql::{Point, Statement, Value};
use proptest::prelude::*;

fn export(db: &mut Fixture, options: &ExportOptions) -> Result<Vec<String>, String> {
    let bookmark = db.database.state().bookmark();
    db.database.at(Point::Bookmark(bookmark)).unwrap().export(options).map_err(|error| error.to_string())
}

/// The rows of every table, with their types, and the schema. What `quote` says does not lose a bit.
fn content(db: &mut Fixture, tables: &[&str]) -> Vec<Vec<Value>> {
    let mut rows = values(db, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name");
    for table in tables {
        rows.extend(values(db, &format!("SELECT * FROM \"{table}\" ORDER BY 1, 2")));
    }
    rows
}

fn value() -> impl Strategy<Value = Value> {
    let pieces = ["a", "'", "''", "\n", "\r\n", "\\n", "\\r", "\0", "\"", "日本", ";", "--", "/*"];
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_filter("SQLite has no NaN", |real| !real.is_nan()).prop_map(Value::Real),
        prop::sample::select(vec![0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, 1e300, 5e-324]).prop_map(Value::Real),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Blob),
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..8).prop_map(|pieces| Value::Text(pieces.concat())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_survives(rows in prop::collection::vec((value(), value()), 1..8)) {
        let mut db = Fixture::memory();
        run(&mut db, "CREATE TABLE v (id INTEGER PRIMARY KEY, a, \"b\"\"'c\")", vec![]);
        for (a, b) in rows {
            run(&mut db, "INSERT INTO v (a, \"b\"\"'c\") VALUES (?, ?)", vec![a, b]);
        }
        let statements = export(&mut db, &ExportOptions::default()).unwrap();
        let mut copy = Fixture::memory();
        copy.run_call(statements.iter().map(|sql| Statement::new(&**sql, vec![])).collect()).unwrap();
        prop_assert_eq!(content(&mut copy, &["v"]), content(&mut db, &["v"]));
    }
}

const SCHEMA: [&str; 15] = [
    "CREATE TABLE \"odd 'name'\" (id INTEGER PRIMARY KEY AUTOINCREMENT, \"select\" TEXT DEFAULT 'x;y')",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, of INT REFERENCES parent (id))",
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, twice INT AS (id * 2) STORED, virtual AS (id + 1))",
    "CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID",
    "CREATE TABLE s (a INT, b TEXT, c REAL, d BLOB, e ANY) STRICT",
    "CREATE INDEX wv ON w (v) WHERE v > 1",
    "CREATE VIEW both AS SELECT * FROM child JOIN parent ON parent.id = child.of",
    "CREATE TRIGGER instead INSTEAD OF INSERT ON both BEGIN INSERT INTO parent (id) VALUES (new.of); END",
    "CREATE TRIGGER t AFTER INSERT ON w BEGIN UPDATE w SET v = v + 1 WHERE k = new.k; END",
    "INSERT INTO \"odd 'name'\" (\"select\") VALUES ('one'), ('two')",
    "DELETE FROM \"odd 'name'\" WHERE id = 2",
    "INSERT INTO parent (id) VALUES (1), (2)",
    "INSERT INTO child VALUES (10, 1), (11, 2)",
    "INSERT INTO w VALUES ('k', 5); INSERT INTO s VALUES (1, 't', 2, x'00', 3.0)",
    "ANALYZE",
];

#[test]
fn every_kind_of_object_survives() {
    let mut db = db_of(&SCHEMA);
    let statements = export(&mut db, &ExportOptions::default()).unwrap();
    let mut copy = Fixture::memory();
    copy.run_call(statements.iter().map(|sql| Statement::new(&**sql, vec![])).collect()).unwrap();
    let tables = ["odd 'name'", "child", "parent", "w", "s", "sqlite_sequence", "sqlite_stat1"];
    assert_eq!(export(&mut copy, &ExportOptions::default()).unwrap(), statements);
    assert_eq!(content(&mut copy, &tables), content(&mut db, &tables));

    let only = |options| export(&mut db_of(&SCHEMA), &options).unwrap();
    let schema = only(ExportOptions { no_data: true, ..ExportOptions::default() });
    assert!(!schema.iter().any(|sql| sql.starts_with("INSERT")) && schema.iter().any(|sql| sql.starts_with("CREATE TRIGGER")));
    let data = only(ExportOptions { no_schema: true, tables: vec!["w".into()], ..ExportOptions::default() });
    assert_eq!(data, ["PRAGMA defer_foreign_keys=TRUE;", "INSERT INTO \"w\" (\"k\",\"v\") VALUES('k',6);"]);
}

fn db_of(schema: &[&str]) -> Fixture {
    let mut db = Fixture::memory();
    for sql in schema {
        run(&mut db, sql, vec![]);
    }
    db
}

#[test]
fn an_empty_database_is_a_text_of_one_line() {
    assert_eq!(export(&mut Fixture::memory(), &ExportOptions::default()).unwrap(), ["PRAGMA defer_foreign_keys=TRUE;"]);
}

#[test]
fn tables_that_are_too_large_together_are_refused() {
    let mut db = Fixture::with_limits(|limits| limits.result_bytes = 10_000);
    for table in ["a", "b"] {
        run(&mut db, &format!("CREATE TABLE {table} (v); INSERT INTO {table} VALUES (hex(zeroblob(3000)))"), vec![]);
    }
    let of = |tables: &[&str]| ExportOptions { tables: tables.iter().map(|name| name.to_string()).collect(), ..ExportOptions::default() };
    assert_eq!(export(&mut db, &of(&["a"])).unwrap().len(), 3);
    assert!(export(&mut db, &of(&[])).unwrap_err().contains("the result is larger than 10000 bytes"));
    assert_eq!(export(&mut db, &ExportOptions { no_data: true, ..of(&[]) }).unwrap().len(), 3);
}

/// Tables whose rows are kept by different keys, each with more bytes than a part has.
const LARGE: [&str; 7] = [
    "CREATE TABLE plain (v, w)",
    "CREATE TABLE numbered (\"rowid\" TEXT, _rowid_, n INTEGER PRIMARY KEY)",
    "CREATE TABLE keyed (a TEXT COLLATE NOCASE, b BLOB, c REAL, PRIMARY KEY (b, a, c)) WITHOUT ROWID",
    "CREATE TABLE downwards (k INT PRIMARY KEY DESC, v) WITHOUT ROWID",
    "CREATE TABLE nameless (rowid, _rowid_, oid)",
    "CREATE TABLE vacant (v, w)",
    "CREATE TABLE seq (id INTEGER PRIMARY KEY AUTOINCREMENT, v)",
];

fn large() -> Fixture {
    let mut db = db_of(&LARGE);
    let rows = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 2500)";
    for insert in [
        "plain (rowid, v) @ SELECT 7 * x - 90, hex(randomblob(400)) FROM c",
        "numbered @ SELECT x, -x, 3 * x - 4000 FROM c",
        "keyed @ SELECT char(65 + x % 50), randomblob(500), x / 7.0 FROM c",
        "downwards @ SELECT x * x, zeroblob(300) FROM c",
        "nameless @ SELECT x, x, x FROM c WHERE x < 10",
        "seq @ SELECT x * 2, 'a\n''b' || x FROM c",
    ] {
        run(&mut db, &format!("INSERT INTO {}", insert.replace('@', rows)), vec![]);
    }
    db
}

#[test]
fn parts_are_the_whole_whoever_asks_for_them() {
    let mut db = large();
    let bookmark = db.database.state().bookmark();
    let (mut statements, mut place, mut parts) = (vec![], None, 0);
    loop {
        // Each part on a connection of its own, while others write.
        let snapshot = db.database.snapshot(bookmark.txid).unwrap();
        let part = snapshot.export_part(&ExportOptions::default(), place).unwrap();
        drop(snapshot);
        run(&mut db, "DELETE FROM plain WHERE rowid > 5000; INSERT INTO vacant VALUES (1, 2); DELETE FROM keyed WHERE c > 100", vec![]);
        assert!(part.statements.iter().map(String::len).sum::<usize>() < 3 << 20);
        statements.extend(part.statements);
        parts += 1;
        place = part.next;
        if place.is_none() {
            break;
        }
    }
    assert!(parts > 4, "{parts} parts");
    let whole = db.database.at(Point::Bookmark(bookmark)).unwrap().export(&ExportOptions::default()).unwrap();
    assert!(whole == statements);
    let mut copy = Fixture::memory();
    copy.run_call(statements.iter().map(|sql| Statement::new(&**sql, vec![])).collect()).unwrap();
    let mut same = large_at(&mut db, bookmark);
    let tables = ["plain", "numbered", "keyed", "downwards", "nameless", "vacant", "seq", "sqlite_sequence"];
    assert_eq!(content(&mut copy, &tables).len(), content(&mut same, &tables).len());
    assert!(content(&mut copy, &tables) == content(&mut same, &tables));
}

/// The database at a state, in one of its own.
fn large_at(db: &mut Fixture, bookmark: littoral_protocol::Bookmark) -> Fixture {
    let state = db.database.store().state(bookmark.txid).unwrap();
    let file = db.database.store().read_file(&state, littoral_protocol::Pgno::FIRST, state.page_count).unwrap();
    let copy = Fixture::memory();
    let mut load = littoral_engine::store::Load::new(copy.database.store().clone());
    load.push(&file).unwrap();
    load.finish(1).unwrap();
    copy
}
