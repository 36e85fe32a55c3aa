//! SQLite's own sqllogictest files, through the engine and through plain SQLite.
//!
//! Format: <https://www.sqlite.org/sqllogictest/doc/trunk/about.wiki>. Every record has to give what the file says, and the engine has to
//! give what plain SQLite gives, value by value and error by error.
//!
//! Mapped: temporary views, which D1 does not have, are made as ordinary ones. The files begin no transactions.
//!
//! **Not here:** the files through the Worker (the Worker tests). Without `../shared/data` this test says so and passes.

mod common;

use common::{Fixture, plain_message, plain_values};
use littoral_engine::engine::Error;
use littoral_protocol::sql::{Statement, Value};
use md5::{Digest, Md5};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// What a record asks for.
#[derive(Debug)]
enum Expectation {
    Statement { ok: bool },
    Query { types: String, sort: Sort, result: Vec<String> },
}

#[derive(Debug)]
enum Sort {
    None,
    Rows,
    Values,
}

#[derive(Debug)]
struct Record {
    line: usize,
    sql: String,
    expectation: Expectation,
}

/// The records of a file that are for SQLite.
fn parse(text: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut at = 0;
    let mut applies = true;
    while at < lines.len() {
        let line = at + 1;
        // Comments may follow a condition.
        let words: Vec<&str> = lines[at].split('#').next().unwrap_or_default().split_whitespace().collect();
        at += 1;
        match words[..] {
            [] => {}
            ["onlyif", database, ..] => applies &= database == "sqlite",
            ["skipif", database, ..] => applies &= database != "sqlite",
            ["halt"] if applies => break,
            ["halt"] | ["hash-threshold", _] | ["control", ..] => applies = true,
            ["statement", outcome] => {
                let sql = until(&lines, &mut at, |line| line.is_empty());
                if std::mem::replace(&mut applies, true) {
                    records.push(Record { line, sql: sql.join("\n"), expectation: Expectation::Statement { ok: outcome == "ok" } });
                }
            }
            ["query", types, ref options @ ..] => {
                let sort = match options.first() {
                    Some(&"rowsort") => Sort::Rows,
                    Some(&"valuesort") => Sort::Values,
                    Some(&"nosort") | None => Sort::None,
                    Some(other) => panic!("line {line}: sort mode {other}"),
                };
                let sql = until(&lines, &mut at, |line| line.is_empty() || line == "----");
                let result =
                    if at > 0 && lines.get(at - 1) == Some(&"----") { until(&lines, &mut at, |line| line.is_empty()) } else { vec![] };
                if std::mem::replace(&mut applies, true) {
                    let result = result.into_iter().map(String::from).collect();
                    records.push(Record {
                        line,
                        sql: sql.join("\n"),
                        expectation: Expectation::Query { types: types.into(), sort, result },
                    });
                }
            }
            ref other => panic!("line {line}: {other:?}"),
        }
    }
    records
}

/// The lines up to one that ends them; that one is passed over.
fn until<'a>(lines: &[&'a str], at: &mut usize, ends: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let from = *at;
    while *at < lines.len() && !ends(lines[*at]) {
        *at += 1;
    }
    *at += 1;
    lines[from..*at - 1].to_vec()
}

/// A value as the files write it.
fn text(value: &Value, kind: char) -> String {
    let number = |value: &Value| match value {
        Value::Integer(value) => *value as f64,
        Value::Real(value) => *value,
        Value::Text(text) => text.trim().parse().unwrap_or(0.0),
        Value::Null | Value::Blob(_) => 0.0,
    };
    match (value, kind) {
        (Value::Null, _) => "NULL".into(),
        (value, 'I') => match value {
            Value::Integer(value) => value.to_string(),
            other => (number(other) as i64).to_string(),
        },
        (value, 'R') => three_decimals(number(value)),
        (Value::Text(text), _) if text.is_empty() => "(empty)".into(),
        (Value::Text(text), _) => text.chars().map(|one| if (' '..='~').contains(&one) { one } else { '@' }).collect(),
        (Value::Integer(value), _) => value.to_string(),
        (Value::Real(value), _) => value.to_string(),
        (Value::Blob(bytes), _) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// As SQLite's own printf writes it, which stops at 16 digits.
fn three_decimals(number: f64) -> String {
    let text = format!("{number:.3}");
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits <= 16 {
        return text;
    }
    let sqlite = Connection::open_in_memory().unwrap();
    sqlite.query_row("SELECT printf('%.3f', ?1)", [number], |row| row.get(0)).unwrap()
}

/// The result of a query in the form of the file: values line by line, or their sum.
fn formatted(rows: &[Vec<Value>], types: &str, sort: &Sort, hashed: bool) -> Vec<String> {
    let mut lines: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().zip(types.chars()).map(|(value, kind)| text(value, kind)).collect()).collect();
    if let Sort::Rows = sort {
        lines.sort();
    }
    let mut values: Vec<String> = lines.concat();
    if let Sort::Values = sort {
        values.sort();
    }
    if !hashed {
        return values;
    }
    let mut sum = Md5::new();
    values.iter().for_each(|value| sum.update(format!("{value}\n")));
    let hex: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    vec![format!("{} values hashing to {hex}", values.len())]
}

#[derive(Default)]
struct Counts {
    statements: usize,
    refused: usize,
    queries: usize,
    values: usize,
}

fn run_file(path: &Path, counts: &mut Counts) {
    let mut db = Fixture::durable();
    let plain = Connection::open_in_memory().unwrap();
    for Record { line, sql, expectation } in parse(&std::fs::read_to_string(path).unwrap()) {
        let place = format!("{}:{line}: {sql}", path.display());
        let sql = sql.replace("CREATE TEMPORARY VIEW", "CREATE VIEW").replace("CREATE TEMP VIEW", "CREATE VIEW");
        let ours = match db.run_call(vec![Statement::new(&sql, vec![])]) {
            Ok(mut sets) => Ok(sets.remove(0).rows),
            Err(failure) => match failure.error {
                Error::Sqlite { message, .. } => Err(message),
                other => panic!("{place}: {other}"),
            },
        };
        let expected = plain_values(&plain, &sql, &[]).map_err(plain_message);
        assert_eq!(ours, expected, "{place}: the engine and plain SQLite differ");
        match (expectation, ours) {
            (Expectation::Statement { ok }, ours) => {
                assert_eq!(ours.is_ok(), ok, "{place}: {ours:?}");
                counts.statements += 1;
                counts.refused += usize::from(!ok);
            }
            // The files expect an empty result of a query that fails.
            (Expectation::Query { result, .. }, Err(error)) => assert!(result.is_empty(), "{place}: {error}"),
            (Expectation::Query { types, sort, result }, Ok(rows)) => {
                let hashed = result.first().is_some_and(|first| first.contains(" values hashing to "));
                assert_eq!(formatted(&rows, &types, &sort, hashed), result, "{place}");
                counts.queries += 1;
                counts.values += rows.iter().map(Vec::len).sum::<usize>();
            }
        }
    }
    common::assert_sound(&db.database);
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_in(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

#[test]
fn sqllogictest_files_give_what_they_say_and_what_plain_sqlite_gives() {
    let Some(folder) = common::shared_data("sqllogictest") else { return };
    let mut counts = Counts::default();
    let files: Vec<PathBuf> =
        files_in(&folder).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "test")).collect();
    for path in &files {
        run_file(path, &mut counts);
    }
    let Counts { statements, refused, queries, values } = counts;
    println!(
        "{} files: {statements} statements, {refused} of them to be refused, and {queries} queries with {values} values: no difference",
        files.len()
    );
    assert!(files.len() >= 15 && queries > 5_000, "the files were found and read");
}
