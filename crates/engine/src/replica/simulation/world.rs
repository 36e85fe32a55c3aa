//! The simulated world: a clock, a queue of events, a network that fails, and whoever lives there.
//!
//! **Invariants**
//! 1. Whatever happens follows from the seed: one source of random numbers, no other clock, no order of a hash table.
//! 2. After each event all that was touched is checked.
//!
//! **Not here:** what the parts do (`calls`, `clients`, `chaos`), what must hold (`check`).

use super::Bug;
use super::calls::Task;
use super::clients::{Client, Query};
use super::link::{Shared, Slot};
use super::node::{Host, Node};
use super::primary::{Ask, Primary};
use super::truth::{Check, Mark};
use crate::commit_log::Message;
use crate::replica::reader::AskedPages;
use fastrand::Rng;
use littoral_protocol::{Position, State};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// The primary's number; those above are nodes.
pub(super) const PRIMARY: usize = 0;
/// Replica objects have the first numbers.
pub(super) const OBJECTS: usize = 3;
/// Events that a trace shows.
const TRACE: usize = 60;

pub(super) enum Event {
    Question {
        from: usize,
        to: usize,
        call: u64,
        bytes: Vec<u8>,
    },
    Answer {
        call: u64,
        bytes: Vec<u8>,
    },
    Timeout {
        call: u64,
    },
    Push {
        to: usize,
        push: u64,
        bytes: Vec<u8>,
    },
    Pushed {
        node: usize,
        push: u64,
        position: Option<Position>,
    },
    PushTimeout {
        node: usize,
        push: u64,
    },
    Poll {
        node: usize,
    },
    Up {
        node: usize,
        boot: u64,
    },
    Client {
        client: usize,
    },
    /// A request arrives at the primary.
    AtPrimary {
        request: Ask,
    },
    /// Something that the primary waits for has come.
    Primary {
        life: u64,
        event: crate::primary::Event<Ask>,
    },
    Done {
        request: Ask,
        place: Mark,
        state: State,
    },
    Query {
        query: u64,
    },
    /// Time has passed that a node waited for.
    Woken {
        node: usize,
    },
    Commit,
    Chaos,
}

/// What is to be done with an answer.
pub(super) enum Then {
    /// A driver waits for it.
    Slot(Slot),
    /// The query goes on.
    Query { query: u64, asked: Rc<AskedPages> },
}

pub(super) struct Call {
    pub(super) node: usize,
    pub(super) boot: u64,
    /// Taken by the first answer.
    pub(super) then: Option<Then>,
}

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
        }
    }
}

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Stats {
    pub(super) events: u64,
    pub(super) commits: u64,
    pub(super) replica_reads: u64,
    pub(super) primary_reads: u64,
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
        self.failed_reads += other.failed_reads;
        self.restarts += other.restarts;
        self.relayed += other.relayed;
    }
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    counter: u64,
    pub(super) weather: Weather,
    pub(super) primary: Primary,
    pub(super) hosts: Vec<Host>,
    pub(super) nodes: Vec<Node>,
    pub(super) clients: Vec<Client>,
    pub(super) calls: BTreeMap<u64, Call>,
    pub(super) queries: BTreeMap<u64, Query>,
    pub(super) shared: Rc<Shared>,
    pub(super) tasks: Vec<Task>,
    /// Nodes whose work may go on.
    pub(super) woken: BTreeSet<usize>,
    /// Planted by hand, to be found.
    pub(super) bug: Option<Bug>,
    /// Pairs that do not hear each other.
    pub(super) apart: BTreeSet<(usize, usize)>,
    pub(super) healed: bool,
    /// Nodes whose pages were not all read since.
    pub(super) unaudited: BTreeSet<usize>,
    /// Nodes to be checked after this event.
    pub(super) touched: BTreeSet<usize>,
    pub(super) trace: Option<VecDeque<String>>,
    pub(super) stats: Stats,
}

impl World {
    pub(super) fn new(seed: u64, trace: bool, bug: Option<Bug>) -> World {
        let mut rng = Rng::with_seed(seed);
        let weather = Weather::of(&mut rng);
        let primary = Primary::new(&mut rng);
        let hosts: Vec<Host> = (0..OBJECTS + 2).map(|_| Host::new(&mut rng)).collect();
        let mut world = World {
            now_ms: 1,
            queue: BTreeMap::new(),
            counter: 0,
            weather,
            primary,
            nodes: Vec::new(),
            clients: Vec::new(),
            calls: BTreeMap::new(),
            queries: BTreeMap::new(),
            shared: Rc::default(),
            tasks: Vec::new(),
            woken: BTreeSet::new(),
            bug,
            apart: BTreeSet::new(),
            healed: false,
            unaudited: BTreeSet::new(),
            touched: BTreeSet::new(),
            trace: trace.then(VecDeque::new),
            stats: Stats::default(),
            rng,
            hosts,
        };
        for number in 1..=OBJECTS + 4 {
            let node = Node::new(number, &mut world.rng, &world.hosts);
            world.nodes.push(node);
            world.after(5, Event::Poll { node: number });
        }
        for client in 0..6 {
            world.clients.push(Client::default());
            world.after(20, Event::Client { client });
        }
        world.after(1, Event::Commit);
        world.after(20, Event::Chaos);
        world
    }

    /// Lives until `until_ms`.
    pub(super) fn run(&mut self, until_ms: u64) -> Check {
        while let Some(next) = self.queue.first_entry().filter(|next| next.key().0 <= until_ms) {
            let ((now_ms, _), event) = next.remove_entry();
            self.now_ms = now_ms;
            self.shared.now_ms.set(now_ms);
            self.stats.events += 1;
            self.happen(event)?;
            self.go_on()?;
            while let Some(node) = self.touched.pop_first() {
                self.check_node(node)?;
            }
        }
        self.now_ms = until_ms;
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Check {
        match event {
            Event::Question { from, to, call, bytes } => self.question(from, to, call, bytes),
            Event::Answer { call, bytes } => self.answered(call, Some(bytes)),
            Event::Timeout { call } => self.answered(call, None),
            Event::Push { to, push, bytes } => self.pushed(to, push, &bytes),
            Event::Pushed { node, push, position } => self.push_heard(node, push, position),
            Event::PushTimeout { node, push } => self.push_heard(node, push, None),
            Event::Poll { node } => self.poll(node),
            Event::Up { node, boot } => self.start(node, boot),
            Event::Client { client } => self.act(client),
            Event::AtPrimary { request } => self.at_primary(crate::primary::Event::Arrived(request)),
            Event::Primary { life, event } => self.primary_hears(life, event),
            Event::Done { request, place, state } => self.hears(request, place, &state),
            Event::Woken { node } => {
                self.woken.insert(node);
                Ok(())
            }
            Event::Query { query } => self.step(query),
            Event::Commit => {
                if !self.healed {
                    self.after(2 * self.weather.commit_ms, Event::Commit);
                }
                self.at_primary(crate::primary::Event::Arrived(Ask::NOBODY_S))
            }
            Event::Chaos => self.chaos(),
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Something happens within the next `most_ms`.
    pub(super) fn after(&mut self, most_ms: u64, event: Event) {
        let at = self.now_ms + self.rng.u64(0..=most_ms);
        let number = self.number();
        self.queue.insert((at, number), event);
    }

    /// Something happens in exactly `ms`.
    pub(super) fn at_last(&mut self, ms: u64, event: Event) {
        let number = self.number();
        self.queue.insert((self.now_ms + ms, number), event);
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

    /// Asks a question, and remembers what for.
    pub(super) fn ask(&mut self, node: usize, to: usize, question: Vec<u8>, then: Then) {
        let call = self.number();
        let boot = self.node(node).boot;
        self.calls.insert(call, Call { node, boot, then: Some(then) });
        let patience = if self.healed { 100 } else { (self.rng.u64(4..30) * self.weather.delay_ms).min(400) };
        self.at_last(patience, Event::Timeout { call });
        self.send(node, to, question, |bytes| Event::Question { from: node, to, call, bytes });
    }

    pub(super) fn node(&mut self, node: usize) -> &mut Node {
        &mut self.nodes[node - 1]
    }

    /// Keeps a line of the trace, if there is one.
    pub(super) fn note(&mut self, line: impl FnOnce(&World) -> String) {
        if self.trace.is_none() {
            return;
        }
        let line = format!("{:5} ms  {}", self.now_ms, line(self));
        if let Some(trace) = &mut self.trace {
            trace.push_back(line);
            if trace.len() > TRACE {
                trace.pop_front();
            }
        }
    }
}

/// A message in one line.
pub(super) fn brief(message: &Message) -> String {
    use crate::commit_log::Body;
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
