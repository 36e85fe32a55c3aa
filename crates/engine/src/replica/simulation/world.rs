//! The simulated world: everybody who lives there, what happens to whom, and the end in which all is well.
//!
//! Its parts know those below them only: who there is (`event`), the network, nodes and the primary, queries, clients, chaos.
//!
//! **Invariant:** after each event all that was touched is checked.
//!
//! **Not here:** what the parts do, what must hold (`check`).

use super::chaos::chaos;
use super::check::{check_arrived, check_node, check_shelf};
use super::clients::Clients;
use super::event::{Ask, CLIENTS, Event, PRIMARY, Who};
use super::network::Network;
use super::nodes::{Decided, Nodes};
use super::past;
use super::planted::Bug;
use super::primary::Primary;
use super::queries::{Ended, Queries};
use super::truth::Check;
use crate::primary::Event::Arrived;
use std::collections::BTreeSet;

pub(super) struct World {
    pub(super) net: Network,
    primary: Primary,
    nodes: Nodes,
    queries: Queries,
    clients: Clients,
    /// Nodes whose pages were not all read since the world was healed.
    unaudited: BTreeSet<usize>,
}

impl World {
    pub(super) fn new(seed: u64, trace: bool, bug: Option<Bug>) -> World {
        let mut net = Network::new(seed, trace);
        let (primary, nodes) = (Primary::new(&mut net.rng), Nodes::new(&mut net, bug));
        nodes.numbers().for_each(|node| net.after(5, Event::Poll { node }));
        (0..CLIENTS).for_each(|client| net.after(20, Event::Client { client }));
        net.after(1, Event::Commit);
        net.after(20, Event::Chaos);
        World { net, primary, nodes, queries: Queries::default(), clients: Clients::new(bug), unaudited: BTreeSet::new() }
    }

    /// Lives until `until_ms`.
    pub(super) fn run(&mut self, until_ms: u64) -> Check {
        while let Some(event) = self.net.next(until_ms) {
            self.happen(event)?;
            self.go_on()?;
            for node in self.nodes.take_touched() {
                check_node(&mut self.net, &mut self.nodes, self.primary.truth(), node)?;
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Check {
        let World { net, primary, nodes, queries, clients, .. } = self;
        match event {
            Event::Question { from, to: PRIMARY, call, bytes } => primary.asked(net, from, call, &bytes),
            Event::Question { from, to, call, bytes } => nodes.asked(from, to, call, bytes),
            Event::Answer { call, bytes } => return self.answered(call, Some(bytes)),
            Event::Timeout { call } => return self.answered(call, None),
            Event::Push { to, push, bytes } => nodes.told(net, to, push, &bytes),
            Event::Pushed { node, push, position } => primary.told(net, node, push, position),
            Event::PushTimeout { node, push } => primary.told(net, node, push, None),
            Event::Poll { node } => nodes.poll(net, node),
            Event::Up { node, boot } => {
                if nodes.start(net, node, boot)? {
                    check_shelf(nodes, primary.truth(), node, 1..40)?;
                }
            }
            Event::Client { client } => clients.act(net, nodes, primary.truth(), client)?,
            Event::AtPrimary { request } => primary.on(net, Arrived(request)),
            Event::Primary { life, event } => primary.hears(net, life, event),
            Event::Read { life, number } => primary.has_read(net, life, number)?,
            Event::Written { life } => primary.has_written(net, life),
            Event::Done { request, place, state } => clients.hears(net, nodes, request, place, state)?,
            Event::Woken { node } => nodes.wake(node),
            Event::Query { query } => {
                let ended = queries.step(net, nodes, primary.truth(), query)?;
                return self.ended(ended);
            }
            Event::Commit => {
                if !net.is_healed() {
                    net.after(2 * net.weather.commit_ms, Event::Commit);
                }
                primary.on(net, Arrived(Ask::NOBODY_S));
            }
            Event::Chaos => chaos(net, primary, nodes, queries)?,
        }
        Ok(())
    }

    /// Lets the work of nodes go on, until all of it waits.
    fn go_on(&mut self) -> Check {
        loop {
            let decided = self.nodes.go_on(&mut self.net)?;
            if decided.is_empty() {
                return Ok(());
            }
            decided.into_iter().try_for_each(|decided| self.decided(decided))?;
        }
    }

    fn decided(&mut self, Decided { node, who, mut pinned }: Decided) -> Check {
        match (who, &pinned) {
            (Who::Client { client, op }, _) => {
                pinned = self.clients.decided(&mut self.net, self.primary.truth(), node, (client, op), pinned)?;
            }
            (Who::Historian(point), Some((database, pin))) => past::check_found(&self.primary, point, *database, pin.state())?,
            (Who::Historian(_), None) | (Who::Auditor, _) => {}
        }
        if let Some(pinned) = pinned {
            self.queries.begin(&mut self.net, &self.nodes, node, who, pinned);
        }
        Ok(())
    }

    fn answered(&mut self, call: u64, bytes: Option<Vec<u8>>) -> Check {
        let Some(came) = self.nodes.answered(&mut self.net, call, bytes)? else { return Ok(()) };
        let ended = self.queries.came(&mut self.net, &mut self.nodes, self.primary.truth(), came)?;
        self.ended(ended)
    }

    fn ended(&mut self, ended: Option<Ended>) -> Check {
        match ended {
            Some(Ended { who: Who::Client { client, op }, read, .. }) => self.clients.answered(&mut self.net, client, op, read),
            Some(Ended { who: Who::Auditor, node, read: Some(_) }) => {
                self.unaudited.remove(&node);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Faults end, and everybody comes to the head and has all pages right.
    pub(super) fn heal(&mut self) -> Check {
        self.net.heal();
        for disk in self.nodes.numbers().filter_map(|node| self.nodes.node(node).disk.as_ref()) {
            disk.fault.clear();
        }
        self.primary_answers()?;
        self.run(self.net.now_ms() + 800)?;
        // Long writes end one after the other.
        if self.primary.has_answered_all().is_err() {
            self.run(self.net.now_ms() + 2_000)?;
        }
        self.primary.has_answered_all()?;
        for node in self.nodes.numbers() {
            check_arrived(&self.net, &self.nodes, self.primary.truth(), node)?;
            self.unaudited.insert(node);
        }
        for _ in 0..4 {
            for node in self.unaudited.clone() {
                self.audit(node)?;
            }
            if !self.unaudited.is_empty() {
                self.run(self.net.now_ms() + 1_000)?;
            }
        }
        if let Some(node) = self.unaudited.first() {
            return Err(format!("not all pages of node {node} can be read, in the end"));
        }
        if let Some(node) = self.queries.any() {
            return Err(format!("a query at node {node} does not end"));
        }
        let claims = self.nodes.numbers().find(|node| self.nodes.node(*node).driver.follower().borrow().is_fetching());
        claims.map_or(Ok(()), |node| Err(format!("node {node} has claims that nobody will release")))
    }

    /// The primary runs what it is asked for, and lets every answer out.
    fn primary_answers(&mut self) -> Check {
        let before = self.primary.truth().head();
        self.primary.on(&mut self.net, Arrived(Ask::NOBODY_S));
        let asked_ms = self.net.now_ms();
        // A late write of a client may be under way at any one moment.
        for within_ms in (100..200).step_by(20) {
            self.run(asked_ms + within_ms)?;
            if self.primary.truth().head() > before && self.primary.holds_back() == 0 {
                return Ok(());
            }
        }
        let (head, held_back) = (self.primary.truth().head(), self.primary.holds_back());
        Err(format!("the primary is at {head:?} and holds back {held_back} answers"))
    }

    /// Begins to read all pages at a node, of its present state.
    fn audit(&mut self, node: usize) -> Check {
        let pinned = {
            let follower = self.nodes.node(node).driver.follower().borrow();
            follower.pin().map(|pin| (follower.database(), pin))
        };
        let pinned = pinned.ok_or_else(|| format!("node {node} has no state"))?;
        self.queries.begin(&mut self.net, &self.nodes, node, Who::Auditor, pinned);
        Ok(())
    }
}
