//! Keeps the past of a database within its limits, and sweeps what was discarded: an alarm does so in small steps, between requests.
//!
//! **Invariants**
//! 1. While anything is to be dropped, now or later, an alarm is set, or the next write sets it.
//! 2. An alarm costs a write, so none is set while one is.
//!
//! **Not here:** what a step does (`engine::history`).

use super::Action;

/// Milliseconds that one alarm may take. What is left is for the next.
const LONGEST_MS: u64 = 10_000;

#[derive(Default)]
pub(super) struct Upkeep {
    /// The alarm is set, or being looked for, or steps are being done.
    minded: bool,
    /// When the steps that are being done have to end.
    until_ms: Option<u64>,
}

impl Upkeep {
    /// The storage has more than before.
    pub(super) fn wrote<R>(&mut self) -> Option<Action<R>> {
        (!std::mem::replace(&mut self.minded, true)).then_some(Action::LookForAlarm)
    }

    /// One that is set will go off.
    pub(super) fn alarm_is<R>(&mut self, at_ms: Option<u64>, now_ms: u64) -> Vec<Action<R>> {
        if at_ms.is_some() { Vec::new() } else { self.alarm(now_ms) }
    }

    pub(super) fn alarm<R>(&mut self, now_ms: u64) -> Vec<Action<R>> {
        self.minded = true;
        self.until_ms = Some(now_ms + LONGEST_MS);
        vec![Action::Maintain { synced: false }]
    }

    pub(super) fn maintained<R>(&mut self, due_ms: Option<u64>, now_ms: u64) -> Vec<Action<R>> {
        match due_ms {
            Some(due_ms) if due_ms <= now_ms && self.until_ms.is_some_and(|until_ms| now_ms < until_ms) => {
                vec![Action::Maintain { synced: true }]
            }
            Some(at_ms) => vec![Action::SetAlarm { at_ms }],
            None => {
                self.minded = false;
                Vec::new()
            }
        }
    }

    /// The next write tries again.
    pub(super) fn failed(&mut self) {
        self.minded = false;
    }
}
