//! What lies between those who live in the simulated world: a clock, a queue of events, and a network that fails.
//!
//! **Invariant:** whatever happens follows from the seed: one source of random numbers, no other clock, no order of a hash table.
//!
//! **Not here:** who lives there, and what must hold.

use super::event::Event;
use crate::commit_log::{Body, Message};
use fastrand::Rng;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// Events that a trace shows.
const TRACE: usize = 60;

/// How bad this world is, by its seed.
pub(super) struct Weather {
    lost: f64,
    doubled: f64,
    cut: f64,
    pub(super) delay_ms: u64,
    pub(super) chaos_ms: u64,
    pub(super) commit_ms: u64,
    pub(super) sync_ms: u64,
    pub(super) max_staleness_ms: Option<u64>,
    pub(super) replaced: bool,
    pub(super) storage_fails: bool,
    /// How many of the primary's reads are long.
    pub(super) long_reads: f64,
    /// The part of writes that take long.
    pub(super) long_writes: f64,
}

impl Weather {
    fn of(rng: &mut Rng) -> Weather {
        let mut or_none = |most: f64| if rng.bool() { 0.0 } else { rng.f64() * most };
        let (lost, doubled, cut) = (or_none(0.2), or_none(0.2), or_none(0.05));
        Weather {
            lost,
            doubled,
            cut,
            delay_ms: *rng.choice(&[3, 12, 60]).unwrap(),
            chaos_ms: *rng.choice(&[8, 30, 200]).unwrap(),
            commit_ms: *rng.choice(&[4, 10, 30]).unwrap(),
            sync_ms: *rng.choice(&[0, 3, 12]).unwrap(),
            max_staleness_ms: *rng.choice(&[None, Some(5), Some(30), Some(200)]).unwrap(),
            replaced: rng.bool(),
            storage_fails: rng.u32(0..3) == 0,
            long_reads: *rng.choice(&[0.0, 0.1, 1.0]).unwrap(),
            long_writes: *rng.choice(&[0.0, 0.0, 0.05, 0.3]).unwrap(),
        }
    }
}

/// What happened, in numbers.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Stats {
    pub(super) events: u64,
    pub(super) commits: u64,
    pub(super) replica_reads: u64,
    pub(super) primary_reads: u64,
    pub(super) long_reads: u64,
    pub(super) long_writes: u64,
    pub(super) late: u64,
    pub(super) failed_reads: u64,
    pub(super) restarts: u64,
    pub(super) relayed: u64,
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Stats) {
        self.events += other.events;
        self.commits += other.commits;
        self.replica_reads += other.replica_reads;
        self.primary_reads += other.primary_reads;
        self.long_reads += other.long_reads;
        self.long_writes += other.long_writes;
        self.late += other.late;
        self.failed_reads += other.failed_reads;
        self.restarts += other.restarts;
        self.relayed += other.relayed;
    }
}

pub(super) struct Network {
    pub(super) rng: Rng,
    now_ms: Rc<Cell<u64>>,
    queue: BTreeMap<(u64, u64), Event>,
    counter: u64,
    pub(super) weather: Weather,
    /// Pairs that do not hear each other.
    pub(super) apart: BTreeSet<(usize, usize)>,
    healed: bool,
    pub(super) trace: Option<VecDeque<String>>,
    pub(super) stats: Stats,
}

impl Network {
    pub(super) fn new(seed: u64, trace: bool) -> Network {
        let mut rng = Rng::with_seed(seed);
        Network {
            now_ms: Rc::new(Cell::new(1)),
            queue: BTreeMap::new(),
            counter: 0,
            weather: Weather::of(&mut rng),
            apart: BTreeSet::new(),
            healed: false,
            trace: trace.then(VecDeque::new),
            stats: Stats::default(),
            rng,
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// The clock, for those who look at it by themselves.
    pub(super) fn clock(&self) -> Rc<Cell<u64>> {
        self.now_ms.clone()
    }

    /// The next event until `until_ms`. None: it is that late.
    pub(super) fn next(&mut self, until_ms: u64) -> Option<Event> {
        let Some(next) = self.queue.first_entry().filter(|next| next.key().0 <= until_ms) else {
            self.now_ms.set(until_ms);
            return None;
        };
        let ((now_ms, _), event) = next.remove_entry();
        self.now_ms.set(now_ms);
        self.stats.events += 1;
        Some(event)
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Something happens within the next `most_ms`.
    pub(super) fn after(&mut self, most_ms: u64, event: Event) {
        let in_ms = self.rng.u64(0..=most_ms);
        self.at_last(in_ms, event);
    }

    /// Something happens in exactly `ms`.
    pub(super) fn at_last(&mut self, ms: u64, event: Event) {
        let number = self.number();
        self.queue.insert((self.now_ms() + ms, number), event);
    }

    /// Sends a message, which may arrive.
    pub(super) fn send(&mut self, from: usize, to: usize, mut bytes: Vec<u8>, event: impl Fn(Vec<u8>) -> Event) {
        if self.healed {
            return self.after(3, event(bytes));
        }
        let Weather { lost, doubled, cut, delay_ms, .. } = self.weather;
        if self.apart.contains(&(from.min(to), from.max(to))) || self.rng.f64() < lost {
            return;
        }
        if self.rng.f64() < doubled {
            self.after(4 * delay_ms, event(bytes.clone()));
        }
        if self.rng.f64() < cut && !bytes.is_empty() {
            let at = self.rng.usize(0..bytes.len());
            if self.rng.bool() { bytes.truncate(at) } else { bytes[at] ^= 1 << self.rng.u32(0..8) }
        }
        let slow = if self.rng.u32(0..10) == 0 { 5 } else { 1 };
        self.after(slow * delay_ms, event(bytes));
    }

    /// How long an answer is waited for.
    pub(super) fn patience_ms(&mut self) -> u64 {
        if self.healed { 100 } else { (self.rng.u64(4..30) * self.weather.delay_ms).min(400) }
    }

    /// Nothing goes wrong any more.
    pub(super) fn heal(&mut self) {
        self.healed = true;
        self.weather.long_writes = 0.0;
        self.apart.clear();
        self.note(|| "the network is healed".into());
    }

    pub(super) fn is_healed(&self) -> bool {
        self.healed
    }

    /// Keeps a line of the trace, if there is one.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let Some(trace) = &mut self.trace else { return };
        trace.push_back(format!("{:5} ms  {}", self.now_ms.get(), line()));
        if trace.len() > TRACE {
            trace.pop_front();
        }
    }
}

/// A message in one line.
pub(super) fn brief(message: Option<&Message>) -> String {
    let Some(message) = message else { return "?".into() };
    match &message.body {
        Body::Pull(pull) => format!("pull after {:?}", pull.after.map(|after| after.txid.0)),
        Body::Commits(segment) => {
            format!(
                "commits {}..={} of {}",
                segment.after.txid.0 + 1,
                segment.after.txid.0 + segment.commits.len() as u64,
                segment.head.txid.0
            )
        }
        Body::Restart(restart) => format!("restart at {} ({:?})", restart.state.txid.0, restart.reason),
        Body::Fetch(fetch) => format!("fetch {:?} at {}", fetch.pages, fetch.at.txid.0),
        Body::Pages(pages) => {
            format!("pages {:?} at {}", pages.frames.iter().map(|frame| frame.pgno.0).collect::<Vec<_>>(), pages.state.txid.0)
        }
        Body::Find(_) | Body::Found(_) => "find".into(),
        Body::Refused(refusal) => format!("refused: {}", refusal.text),
    }
}

/// Bytes in one line.
pub(super) fn brief_bytes(bytes: &[u8]) -> String {
    brief(Message::decode(bytes).ok().as_ref())
}
