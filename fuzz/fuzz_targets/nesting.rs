//! SQL nested in every order that the fuzzer thinks of is answered on the stack that the runtime has: with rows, or with an error.
//!
//! Each byte chooses a pair of `PAIRS`; the first two say how often the whole is repeated.
#![no_main]

use littoral_engine::answer::answer;
use littoral_engine::answer::{Form, Request};
use littoral_engine::engine::{Engine, Limits};
use std::rc::Rc;

/// As a WebAssembly instance has it (the stack of its C and Rust code; wasm-ld's default is 1 MiB).
const STACK_BYTES: usize = 1 << 20;
const LONGEST: usize = 200_000;

/// What comes before the core, and after it.
const PAIRS: [(&str, &str); 40] = [
    ("(", ")"),
    ("(SELECT ", ")"),
    ("(SELECT a FROM (SELECT ", " AS a))"),
    ("(SELECT a FROM t WHERE b = ", ")"),
    ("(SELECT a FROM t ORDER BY ", " LIMIT 1)"),
    ("(SELECT max(a) FROM t GROUP BY ", ")"),
    ("(SELECT a FROM t GROUP BY 1 HAVING ", ")"),
    ("(SELECT row_number() OVER (PARTITION BY ", ") FROM t)"),
    ("(SELECT 1 UNION SELECT ", ")"),
    ("(SELECT 1 UNION ALL SELECT ", " UNION ALL SELECT 2)"),
    ("(SELECT 1 EXCEPT SELECT ", ")"),
    ("(SELECT 1 FROM t JOIN t AS u ON ", ")"),
    ("(SELECT 1 FROM t LEFT JOIN t AS u ON ", ")"),
    ("(SELECT 1 FROM (t JOIN (SELECT ", ")))"),
    ("(WITH c(a) AS (SELECT ", ") SELECT a FROM c)"),
    ("(WITH c(a) AS MATERIALIZED (SELECT ", ") SELECT a FROM c)"),
    ("(WITH RECURSIVE c(a) AS (SELECT ", " UNION SELECT a FROM c) SELECT a FROM c)"),
    ("EXISTS (SELECT ", ")"),
    ("1 IN (SELECT ", ")"),
    ("1 IN (1, ", ")"),
    ("(1, 2) IN (SELECT 1, ", ")"),
    ("(1, ", ") = (1, 2)"),
    ("CASE WHEN ", " THEN 1 ELSE 2 END"),
    ("CASE 1 WHEN 2 THEN 1 ELSE ", " END"),
    ("CAST(", " AS TEXT)"),
    ("abs(", ")"),
    ("coalesce(1, ", ")"),
    ("iif(1, ", ", 2)"),
    ("json_array(", ")"),
    ("json_object('a', ", ")"),
    ("1 BETWEEN 0 AND ", ""),
    ("NOT ", ""),
    ("- ", ""),
    ("~", ""),
    ("1 + ", ""),
    ("'a' || ", ""),
    ("1 AND ", " OR 0"),
    ("1 IS ", ""),
    ("'a' LIKE ", " ESCAPE 'b'"),
    ("", " COLLATE NOCASE"),
];

fn run(sql: String) {
    let limits = Limits { heap_bytes: 64 << 20, run_kiloinstructions: 300, ..Limits::default() };
    let mut database = Engine::open(littoral_fuzz::primary(), limits, Rc::new(|| 1_700_000_000_000));
    let body = serde_json::json!({ "sql": sql, "params": [] }).to_string();
    let body = answer(&mut database, Request::new(Form::D1 { objects: true }, &body, None, None)).body;
    serde_json::from_str::<serde_json::Value>(&body).expect("the answer is JSON");
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [high, low, chosen @ ..] = bytes else { return };
    let repeats = usize::from(u16::from_be_bytes([*high, *low]));
    let pairs: Vec<_> = chosen.iter().map(|byte| PAIRS[usize::from(*byte) % PAIRS.len()]).collect();
    let open: String = pairs.iter().map(|(open, _)| *open).collect();
    let close: String = pairs.iter().rev().map(|(_, close)| *close).collect();
    let repeats = repeats.min(LONGEST / (open.len() + close.len()).max(1));
    let sql = format!("SELECT {}1{}", open.repeat(repeats), close.repeat(repeats));
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || run(sql)).expect("a thread");
    thread.join().expect("no panic");
});
