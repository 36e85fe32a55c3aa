//! What must hold of a node after every event, and at the end.
//!
//! **Not here:** the rules of sessions, which are checked where a client has its answer (`clients`), and of pages, where one is read (`queries`).

use super::network::Network;
use super::nodes::Nodes;
use super::truth::{Check, Truth};
use littoral_protocol::{Pgno, Txid};

/// All that one node holds is right.
pub(super) fn check_node(net: &mut Network, nodes: &mut Nodes, truth: &Truth, number: usize) -> Check {
    let node = nodes.node(number);
    if !node.up {
        return Ok(());
    }
    let follower = node.driver.follower().borrow();
    let in_node = |what: String| format!("node {number}: {what}");
    follower.check_cache().map_err(in_node)?;
    let host = nodes.host_of(number);
    let bytes = host.cache.borrow().bytes();
    if bytes > host.budget.max(30_000) {
        return Err(in_node(format!("{bytes} bytes in a cache for {}", host.budget)));
    }
    let Some((database, state)) = follower.state() else { return Ok(()) };
    let place = truth.place_of(database, &state).map_err(in_node)?;
    for (pgno, version) in follower.versions() {
        let last = version.until.unwrap_or(state.txid);
        let between = Txid(net.rng.u64(version.since.0.min(last.0)..=last.0));
        for at in [version.since, between, last] {
            truth.check_page(database, pgno, at, &version.image).map_err(in_node)?;
        }
    }
    if let Some(staleness) = follower.staleness_ms(net.now_ms() + node.clock_ms) {
        let head = truth.head_before(net.now_ms().saturating_sub(staleness));
        if place < head {
            return Err(in_node(format!("it is at {place:?} and says {staleness} ms, but the primary was at {head:?} then")));
        }
    }
    if place < node.reached {
        return Err(in_node(format!("it goes back from {:?} to {place:?}", node.reached)));
    }
    let some = [(); 2].map(|()| net.rng.u32(1..32));
    check_shelf(nodes, truth, number, some)?;
    drop(follower);
    nodes.node_mut(number).reached = place;
    Ok(())
}

/// These pages are right that are on a node's shelf.
pub(super) fn check_shelf(nodes: &Nodes, truth: &Truth, number: usize, pgnos: impl IntoIterator<Item = u32>) -> Check {
    let follower = nodes.node(number).driver.follower().borrow();
    let Some((database, state)) = follower.state() else { return Ok(()) };
    let on_shelf = |what: String| format!("on the shelf of node {number}: {what}");
    truth.place_of(database, &state).map_err(on_shelf)?;
    for pgno in pgnos.into_iter().map(Pgno) {
        if let Some(frame) = follower.on_shelf(pgno) {
            let Ok(image) = frame.expand(state.page_size) else { continue };
            truth.check_page(database, pgno, state.txid, &image).map_err(on_shelf)?;
        }
    }
    Ok(())
}

/// A node is at the primary's head, and knows that it is, long after all was healed.
pub(super) fn check_arrived(net: &Network, nodes: &Nodes, truth: &Truth, number: usize) -> Check {
    let (node, head) = (nodes.node(number), truth.head());
    let follower = node.driver.follower().borrow();
    let place = follower.state().map(|(database, state)| truth.place_of(database, &state)).transpose()?;
    let staleness = follower.staleness_ms(net.now_ms() + node.clock_ms);
    if place == Some(head) && staleness.is_some_and(|staleness| staleness <= 400) {
        return Ok(());
    }
    Err(format!("node {number} is at {place:?}, {staleness:?} ms behind, long after all was healed; the head is {head:?}"))
}
