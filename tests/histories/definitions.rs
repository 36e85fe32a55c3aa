//! Our own check, straight from the definitions, by bookmarks, positions and times; no graph.
//!
//! The order of a list is its longest read. Appends are made at the end only, so every other read is a beginning of it.
//!
//! | rule | what has to hold |
//! |---|---|
//! | elements | what is read was appended to that list, by an operation that did not fail and began before the read ended |
//! | order | reads of a list are beginnings of its order, and txids never fall along it |
//! | bookmarks | a txid has one bookmark; a session's never falls; a handed one is taken over; a write makes a new state |
//! | states | a read with txid T shows what was appended up to T and nothing later, and later states never show less |
//! | batches | of another operation's appends, a batch sees all or none |
//! | session | reads show the session's own appends and what it read before; its appends come after both |
//! | real time | the primary's answers show all that was acknowledged, or shown, before they were asked for |
//!
//! **An allowance:** the primary answers requests that wait together with one commit, and its bookmark is of the state after all of them.
//! A read among them, by the primary and with a bookmark that it had not seen before, may lack appends of its own txid by operations that
//! overlap with it. An operation's own later appends are not in its reads either.
//!
//! **An assumption:** an acknowledged append has the txid of its bookmark. Calls that wait together run one by one, and have their bookmark
//! in common, after pragmas and failures of storage only; the workload has none of them.
//!
//! **Not here:** adya (`by_adya`), and anything learnt from it.

use super::format::{Finding, Operation, Outcome, Step, cut};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the rules have against a history.
pub fn check(history: &[Operation]) -> Vec<Finding> {
    let facts = Facts::of(history);
    let mut checker = Checker { facts: &facts, findings: Vec::new() };
    checker.elements();
    checker.order();
    checker.bookmarks();
    checker.states();
    checker.later_states();
    checker.batches();
    checker.sessions();
    checker.real_time();
    checker.findings
}

struct Append<'h> {
    operation: &'h Operation,
    list: &'h str,
}

impl Append<'_> {
    /// `None`: not told.
    fn txid(&self) -> Option<u64> {
        self.operation.after_txid().filter(|_| self.operation.is_ok())
    }
}

/// A read step with its operation.
#[derive(Clone, Copy)]
struct Read<'h> {
    operation: &'h Operation,
    list: &'h str,
    values: &'h [i64],
    /// Its place among the operation's steps.
    step: usize,
}

struct Facts<'h> {
    history: &'h [Operation],
    by_value: HashMap<i64, Append<'h>>,
    reads: Vec<Read<'h>>,
    /// The longest read of each list.
    orders: HashMap<&'h str, Read<'h>>,
    positions: HashMap<i64, usize>,
    /// By list: acknowledged values with their txids, ascending.
    known: HashMap<&'h str, Vec<(u64, i64)>>,
}

impl<'h> Facts<'h> {
    fn of(history: &'h [Operation]) -> Facts<'h> {
        let mut by_value = HashMap::new();
        let mut reads = Vec::new();
        for operation in history {
            by_value.extend(operation.appends().map(|(list, value)| (value, Append { operation, list })));
            let lists = operation.steps.iter().enumerate();
            reads.extend(lists.filter_map(|(step, asked)| match asked {
                Step::Read { list, read: Some(values) } => Some(Read { operation, list, values, step }),
                _ => None,
            }));
        }
        let mut orders: HashMap<&str, Read> = HashMap::new();
        for read in &reads {
            let longest = orders.entry(read.list).or_insert(*read);
            if read.values.len() > longest.values.len() {
                *longest = *read;
            }
        }
        let positions = orders.values().flat_map(|read| read.values.iter().enumerate().map(|(at, value)| (*value, at))).collect();
        let mut known: HashMap<&str, Vec<(u64, i64)>> = HashMap::new();
        for (value, append) in &by_value {
            known.entry(append.list).or_default().extend(append.txid().map(|txid| (txid, *value)));
        }
        known.values_mut().for_each(|appends| appends.sort_unstable());
        Facts { history, by_value, reads, orders, positions, known }
    }

    /// How many elements a list must have at least to show this one. One that nobody read is beyond every read.
    fn length_with(&self, list: &str, value: i64) -> usize {
        let beyond = self.orders.get(list).map_or(0, |order| order.values.len());
        self.positions.get(&value).copied().unwrap_or(beyond) + 1
    }
}

/// How long a list must be, and the operation that says so.
type Needs<'h> = BTreeMap<&'h str, (usize, u64)>;

fn need<'h>(needs: &mut Needs<'h>, list: &'h str, length: usize, op: u64) {
    let needed = needs.entry(list).or_insert((0, op));
    if length > needed.0 {
        *needed = (length, op);
    }
}

/// What a session has seen.
#[derive(Clone, Default)]
struct Seen<'h> {
    txid: Option<(u64, u64)>,
    needs: Needs<'h>,
}

impl<'h> Seen<'h> {
    fn join(&mut self, other: &Seen<'h>) {
        self.txid = self.txid.max(other.txid);
        other.needs.iter().for_each(|(list, (length, op))| need(&mut self.needs, list, *length, *op));
    }
}

struct Checker<'f, 'h> {
    facts: &'f Facts<'h>,
    findings: Vec<Finding>,
}

impl<'h> Checker<'_, 'h> {
    fn found(&mut self, rule: &'static str, kind: &str, ops: &[u64], text: String) {
        self.findings.push(Finding { rule, kind: kind.into(), ops: ops.to_vec(), text });
    }

    fn elements(&mut self) {
        let facts = self.facts;
        for read in &facts.reads {
            let op = read.operation.op;
            let mut once = HashSet::new();
            for value in read.values {
                if !once.insert(value) {
                    self.found("elements", "a value twice", &[op], format!("{value} is twice in {}", read.list));
                }
                let Some(append) = facts.by_value.get(value) else {
                    self.found("elements", "a value of nobody", &[op], format!("nobody appended {value} to {}", read.list));
                    continue;
                };
                let faults = [
                    (append.list != read.list, "a value of another list"),
                    (append.operation.outcome == Outcome::Failed, "a value of a failed write"),
                    (append.operation.start > read.operation.end, "a value from the future"),
                ];
                let writer = append.operation.op;
                for (_, fault) in faults.into_iter().filter(|(found, _)| *found) {
                    self.found("elements", fault, &[op, writer], format!("{value} in {}", read.list));
                }
            }
        }
    }

    fn order(&mut self) {
        let facts = self.facts;
        for read in &facts.reads {
            let longest = facts.orders[read.list];
            if !longest.values.starts_with(read.values) {
                let text = format!("{} is {} and {}", read.list, cut(read.values), cut(longest.values));
                self.found("order", "reads in different orders", &[read.operation.op, longest.operation.op], text);
            }
        }
        for order in facts.orders.values() {
            let mut newest: Option<(u64, u64)> = None;
            for append in order.values.iter().filter_map(|value| facts.by_value.get(value)) {
                let (Some(txid), op) = (append.txid(), append.operation.op) else { continue };
                if let Some((earlier, earlier_op)) = newest.filter(|(earlier, _)| *earlier > txid) {
                    let text = format!("in {} an append of txid {earlier} comes before one of {txid}", order.list);
                    self.found("order", "txids fall along a list", &[earlier_op, op], text);
                }
                newest = newest.max(Some((txid, op)));
            }
        }
    }

    fn bookmarks(&mut self) {
        let facts = self.facts;
        let mut texts: HashMap<u64, (&str, u64)> = HashMap::new();
        for operation in facts.history {
            let op = operation.op;
            let both = [(&operation.before, operation.before_txid()), (&operation.after, operation.after_txid())];
            for (text, txid) in both.into_iter().filter_map(|(text, txid)| Some((text.as_deref()?, txid?))) {
                let (first, first_op) = *texts.entry(txid).or_insert((text, op));
                if first != text {
                    self.found("bookmarks", "two states of one txid", &[first_op, op], format!("{first} and {text}"));
                }
            }
            let (before, after) = (operation.before_txid(), operation.after_txid());
            if operation.is_ok() && after < before {
                self.found("bookmarks", "falls", &[op], format!("from {before:?} to {after:?}"));
            }
            if operation.is_ok() && operation.session.is_some() && operation.appends().next().is_some() && after <= before.or(Some(0)) {
                self.found("bookmarks", "a write without a new state", &[op], format!("from {before:?} to {after:?}"));
            }
        }
    }

    fn states(&mut self) {
        let facts = self.facts;
        for read in &facts.reads {
            let Some(txid) = read.operation.after_txid() else { continue };
            let shown: HashSet<i64> = read.values.iter().copied().collect();
            let (mut newer, mut lacking) = (Vec::new(), Vec::new());
            for &(at, value) in facts.known.get(read.list).into_iter().flatten() {
                let writer = facts.by_value[&value].operation;
                if at > txid && shown.contains(&value) {
                    newer.push((value, at, writer.op));
                } else if at <= txid && !shown.contains(&value) && !may_lack(*read, txid, at, value, writer) {
                    lacking.push((value, at, writer.op));
                }
            }
            for (kind, found) in [("newer than its bookmark", newer), ("lacks what its bookmark has", lacking)] {
                let Some((value, at, writer)) = found.first() else { continue };
                let text = format!("{value} in {} is of txid {at}, the answer of {txid}; of such there are {}", read.list, found.len());
                self.found("states", kind, &[read.operation.op, *writer], text);
            }
        }
    }

    /// Also of appends whose txids are not known: what a state shows, later ones do, and replicas show all of a state.
    fn later_states(&mut self) {
        let facts = self.facts;
        let with_txid = facts.reads.iter().filter_map(|read| Some((read.operation.after_txid()?, !read.operation.is_by_primary(), read)));
        let mut reads: Vec<(u64, bool, &Read)> = with_txid.collect();
        // Of one txid, the primary's answers come first: they may lack what the state itself has.
        reads.sort_by_key(|(txid, by_replica, read)| (*txid, *by_replica, read.values.len()));
        let mut needs = Needs::new();
        let mut whole: HashMap<(u64, &str), &Read> = HashMap::new();
        for (txid, by_replica, read) in reads {
            let (length, earlier) = needs.get(read.list).copied().unwrap_or_default();
            if read.values.len() < length {
                let text = format!("{} of txid {txid} is shorter than an earlier state's", read.list);
                self.found("states", "less than an earlier state", &[read.operation.op, earlier], text);
            }
            need(&mut needs, read.list, read.values.len(), read.operation.op);
            let other = if by_replica { *whole.entry((txid, read.list)).or_insert(read) } else { continue };
            if other.values.len() != read.values.len() {
                let text = format!("{} of txid {txid} is {} and {}", read.list, cut(other.values), cut(read.values));
                self.found("states", "two answers of one state", &[read.operation.op, other.operation.op], text);
            }
        }
    }

    fn batches(&mut self) {
        let facts = self.facts;
        for operation in facts.history {
            let reads: HashMap<&str, &[i64]> = operation.reads().collect();
            let seen = reads.values().flat_map(|values| values.iter()).filter_map(|value| facts.by_value.get(value));
            let batches = seen.map(|append| append.operation).filter(|writer| writer.op != operation.op && writer.appends().count() > 1);
            let writers: BTreeMap<u64, &Operation> = batches.map(|writer| (writer.op, writer)).collect();
            for writer in writers.values() {
                for (list, value) in writer.appends() {
                    if reads.get(list).is_some_and(|read| !read.contains(&value)) {
                        self.found("batches", "part of a batch", &[operation.op, writer.op], format!("without {value} in {list}"));
                    }
                }
            }
        }
    }

    fn sessions(&mut self) {
        let facts = self.facts;
        let mut of_session: HashMap<&str, Seen> = HashMap::new();
        let mut of_op: HashMap<u64, Seen> = HashMap::new();
        let handed: HashSet<u64> = facts.history.iter().flat_map(|operation| operation.follows.iter().copied()).collect();
        for operation in facts.history {
            let Some(session) = &operation.session else { continue };
            let mut seen = of_session.remove(session.as_str()).unwrap_or_default();
            operation.follows.iter().filter_map(|op| of_op.get(op)).for_each(|other| seen.join(other));
            if let Some((txid, earlier)) = seen.txid.filter(|(txid, _)| operation.before_txid() < Some(*txid)) {
                let text = format!("the session had seen txid {txid}");
                self.found("bookmarks", "forgotten", &[operation.op, earlier], text);
            }
            if operation.is_ok() {
                self.steps(operation, &mut seen.needs, "session");
                seen.txid = seen.txid.max(operation.after_txid().map(|txid| (txid, operation.op)));
            }
            if handed.contains(&operation.op) {
                of_op.insert(operation.op, seen.clone());
            }
            of_session.insert(session, seen);
        }
    }

    /// Holds an operation's steps to what lists must show already, and adds what they show.
    fn steps(&mut self, operation: &'h Operation, needs: &mut Needs<'h>, rule: &'static str) {
        let facts = self.facts;
        for step in &operation.steps {
            let (list, length, is_read) = match step {
                Step::Read { list, read } => (list.as_str(), read.as_ref().map_or(0, Vec::len), true),
                Step::Append { list, append } => (list.as_str(), facts.length_with(list, *append), false),
            };
            let (needed, by) = needs.get(list).copied().unwrap_or_default();
            if is_read && length < needed {
                let text = format!("{list} has {length} elements, and must have {needed}");
                self.found(rule, "a read misses what was there", &[operation.op, by], text);
            }
            // Where an append that nobody read stands is not known.
            if !is_read && length <= needed && needed <= facts.orders.get(list).map_or(0, |order| order.values.len()) {
                let text = format!("an append to {list} is element {length}, and element {needed} was there before");
                self.found(rule, "a write before what it follows", &[operation.op, by], text);
            }
            need(needs, list, length, operation.op);
        }
    }

    fn real_time(&mut self) {
        let facts = self.facts;
        // At the same time, beginnings come before ends: such operations overlap.
        let mut events: Vec<(f64, bool, &Operation)> = Vec::new();
        for operation in facts.history.iter().filter(|operation| operation.is_ok()) {
            events.push((operation.start, false, operation));
            events.push((operation.end, true, operation));
        }
        events.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut ended = Seen::default();
        let mut at_start: HashMap<u64, Seen> = HashMap::new();
        for (_, is_end, operation) in events {
            if !is_end {
                at_start.insert(operation.op, ended.clone());
                continue;
            }
            let mut seen = at_start.remove(&operation.op).unwrap_or_default();
            let txid = operation.after_txid();
            if let Some((newest, by)) = seen.txid.filter(|_| operation.is_by_primary() && txid.is_some()) {
                let is_write = operation.appends().next().is_some();
                if txid < Some(newest) || (is_write && txid == Some(newest)) {
                    let text = format!("answered with txid {txid:?} after {newest} had been seen");
                    self.found("real time", "an old state from the primary", &[operation.op, by], text);
                }
            }
            let mut after = Seen { txid: txid.map(|txid| (txid, operation.op)), needs: Needs::new() };
            if operation.is_by_primary() {
                self.steps(operation, &mut seen.needs, "real time");
            }
            operation.reads().for_each(|(list, read)| need(&mut after.needs, list, read.len(), operation.op));
            operation.appends().for_each(|(list, value)| need(&mut after.needs, list, facts.length_with(list, value), operation.op));
            ended.join(&after);
        }
    }
}

/// Whether a read of `txid` may lack `value`, appended by `writer` at `at`: see the allowance.
fn may_lack(read: Read<'_>, txid: u64, at: u64, value: i64, writer: &Operation) -> bool {
    if at != txid {
        return false;
    }
    if writer.op == read.operation.op {
        return writer.steps.iter().skip(read.step).any(|step| matches!(step, Step::Append { append, .. } if *append == value));
    }
    let fresh = read.operation.before_txid() < Some(txid);
    read.operation.is_by_primary() && fresh && writer.end >= read.operation.start
}
