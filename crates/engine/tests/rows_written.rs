//! `rows_written` where a rule does not tell it: schema, indexes, statistics, sequences, virtual tables. A Worker test holds the numbers against
//! D1's; here is what a long-lived connection could get wrong.

mod common;

use common::{Fixture, run, run_err, values};
use littoral_protocol::sql::{Statement, Value};

fn written(db: &mut Fixture, sql: &str) -> u64 {
    run(db, sql, vec![]).meta.rows_written
}

#[track_caller]
fn assert_written(db: &mut Fixture, expected: &[(&str, u64)]) {
    for (sql, rows) in expected {
        assert_eq!(written(db, sql), *rows, "{sql}");
    }
}

#[test]
fn what_changes_the_schema_counts_the_rows_of_the_schema_and_of_what_it_builds() {
    let mut db = Fixture::durable();
    let fill = "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x<20) INSERT INTO t SELECT x, x, nullif(x%5, 0) FROM c";
    assert_written(
        &mut db,
        &[
            ("CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE, b)", 3),
            ("CREATE TABLE IF NOT EXISTS t(id)", 0),
            ("CREATE TABLE s(id INTEGER PRIMARY KEY AUTOINCREMENT)", 4),
            (fill, 40),
            ("CREATE INDEX ta ON t(a, b)", 21),
            ("CREATE INDEX tpartial ON t(a) WHERE b IS NULL", 5),
            ("CREATE TABLE copy AS SELECT DISTINCT b FROM t", 7),
            ("CREATE VIEW v AS SELECT * FROM t", 2),
            ("CREATE TRIGGER g AFTER DELETE ON t BEGIN SELECT 1; END", 1),
            ("ALTER TABLE t ADD COLUMN c", 1),
            ("REINDEX ta", 20),
            ("ANALYZE t", 5),
            ("DROP INDEX ta", 0),
            ("DROP TABLE t", 0),
        ],
    );
}

#[test]
fn a_sequence_counts_when_it_moves() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v UNIQUE)", vec![]);
    let insert = "INSERT INTO t(v) VALUES (abs(random()))";
    assert_written(&mut db, &[(insert, 3), (insert, 3), ("INSERT INTO t(id) VALUES (-1)", 2), ("INSERT INTO t(id) VALUES (-2)", 2)]);
    let again = "INSERT OR IGNORE INTO t(v) VALUES (7)";
    assert_written(&mut db, &[(again, 3), (again, 1), (again, 1), (insert, 3)]);
    // The statement is compiled anew, and the sequence begins again.
    assert_written(&mut db, &[("CREATE INDEX tv ON t(v)", 7), (insert, 4), ("DELETE FROM sqlite_sequence", 1), (insert, 4)]);
    let undone = vec![Statement::new(insert, vec![]), Statement::new("INSERT INTO nowhere VALUES (1)", vec![])];
    db.run_call(undone).unwrap_err();
    assert_written(&mut db, &[(insert, 4), (insert, 4)]);
    // Told by a trigger, and with a virtual table.
    run(&mut db, "CREATE TABLE u(v); CREATE VIRTUAL TABLE f USING fts5(v)", vec![]);
    run(&mut db, "CREATE TRIGGER g AFTER INSERT ON u BEGIN INSERT INTO t(v) VALUES (new.v); INSERT INTO f VALUES (new.v); END", vec![]);
    let both = "INSERT INTO u VALUES (abs(random()))";
    assert_written(&mut db, &[(both, 6), (both, 6), (insert, 4), (both, 6), (insert, 4)]);
}

#[test]
fn a_word_in_a_comment_is_no_sequence() {
    let mut db = Fixture::durable();
    let table = "CREATE TABLE t(id INTEGER PRIMARY KEY /* AUTOINCREMENT */)";
    assert_written(&mut db, &[(table, 2), ("INSERT INTO t VALUES (NULL)", 1), ("CREATE TABLE s(id INTEGER PRIMARY KEY AUTOINCREMENT)", 4)]);
    assert_written(&mut db, &[("INSERT INTO t VALUES (NULL)", 1), ("INSERT INTO t VALUES (NULL)", 1)]);
}

#[test]
fn what_a_failed_run_wrote_does_not_count_the_next_time() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE); CREATE VIRTUAL TABLE f USING fts5(v)", vec![]);
    run(&mut db, "CREATE TRIGGER g BEFORE INSERT ON t BEGIN INSERT INTO f VALUES (new.v); END", vec![]);
    let insert = |value: i64| vec![Statement::new("INSERT INTO t(v) VALUES (?)", vec![Value::Integer(value)])];
    run(&mut db, "INSERT INTO t(v) VALUES (1)", vec![]);
    for _ in 0..2 {
        db.run_call(insert(1)).unwrap_err();
        db.run_call(insert(1)).unwrap_err();
        run(&mut db, "DELETE FROM t WHERE v = 2", vec![]);
        assert_eq!(db.run_call(insert(2)).unwrap()[0].meta.rows_written, 3);
    }
}

#[test]
fn an_index_counts_from_the_statement_after_it_and_not_when_it_is_undone() {
    let mut db = Fixture::durable();
    assert_written(
        &mut db,
        &[
            ("CREATE TABLE t(a)", 2),
            ("INSERT INTO t VALUES (1)", 1),
            ("INSERT INTO t VALUES (1); CREATE INDEX ta ON t(a); INSERT INTO t VALUES (1)", 1 + 3 + 2),
            ("DROP INDEX ta", 0),
        ],
    );
    let undone = ["CREATE INDEX ta ON t(a)", "INSERT INTO t VALUES (1)", "INSERT INTO nowhere VALUES (1)"];
    db.run_call(undone.map(|sql| Statement::new(sql, vec![])).into()).unwrap_err();
    assert_eq!(written(&mut db, "INSERT INTO t VALUES (1)"), 1);
}

#[test]
fn callers_do_not_see_programs() {
    let mut db = Fixture::durable();
    for table in ["bytecode", "tables_used"] {
        assert!(run_err(&mut db, &format!("SELECT * FROM {table}('SELECT 1')")).contains(&format!("no such table: {table}")));
        assert!(run_err(&mut db, &format!("CREATE VIRTUAL TABLE x USING {table}")).contains("not authorized"));
    }
    run(&mut db, "CREATE TABLE bytecode(v); INSERT INTO bytecode VALUES (1)", vec![]);
    assert_eq!(values(&mut db, "SELECT v FROM bytecode"), [[Value::Integer(1)]]);
}
