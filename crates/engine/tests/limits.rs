//! Every limit is enforced, in the words of `docs/limits.md`, and leaves the database as it was.

mod common;

use common::{Fixture, run, run_err, values};
use littoral_engine::engine::Limits;
use littoral_protocol::sql::Value;

type Change = fn(&mut Limits);

#[test]
fn each_limit_answers_in_the_documented_words() {
    let recursion = "CREATE TABLE r (x); CREATE TRIGGER rr AFTER INSERT ON r WHEN new.x < 9 BEGIN INSERT INTO r VALUES (new.x + 1); END; \
                     PRAGMA recursive_triggers = on; INSERT INTO r VALUES (1)";
    let cases: [(Change, &str, &str); 8] = [
        (|limits| limits.bound_parameters = 3, "SELECT ?, ?, ?, ?", "too many SQL variables at offset 16: SQLITE_ERROR"),
        (|limits| limits.columns = 8, "CREATE TABLE w (a, b, c, d, e, f, g, h, i)", "too many columns on w: SQLITE_ERROR"),
        (
            |limits| limits.compound_select_terms = 3,
            "SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4",
            "too many terms in compound SELECT: SQLITE_ERROR",
        ),
        (|limits| limits.expression_depth = 5, "SELECT 1+2+3+4+5+6+7", "Expression tree is too large (maximum depth 5): SQLITE_ERROR"),
        (|limits| limits.function_arguments = 3, "SELECT max(1, 2, 3, 4)", "too many arguments on function max"),
        (|limits| limits.like_pattern_bytes = 5, "SELECT 'a' LIKE 'abcdef'", "LIKE or GLOB pattern too complex: SQLITE_ERROR"),
        (|limits| limits.trigger_depth = 3, recursion, "triggers nested too deep: SQLITE_ERROR"),
        (|limits| limits.value_bytes = 10_000, "SELECT zeroblob(20000)", "string or blob too big: SQLITE_TOOBIG"),
    ];
    for (change, sql, words) in cases {
        let mut db = Fixture::with_limits(change);
        run(&mut db, "CREATE TABLE t (v)", vec![]);
        let error = run_err(&mut db, sql);
        assert!(error.starts_with(words), "{sql}: {error}");
        assert_eq!(values(&mut db, "SELECT count(*) FROM sqlite_schema"), [[Value::Integer(1)]], "{sql}");
        assert_eq!(values(&mut db, "SELECT count(*) FROM t"), [[Value::Integer(0)]], "{sql}");
    }
}

#[test]
fn a_program_has_as_many_instructions_as_it_may() {
    let mut db = Fixture::with_limits(|limits| limits.program_instructions = 60);
    let union: Vec<String> = (0..100).map(|n| format!("SELECT {n}")).collect();
    assert_eq!(run_err(&mut db, &union.join(" UNION ALL ")), "out of memory: SQLITE_NOMEM");
    assert_eq!(values(&mut db, "SELECT 1"), [[Value::Integer(1)]]);
}

#[test]
fn a_text_has_as_many_bytes_as_it_may() {
    let mut db = Fixture::with_limits(|limits| limits.statement_bytes = 1_000);
    assert_eq!(run_err(&mut db, &format!("SELECT '{}'", "-".repeat(1_000))), "statement too long: SQLITE_TOOBIG");
    assert_eq!(values(&mut db, "SELECT 1"), [[Value::Integer(1)]]);
}
