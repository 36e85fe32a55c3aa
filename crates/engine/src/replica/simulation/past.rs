//! Reads of the past in the simulator: a node finds a state by its position or its time, and reads pages of it.
//!
//! **Not here:** how a query goes on (`queries`).

use super::event::Who;
use super::network::Network;
use super::nodes::{Done, Nodes};
use super::primary::Primary;
use super::truth::{Check, Truth};
use littoral_protocol::sql::Point;
use littoral_protocol::{DatabaseId, State};

/// A node looks for a state of the past.
pub(super) fn look_back(net: &mut Network, nodes: &mut Nodes, truth: &Truth) {
    let node = net.rng.usize(nodes.numbers());
    let (database, txid) = truth.head();
    let then = truth.at((database, txid.saturating_sub(net.rng.u64(0..20)))).state;
    let point = if net.rng.bool() {
        Point::Bookmark(then.bookmark())
    } else {
        Point::Time((then.time_ms + net.rng.u64(0..3)).min(1_000_000 + net.now_ms()))
    };
    nodes.spawn(node, |driver, link| async move {
        let pinned = driver.pin_past(point, &*link).await;
        Done::Decided { who: Who::Historian(point), pinned }
    });
}

/// The state that was found is the right one.
pub(super) fn check_found(primary: &Primary, point: Point, database: DatabaseId, state: State) -> Check {
    let (known, _) = primary.truth().place_of(database, &state)?;
    let (until, in_time) = match point {
        Point::Bookmark(bookmark) => (bookmark.txid, state.txid < bookmark.txid || state.bookmark() == bookmark),
        Point::Time(time_ms) => (primary.truth().before(known, time_ms), true),
    };
    // What is kept now was kept when this was answered. Of a database that is gone it is not known.
    let is_right = in_time && !(database == primary.database && primary.keeps_between(state.txid, until));
    if is_right { Ok(()) } else { Err(format!("{point:?} is not {state:?}")) }
}
