//! Long reads: each has a connection of its own and is put aside again and again, so that others are answered in between. Only so many at
//! once, since each holds memory and all share the object's one processor; the next ones wait, in the order in which they came.
//!
//! **Not here:** which reads are long (`engine`).

use super::{Action, Waits, take_late};
use std::collections::VecDeque;

/// The most that are read at once.
const MOST: usize = 8;

pub(super) struct Readers<R> {
    reading: usize,
    waiting: VecDeque<R>,
}

impl<R> Default for Readers<R> {
    fn default() -> Readers<R> {
        Readers { reading: 0, waiting: VecDeque::new() }
    }
}

impl<R: Waits> Readers<R> {
    pub(super) fn too_long(&mut self, request: R) -> Vec<Action<R>> {
        self.waiting.push_back(request);
        self.next()
    }

    /// Takes out those that wait for their turn, and whose callers no longer wait.
    pub(super) fn late(&mut self, now_ms: u64) -> VecDeque<R> {
        take_late(&mut self.waiting, now_ms)
    }

    pub(super) fn ended(&mut self) -> Vec<Action<R>> {
        self.reading = self.reading.saturating_sub(1);
        self.next()
    }

    fn next(&mut self) -> Vec<Action<R>> {
        let next = if self.reading < MOST { self.waiting.pop_front() } else { None };
        self.reading += usize::from(next.is_some());
        next.map(Action::Read).into_iter().collect()
    }
}
