//! Every request is answered with JSON, and a table that is not named stays as it is.
#![no_main]

use littoral_engine::answer::{Form, Request, answer};
use littoral_engine::engine::{Engine, Limits};
use std::rc::Rc;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let limits = Limits { heap_bytes: 32 << 20, program_instructions: 20_000, ..Limits::default() };
    let mut database = Engine::open(littoral_fuzz::primary(), limits, Rc::new(|| 1_700_000_000_000));
    let requests = [
        Request::calls(text),
        Request::new(Form::D1 { objects: false }, text, text.get(..60).map(Into::into), None),
        Request::new(Form::D1 { objects: true }, text, Some("first-primary".into()), None),
        Request::new(Form::Rest { objects: true }, text, None, None),
    ];
    for request in requests {
        let body = answer(&mut database, request).body;
        serde_json::from_str::<serde_json::Value>(&body).expect("the answer is JSON");
    }
});
