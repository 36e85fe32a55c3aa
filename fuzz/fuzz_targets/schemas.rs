//! Several databases in one process, whose schemas change under statements that are kept compiled: virtual tables, triggers, comments, texts
//! that do not compile. Whatever runs beside it, a database that nobody writes to stays as it was, and all of them stay sound.
//!
//! A line is a call. Its first character chooses the database, and `!` opens that of the next line anew.
#![no_main]

use littoral_engine::answer::answer;
use littoral_engine::answer::{Form, Request};
use littoral_engine::engine::{Engine, Limits};
use littoral_engine::store::{MemoryStore, PageStore};
use std::rc::Rc;

const LINES: usize = 60;

fn open(store: &Rc<dyn PageStore>) -> Engine {
    let limits =
        Limits { heap_bytes: 64 << 20, program_instructions: 20_000, run_kiloinstructions: 200, cached_statements: 6, ..Limits::default() };
    Engine::open(store.clone(), limits, Rc::new(|| 1_700_000_000_000))
}

fn call(database: &mut Engine, sql: &str) -> String {
    let body = serde_json::json!({ "sql": sql, "params": [] }).to_string();
    answer(database, Request::new(Form::D1 { objects: true }, &body, None, None)).body
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    let innocent = littoral_fuzz::primary() as Rc<dyn PageStore>;
    let stores: Vec<Rc<dyn PageStore>> = (0..2).map(|_| Rc::new(MemoryStore::new()) as Rc<dyn PageStore>).collect();
    let mut databases: Vec<Engine> = stores.iter().map(open).collect();
    let mut beside = open(&innocent);
    let content = call(&mut beside, "SELECT * FROM t");
    let rows = |answer: &str| answer.split("\"meta\"").next().map(str::to_owned);
    let mut reopen = false;
    for line in text.lines().take(LINES) {
        let Some(first) = line.chars().next() else { continue };
        if first == '!' {
            reopen = true;
            continue;
        }
        let chosen = first as usize % databases.len();
        if std::mem::take(&mut reopen) {
            databases[chosen] = open(&stores[chosen]);
        }
        // A comment that ends with the line is followed by the statement.
        let sql = line[first.len_utf8()..].replace("\\n", "\n");
        let body = call(&mut databases[chosen], &sql);
        serde_json::from_str::<serde_json::Value>(&body).expect("the answer is JSON");
        assert_eq!(rows(&call(&mut beside, "SELECT * FROM t")), rows(&content), "after {sql}");
    }
    for database in databases.iter_mut().chain([&mut beside]) {
        let check = call(database, "PRAGMA quick_check");
        assert!(check.contains("\"quick_check\":\"ok\"") || check.contains("SQLITE_NOMEM") || check.contains("CPU time limit"), "{check}");
    }
});
