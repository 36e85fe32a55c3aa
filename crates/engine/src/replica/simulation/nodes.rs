//! The simulator's nodes at work: their drivers run, ask and answer, and their processes end and begin.
//!
//! **Not here:** one node (`node`), what clients want (`clients`), what must hold (`check`).

use super::event::{Event, OBJECTS, REPLICAS, Who};
use super::link::{NodeLink, Shared, Slot, Wanted};
use super::network::{Network, brief, brief_bytes};
use super::node::{Host, Node};
use super::planted::{Bug, HeldBefore};
use super::truth::Check;
use crate::commit_log::{Body, Message};
use crate::fetch::AskedPages;
use crate::replica::{Driver, LinkError, Pinned};
use crate::store::INJECTED;
use littoral_protocol::Txid;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What a future has come to.
pub(super) enum Done {
    Nothing,
    /// A question of a node behind is answered.
    Relayed {
        from: usize,
        call: u64,
        answer: Result<Vec<u8>, LinkError>,
    },
    /// A state was looked for, to be read from.
    Decided {
        who: Who,
        pinned: Option<Pinned>,
    },
}

/// What was decided at a node: who reads, and from which state; `None`: there is none here.
pub(super) struct Decided {
    pub(super) node: usize,
    pub(super) who: Who,
    pub(super) pinned: Option<Pinned>,
}

/// Work of a node that waits for something now and then.
struct Task {
    node: usize,
    boot: u64,
    work: Pin<Box<dyn Future<Output = Done>>>,
}

/// What is to be done with an answer.
pub(super) enum Then {
    /// A driver waits for it.
    Slot(Slot),
    /// The query goes on.
    Query { query: u64, asked: Rc<AskedPages> },
}

struct Call {
    node: usize,
    boot: u64,
    /// Taken by the first answer.
    then: Option<Then>,
}

/// The answer to a query's question; `None`: it did not come.
pub(super) struct Came {
    pub(super) query: u64,
    pub(super) asked: Rc<AskedPages>,
    pub(super) answer: Option<Message>,
}

pub(super) struct Nodes {
    hosts: Vec<Host>,
    nodes: Vec<Node>,
    shared: Rc<Shared>,
    tasks: Vec<Task>,
    calls: BTreeMap<u64, Call>,
    /// Nodes whose work may go on.
    woken: BTreeSet<usize>,
    /// Nodes to be checked after this event.
    touched: BTreeSet<usize>,
    /// Planted by hand, to be found.
    bug: Option<Bug>,
}

impl Nodes {
    pub(super) fn new(net: &mut Network, bug: Option<Bug>) -> Nodes {
        let hosts: Vec<Host> = (0..OBJECTS + 2).map(|_| Host::new(&mut net.rng)).collect();
        let nodes = (1..=OBJECTS + REPLICAS).map(|number| Node::new(number, &mut net.rng, &hosts)).collect();
        let (tasks, calls, shared) = (Vec::new(), BTreeMap::new(), Shared::new(net.clock()));
        Nodes { hosts, nodes, shared, tasks, calls, woken: BTreeSet::new(), touched: BTreeSet::new(), bug }
    }

    /// The numbers of all.
    pub(super) fn numbers(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.nodes.len()
    }

    pub(super) fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    pub(super) fn node_mut(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number - 1]
    }

    pub(super) fn host_of(&self, number: usize) -> &Host {
        &self.hosts[self.node(number).host]
    }

    /// Something has come that a node waited for.
    pub(super) fn wake(&mut self, node: usize) {
        self.woken.insert(node);
    }

    /// A node has to be checked.
    pub(super) fn touch(&mut self, node: usize) {
        self.touched.insert(node);
    }

    pub(super) fn take_touched(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.touched)
    }

    /// The process ends, and all that is in its memory. Returns the nodes that were in it.
    pub(super) fn crash(&mut self, net: &mut Network, number: usize, down_ms: u64) -> Vec<usize> {
        net.note(|| format!("node {number} is gone for {down_ms} ms"));
        let host = self.node(number).host;
        if number <= OBJECTS || net.rng.bool() {
            self.hosts[host].forget();
        }
        let gone: Vec<usize> = self.numbers().filter(|node| self.node(*node).host == host).collect();
        for node in gone.iter().copied() {
            let boot = net.number();
            (self.node_mut(node).boot, self.node_mut(node).up) = (boot, false);
            net.at_last(down_ms, Event::Up { node, boot });
        }
        gone
    }

    /// A process begins. False: it has ended again since this was set about.
    pub(super) fn start(&mut self, net: &mut Network, number: usize, boot: u64) -> Result<bool, String> {
        let node = &mut self.nodes[number - 1];
        if node.boot != boot {
            return Ok(false);
        }
        node.up = true;
        node.begin(&self.hosts[node.host])?;
        net.note(|| format!("node {number} is back at {}", node.driver.follower().borrow().txid().0));
        Ok(true)
    }

    /// Begins work at a node, with its driver and a link of its own.
    pub(super) fn spawn<F: Future<Output = Done> + 'static>(&mut self, node: usize, work: impl FnOnce(Driver, Rc<NodeLink>) -> F) {
        let Node { driver, clock_ms, boot, up: true, .. } = self.node(node) else { return };
        let link = Rc::new(NodeLink { shared: self.shared.clone(), node, clock_ms: *clock_ms });
        let task = Task { node, boot: *boot, work: Box::pin(work(driver.clone(), link)) };
        self.tasks.push(task);
        self.wake(node);
    }

    /// Lets the work of all nodes go on that something has happened to, until all of it waits. Returns what was decided.
    pub(super) fn go_on(&mut self, net: &mut Network) -> Result<Vec<Decided>, String> {
        let mut decided = Vec::new();
        while let Some(node) = self.woken.pop_first() {
            self.touch(node);
            let (up, boot) = (self.node(node).up, self.node(node).boot);
            self.tasks.retain(|task| task.node != node || up && task.boot == boot);
            let mut done = Vec::new();
            self.with_bug(node, |nodes| {
                for mut task in std::mem::take(&mut nodes.tasks) {
                    match (task.node == node).then(|| task.work.as_mut().poll(&mut Context::from_waker(Waker::noop()))) {
                        Some(Poll::Ready(what)) => done.push(what),
                        Some(Poll::Pending) | None => nodes.tasks.push(task),
                    }
                }
            });
            self.carry(net)?;
            for what in done {
                self.wake(node);
                match what {
                    Done::Nothing => {}
                    Done::Relayed { from, call, answer } => relayed(net, node, from, call, answer)?,
                    Done::Decided { who, pinned } => decided.push(Decided { node, who, pinned }),
                }
            }
        }
        Ok(decided)
    }

    /// Lets something happen to a node's follower, with the bug that is planted.
    fn with_bug<T>(&mut self, node: usize, happen: impl FnOnce(&mut Nodes) -> T) -> T {
        let follower = self.node(node).driver.follower().clone();
        let before = HeldBefore::of(&follower.borrow(), self.bug);
        let happened = happen(self);
        if let Some(before) = before {
            before.put_back(&mut follower.borrow_mut());
        }
        happened
    }

    /// Sends what drivers ask, and looks at what they say.
    fn carry(&mut self, net: &mut Network) -> Check {
        for (node, wanted) in self.shared.outbox.take() {
            match wanted {
                Wanted::Time { in_ms } => net.at_last(in_ms, Event::Woken { node }),
                Wanted::Answer { question, slot } => {
                    net.note(|| format!("{node} asks {}: {}", self.node(node).upstream, brief_bytes(&question)));
                    self.ask(net, node, question, Then::Slot(slot));
                }
            }
        }
        for (node, line) in self.shared.log.take() {
            net.note(|| format!("{node} says: {line}"));
            net.stats.restarts += u64::from(line.contains("begins anew"));
            let is_of_damage = net.weather.storage_fails && line.contains(DAMAGED);
            if !is_of_damage && !ALLOWED.iter().any(|allowed| line.contains(allowed)) {
                return Err(format!("node {node} says: {line}"));
            }
        }
        Ok(())
    }

    /// Asks a node's source a question, and remembers what for.
    pub(super) fn ask(&mut self, net: &mut Network, node: usize, question: Vec<u8>, then: Then) {
        let (call, to, boot) = (net.number(), self.node(node).upstream, self.node(node).boot);
        self.calls.insert(call, Call { node, boot, then: Some(then) });
        let patience_ms = net.patience_ms();
        net.at_last(patience_ms, Event::Timeout { call });
        net.send(node, to, question, |bytes| Event::Question { from: node, to, call, bytes });
    }

    /// A question of a node behind arrives.
    pub(super) fn asked(&mut self, from: usize, to: usize, call: u64, bytes: Vec<u8>) {
        self.spawn(to, |driver, link| async move {
            let answer = driver.follow(&bytes, &*link).await;
            Done::Relayed { from, call, answer }
        });
    }

    /// An answer arrives, or it is given up. Returns it, if it is a query's.
    pub(super) fn answered(&mut self, net: &mut Network, call: u64, bytes: Option<Vec<u8>>) -> Result<Option<Came>, String> {
        let Some(Call { node, boot, then }) = self.calls.get_mut(&call) else { return Ok(None) };
        let (node, boot, then) = (*node, *boot, then.take());
        let Some(then) = then.filter(|_| self.node(node).up && self.node(node).boot == boot) else { return Ok(None) };
        self.wake(node);
        let message = bytes.as_ref().and_then(|bytes| Message::decode(bytes).ok());
        if let Some(message) = &message {
            net.note(|| format!("{node} hears {}", brief(Some(message))));
            if let Body::Refused(refusal) = &message.body
                && ["beyond", "more than", "damaged"].iter().any(|word| refusal.text.contains(word))
            {
                return Err(format!("node {node} asked for what cannot be: {}", refusal.text));
            }
        }
        match then {
            // What was cut on the way is not what somebody said.
            Then::Slot(slot) => {
                slot.replace(Some(message.and(bytes).ok_or_else(|| LinkError(NO_ANSWER.into()))));
                Ok(None)
            }
            Then::Query { query, asked } => Ok(Some(Came { query, asked, answer: message })),
        }
    }

    /// News from the primary arrive.
    pub(super) fn told(&mut self, net: &mut Network, node: usize, push: u64, news: &[u8]) {
        if !self.node(node).up {
            return;
        }
        self.wake(node);
        net.note(|| format!("{node} is told {}", brief_bytes(news)));
        let position = self.with_bug(node, |nodes| nodes.node(node).driver.told(news));
        net.send(node, super::event::PRIMARY, Vec::new(), |_| Event::Pushed { node, push, position });
    }

    pub(super) fn poll(&mut self, net: &mut Network, node: usize) {
        self.spawn(node, |driver, link| async move {
            driver.pull(&*link, Txid::EMPTY).await;
            Done::Nothing
        });
        let every_ms = if net.is_healed() { 40 } else { 150 };
        net.after(every_ms, Event::Poll { node });
    }
}

/// A question of a node behind was answered, or not.
fn relayed(net: &mut Network, node: usize, from: usize, call: u64, answer: Result<Vec<u8>, LinkError>) -> Check {
    match answer {
        Ok(answer) => {
            net.stats.relayed += 1;
            net.note(|| format!("{node} to {from}: {}", brief_bytes(&answer)));
            net.send(node, from, answer, |bytes| Event::Answer { call, bytes });
            Ok(())
        }
        Err(LinkError(error)) if ALLOWED.iter().any(|allowed| error.contains(allowed)) => Ok(()),
        Err(error) => Err(format!("node {node} cannot answer: {error}")),
    }
}

/// What a driver says of a question that nobody answered.
const NO_ANSWER: &str = "unlucky: no answer";
/// What one says of a shelf that was damaged.
const DAMAGED: &str = "the stored image of page";
/// What an honest driver says in an unlucky world.
const ALLOWED: [&str; 6] =
    [NO_ANSWER, INJECTED, "the source refused", "answered something else", "begins anew at commit", "the stored position is damaged"];
