//! The functions that take the place of SQLite's own answer as those do, and what a function computes counts against the budget of its call.

#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(missing_docs)]

mod common;

use common::{Fixture, plain_values, run, run_err, values};
use littoral_protocol::sql::{Statement, Value};
use proptest::prelude::*;
use rusqlite::Connection;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// Few different bytes, so that needles are found: characters of one to four bytes, their parts, and NUL.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![b"a", b"b", b"ab", "é".as_bytes(), "日".as_bytes(), "🌊".as_bytes(), b"\xa9", b"\xc3", b"\0", b"1", b"."];
    prop::collection::vec(prop::sample::select(pieces), 0..9).prop_map(|pieces| pieces.concat())
}

/// A value as an SQL expression.
fn value() -> impl Strategy<Value = String> {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    prop_oneof![
        1 => Just("NULL".to_owned()),
        2 => (-30..30_i64).prop_map(|integer| integer.to_string()),
        2 => (-30..30_i64).prop_map(|integer| format!("{}.5", integer)),
        5 => bytes().prop_map(move |bytes| format!("x'{}'", hex(bytes))),
        10 => bytes().prop_map(move |bytes| format!("CAST(x'{}' AS TEXT)", hex(bytes))),
        1 => Just("zeroblob(3)".to_owned()),
    ]
}

/// The engine first: it counts what SQLite allocates only if it was there before everybody else.
fn pair() -> (Fixture, Connection) {
    let mut db = Fixture::memory();
    run(&mut db, "SELECT 1", vec![]);
    (db, Connection::open_in_memory().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn instr_and_replace_answer_as_those_of_sqlite((a, b, c) in (value(), value(), value())) {
        thread_local! {
            static PAIR: RefCell<(Fixture, Connection)> = RefCell::new(pair());
        }
        let of = |call: &str| format!("typeof({call}), hex({call})");
        let sql = format!("SELECT {}, {}, {}", of(&format!("instr({a}, {b})")), of(&format!("replace({a}, {b}, {c})")), of(&format!("instr({b}, {a})")));
        PAIR.with_borrow_mut(|(db, plain)| {
            let expected = plain_values(plain, &sql, &[]).unwrap();
            prop_assert_eq!(&db.run_call(vec![Statement::new(&*sql, vec![])]).unwrap()[0].rows, &expected, "{}", sql);
            Ok(())
        })?;
    }
}

#[test]
fn a_replacement_that_grows_too_large_is_refused() {
    let mut db = Fixture::with_limits(|limits| limits.value_bytes = 1_000);
    assert_eq!(values(&mut db, "SELECT length(replace(hex(zeroblob(5)), '0', hex(zeroblob(50))))"), [[Value::Integer(1_000)]]);
    let error = run_err(&mut db, "SELECT replace(hex(zeroblob(5)) || '1', '0', hex(zeroblob(50)))");
    assert_eq!(error, "string or blob too big: SQLITE_TOOBIG");
}

#[test]
fn work_inside_functions_counts() {
    // Few instructions, with much work in each.
    let rows = "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 100)";
    let large = "(SELECT hex(zeroblob(5000000)) AS h)";
    for body in [
        "SELECT count(randomblob(30000000)) FROM c".to_owned(),
        "SELECT count(zeroblob(30000000) || x) FROM c".to_owned(),
        format!("SELECT count(instr(h, x || 'a')) FROM c, {large}"),
        format!("SELECT count(replace(h, x || 'a', '')) FROM c, {large}"),
        format!("SELECT count(upper(h)) FROM c, {large}"),
        "SELECT max(length(printf('%.*c', 20000000, x))) FROM c".to_owned(),
        "SELECT count(group_concat(x, hex(zeroblob(1000000)))) OVER (ORDER BY x) FROM c".to_owned(),
        "SELECT max(length(json_array(hex(zeroblob(1000000)), x))) FROM c".to_owned(),
    ] {
        let mut db = Fixture::with_limits(|limits| limits.run_kiloinstructions = 10_000);
        let began = Instant::now();
        let error = run_err(&mut db, &format!("{rows} {body}"));
        assert!(error.starts_with("D1 DB exceeded its CPU time limit and was reset."), "{body}: {error}");
        println!("{:?}: {body}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(20), "{body}: {:?}", began.elapsed());
    }
}
