//! Made-up histories: a toy model answers random clients correctly, and both checkers must agree; then one answer is falsified, and they must not.
//!
//! The model is a log of appends with txids. The primary answers those that wait together with one commit and one bookmark; replicas answer
//! from any state that is not older than the session's bookmark. Writes fail, or end unknown, with effect or without. Sessions end, and new
//! ones start from the bookmarks of others.
//!
//! | falsification | the definitions | adya |
//! |---|---|---|
//! | a session reads less than it had seen | always | always |
//! | an acknowledged append disappears | always | always |
//! | an answer of the primary lacks what was acknowledged before | always | always |
//! | a failed append is read | always | always |
//! | two elements change places | always | always |
//! | a replica's answer shows the next state | always | if somebody depends on it |
//! | a replica's answer lacks its own state's last append | always | if somebody depends on it |
//! | a bookmark is older than the one before it | always | never |
//! | a bookmark has another checksum | always | never |
//! | a value of nobody is read | always | if it comes before others |
//!
//! **Not here:** the checkers, histories by hand (`fixtures`).

use super::fixtures::bookmark;
use super::format::{Finding, Operation, Outcome, Step, Tier, parse, report, to_text};
use super::{by_adya, definitions};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

const CLIENTS: usize = 5;
const LISTS: [&str; 3] = ["x", "y", "z"];

/// Random numbers that decide one operation.
#[derive(Clone, Debug)]
struct Choice {
    client: usize,
    /// What: of 16, see [`Model::steps`].
    what: u8,
    lists: [usize; 3],
    /// Of 16: 0 and 1 fail, 2 and 3 are unknown.
    fate: u8,
    /// Joins those that wait for the primary.
    joins: bool,
    lag: usize,
    early: u8,
    late: u8,
    /// Of 8: 0 starts a new session, 1 one from another's bookmark.
    session: u8,
}

fn choice() -> impl Strategy<Value = Choice> {
    let who = (0..CLIENTS, 0..16u8, [0..LISTS.len(), 0..LISTS.len(), 0..LISTS.len()]);
    (who, 0..16u8, any::<bool>(), 0..8usize, 0..40u8, 0..40u8, 0..8u8).prop_map(|(who, fate, joins, lag, early, late, session)| {
        let (client, what, lists) = who;
        Choice { client, what, lists, fate, joins, lag, early, late, session }
    })
}

#[derive(Default)]
struct Client {
    /// The last client has none.
    sessions: u64,
    bookmark: Option<u64>,
    free_at: f64,
}

#[derive(Default)]
struct Model {
    clients: Vec<Client>,
    /// Txid, list, value.
    log: Vec<(u64, &'static str, i64)>,
    head: u64,
    now: f64,
    next_value: i64,
    history: Vec<Operation>,
}

impl Model {
    fn run(choices: &[Choice]) -> Vec<Operation> {
        let mut model = Model { clients: (0..CLIENTS).map(|_| Client::default()).collect(), next_value: 1, ..Model::default() };
        let mut waiting: Vec<Choice> = Vec::new();
        for choice in choices {
            let by_replica = choice.what < 4 && choice.client + 1 < CLIENTS;
            if by_replica || !choice.joins || waiting.iter().any(|other| other.client == choice.client) {
                model.primary(&std::mem::take(&mut waiting));
            }
            if by_replica {
                model.replica(choice);
            } else {
                waiting.push(choice.clone());
            }
        }
        model.primary(&waiting);
        model.history
    }

    /// The operation before it is answered.
    fn begin(&mut self, choice: &Choice) -> Operation {
        let in_session = choice.client + 1 < CLIENTS;
        let mut follows = Vec::new();
        if in_session && choice.session < 2 {
            self.clients[choice.client].sessions += 1;
            self.clients[choice.client].bookmark = None;
            let ended = self.history.iter().rev().filter(|other| other.is_ok() && other.session.is_some());
            if let Some(other) = ended.clone().nth(choice.lag).filter(|_| choice.session == 1) {
                follows.push(other.op);
                self.clients[choice.client].bookmark = other.after_txid();
                self.clients[choice.client].free_at = self.clients[choice.client].free_at.max(other.end);
            }
        }
        let client = &self.clients[choice.client];
        self.now = (self.now + 10.0).max(client.free_at + 1.0);
        Operation {
            op: 0,
            session: in_session.then(|| format!("{}.{}", choice.client, client.sessions)),
            steps: Vec::new(),
            start: (self.now - f64::from(choice.early)).max(client.free_at),
            end: 0.0,
            outcome: Outcome::Ok,
            tier: Some(Tier::Primary),
            before: client.bookmark.map(bookmark),
            after: None,
            follows,
            location: None,
        }
    }

    fn end(&mut self, choice: &Choice, mut operation: Operation, txid: u64) {
        operation.op = self.history.len() as u64 + 1;
        operation.end = self.now + 1.0 + f64::from(choice.late);
        let client = &mut self.clients[choice.client];
        client.free_at = operation.end;
        if operation.session.is_some() && operation.is_ok() {
            client.bookmark = client.bookmark.max(Some(txid));
        }
        operation.after = client.bookmark.filter(|_| operation.session.is_some()).map(bookmark);
        if !operation.is_ok() {
            operation.tier = None;
            for step in &mut operation.steps {
                if let Step::Read { read, .. } = step {
                    *read = None;
                }
            }
        }
        self.history.push(operation);
    }

    fn read(&self, list: &'static str, txid: u64) -> Step {
        let shown = self.log.iter().filter(|(at, other, _)| *at <= txid && *other == list).map(|(_, _, value)| *value);
        Step::Read { list: list.into(), read: Some(shown.collect()) }
    }

    fn replica(&mut self, choice: &Choice) {
        let mut operation = self.begin(choice);
        let at_least = operation.before_txid().unwrap_or(0);
        let txid = (self.head.saturating_sub(choice.lag as u64)).max(at_least);
        operation.tier = Some(if choice.what.is_multiple_of(2) { Tier::Replica } else { Tier::Isolate });
        let reads = usize::from(choice.what / 2) + 1;
        operation.steps = choice.lists[..reads].iter().map(|list| self.read(LISTS[*list], txid)).collect();
        self.end(choice, operation, txid);
    }

    /// One commit, or none.
    fn primary(&mut self, group: &[Choice]) {
        let mut operations: Vec<Operation> = group.iter().map(|choice| self.begin(choice)).collect();
        // All have begun when the first is answered.
        let latest = operations.iter().map(|operation| operation.start).fold(self.now, f64::max);
        self.now = latest;
        let txid = self.head + 1;
        for (choice, operation) in group.iter().zip(&mut operations) {
            self.steps(choice, operation, txid);
        }
        if self.log.last().is_some_and(|(last, _, _)| *last == txid) {
            self.head = txid;
        }
        for (choice, operation) in group.iter().zip(operations) {
            self.end(choice, operation, self.head);
        }
    }

    fn steps(&mut self, choice: &Choice, operation: &mut Operation, txid: u64) {
        let asked: &[bool] = match choice.what {
            0..6 => &[false],
            6..11 => &[true],
            11..13 => &[true, true],
            13 => &[false, true],
            14 => &[true, false, true],
            _ => &[false, true, false],
        };
        let undone = self.log.len();
        for (is_append, list) in asked.iter().zip(choice.lists) {
            operation.steps.push(if *is_append {
                self.log.push((txid, LISTS[list], self.next_value));
                self.next_value += 1;
                Step::Append { list: LISTS[list].into(), append: self.next_value - 1 }
            } else {
                self.read(LISTS[list], txid)
            });
        }
        if choice.fate < 4 {
            operation.outcome = if choice.fate < 2 { Outcome::Failed } else { Outcome::Unknown };
            // An unknown outcome is an effect or none.
            if choice.fate != 3 {
                self.log.truncate(undone);
            }
        }
    }
}

/// The history falsified in one place, of those that it has for it.
type Falsify = fn(&[Operation], usize) -> Option<Vec<Operation>>;

/// What, whether adya must notice, how. The definitions must always.
const FALSIFICATIONS: [(&str, bool, Falsify); 10] = [
    ("a session reads less than it had seen", true, session_reads_less),
    ("an acknowledged append disappears", true, append_disappears),
    ("an answer of the primary lacks what was acknowledged before", true, primary_lacks),
    ("a failed append is read", true, failed_is_read),
    ("two elements change places", true, elements_change_places),
    ("a replica's answer shows the next state", false, replica_shows_more),
    ("a replica's answer lacks its own state's last append", false, replica_shows_less),
    ("a bookmark is older than the one before it", false, bookmark_falls),
    ("a bookmark has another checksum", false, bookmark_differs),
    ("a value of nobody is read", false, value_of_nobody),
];

/// Places of reads, operation and step, for which `wanted` holds.
fn places(history: &[Operation], wanted: impl Fn(&Operation, usize, &str, &[i64]) -> bool) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    for (at, operation) in history.iter().enumerate() {
        for (step, asked) in operation.steps.iter().enumerate() {
            if let Step::Read { list, read: Some(read) } = asked
                && wanted(operation, step, list, read)
            {
                places.push((at, step));
            }
        }
    }
    places
}

fn change(history: &[Operation], places: &[(usize, usize)], pick: usize, change: impl Fn(&mut Vec<i64>)) -> Option<Vec<Operation>> {
    let (at, step) = *places.get(pick.checked_rem(places.len())?)?;
    let mut changed = history.to_vec();
    if let Step::Read { read: Some(read), .. } = &mut changed[at].steps[step] {
        change(read);
    }
    Some(changed)
}

fn pop(read: &mut Vec<i64>) {
    read.pop();
}

fn writer(history: &[Operation], value: i64) -> Option<&Operation> {
    history.iter().find(|operation| operation.appends().any(|(_, other)| other == value))
}

fn shows(operation: &Operation, value: i64) -> bool {
    operation.appends().any(|(_, other)| other == value) || operation.reads().any(|(_, read)| read.contains(&value))
}

fn session_reads_less(history: &[Operation], pick: usize) -> Option<Vec<Operation>> {
    let places = places(history, |operation, _, _, read| {
        let earlier = history.iter().filter(|other| other.op < operation.op && other.session == operation.session && other.is_ok());
        operation.session.is_some() && read.last().is_some_and(|last| earlier.clone().any(|other| shows(other, *last)))
    });
    change(history, &places, pick, pop)
}

fn append_disappears(history: &[Operation], pick: usize) -> Option<Vec<Operation>> {
    // Somebody asks the primary later.
    let asked_later =
        |list: &str, end: f64| history.iter().any(|it| it.is_by_primary() && it.start > end && it.reads().any(|(other, _)| other == list));
    let ok = history.iter().filter(|operation| operation.is_ok());
    let lost: Vec<i64> = ok.flat_map(|it| it.appends().filter(|(list, _)| asked_later(list, it.end))).map(|(_, value)| value).collect();
    let value = *lost.get(pick.checked_rem(lost.len())?)?;
    let mut changed = history.to_vec();
    for step in changed.iter_mut().flat_map(|operation| &mut operation.steps) {
        if let Step::Read { read: Some(read), .. } = step {
            read.retain(|other| *other != value);
        }
    }
    Some(changed)
}

fn primary_lacks(history: &[Operation], pick: usize) -> Option<Vec<Operation>> {
    let places = places(history, |operation, _, _, read| {
        let acknowledged = |value: &i64| writer(history, *value).is_some_and(|writer| writer.is_ok() && writer.end < operation.start);
        operation.is_by_primary() && read.last().is_some_and(acknowledged)
    });
    change(history, &places, pick, pop)
}

fn failed_is_read(history: &[Operation], pick: usize) -> Option<Vec<Operation>> {
    let failed = |list: &str, end: f64| {
        let writers = history.iter().filter(move |operation| operation.outcome == Outcome::Failed && operation.start < end);
        writers.flat_map(Operation::appends).find(|(other, _)| *other == list).map(|(_, value)| value)
    };
    let places = places(history, |operation, _, list, _| failed(list, operation.end).is_some());
    let (at, step) = *places.get(pick.checked_rem(places.len())?)?;
    let Step::Read { list, .. } = &history[at].steps[step] else { return None };
    let value = failed(list, history[at].end)?;
    change(history, &[(at, step)], 0, |read| read.push(value))
}

fn elements_change_places(history: &[Operation], pick: usize) -> Option<Vec<Operation>> {
    let places = places(history, |operation, step, list, read| {
        let others = history.iter().flat_map(|other| other.steps.iter().enumerate().map(move |(at, step)| (other.op, at, step)));
        let mut others = others.filter(|(op, at, _)| (*op, *at) != (operation.op, step));
        let is_longer = |step: &Step| matches!(step, Step::Read { list: other, read: Some(other_read) } if other == list && other_read.len() >= read.len());
        read.len() >= 2 && others.any(|(_, _, step)| is_longer(step))
    });
    change(history, &places, pick, |read| {
        let last = read.len() - 1;
        read.swap(last - 1, last);
    })
}

/// The acknowledged append that comes after all that this read shows, of a later txid.
fn next_value(history: &[Operation], operation: &Operation, list: &str, read: &[i64]) -> Option<i64> {
    let longest = history.iter().flat_map(Operation::reads).filter(|(other, _)| *other == list).max_by_key(|(_, read)| read.len())?.1;
    let next = *longest.get(read.len())?;
    writer(history, next)
        .filter(|writer| writer.is_ok() && writer.after_txid() > operation.after_txid() && writer.start < operation.end)?;
    Some(next)
}

fn replica_shows_more(history: &[Operation], pick: usize) -> Option<Vec<Operation>> {
    let places =
        places(history, |operation, _, list, read| !operation.is_by_primary() && next_value(history, operation, list, read).is_some());
    let (at, step) = *places.get(pick.checked_rem(places.len())?)?;
    let Step::Read { list, read: Some(read) } = &history[at].steps[step] else { return None };
    let next = next_value(history, &history[at], list, read)?;
    change(history, &[(at, step)], 0, |read| read.push(next))
}

fn replica_shows_less(history: &[Operation], pick: usize) -> Option<Vec<Operation>> {
    let places = places(history, |operation, _, _, read| {
        let known = |value: &i64| writer(history, *value).is_some_and(|writer| writer.is_ok() && writer.session.is_some());
        !operation.is_by_primary() && read.last().is_some_and(known)
    });
    change(history, &places, pick, pop)
}

fn bookmark_falls(history: &[Operation], pick: usize) -> Option<Vec<Operation>> {
    let places: Vec<usize> = (0..history.len()).filter(|at| history[*at].is_ok() && history[*at].before_txid() > Some(0)).collect();
    let at = *places.get(pick.checked_rem(places.len())?)?;
    let mut changed = history.to_vec();
    changed[at].after = history[at].before_txid().map(|txid| bookmark(txid - 1));
    Some(changed)
}

fn bookmark_differs(history: &[Operation], pick: usize) -> Option<Vec<Operation>> {
    let with = |txid: u64| history.iter().flat_map(|it| [it.before_txid(), it.after_txid()]).filter(|other| *other == Some(txid)).count();
    let is_known = |it: &Operation| it.after_txid().is_some_and(|txid| with(txid) > 1);
    let places: Vec<usize> = (0..history.len()).filter(|at| is_known(&history[*at])).collect();
    let at = *places.get(pick.checked_rem(places.len())?)?;
    let mut changed = history.to_vec();
    changed[at].after = history[at].after.as_ref().map(|text| format!("{}-{}", &text[..26], "0123456789abcdef".repeat(2)));
    Some(changed)
}

fn value_of_nobody(history: &[Operation], pick: usize) -> Option<Vec<Operation>> {
    change(history, &places(history, |_, _, _, _| true), pick, |read| read.push(1_000_000))
}

fn both(history: &[Operation]) -> (Vec<Finding>, Vec<Finding>) {
    // Through the format, so that the text is known to say all.
    let history = parse(&to_text(history)).unwrap();
    (definitions::check(&history), by_adya::check(&history))
}

#[test]
fn correct_histories_pass_and_falsified_ones_are_caught() {
    // Falsification: tried, found by the definitions, found by adya.
    let found: RefCell<BTreeMap<&str, [u32; 3]>> = RefCell::default();
    let mut runner = TestRunner::new(Config { cases: 96, source_file: Some(file!()), ..Config::default() });
    let histories = (prop::collection::vec(choice(), 1..120), any::<usize>());
    let result = runner.run(&histories, |(choices, pick)| {
        let history = Model::run(&choices);
        let (ours, adya) = both(&history);
        prop_assert!(ours.is_empty() && adya.is_empty(), "a correct history{}{}", report(&history, &ours), report(&history, &adya));
        for (name, adya_must, falsify) in FALSIFICATIONS {
            let Some(history) = falsify(&history, pick) else { continue };
            let (ours, adya) = both(&history);
            prop_assert!(
                !ours.is_empty(),
                "{name}: the definitions find nothing; adya: {}\n{}",
                report(&history, &adya),
                to_text(&history)
            );
            prop_assert!(!adya.is_empty() || !adya_must, "{name}: adya finds nothing; the definitions: {}", report(&history, &ours));
            let mut found = found.borrow_mut();
            let counts = found.entry(name).or_default();
            let caught = [1, u32::from(!ours.is_empty()), u32::from(!adya.is_empty())];
            counts.iter_mut().zip(caught).for_each(|(count, one)| *count += one);
        }
        Ok(())
    });
    for (name, [tried, ours, adya]) in found.take() {
        println!("{name}: of {tried}, the definitions find {ours}, adya {adya}");
        assert!(tried >= 20, "{name}: tried {tried} times only");
    }
    result.unwrap();
}

#[test]
fn the_generator_makes_what_it_is_to_make() {
    let histories = prop::collection::vec(choice(), 300..301);
    let history = Model::run(&histories.new_tree(&mut TestRunner::deterministic()).unwrap().current());
    let commits: Vec<u64> =
        history.iter().filter(|it| it.is_ok() && it.appends().next().is_some()).filter_map(Operation::after_txid).collect();
    assert!(commits.iter().collect::<HashSet<_>>().len() < commits.len(), "commits in common");
    assert!(history.iter().any(|it| it.tier == Some(Tier::Isolate)) && history.iter().any(|it| !it.follows.is_empty()));
    let unknown: HashSet<i64> =
        history.iter().filter(|it| it.outcome == Outcome::Unknown).flat_map(Operation::appends).map(|(_, value)| value).collect();
    let read: HashSet<i64> = history.iter().flat_map(Operation::reads).flat_map(|(_, read)| read.to_vec()).collect();
    assert!(unknown.iter().any(|value| read.contains(value)) && unknown.iter().any(|value| !read.contains(value)), "effects unknown");
}
