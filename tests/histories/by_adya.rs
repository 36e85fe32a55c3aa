//! The independent checker: the crate adya, which infers who must have come before whom and looks for cycles.
//!
//! adya knows transactions, the order within a process, and real time; it applies one of the last two. So it is asked three times:
//!
//! | check | operations | order besides data | model |
//! |---|---|---|---|
//! | primary | what the primary answered, all writes | real time | strict-serializable |
//! | sessions | all | sessions, handed bookmarks | strong-session-serializable |
//! | both | all | real time of what the primary answered, sessions, handed bookmarks | strict-serializable |
//!
//! A handed bookmark becomes data, as adya knows no order across processes: the operation it came from appends to a list of its own,
//! which the operation that starts from it reads. `both` does so for the order of sessions too, and lets each answer of a replica begin
//! before everything and end after everything: so real time says nothing of it.
//!
//! **What adya cannot see**
//! 1. Bookmarks: an answer that is another state than its bookmark says, unless that closes a cycle.
//! 2. Values that nobody appended.
//! 3. Whether a history can be analysed at all: one that appends a value twice is valid to it. `format::parse` refuses such.
//!
//! **Not here:** a word of our own on what is right (`definitions`).

use super::format::{Finding, Operation, Outcome, Step};
use adya::history::{Interner, Mop, Op, OpType, ReadValue, Scalar};
use adya::{History, Opts, Workload};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    Primary,
    Sessions,
    Both,
}

/// What adya has against a history.
pub fn check(history: &[Operation]) -> Vec<Finding> {
    let checks = [
        (Check::Primary, "adya, primary", "strict-serializable"),
        (Check::Sessions, "adya, sessions", "strong-session-serializable"),
        (Check::Both, "adya, both", "strict-serializable"),
    ];
    checks.into_iter().flat_map(|(check, rule, model)| ask(&Encoder::default().encode(history, check), rule, model)).collect()
}

fn ask(history: &History, rule: &'static str, model: &str) -> Vec<Finding> {
    let options = Opts { models: vec![model.into()], timeout: Duration::from_secs(5), ..Opts::default() };
    let report = adya::check(history, Workload::ListAppend, &options);
    let finding = |kind: &str, anomaly: adya::Anomaly| Finding { rule, kind: kind.into(), ops: anomaly.ops, text: anomaly.explanation };
    // Where nothing depends on anything else there is no cycle.
    let anomalies = report.anomalies.into_iter().filter(|(kind, _)| kind != "empty-transaction-graph");
    anomalies.flat_map(|(kind, found)| found.into_iter().map(move |anomaly| finding(&kind, anomaly))).collect()
}

#[derive(Default)]
struct Encoder {
    interner: Interner,
}

/// Beginnings before everything and ends after everything.
const ALWAYS: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

impl Encoder {
    fn encode(mut self, history: &[Operation], check: Check) -> History {
        let history: Vec<&Operation> = history.iter().filter(|operation| check != Check::Primary || is_of_primary(operation)).collect();
        let orders = if check == Check::Primary { HashMap::new() } else { orders(&history, check == Check::Both) };
        let followed: HashSet<u64> = orders.values().flatten().copied().collect();
        let mut sessions: HashMap<&str, i64> = HashMap::new();
        // (time, ends come after beginnings of the same time, place in the history), event
        let mut events = Vec::new();
        for (at, operation) in history.iter().enumerate() {
            let mut value: Vec<Mop> = operation.steps.iter().map(|step| self.step(step)).collect();
            value.extend(orders.get(&at).into_iter().flatten().map(|earlier| self.reads_order(*earlier)));
            value.extend(followed.contains(&operation.op).then(|| self.writes_order(operation.op)));
            let new = at as i64;
            let process = match (check, &operation.session) {
                (Check::Sessions, Some(name)) => *sessions.entry(name).or_insert(new),
                _ => new,
            };
            let kind = match operation.outcome {
                Outcome::Ok => OpType::Ok,
                Outcome::Failed => OpType::Fail,
                Outcome::Unknown => OpType::Info,
            };
            let (start, end) = interval(operation, at, check);
            let event = |kind| Op { index: operation.op, kind, process: Some(process), value: value.clone(), time: None };
            events.push(((start, 0, at), event(OpType::Invoke)));
            events.push(((end, 1, at), event(kind)));
        }
        events.sort_by(|((a, a_kind, a_at), _), ((b, b_kind, b_at), _)| a.total_cmp(b).then((a_kind, a_at).cmp(&(b_kind, b_at))));
        History::from_ops(events.into_iter().map(|(_, event)| event).collect(), self.interner)
    }

    fn key(&mut self, name: &str) -> u32 {
        self.interner.intern(Scalar::Str(name.into()))
    }

    fn value(&mut self, value: i64) -> u32 {
        self.interner.intern(Scalar::Int(value))
    }

    fn step(&mut self, step: &Step) -> Mop {
        match step {
            Step::Append { list, append } => Mop::Append { key: self.key(list), value: self.value(*append) },
            Step::Read { list, read } => {
                let value = match read {
                    Some(read) => ReadValue::List(read.iter().map(|value| self.value(*value)).collect()),
                    None => ReadValue::Nil,
                };
                Mop::Read { key: self.key(list), value }
            }
        }
    }

    fn writes_order(&mut self, op: u64) -> Mop {
        Mop::Append { key: self.key(&format!("after op {op}")), value: self.value(1) }
    }

    fn reads_order(&mut self, op: u64) -> Mop {
        Mop::Read { key: self.key(&format!("after op {op}")), value: ReadValue::List(vec![self.value(1)]) }
    }
}

fn is_of_primary(operation: &Operation) -> bool {
    operation.is_by_primary() || operation.appends().next().is_some()
}

/// When adya is to think that an operation ran.
fn interval(operation: &Operation, at: usize, check: Check) -> (f64, f64) {
    match check {
        // The order of lines.
        Check::Sessions => (at as f64, at as f64),
        Check::Both if operation.is_ok() && !operation.is_by_primary() => ALWAYS,
        Check::Primary | Check::Both if operation.outcome == Outcome::Unknown => (operation.start, f64::INFINITY),
        Check::Primary | Check::Both => (operation.start, operation.end),
    }
}

/// Orders to be told as data: by the place of an operation, the numbers of those that it comes after.
fn orders(history: &[&Operation], sessions_too: bool) -> HashMap<usize, Vec<u64>> {
    let mut orders: HashMap<usize, Vec<u64>> = HashMap::new();
    let mut last: HashMap<&str, u64> = HashMap::new();
    for (at, operation) in history.iter().enumerate().filter(|(_, operation)| operation.is_ok()) {
        let mut earlier = operation.follows.clone();
        if let Some(session) = &operation.session {
            earlier.extend(last.insert(session, operation.op).filter(|_| sessions_too));
        }
        orders.insert(at, earlier);
    }
    orders
}
