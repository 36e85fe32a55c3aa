//! The primary's policy: who is answered when and with whom, who is told of news, when the past is kept within its limits.
//!
//! A [`Primary`] decides and does nothing itself: events go in, actions come out, and whoever owns it (a Durable Object, the simulator)
//! carries them out in order and reports what became of them. `R` is a request, of which nothing is known here but how long its caller waits.
//!
//! | part | what it decides |
//! |---|---|
//! | `queue` | group commit: requests that arrive while a write is being made durable are answered together; one long write at a time |
//! | `readers` | how many long reads there are at once |
//! | `followers` | which replica objects are told of news, and when |
//! | `upkeep` | when the past is cut to its limits; the only owner of the alarm |
//!
//! **Invariants**
//! 1. Requests begin in the order in which they arrived, and every one runs, unless its caller no longer waits before. Long ones end later
//!    than what came after them.
//! 2. No action is needed for a right answer but [`Action::Run`], [`Action::Read`], [`Action::Write`] and [`Action::Sync`]: a follower that
//!    hears nothing asks, and a past that is not cut is only long.
//! 3. An event that nobody waits for (of a time before a restart) changes nothing.
//!
//! **Not here:** SQL, storage, clocks; what a replica is told (`replica::Source`).

mod followers;
mod queue;
mod readers;
#[cfg(test)]
mod tests;
mod upkeep;

use crate::settings::region::Region;
use followers::Followers;
use littoral_protocol::Position;
use queue::Queue;
use readers::Readers;
use std::collections::VecDeque;
use upkeep::Upkeep;

/// A request, as far as it is known here.
pub trait Waits {
    /// When its caller no longer waits, in milliseconds since 1970.
    fn until_ms(&self) -> Option<u64>;
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<R> {
    /// A request has come.
    Arrived(R),
    /// Requests have run.
    Ran {
        /// The newest position, if something was written.
        wrote: Option<Position>,
    },
    /// A request that has run has no answer: it only reads, and for longer than others are to wait for it.
    LongRead(R),
    /// A request that has run has no answer, and nothing of it was done: it writes for longer than others are to wait for it.
    LongWrite(R),
    /// A request that has run has no answer: it needs the write connection, which a long write has.
    HeldUp(R),
    /// A long write has ended.
    Written {
        /// The newest position, if something was written.
        wrote: Option<Position>,
    },
    /// A request that was read has its answer.
    ReadEnded,
    /// The storage has something of what did not become a commit.
    Discarded,
    /// What was written is durable, or never will be.
    Synced,
    /// A replica object has asked, and its answer brings it to this position, if it does.
    Asked {
        /// Which.
        region: Region,
        /// Where the answer to a pull brings it.
        reaches: Option<Position>,
    },
    /// A replica object has taken news and is at this position; `None`: there is no news for its position, it did not answer, or has to ask.
    Told {
        /// Which.
        region: Region,
        /// Where it is.
        position: Option<Position>,
    },
    /// The time has come that [`Action::Wake`] asked for.
    Woken,
    /// The alarm has gone off.
    Alarm,
    /// The alarm is set to this time, in milliseconds since 1970; `None`: it is not set.
    AlarmIs(Option<u64>),
    /// A step of upkeep is done, and the next is due at this time, in milliseconds since 1970; `None`: not before something is written.
    Maintained {
        /// When.
        due_ms: Option<u64>,
    },
    /// A step of upkeep could not be done.
    NotMaintained,
    /// The database is no more; another may take its name.
    Deleted,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<R> {
    /// Run these together, say [`Event::LongRead`], [`Event::LongWrite`] or [`Event::HeldUp`] for those that have no answer, then
    /// [`Event::Ran`].
    Run(Vec<R>),
    /// Read this, with other things done in between, then say [`Event::ReadEnded`].
    Read(R),
    /// Let this have the write connection, with other things done in between, then say [`Event::Written`].
    Write(R),
    /// Tell this one's caller, who no longer waits, that nothing of it was done.
    Late(R),
    /// Say [`Event::Synced`] when everything written so far is durable.
    Sync,
    /// Send the commits after `after` to the replica objects of these regions, then say [`Event::Told`] for each.
    Tell {
        /// Which.
        regions: Vec<Region>,
        /// Where they are.
        after: Position,
    },
    /// Say [`Event::Woken`] in so many milliseconds.
    Wake {
        /// Milliseconds from now.
        in_ms: u64,
    },
    /// Look whether the alarm is set, then say [`Event::AlarmIs`].
    LookForAlarm,
    /// Set the alarm to this time, in milliseconds since 1970.
    SetAlarm {
        /// When.
        at_ms: u64,
    },
    /// Do a step of upkeep, then say [`Event::Maintained`] or [`Event::NotMaintained`].
    Maintain {
        /// Only once everything written so far is durable: requests come in while it waits.
        synced: bool,
    },
}

/// The policy of one database's primary.
pub struct Primary<R> {
    queue: Queue<R>,
    readers: Readers<R>,
    followers: Followers,
    upkeep: Upkeep,
}

impl<R> Default for Primary<R> {
    fn default() -> Primary<R> {
        Primary { queue: Queue::default(), readers: Readers::default(), followers: Followers::default(), upkeep: Upkeep::default() }
    }
}

impl<R: Waits> Primary<R> {
    /// What is to be done now that this has happened, at `now_ms` since 1970.
    pub fn on(&mut self, event: Event<R>, now_ms: u64) -> Vec<Action<R>> {
        match event {
            Event::Arrived(request) => self.queue.arrived(request),
            Event::Ran { wrote } => {
                let actions = self.queue.ran(wrote.is_some());
                self.wrote(actions, wrote, now_ms)
            }
            Event::LongRead(request) => {
                let wake = wake_for(&request, now_ms);
                let begins = self.readers.too_long(request);
                if begins.is_empty() { Vec::from_iter(wake) } else { begins }
            }
            Event::LongWrite(request) => {
                let wake = wake_for(&request, now_ms);
                self.queue.takes_long(request);
                Vec::from_iter(wake)
            }
            Event::HeldUp(request) => {
                let wake = wake_for(&request, now_ms);
                self.queue.held_up(request);
                Vec::from_iter(wake)
            }
            Event::Written { wrote } => {
                let actions = self.queue.written(wrote.is_some());
                self.wrote(actions, wrote, now_ms)
            }
            Event::ReadEnded => self.readers.ended(),
            Event::Discarded => self.upkeep.wrote().into_iter().collect(),
            Event::Synced => self.queue.synced(),
            Event::Asked { region, reaches } => {
                self.followers.asked(region, reaches, now_ms);
                Vec::new()
            }
            Event::Told { region, position } => self.followers.told(region, position, now_ms),
            Event::Woken => {
                let late = self.queue.late(now_ms).chain(self.readers.late(now_ms));
                late.map(Action::Late).chain(self.followers.woken(now_ms)).collect()
            }
            Event::Alarm => self.upkeep.alarm(now_ms),
            Event::AlarmIs(at_ms) => self.upkeep.alarm_is(at_ms, now_ms),
            Event::Maintained { due_ms } => self.upkeep.maintained(due_ms, now_ms),
            Event::NotMaintained => {
                self.upkeep.failed();
                Vec::new()
            }
            Event::Deleted => {
                (self.followers, self.upkeep) = Default::default();
                Vec::new()
            }
        }
    }

    fn wrote(&mut self, mut actions: Vec<Action<R>>, wrote: Option<Position>, now_ms: u64) -> Vec<Action<R>> {
        if let Some(head) = wrote {
            actions.extend(self.followers.wrote(head, now_ms));
            actions.extend(self.upkeep.wrote());
        }
        actions
    }
}

/// The wake-up for a request that waits for others.
fn wake_for<R: Waits>(request: &R, now_ms: u64) -> Option<Action<R>> {
    request.until_ms().map(|until_ms| Action::Wake { in_ms: until_ms.saturating_sub(now_ms) })
}

/// Takes those out whose callers no longer wait.
fn take_late<R: Waits>(waiting: &mut VecDeque<R>, now_ms: u64) -> VecDeque<R> {
    let is_late = |request: &R| request.until_ms().is_some_and(|until_ms| until_ms <= now_ms);
    let (late, others) = std::mem::take(waiting).into_iter().partition(is_late);
    *waiting = others;
    late
}
