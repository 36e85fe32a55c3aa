//! Reads of the past in the simulator: a node finds a state by its position or its time, and reads pages of it.
//!
//! **Not here:** how a query goes on (`clients`).

use super::calls::Done;
use super::clients::HISTORIAN;
use super::truth::Check;
use super::world::World;
use crate::replica::Pinned;
use littoral_protocol::sql::Point;

impl World {
    /// A node looks for a state of the past.
    pub(super) fn look_back(&mut self) {
        let node = self.rng.usize(1..=self.nodes.len());
        let (database, txid) = self.primary.truth.head();
        let then = self.primary.truth.at((database, txid.saturating_sub(self.rng.u64(0..20)))).state;
        let point = if self.rng.bool() {
            Point::Bookmark(then.bookmark())
        } else {
            Point::Time((then.time_ms + self.rng.u64(0..3)).min(1_000_000 + self.now_ms))
        };
        self.spawn(node, |driver, link| async move {
            let pinned = driver.pin_past(point, &*link).await;
            Done::Found { node, point, pinned }
        });
    }

    /// The state was found, or not.
    pub(super) fn found(&mut self, node: usize, point: Point, pinned: Option<Pinned>) -> Check {
        let Some((database, pin)) = pinned else { return Ok(()) };
        let state = pin.state();
        let (known, _) = self.primary.truth.place_of(database, &state)?;
        let (until, in_time) = match point {
            Point::Bookmark(bookmark) => (bookmark.txid, state.txid < bookmark.txid || state.bookmark() == bookmark),
            Point::Time(time_ms) => (self.primary.truth.before(known, time_ms), true),
        };
        // What is kept now was kept when this was answered. Of a database that is gone it is not known.
        let is_right = in_time && !(database == self.primary.database && self.primary.keeps_between(state.txid, until));
        if !is_right {
            return Err(format!("{point:?} is not {state:?}"));
        }
        self.read_pages(node, HISTORIAN, 0, (database, pin), false);
        Ok(())
    }
}
