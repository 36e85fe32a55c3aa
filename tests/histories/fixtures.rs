//! Small histories written by hand, good and bad, with the verdict that each checker must give: they prove that the checkers can fail.
//!
//! One operation a line, numbered from 1: session, who answered (or the outcome), times, txids of the bookmarks before and after, operations
//! that it follows, steps. `a primary 0-9 -:1 x+1 x=1` is session `a` appending 1 to `x` and reading it, in one batch, from 0 to 9 ms, with no
//! bookmark before and that of txid 1 after. `-` as the session: none.

use super::format::{Finding, Operation, Outcome, Step, Tier, parse, report, to_text};
use super::{by_adya, definitions};
use littoral_protocol::{Bookmark, Txid};
use std::collections::BTreeSet;

pub struct Fixture {
    pub name: &'static str,
    /// The rules of ours that must object.
    pub ours: &'static [&'static str],
    /// The anomalies that adya must name, with the check that found each.
    pub adya: &'static [&'static str],
    pub lines: &'static str,
}

pub fn bookmark(txid: u64) -> String {
    let checksum = txid.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Bookmark { txid: Txid(txid), page_count: 2, checksum, time_ms: 1_800_000_000_000 + txid }.to_string()
}

fn operations(lines: &str) -> Vec<Operation> {
    lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate().map(|(at, line)| operation(at as u64 + 1, line)).collect()
}

fn operation(op: u64, line: &str) -> Operation {
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_else(|| panic!("too short: {line}"));
    let session = Some(word()).filter(|name| *name != "-").map(String::from);
    let (outcome, tier) = match word() {
        "isolate" => (Outcome::Ok, Some(Tier::Isolate)),
        "replica" => (Outcome::Ok, Some(Tier::Replica)),
        "primary" => (Outcome::Ok, Some(Tier::Primary)),
        "failed" => (Outcome::Failed, None),
        "unknown" => (Outcome::Unknown, None),
        other => panic!("{other:?} in: {line}"),
    };
    let (start, end) = word().split_once('-').unwrap();
    let (before, after) = word().split_once(':').unwrap();
    let txid = |text: &str| text.parse().ok().map(bookmark);
    let mut made = Operation {
        op,
        session,
        steps: Vec::new(),
        start: start.parse().unwrap(),
        end: end.parse().unwrap(),
        outcome,
        tier,
        before: txid(before),
        after: txid(after),
        follows: Vec::new(),
        location: None,
    };
    for word in words {
        if let Some(followed) = word.strip_prefix('<') {
            made.follows.push(followed.parse().unwrap());
        } else if let Some((list, value)) = word.split_once('+') {
            made.steps.push(Step::Append { list: list.into(), append: value.parse().unwrap() });
        } else if let Some((list, values)) = word.split_once('=') {
            let values = values.split(',').filter(|value| !value.is_empty()).map(|value| value.parse().unwrap()).collect();
            made.steps.push(Step::Read { list: list.into(), read: (outcome == Outcome::Ok).then_some(values) });
        } else {
            panic!("{word:?} in: {line}");
        }
    }
    made
}

/// Which of the three checks objected, and to what; not the cycles that it knows to exist besides those it shows.
fn adya_kinds(findings: &[Finding]) -> BTreeSet<String> {
    let shown = findings.iter().filter(|finding| !finding.kind.ends_with("-cycle-exists"));
    shown.map(|finding| format!("{}: {}", finding.rule.trim_start_matches("adya, "), finding.kind)).collect()
}

#[test]
fn each_checker_says_of_each_fixture_what_it_must() {
    let mut wrong = Vec::new();
    for Fixture { name, ours, adya, lines } in FIXTURES {
        let history = parse(&to_text(&operations(lines))).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (by_us, by_adya) = (definitions::check(&history), by_adya::check(&history));
        let rules: BTreeSet<&str> = by_us.iter().map(|finding| finding.rule).collect();
        let kinds = adya_kinds(&by_adya);
        if rules != ours.iter().copied().collect() || kinds != adya.iter().map(|kind| kind.to_string()).collect() {
            let all: Vec<Finding> = by_us.iter().chain(&by_adya).cloned().collect();
            wrong.push(format!("{name}: ours {rules:?}, adya {kinds:?}{}", report(&history, &all)));
        }
    }
    assert!(wrong.is_empty(), "other verdicts than expected:\n\n{}", wrong.join("\n"));
}

#[test]
fn a_report_names_the_operations() {
    let history = operations("a primary 0-9 -:1 x+1\n b primary 20-29 -:1 x=1,2\n b replica 30-39 1:1 x=1");
    let text = report(&history, &definitions::check(&history));
    assert!(text.contains("elements: a value of nobody: nobody appended 2 to x"), "{text}");
    assert!(text.contains("op 2, session b, 20.000 to 29.000 ms, ok by primary, txid - -> 1: read x: [1, 2];"), "{text}");
}

#[test]
fn what_is_no_history_is_refused() {
    let bad = [
        ("a primary 0-9 -:1 x+1\n a primary 10-19 1:2 y+1", "op 2: 1 was appended before"),
        ("a replica 0-9 -:1 x+1", "op 1: was written elsewhere than at the primary"),
        ("a primary 9-0 -:1 x+1", "op 1: ends before it starts"),
        ("a primary 0-9 -:- x+1", "op 1: is ok in a session and has no bookmark"),
        ("- replica 0-9 -:- x=", "op 1: was answered elsewhere than at the primary, without a session"),
        ("a primary 0-9 -:1 x+1\n b replica 10-19 1:1 <2 x=1", "op 2: follows 2, which is no earlier answer in a session"),
        ("a primary 0-9 -:1", "op 1: asks nothing"),
    ];
    for (lines, why) in bad {
        assert_eq!(parse(&to_text(&operations(lines))).unwrap_err(), why);
    }
    assert!(parse("{\"op\":1}").unwrap_err().starts_with("line 1: missing field"));
}

/// Why `parse` refuses a value that is appended twice.
#[test]
fn adya_finds_nothing_in_a_history_that_it_cannot_analyse() {
    let history = operations("a primary 0-9 -:1 x+1\n a primary 10-19 1:2 x+1\n a primary 20-29 2:2 x=");
    assert!(by_adya::check(&history).is_empty());
}

const FIXTURES: &[Fixture] = &[
    Fixture { name: "nothing", ours: &[], adya: &[], lines: "" },
    Fixture {
        name: "good: all tiers, a session that lags, a batch",
        ours: &[],
        adya: &[],
        lines: "
            a primary 0-9 -:1 x+1
            b primary 10-19 -:2 x+2 y+3 x=1,2
            a replica 20-29 1:1 x=1
            c isolate 20-29 -:0 x= y=
            a isolate 30-39 1:2 x=1,2 y=3
            - primary 40-49 -:- y=3 x=1,2
            a primary 50-59 2:3 y+4
            a primary 60-69 3:3 y=3,4",
    },
    Fixture {
        name: "good: a bookmark handed over, a write that failed, one of unknown outcome that took effect later",
        ours: &[],
        adya: &[],
        lines: "
            a primary 0-9 -:1 x+1
            a failed 10-19 1:- x+2
            b unknown 10-19 -:- x+3
            c replica 20-29 1:1 <1 x=1
            c replica 40-49 1:2 x=1,3
            b primary 50-59 -:2 x=1,3",
    },
    Fixture {
        name: "good: three that waited together share a commit, and the read between the writes has its bookmark",
        ours: &[],
        adya: &[],
        lines: "
            a primary 0-20 -:1 x+1
            b primary 1-20 -:1 x=1
            c primary 2-20 -:1 x+2
            b replica 30-40 1:1 x=1,2",
    },
    Fixture {
        name: "a stale read within a session: its own write is missing",
        ours: &["states", "session"],
        adya: &["sessions: G-single-item-process", "both: G-single-item"],
        lines: "
            a primary 0-9 -:1 x+1
            a replica 20-29 1:1 x=
            b replica 40-49 -:1 x=1",
    },
    Fixture {
        name: "a stale read within a session, with the older bookmark",
        ours: &["bookmarks", "session"],
        adya: &["sessions: G-single-item-process", "both: G-single-item"],
        lines: "
            a primary 0-9 -:1 x+1
            a replica 20-29 1:0 x=
            b replica 40-49 -:1 x=1",
    },
    Fixture {
        name: "a lost write: acknowledged, and never there",
        ours: &["states", "real time"],
        adya: &["primary: G-single-item-realtime", "both: G-single-item-realtime"],
        lines: "
            a primary 0-9 -:1 x+1
            b primary 10-19 -:2 x+2
            - primary 20-29 -:- x=1
            c primary 30-39 -:2 x=1",
    },
    Fixture {
        name: "a lost write outside of sessions",
        ours: &["real time"],
        adya: &["primary: G-single-item-realtime", "both: G-single-item-realtime"],
        lines: "
            - primary 0-9 -:- x+1
            - primary 10-19 -:- x=",
    },
    Fixture {
        name: "a read that is not monotonic",
        ours: &["states", "session"],
        adya: &["sessions: G-single-item-process", "both: G-single-item"],
        lines: "
            a primary 0-9 -:1 x+1
            a primary 10-19 1:2 x+2
            b replica 20-29 -:2 x=1,2
            b replica 30-39 2:2 x=1",
    },
    Fixture {
        name: "a dirty read of a write that failed",
        ours: &["elements"],
        adya: &["primary: G1a", "sessions: G1a", "both: G1a"],
        lines: "
            a failed 0-9 -:- x+1
            b primary 10-19 -:0 x=1",
    },
    Fixture {
        name: "a read that ended before the write began",
        ours: &["elements", "states", "real time"],
        adya: &["primary: G1c-realtime", "both: G1c-realtime"],
        lines: "
            b primary 0-9 -:0 x=1
            a primary 10-19 -:1 x+1",
    },
    Fixture {
        name: "an answer one txid early: it shows what its bookmark has not; adya sees no bookmarks",
        ours: &["states"],
        adya: &[],
        lines: "
            a primary 0-9 -:1 x+1
            a primary 10-19 1:2 x+2
            b replica 20-29 -:1 x=1,2",
    },
    Fixture {
        name: "an answer one txid late: it lacks what its bookmark has; adya sees no bookmarks",
        ours: &["states"],
        adya: &[],
        lines: "
            a primary 0-9 -:1 x+1
            a primary 10-19 1:2 x+2
            b replica 20-29 -:2 x=1
            c replica 20-29 -:2 x=1,2",
    },
    Fixture {
        name: "a handed bookmark is not heeded",
        ours: &["bookmarks", "session"],
        adya: &["sessions: G-single-item", "both: G-single-item"],
        lines: "
            a primary 0-9 -:1 x+1
            b replica 10-19 -:0 <1 x=
            b replica 20-29 0:1 x=1",
    },
    Fixture {
        name: "a stale read after a look at another list: only bookmarks, or real time and session together, tell",
        ours: &["bookmarks", "states"],
        adya: &["both: G-single-item-realtime"],
        lines: "
            a primary 0-9 -:1 x+1
            b primary 20-29 -:1 y=
            b replica 30-39 1:0 x=
            b replica 40-49 1:1 x=",
    },
    Fixture {
        name: "writes of a session in the wrong order",
        ours: &["order", "session", "real time"],
        adya: &["primary: G0-realtime", "sessions: G0-process", "both: G1c"],
        lines: "
            a primary 0-9 -:1 x+1
            a primary 10-19 1:2 x+2
            b primary 20-29 -:2 x=2,1",
    },
    Fixture {
        name: "a write that does not follow what its session read",
        ours: &["order", "session", "real time"],
        adya: &[
            "primary: G0-realtime",
            "sessions: G1c-process",
            "sessions: incompatible-order",
            "both: G0-realtime",
            "both: G1c",
            "both: incompatible-order",
        ],
        lines: "
            a primary 0-9 -:1 x+1
            b replica 10-19 -:1 x=1
            b primary 20-29 1:2 x+2
            c primary 30-39 -:2 x=2,1",
    },
    Fixture {
        name: "the primary's answer lacks what was acknowledged before, in another session",
        ours: &["real time"],
        adya: &["primary: G-single-item-realtime", "both: G-single-item-realtime"],
        lines: "
            a primary 0-9 -:1 x+1
            b primary 10-19 -:0 x=",
    },
    Fixture {
        name: "half of a batch",
        ours: &["batches"],
        adya: &["primary: G-single-item", "sessions: G-single-item", "both: G-single-item"],
        lines: "
            a primary 0-20 -:1 x+1 y+2
            b primary 1-20 -:1 x=1 y=",
    },
    Fixture {
        name: "a write that makes no new state; adya sees no bookmarks",
        ours: &["bookmarks", "real time"],
        adya: &[],
        lines: "
            a primary 0-9 -:1 x+1
            a primary 10-19 1:1 x+2
            b replica 20-29 -:1 x=1,2",
    },
    Fixture {
        name: "reads in two orders",
        ours: &["order", "states"],
        adya: &["sessions: incompatible-order", "both: incompatible-order"],
        lines: "
            a primary 0-20 -:1 x+1
            b primary 0-20 -:1 x+2
            c replica 30-39 -:1 x=1,2
            d replica 30-39 -:1 x=2",
    },
    Fixture {
        name: "a value of nobody; adya does not mind",
        ours: &["elements"],
        adya: &[],
        lines: "
            a primary 0-9 -:1 x+1
            b primary 10-19 -:1 x=1,7",
    },
    Fixture {
        name: "a value twice",
        ours: &["elements"],
        adya: &["primary: duplicate-elements", "sessions: duplicate-elements", "both: duplicate-elements"],
        lines: "
            a primary 0-9 -:1 x+1
            b primary 10-19 -:1 x=1,1",
    },
    Fixture {
        name: "two replicas of one state differ, in an append of no session; adya sees no bookmarks",
        ours: &["states"],
        adya: &[],
        lines: "
            - primary 0-9 -:- x+1
            a primary 10-19 -:2 y+2
            b replica 20-29 -:2 x=1
            c replica 20-29 -:2 x=",
    },
    Fixture {
        name: "a later state shows less, in an append of no session; adya sees no bookmarks",
        ours: &["states"],
        adya: &[],
        lines: "
            - primary 0-9 -:- x+1
            a primary 10-19 -:2 y+2
            b replica 20-29 -:1 x=1
            c replica 20-29 -:2 x=",
    },
];
