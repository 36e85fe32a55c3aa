//! D1's REST API, answered by a database: texts of many statements, each with a result.
#![allow(missing_docs)]

mod common;

use common::{Fixture, values};
use littoral_engine::answer::{ExportBody, Form, Request, answer};
use littoral_protocol::d1::PointBody;
use littoral_protocol::sql::{Statement, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

fn ask(db: &mut Fixture, objects: bool, body: &Json) -> (Json, bool) {
    let answer = answer(&mut db.database, Request::new(Form::Rest { objects }, body.to_string(), None, None));
    (serde_json::from_str(&answer.body).unwrap(), answer.bookmark.is_some())
}

/// The rows of each statement.
fn rows(db: &mut Fixture, body: &Json) -> Vec<Json> {
    let (answer, has_bookmark) = ask(db, false, body);
    assert!(has_bookmark && answer["success"] == true, "{answer}");
    answer["result"].as_array().unwrap().iter().map(|result| result["results"]["rows"].clone()).collect()
}

fn refused(db: &mut Fixture, body: &Json) -> (u64, String) {
    let (answer, has_bookmark) = ask(db, false, body);
    assert!(!has_bookmark && answer["success"] == false && answer["result"].is_null(), "{answer}");
    (answer["errors"][0]["code"].as_u64().unwrap(), answer["errors"][0]["message"].as_str().unwrap().into())
}

#[test]
fn each_statement_has_a_result() {
    let mut db = Fixture::memory();
    let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t (v) VALUES ('a'), ('b');\n-- all\nSELECT * FROM t; ;";
    let (answer, _) = ask(&mut db, true, &json!({ "sql": sql }));
    let results = answer["result"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!(results[2]["results"], json!([{ "id": 1, "v": "a" }, { "id": 2, "v": "b" }]));
    let changes: Vec<_> = results.iter().map(|result| (&result["meta"]["changes"], &result["meta"]["rows_written"])).collect();
    assert_eq!(changes[1], (&json!(2), &json!(2)), "{answer}");
    assert_eq!((changes[2], &results[2]["meta"]["rows_read"]), ((&json!(0), &json!(0)), &json!(2)));
    assert!(results[1]["meta"]["last_row_id"] == 2 && results[2]["meta"]["changed_db"] == false);
}

#[test]
fn statements_end_where_sqlite_says() {
    let mut db = Fixture::memory();
    let sql = "\u{feff}create table t (v, n);\r\ncreate table log (v);\r\n\
        create trigger r after insert on t begin insert into log values (case when new.n then 'x;y' else ';' end); update t set n = 2; end;\r\n\
        insert into t values ('a;--', 1), (\"b\", 0); /* ; */ -- ; not the end\r\n select v from log;select n from t";
    let found = rows(&mut db, &json!({ "sql": sql.replace("\"b\"", "'b'") }));
    assert_eq!(found, [json!([]), json!([]), json!([]), json!([]), json!([["x;y"], [";"]]), json!([[2], [2]])]);
    // The trigger is last, in capitals and without a semicolon.
    let last = "SELECT 1; CREATE TRIGGER s AFTER DELETE ON t BEGIN SELECT CASE WHEN 1 THEN 2 END; END";
    assert_eq!(rows(&mut db, &json!({ "sql": last })), [json!([[1]]), json!([])]);
}

#[test]
fn each_statement_takes_its_share_of_the_parameters() {
    let mut db = Fixture::memory();
    let sql = "SELECT ?, ?; SELECT 'none'; SELECT ?2, ?1; SELECT ?";
    let found = rows(&mut db, &json!({ "sql": sql, "params": ["a", "b", "c", "d", null] }));
    assert_eq!(found, [json!([["a", "b"]]), json!([["none"]]), json!([["d", "c"]]), json!([[null]])]);
    for params in [json!(["a", "b", "c", "d"]), json!(["a", "b", "c", "d", "e", "f"]), json!([])] {
        let (code, message) = refused(&mut db, &json!({ "sql": sql, "params": params }));
        assert!(code == 7500 && message.contains("Wrong number of parameter bindings"), "{message}");
    }
    let batch = json!({ "batch": [{ "sql": "SELECT ?; SELECT ?", "params": [1, 2] }, { "sql": "-- none" }, { "sql": "SELECT 3" }] });
    assert_eq!(rows(&mut db, &batch), [json!([[1.0]]), json!([[2.0]]), json!([[3]])]);
}

#[test]
fn all_of_it_or_nothing_takes_effect() {
    let mut db = Fixture::memory();
    rows(&mut db, &json!({ "sql": "CREATE TABLE t (v UNIQUE)" }));
    let (code, message) =
        refused(&mut db, &json!({ "sql": "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); INSERT INTO t VALUES (1)" }));
    assert_eq!((code, message.contains("UNIQUE constraint failed: t.v")), (7500, true));
    let (_, message) = refused(&mut db, &json!({ "sql": "INSERT INTO t VALUES (1);  SELEC" }));
    assert_eq!(message, "near \"SELEC\": syntax error at offset 0: SQLITE_ERROR");
    for sql in ["INSERT INTO t VALUES (1); COMMIT", "INSERT INTO t VALUES (1); SELECT ?", "INSERT INTO t VALUES (1);\0SELECT 1"] {
        assert_eq!(refused(&mut db, &json!({ "sql": sql })).0, 7500, "{sql}");
    }
    assert_eq!(values(&mut db, "SELECT count(*) FROM t"), [[Value::Integer(0)]]);
}

#[test]
fn what_is_no_request_is_refused() {
    let mut db = Fixture::memory();
    for body in [json!({}), json!([]), json!({ "sql": 1 }), json!({ "batch": [1] }), json!({ "sql": "SELECT ?", "params": [{}] })] {
        assert_eq!(refused(&mut db, &body).0, 7400, "{body}");
    }
    for body in [json!({ "sql": "" }), json!({ "sql": " ; -- x\n;" }), json!({ "batch": [] }), json!({ "batch": [{ "sql": ";" }] })] {
        let (code, message) = refused(&mut db, &body);
        assert!(code == 7500 && message.contains("No SQL statements detected"), "{body}: {message}");
    }
}

/// A state that was thinned out is read as the one before it: well for a reader, but the parts of an export would be of two states.
#[test]
fn a_part_of_an_export_is_of_its_state_or_none() {
    let mut db = Fixture::durable();
    rows(&mut db, &json!({ "sql": "CREATE TABLE t (v)" }));
    rows(&mut db, &json!({ "sql": "INSERT INTO t VALUES (1)" }));
    let bookmark = db.database.state().bookmark();
    rows(&mut db, &json!({ "sql": "INSERT INTO t VALUES (2)" }));
    let part = |db: &mut Fixture| {
        let body = serde_json::to_string(&ExportBody::default()).unwrap();
        let at = Some(PointBody::Bookmark(bookmark.to_string()));
        answer(&mut db.database, Request::new(Form::Export, body, None, at))
    };
    let whole = part(&mut db);
    assert_eq!(
        (whole.bookmark, &*whole.body),
        (Some(bookmark.to_string()), "null\nPRAGMA defer_foreign_keys=TRUE;\nCREATE TABLE t (v);\nINSERT INTO \"t\" (\"v\") VALUES(1);\n")
    );
    rows(&mut db, &json!({ "sql": "INSERT INTO t VALUES (3)" }));
    let store = db.database.store().clone();
    while store.thin(store.head().txid, 60_000, &BTreeSet::new()).unwrap() {}
    assert_ne!(store.resolve(bookmark.txid).unwrap(), bookmark.txid, "it was thinned out");
    let none = part(&mut db);
    assert!(none.bookmark.is_none() && none.body.contains("\"code\":7500"), "{}", none.body);
}

/// Pieces of SQL that make it hard to see where a statement ends.
const PIECES: [&str; 14] = [
    "SELECT 1",
    "SELECT ';'",
    "SELECT ';;--' AS \"a;b\"",
    "SELECT 1 -- ;\n",
    "SELECT /* ; */ 2",
    "SELECT [x;y] FROM (SELECT 3 AS [x;y])",
    "SELECT `;` FROM (SELECT 4 AS `;`)",
    "CREATE TRIGGER IF NOT EXISTS g BEFORE DELETE ON t BEGIN SELECT ';'; SELECT CASE 1 WHEN 1 THEN ';' END; END",
    "create temp view if not exists e as select 1 as \"end;\"",
    "INSERT INTO t VALUES (';')",
    "DELETE FROM t WHERE v = 'BEGIN; END;'",
    "WITH c AS (SELECT 1) SELECT * FROM c",
    "EXPLAIN SELECT 1",
    "VALUES (x'3b')",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_text_is_split_as_its_pieces_were_joined(pieces in prop::collection::vec(0..PIECES.len(), 1..8), ends in prop::collection::vec(0..4_usize, 8)) {
        let mut db = Fixture::memory();
        db.run_call(vec![Statement::new("CREATE TABLE t (v)", vec![])]).unwrap();
        let ends: Vec<&str> = ends.into_iter().map(|end| [";", ";\r\n", " ; ;", ";/**/"][end]).collect();
        let text: String = pieces.iter().zip(&ends).flat_map(|(piece, end)| [PIECES[*piece], end]).collect();
        let alone: Vec<Statement> = pieces.iter().map(|piece| Statement::new(PIECES[*piece], vec![])).collect();
        let together = db.run_call(vec![Statement::script(format!("{text} SELECT 'end'"), vec![])]);
        let mut other = Fixture::memory();
        other.run_call(vec![Statement::new("CREATE TABLE t (v)", vec![])]).unwrap();
        let apart = other.run_call(alone);
        match (together, apart) {
            (Ok(together), Ok(apart)) => {
                let rows = |results: &[littoral_engine::engine::ResultSet]| -> Vec<_> { results.iter().map(|result| result.rows.clone()).collect() };
                prop_assert_eq!(rows(&together[..together.len() - 1]), rows(&apart), "{}", text);
            }
            (together, apart) => prop_assert_eq!(together.is_err(), apart.is_err(), "{}", text),
        }
    }
}
