//! Histories, of the real Worker and made up, are checked for what is promised: the primary is strict serializable, and a session reads its
//! own writes, reads and writes monotonically, and writes after what it read.
//!
//! Two checkers that have nothing in common but the format: adya (`by_adya`) and the definitions (`definitions`). A recorded history is
//! checked with
//!
//! ```text
//! LITTORAL_HISTORY=history.jsonl cargo test --test histories recorded -- --ignored --nocapture
//! ```

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod by_adya;
mod definitions;
mod fixtures;
mod format;
mod generated;

use format::{Operation, Outcome, Tier, parse, report};
use std::collections::BTreeSet;
use std::time::Instant;

#[test]
#[ignore = "needs LITTORAL_HISTORY, the name of a file"]
fn recorded_history_is_as_promised() {
    let file = std::env::var("LITTORAL_HISTORY").expect("LITTORAL_HISTORY names a file");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let history = parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    println!("{}", summary(&history));
    let mut wrong = String::new();
    for name in ["definitions", "adya"] {
        let began = Instant::now();
        let findings = if name == "adya" { by_adya::check(&history) } else { definitions::check(&history) };
        println!("{name}: {} findings, {} ms", findings.len(), began.elapsed().as_millis());
        wrong += &report(&history, &findings);
    }
    assert!(wrong.is_empty(), "{file} is not as promised\n{wrong}");
}

fn summary(history: &[Operation]) -> String {
    let ok: Vec<&Operation> = history.iter().filter(|operation| operation.is_ok()).collect();
    let by = |tier| ok.iter().filter(|operation| operation.tier == Some(tier)).count();
    let sessions: BTreeSet<&str> = history.iter().filter_map(|operation| operation.session.as_deref()).collect();
    let unknown = history.iter().filter(|operation| operation.outcome == Outcome::Unknown).count();
    let handed = history.iter().filter(|operation| !operation.follows.is_empty()).count();
    let elements: usize = ok.iter().flat_map(|operation| operation.reads()).map(|(_, read)| read.len()).sum();
    let commits: BTreeSet<u64> =
        ok.iter().filter(|operation| operation.appends().next().is_some()).filter_map(|it| it.after_txid()).collect();
    format!(
        "{} operations, {unknown} of unknown outcome, {} answered: {} by the primary, {} by replicas, {} by isolates; {} sessions, {handed} bookmarks handed over; {} appends, \
         {} commits of sessions, {elements} elements read",
        history.len(),
        ok.len(),
        by(Tier::Primary),
        by(Tier::Replica),
        by(Tier::Isolate),
        sessions.len(),
        history.iter().flat_map(Operation::appends).count(),
        commits.len(),
    )
}
