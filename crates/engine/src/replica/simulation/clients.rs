//! The simulator's clients: they read and write in sessions, and hand their tokens around.
//!
//! **Not here:** the decision who answers, which the node's driver makes; how pages are read (`queries`).

use super::event::{Ask, CLIENTS, Event, OBJECTS, PRIMARY, Who};
use super::network::Network;
use super::nodes::{Done, Nodes};
use super::past;
use super::planted::Bug;
use super::truth::{Check, Mark, Truth};
use crate::replica::Pinned;
use crate::session::Freshness;
use littoral_protocol::State;

#[derive(Default)]
struct Client {
    token: Option<String>,
    /// What the token stands for.
    floor: Option<Mark>,
    op: u64,
    reading: Option<Reading>,
}

#[derive(Clone)]
struct Reading {
    freshness: Freshness,
    floor: Option<Mark>,
    head: Mark,
    node: usize,
    /// The newest write that had gone through the node.
    passed_on: Option<Mark>,
}

pub(super) struct Clients {
    clients: Vec<Client>,
    /// Planted by hand, to be found.
    bug: Option<Bug>,
}

impl Clients {
    pub(super) fn new(bug: Option<Bug>) -> Clients {
        Clients { clients: (0..CLIENTS).map(|_| Client::default()).collect(), bug }
    }

    /// A client gives up what it does, and does something.
    pub(super) fn act(&mut self, net: &mut Network, nodes: &mut Nodes, truth: &Truth, client: usize) -> Check {
        if net.is_healed() {
            return Ok(());
        }
        net.after(60, Event::Client { client });
        let op = net.number();
        match net.rng.u32(0..20) {
            0 => {
                let other = net.rng.usize(0..self.clients.len());
                let (token, floor) = (self.clients[other].token.clone(), self.clients[other].floor);
                (self.clients[client].token, self.clients[client].floor) = (token, floor);
            }
            1 => {
                let token = *net.rng.choice(&[None, Some("first-primary"), Some("first-unconstrained")]).unwrap();
                (self.clients[client].token, self.clients[client].floor) = (token.map(Into::into), None);
            }
            2 => past::look_back(net, nodes, truth),
            3..6 => {
                self.clients[client].op = op;
                self.clients[client].reading = None;
                let through = net.rng.usize(OBJECTS + 1..=*nodes.numbers().end());
                let request = Ask { client: Some(client), op, write: true, through, until_ms: None };
                net.send(client + 1, PRIMARY, Vec::new(), |_| Event::AtPrimary { request });
            }
            _ => self.read(net, nodes, truth, client, op)?,
        }
        Ok(())
    }

    /// A client reads at a node, which decides who answers.
    fn read(&mut self, net: &mut Network, nodes: &mut Nodes, truth: &Truth, client: usize, op: u64) -> Check {
        let mut freshness = Freshness::of(self.clients[client].token.as_deref()).ok_or("the token cannot be read")?;
        let (node, head, floor) = (net.rng.usize(nodes.numbers()), truth.head(), self.clients[client].floor);
        let passed_on = nodes.node(node).passed_on;
        self.clients[client].op = op;
        self.clients[client].reading = Some(Reading { freshness, floor, head, node, passed_on });
        if let (Some(Bug::AnswersEarly), Freshness::AtLeast(_), Some((database, txid @ 2..))) = (self.bug, freshness, floor) {
            freshness = Freshness::AtLeast(truth.at((database, txid - 1)).state.bookmark());
        }
        let max_staleness_ms = net.weather.max_staleness_ms;
        nodes.spawn(node, |driver, link| async move {
            let pinned = driver.pin_present(freshness, max_staleness_ms, &*link).await;
            Done::Decided { who: Who::Client { client, op }, pinned }
        });
        Ok(())
    }

    /// It is decided who answers a read: the node, from this state, or the primary. Returns the state that is to be read at the node.
    pub(super) fn decided(
        &self,
        net: &mut Network,
        truth: &Truth,
        node: usize,
        (client, op): (usize, u64),
        pinned: Option<Pinned>,
    ) -> Result<Option<Pinned>, String> {
        let Some(reading) = self.clients[client].reading.as_ref().filter(|_| self.clients[client].op == op) else { return Ok(None) };
        let Some((database, pin)) = pinned else {
            net.note(|| format!("client {client} at {node} with {:?} goes to the primary", reading.freshness));
            go_to_primary(net, client, op);
            return Ok(None);
        };
        let place = truth.place_of(database, &pin.state())?;
        net.note(|| format!("client {client} at {node} with {:?} reads {place:?}", reading.freshness));
        if let (Freshness::None, Some(max)) = (reading.freshness, net.weather.max_staleness_ms)
            && place < truth.head_before(net.now_ms().saturating_sub(max))
        {
            return Err(format!("node {node} answers from {place:?}, which is older than {max} ms"));
        }
        Ok(Some((database, pin)))
    }

    /// A client has its answer, from this state. `None`: the node failed, and the primary answers instead.
    pub(super) fn answered(&mut self, net: &mut Network, client: usize, op: u64, read: Option<(Mark, State)>) -> Check {
        let Some((place, state)) = read else {
            go_to_primary(net, client, op);
            return Ok(());
        };
        if self.clients[client].op != op {
            return Ok(());
        }
        net.note(|| format!("client {client} has its answer from {place:?}"));
        let reading = self.clients[client].reading.take();
        if let Some(Reading { freshness, floor, head, node, passed_on }) = &reading {
            if passed_on.is_some_and(|passed_on| place < passed_on) {
                return Err(format!("{passed_on:?} was written by way of node {node}, which then answers from {place:?}"));
            }
            if floor.is_some_and(|floor| place < floor) {
                return Err(format!("client {client} has seen {floor:?} and is answered from {place:?}, by way of node {node}"));
            }
            let from_primary =
                *freshness == Freshness::Primary || (*freshness == Freshness::None && net.weather.max_staleness_ms.is_none());
            if from_primary && place < *head {
                return Err(format!("client {client} wants the primary's {head:?} and is answered from {place:?}"));
            }
        }
        let in_session = reading.is_none_or(|reading| reading.freshness != Freshness::None);
        if in_session {
            self.clients[client].token = Some(state.bookmark().to_string());
            self.clients[client].floor = Some(place);
        }
        self.clients[client].op = 0;
        Ok(())
    }

    /// The primary's answer arrives. The isolate that a write went through remembers it.
    pub(super) fn hears(&mut self, net: &mut Network, nodes: &mut Nodes, request: Ask, place: Mark, state: State) -> Check {
        let Ask { client: Some(client), op, write, through, .. } = request else { return Ok(()) };
        if write && nodes.node(through).up {
            let node = nodes.node_mut(through);
            node.driver.passed_on(state.bookmark());
            node.passed_on = node.passed_on.max(Some(place));
        }
        self.answered(net, client, op, Some((place, state)))
    }
}

fn go_to_primary(net: &mut Network, client: usize, op: u64) {
    let request = Ask { client: Some(client), op, write: false, through: PRIMARY, until_ms: None };
    net.send(client + 1, PRIMARY, Vec::new(), |_| Event::AtPrimary { request });
}
