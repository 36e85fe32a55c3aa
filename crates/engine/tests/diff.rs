//! What differs between two states: the same as a comparison of all their rows.
#![allow(missing_docs)]

mod common;

use common::{Fixture, run, values};
use littoral_engine::engine::{Diff, DiffOptions, RowDiff, TableDiff};
use littoral_protocol::Bookmark;
use littoral_protocol::sql::{Point, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn diff(db: &mut Fixture, from: Bookmark, to: Option<Bookmark>, options: &DiffOptions) -> Diff {
    let before = db.database.reader(Some(Point::Bookmark(from))).unwrap();
    let after = db.database.reader(to.map(Point::Bookmark)).unwrap();
    after.with_beside(before).unwrap().diff(options).unwrap()
}

fn all() -> DiffOptions {
    DiffOptions { tables: vec![], rows: 1_000 }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn rows_and_the_schema_are_told_of_by_what_they_are() {
    let mut db = Fixture::durable();
    for sql in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE, n, twice AS (n * 2))",
        "CREATE TABLE same (a); INSERT INTO same VALUES (1)",
        "CREATE TABLE gone (a); INSERT INTO gone VALUES (1), (2)",
        "CREATE TABLE pair (a, b, c, PRIMARY KEY (b, a)) WITHOUT ROWID",
        "CREATE TABLE plain (rowid, a)",
        "CREATE VIRTUAL TABLE f USING fts5 (words); INSERT INTO f VALUES ('tide')",
        // It has the name of a table below the virtual one, and is none.
        "CREATE TABLE f_notes (a); INSERT INTO f_notes VALUES (1)",
        "CREATE INDEX tv ON t (v)",
        "INSERT INTO t (id, v, n) VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', x'00ff'), (4, 'd', 0.0)",
        "INSERT INTO pair VALUES (1, 2, 'x'), (2, 1, 'y')",
        "INSERT INTO plain VALUES ('x', 1), ('y', 2)",
    ] {
        run(&mut db, sql, vec![]);
    }
    let from = db.database.state().bookmark();
    assert_eq!(diff(&mut db, from, None, &all()), Diff::default());
    for sql in [
        "UPDATE t SET v = 'A' WHERE id = 1",
        "UPDATE t SET n = 2.0 WHERE id = 2",
        "DELETE FROM t WHERE id = 3",
        "INSERT INTO t (id, v, n) VALUES (9, 'new', NULL)",
        "UPDATE pair SET c = 'z' WHERE a = 2",
        "UPDATE plain SET a = 3 WHERE a = 2",
        "DROP TABLE gone",
        "CREATE TABLE made (x); INSERT INTO made VALUES (1)",
        "DROP INDEX tv",
        "CREATE INDEX tv ON t (v, n)",
        "ALTER TABLE same ADD COLUMN more DEFAULT 7",
        "INSERT INTO f VALUES ('ebb')",
        "INSERT INTO f_notes VALUES (2)",
    ] {
        run(&mut db, sql, vec![]);
    }
    let Diff { schema, tables } = diff(&mut db, from, None, &all());
    let changes: Vec<_> =
        schema.iter().map(|change| (&*change.kind, &*change.name, change.before.is_some(), change.after.is_some())).collect();
    let expected =
        [("index", "tv", true, true), ("table", "gone", true, false), ("table", "made", false, true), ("table", "same", true, true)];
    assert_eq!(changes, expected);
    let counts: Vec<_> = tables.iter().map(|table| (&*table.name, table.added, table.removed, table.changed)).collect();
    assert_eq!(counts, [("f_notes", 1, 0, 0), ("gone", 0, 2, 0), ("made", 1, 0, 0), ("pair", 0, 0, 1), ("plain", 0, 0, 1), ("t", 1, 1, 2)]);
    let t = tables.iter().find(|table| table.name == "t").unwrap();
    assert_eq!((&t.key[..], &t.columns[..]), (&["id".to_owned()][..], &["id", "v", "n"].map(String::from)[..]));
    let row = |id: i64, v: &str, n: Value| vec![Value::Integer(id), text(v), n];
    let of = |id: i64, before: Option<Vec<Value>>, after: Option<Vec<Value>>| RowDiff { key: vec![Value::Integer(id)], before, after };
    assert_eq!(
        t.rows,
        [
            of(3, Some(row(3, "c", Value::Blob(vec![0, 255]))), None),
            of(9, None, Some(row(9, "new", Value::Null))),
            of(1, Some(row(1, "a", Value::Integer(1))), Some(row(1, "A", Value::Integer(1)))),
            of(2, Some(row(2, "b", Value::Integer(2))), Some(row(2, "b", Value::Real(2.0)))),
        ]
    );
    assert_eq!(tables.iter().find(|table| table.name == "pair").unwrap().key, ["b", "a"]);
    assert_eq!(tables.iter().find(|table| table.name == "plain").unwrap().key, ["_rowid_"]);
    let few = diff(&mut db, from, None, &DiffOptions { tables: vec!["t".into()], rows: 0 });
    assert_eq!(few.tables.iter().map(|table| (&*table.name, table.changed, table.rows.len())).collect::<Vec<_>>(), [("t", 2, 0)]);
    // And the other way round.
    let to = db.database.state().bookmark();
    let back = diff(&mut db, to, Some(from), &all());
    let counts: Vec<_> = back.tables.iter().map(|table| (&*table.name, table.added, table.removed, table.changed)).collect();
    assert_eq!(counts, [("f_notes", 0, 1, 0), ("gone", 2, 0, 0), ("made", 0, 1, 0), ("pair", 0, 0, 1), ("plain", 0, 0, 1), ("t", 1, 1, 2)]);
}

#[test]
fn a_table_of_two_thousand_columns_and_one_with_another_key_are_compared() {
    let mut db = Fixture::durable();
    let columns: Vec<String> = (0..1_999).map(|number| format!("c{number}")).collect();
    run(
        &mut db,
        &format!("CREATE TABLE wide (id INTEGER PRIMARY KEY, {}); INSERT INTO wide (id) VALUES (1), (2)", columns.join(",")),
        vec![],
    );
    run(&mut db, "CREATE TABLE other (a PRIMARY KEY, b); INSERT INTO other VALUES (1, 2)", vec![]);
    let from = db.database.state().bookmark();
    run(&mut db, "UPDATE wide SET c1998 = 1 WHERE id = 2", vec![]);
    run(&mut db, "DROP TABLE other; CREATE TABLE other (a, b PRIMARY KEY); INSERT INTO other VALUES (1, 2)", vec![]);
    let Diff { tables, .. } = diff(&mut db, from, None, &all());
    let counts: Vec<_> = tables.iter().map(|table| (&*table.name, table.key.len(), table.added, table.removed, table.changed)).collect();
    assert_eq!(counts, [("other", 0, 1, 1, 0), ("wide", 1, 0, 0, 1)]);
}

const KINDS: [&str; 4] = [
    "(k INTEGER PRIMARY KEY, a, b)",
    "(k PRIMARY KEY, a, b) WITHOUT ROWID",
    "(a, k, b COLLATE NOCASE, PRIMARY KEY (k, a)) WITHOUT ROWID",
    "(b TEXT, k REAL PRIMARY KEY, a)",
];

fn change() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec!["NULL", "1", "1.0", "-0.0", "'a'", "'A'", "x'61'", "9223372036854775807", "1e300"]);
    prop_oneof![
        4 => (0..30, value.clone(), value.clone()).prop_map(|(k, a, b)| format!("INSERT OR REPLACE INTO t (k, a, b) VALUES ({k}, ifnull({a}, 0), {b})")),
        2 => (value, 1..6).prop_map(|(b, step)| format!("UPDATE OR IGNORE t SET b = {b} WHERE k % {step} = 0")),
        1 => (1..6).prop_map(|step| format!("DELETE FROM t WHERE k % {step} = 0")),
    ]
}

/// Rows by their keys, as SQLite writes them.
fn rows(db: &mut Fixture, key: &str) -> BTreeMap<String, String> {
    let quoted = "typeof(k) || quote(k) || typeof(a) || quote(a) || typeof(b) || quote(b)";
    let rows = values(db, &format!("SELECT {key}, {quoted} FROM t"));
    rows.into_iter().map(|row| (format!("{:?}", row[0]), format!("{:?}", row[1]))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn a_difference_is_that_of_all_rows(kind in 0..KINDS.len(), first in prop::collection::vec(change(), 0..12), second in prop::collection::vec(change(), 0..12)) {
        let mut db = Fixture::durable();
        run(&mut db, &format!("CREATE TABLE t {}", KINDS[kind]), vec![]);
        // 1 and 1.0 are one key.
        let key = if kind == 2 { "quote(k) || iif(typeof(a) IN ('integer', 'real'), quote(a + 0.0), quote(a))" } else { "quote(k)" };
        first.iter().for_each(|sql| drop(run(&mut db, sql, vec![])));
        let (from, before) = (db.database.state().bookmark(), rows(&mut db, key));
        second.iter().for_each(|sql| drop(run(&mut db, sql, vec![])));
        let after = rows(&mut db, key);
        let found = diff(&mut db, from, None, &all()).tables.pop().unwrap_or_default();
        let TableDiff { added, removed, changed, rows, .. } = found;
        let count = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| one.keys().filter(|key| !other.contains_key(*key)).count() as u64;
        let differs = before.iter().filter(|(key, row)| after.get(*key).is_some_and(|after| after != *row)).count() as u64;
        prop_assert_eq!((added, removed, changed), (count(&after, &before), count(&before, &after), differs));
        prop_assert_eq!(rows.len() as u64, added + removed + changed);
    }
}
