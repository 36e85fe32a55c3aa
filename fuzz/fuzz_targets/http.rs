//! What an HTTP request says is understood or refused: paths, query strings, bodies, addresses, bindings' grants, questions to the catalogue.
#![no_main]

use littoral_engine::catalog::{Catalog, Question};
use littoral_engine::settings::grant::Grant;
use littoral_engine::store::HostSql;
use littoral_protocol::rest::{
    CreateBody, ExportRequest, ExportTicket, ListQuery, QueryBody, Refusal, UpdateBody, bookmark, route, timestamp,
};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    for method in ["GET", "POST", first] {
        if let Err(refusal) = route(method, rest) {
            assert!(refusal.status >= 400);
        }
        let _ = route(method, &format!("/client/v4/accounts/a/d1/database/{rest}"));
    }
    let _ = (timestamp(text), bookmark(text), Refusal::status_of(text));
    let _ = (serde_json::from_str::<QueryBody>(text), serde_json::from_str::<ExportRequest>(text));
    let ticket = ExportTicket::parse(text);
    assert_eq!(ExportTicket::parse(&ticket.query()), ticket, "an address says what was signed");
    let reached = Grant { database: Some("main"), databases: Some(first), create: None }.reach(Some(rest));
    assert!(reached.is_err() || rest == "main" || first == rest || first.strip_suffix('*').is_some_and(|begin| rest.starts_with(begin)));

    let catalog = Catalog::open(HostSql::in_memory().expect("memory")).expect("a catalogue");
    let question = serde_json::from_str::<Question>(rest).ok();
    let update = serde_json::from_str::<UpdateBody>(rest).ok().map(|body| Question::Update(first.into(), body));
    let create = Question::Create(serde_json::from_str(rest).unwrap_or(CreateBody { name: first.into(), ..CreateBody::default() }));
    let list = ListQuery::parse(text).ok().map(Question::List);
    for question in [Some(create), question, update, list, Some(Question::Find(first.into()))].into_iter().flatten() {
        let reply = catalog.answer(question, "00000000-0000-4000-8000-000000000001", 1);
        serde_json::to_string(&reply).expect("a reply is JSON");
    }
});
