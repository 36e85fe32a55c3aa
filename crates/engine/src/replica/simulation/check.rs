//! What must hold after every event, and at the end.
//!
//! **Not here:** the rules of sessions, which are checked where a client has its answer (`clients`).

use super::clients::AUDITOR;
use super::primary::Ask;
use super::truth::Check;
use super::world::World;
use littoral_protocol::{Pgno, Txid};

impl World {
    /// All that one node holds is right.
    pub(super) fn check_node(&mut self, number: usize) -> Check {
        if !self.node(number).up {
            return Ok(());
        }
        let node = &self.nodes[number - 1];
        let follower = node.driver.follower().borrow();
        let truth = &self.primary.truth;
        let in_node = |what: String| format!("node {number}: {what}");
        node.driver.follower().borrow().check_cache().map_err(in_node)?;
        let budget = self.hosts[node.host].budget;
        let bytes = self.hosts[node.host].cache.borrow().bytes();
        if bytes > budget.max(30_000) {
            return Err(in_node(format!("{bytes} bytes in a cache for {budget}")));
        }
        let Some((database, state)) = follower.state() else { return Ok(()) };
        let place = truth.place_of(database, &state).map_err(in_node)?;
        for (pgno, version) in follower.versions() {
            let last = version.until.unwrap_or(state.txid);
            let between = Txid(self.rng.u64(version.since.0.min(last.0)..=last.0));
            for at in [version.since, between, last] {
                truth.check_page(database, pgno, at, &version.image).map_err(in_node)?;
            }
        }
        if let Some(staleness) = follower.staleness_ms(self.now_ms + node.clock_ms) {
            let head = truth.head_before(self.now_ms.saturating_sub(staleness));
            if place < head {
                return Err(in_node(format!("it is at {place:?} and says {staleness} ms, but the primary was at {head:?} then")));
            }
        }
        if place < node.reached {
            return Err(in_node(format!("it goes back from {:?} to {place:?}", node.reached)));
        }
        for _ in 0..2 {
            let pgno = Pgno(self.rng.u32(1..32));
            if let Some(frame) = follower.on_shelf(pgno) {
                let Ok(image) = frame.expand(state.page_size) else { continue };
                truth.check_page(database, pgno, state.txid, &image).map_err(|what| in_node(format!("on the shelf, {what}")))?;
            }
        }
        drop(follower);
        self.node(number).reached = place;
        Ok(())
    }

    /// All that is on a node's shelf is right.
    pub(super) fn check_shelf(&mut self, number: usize) -> Check {
        let follower = self.nodes[number - 1].driver.follower().borrow();
        let Some((database, state)) = follower.state() else { return Ok(()) };
        let in_node = |what: String| format!("on the shelf of node {number}: {what}");
        self.primary.truth.place_of(database, &state).map_err(in_node)?;
        for pgno in (1..40).map(Pgno) {
            if let Some(frame) = follower.on_shelf(pgno) {
                let Ok(image) = frame.expand(state.page_size) else { continue };
                self.primary.truth.check_page(database, pgno, state.txid, &image).map_err(in_node)?;
            }
        }
        Ok(())
    }

    /// The primary runs what it is asked for, and lets every answer out.
    fn primary_answers(&mut self) -> Check {
        let before = self.primary.truth.head();
        self.at_primary(crate::primary::Event::Arrived(Ask::NOBODY_S))?;
        self.run(self.now_ms + 100)?;
        let (head, held_back) = (self.primary.truth.head(), self.primary.holds_back());
        if head > before && held_back == 0 { Ok(()) } else { Err(format!("the primary is at {head:?} and holds back {held_back} answers")) }
    }

    /// Faults end, and everybody comes to the head and has all pages right.
    pub(super) fn heal(&mut self) -> Check {
        self.healed = true;
        self.apart.clear();
        self.note(|_| "the network is healed".into());
        for disk in self.nodes.iter().filter_map(|node| node.disk.as_ref()) {
            disk.fault.clear();
        }
        self.primary_answers()?;
        self.run(self.now_ms + 800)?;
        let head = self.primary.truth.head();
        for number in 1..=self.nodes.len() {
            let (known, staleness) = {
                let follower = self.nodes[number - 1].driver.follower().borrow();
                (follower.state(), follower.staleness_ms(self.now_ms + self.nodes[number - 1].clock_ms))
            };
            let place = known.map(|(database, state)| self.primary.truth.place_of(database, &state)).transpose()?;
            if place != Some(head) || staleness.is_none_or(|staleness| staleness > 400) {
                return Err(format!(
                    "node {number} is at {place:?}, {staleness:?} ms behind, long after all was healed; the head is {head:?}"
                ));
            }
            self.unaudited.insert(number);
        }
        for _ in 0..4 {
            for number in self.unaudited.clone() {
                self.query(number, AUDITOR, 0, true)?;
            }
            if !self.unaudited.is_empty() {
                self.run(self.now_ms + 1_000)?;
            }
        }
        if let Some(number) = self.unaudited.first() {
            return Err(format!("not all pages of node {number} can be read, in the end"));
        }
        if let Some(query) = self.queries.values().next() {
            return Err(format!("a query at node {} does not end", query.node));
        }
        match self.nodes.iter().position(|node| node.driver.follower().borrow().is_fetching()) {
            Some(node) => Err(format!("node {} has claims that nobody will release", node + 1)),
            None => Ok(()),
        }
    }
}
