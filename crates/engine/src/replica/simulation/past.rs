//! Reads of the past in the simulator: a node finds a state by its position or its time, and reads pages of it.
//!
//! **Not here:** how a query goes on (`clients`).

use super::clients::HISTORIAN;
use super::truth::Check;
use super::world::{Kind, Then, World};
use crate::commit_log::{Body, Message, Point};

impl World {
    /// A node asks for a state of the past.
    pub(super) fn look_back(&mut self) {
        let node = self.rng.usize(1..=self.nodes.len());
        let (database, txid) = self.primary.truth.head();
        let then = self.primary.truth.at((database, txid.saturating_sub(self.rng.u64(0..20)))).state;
        let point = if self.rng.bool() {
            Point::At(then.position())
        } else {
            Point::Time((then.time_ms + self.rng.u64(0..3)).min(1_000_000 + self.now_ms))
        };
        let question = Message { database: self.nodes[node - 1].follower.borrow().database(), body: Body::Find(point) };
        let to = self.node(node).upstream;
        self.ask(node, to, question.encode(), Kind::Pass, Then::Past { node, point });
    }

    /// The state was found, or not.
    pub(super) fn found(&mut self, node: usize, point: Point, answer: Option<Message>) -> Check {
        let Some(Message { database, body: Body::Found(state) }) = answer else { return Ok(()) };
        let (known, _) = self.primary.truth.place_of(database, &state)?;
        let (until, in_time) = match point {
            Point::At(position) => (position.txid, state.txid < position.txid || state.position() == position),
            Point::Time(time_ms) => (self.primary.truth.before(known, time_ms), true),
        };
        // What is kept now was kept when this was answered. Of a database that is gone it is not known.
        let is_right = in_time && !(database == self.primary.database && self.primary.keeps_between(state.txid, until));
        if !is_right {
            return Err(format!("{point:?} is not {state:?}"));
        }
        let pin = self.nodes[node - 1].follower.borrow().pin_state(state);
        self.read_pages(node, HISTORIAN, 0, (database, pin), false);
        Ok(())
    }
}
