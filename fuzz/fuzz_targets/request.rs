//! Every request is answered with JSON, and a table that is not named stays as it is.
#![no_main]

use littoral_engine::answer::d1::{Request, answer};
use littoral_engine::engine::{Database, Limits};
use std::rc::Rc;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let limits = Limits { heap_bytes: 32 << 20, program_instructions: 20_000, ..Limits::default() };
    let mut database = Database::open(littoral_fuzz::primary(), limits, Rc::new(|| 1_700_000_000_000));
    let requests = [
        Request::Calls { body: text },
        Request::D1 { body: text, results_format: Some("ROWS_AND_COLUMNS"), session: text.get(..60) },
        Request::D1 { body: text, results_format: None, session: Some("first-primary") },
    ];
    for request in requests {
        let body = answer(&mut database, request).body;
        serde_json::from_str::<serde_json::Value>(&body).expect("the answer is JSON");
    }
});
