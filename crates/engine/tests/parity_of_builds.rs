//! The native build of SQLite has the compile options of `tests/common/build_options.txt`, and the engine's connection the settings of
//! `tests/common/pragmas.txt`. A Worker test holds the WebAssembly build against the same lists, so what passes natively is what runs there.
//!
//! **Invariants**
//! 1. The build has every option of the list and no other; likewise the settings.
//! 2. What the platform decides stands at the end of a list, apart.
//!
//! **Not here:** the WebAssembly build.

mod common;

use common::{Fixture, plain_values};
use littoral_protocol::sql::Value;
use rusqlite::Connection;

const OPTIONS: &str = include_str!("common/build_options.txt");
const PRAGMAS: &str = include_str!("common/pragmas.txt");

fn listed(list: &'static str) -> Vec<&'static str> {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn assert_as_listed(found: &[String], list: &'static str) {
    let list = listed(list);
    let missing: Vec<_> = list.iter().filter(|line| !found.iter().any(|found| found == *line)).collect();
    let unlisted: Vec<_> = found.iter().filter(|line| !list.contains(&line.as_str())).collect();
    assert!(missing.is_empty() && unlisted.is_empty(), "listed, not so: {missing:#?}\nso, not listed: {unlisted:#?}");
}

#[test]
fn the_native_build_has_the_options_listed() {
    let rows = plain_values(&Connection::open_in_memory().unwrap(), "PRAGMA compile_options", &[]).unwrap();
    let options = rows.concat().into_iter().map(|value| match value {
        Value::Text(option) => option,
        other => panic!("{other:?}"),
    });
    assert_as_listed(&options.filter(|option| !option.starts_with("COMPILER=")).collect::<Vec<_>>(), OPTIONS);
}

#[test]
fn the_engine_has_the_settings_listed() {
    assert_as_listed(&Fixture::memory().database.pragmas().unwrap(), PRAGMAS);
}

#[test]
fn what_the_design_rests_on_is_listed() {
    for option in [
        "ENABLE_FTS5",
        "ENABLE_RTREE",
        "ENABLE_PREUPDATE_HOOK",
        "ENABLE_STMT_SCANSTATUS",
        "ENABLE_BYTECODE_VTAB",
        "ENABLE_MATH_FUNCTIONS",
        "OMIT_SHARED_CACHE",
        "OMIT_LOAD_EXTENSION",
    ] {
        assert!(listed(OPTIONS).contains(&option), "{option}");
    }
    for setting in
        ["journal_mode = truncate", "locking_mode = exclusive", "synchronous = 0", "temp_store = 1", "foreign_keys = 1", "page_size = 4096"]
    {
        assert!(listed(PRAGMAS).contains(&setting), "{setting}");
    }
}
