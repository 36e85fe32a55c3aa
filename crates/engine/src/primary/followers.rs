//! News for replica objects: the primary sends them the commits after their position, unasked, soon after a write.
//!
//! A replica object subscribes by pulling, for a while; one that is read pulls again and again. A write goes out at once, and what is written
//! soon after it together. Each follower has one message under way at most: a slow one gets more at once.
//!
//! **Invariant:** a follower that does not answer, or answers that it cannot follow, is not told any more until it asks again.

use super::Action;
use crate::settings::region::Region;
use littoral_protocol::Position;
use std::collections::BTreeMap;

/// Milliseconds for which writes are gathered after a message.
const GATHER_MS: u64 = 50;
/// Milliseconds for which a follower is told after it asked.
const LEASE_MS: u64 = 30_000;

#[derive(Default)]
pub(super) struct Followers {
    subscribed: BTreeMap<Region, Subscription>,
    /// The newest position; `None`: nothing was written since the start.
    head: Option<Position>,
    /// When they were last told.
    told_at_ms: Option<u64>,
    /// A wake-up is under way.
    waking: bool,
}

struct Subscription {
    position: Position,
    until_ms: u64,
    /// A message is under way.
    busy: bool,
}

impl Followers {
    pub(super) fn asked(&mut self, region: Region, reaches: Option<Position>, now_ms: u64) {
        let until_ms = now_ms + LEASE_MS;
        match (self.subscribed.get_mut(&region), reaches) {
            (Some(known), reaches) => {
                known.until_ms = until_ms;
                // The message under way says where it is.
                if let Some(position) = reaches.filter(|_| !known.busy) {
                    known.position = position;
                }
            }
            (None, Some(position)) => drop(self.subscribed.insert(region, Subscription { position, until_ms, busy: false })),
            (None, None) => {}
        }
    }

    /// Something was written, and this is the newest position.
    pub(super) fn wrote<R>(&mut self, head: Position, now_ms: u64) -> Vec<Action<R>> {
        self.head = Some(head);
        self.tell_or_wait(now_ms)
    }

    pub(super) fn told<R>(&mut self, region: Region, position: Option<Position>, now_ms: u64) -> Vec<Action<R>> {
        let Some(follower) = self.subscribed.get_mut(&region).filter(|follower| follower.busy) else { return Vec::new() };
        follower.busy = false;
        match position {
            Some(position) => follower.position = position,
            None => drop(self.subscribed.remove(&region)),
        }
        self.tell_or_wait(now_ms)
    }

    pub(super) fn woken<R>(&mut self, now_ms: u64) -> Vec<Action<R>> {
        self.waking = false;
        self.tell_or_wait(now_ms)
    }

    fn tell_or_wait<R>(&mut self, now_ms: u64) -> Vec<Action<R>> {
        let head = self.head;
        if !self.subscribed.values().any(|follower| follower.is_to_be_told(head)) {
            return Vec::new();
        }
        match self.told_at_ms.map(|told_at_ms| (told_at_ms + GATHER_MS).saturating_sub(now_ms)) {
            // A clock that went back tells nothing of how long ago that was.
            Some(in_ms @ 1..=GATHER_MS) => {
                let is_asked_for = std::mem::replace(&mut self.waking, true);
                if is_asked_for { Vec::new() } else { vec![Action::Wake { in_ms }] }
            }
            // Also where a wake-up is under way: it does not come before the object has a pause.
            _ => self.tell(now_ms),
        }
    }

    fn tell<R>(&mut self, now_ms: u64) -> Vec<Action<R>> {
        self.subscribed.retain(|_, follower| follower.until_ms >= now_ms);
        self.told_at_ms = Some(now_ms);
        let head = self.head;
        // Most followers are at the same position.
        let mut news: Vec<(Position, Vec<Region>)> = Vec::new();
        for (region, follower) in self.subscribed.iter_mut().filter(|(_, follower)| follower.is_to_be_told(head)) {
            follower.busy = true;
            match news.iter_mut().find(|(after, _)| *after == follower.position) {
                Some((_, regions)) => regions.push(*region),
                None => news.push((follower.position, vec![*region])),
            }
        }
        news.into_iter().map(|(after, regions)| Action::Tell { regions, after }).collect()
    }
}

impl Subscription {
    fn is_to_be_told(&self, head: Option<Position>) -> bool {
        !self.busy && head.is_some_and(|head| head != self.position)
    }
}
