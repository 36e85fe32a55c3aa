//! Group commit: requests that arrive while a write is being made durable wait for it and then run together, sharing one commit and one
//! storage write. Nobody waits longer for it: the runtime holds every answer back until the write before it is durable.
//!
//! A write that takes long has the write connection to itself, and is put aside again and again. Others run meanwhile: those that only read are
//! answered, and those that write wait until it has ended.
//!
//! **Not here:** which writes take long, and which requests write (`engine`).

use super::{Action, Waits, take_late};
use std::collections::VecDeque;

/// The most requests that run together.
const LARGEST: usize = 128;

pub(super) struct Queue<R> {
    waiting: VecDeque<R>,
    /// A write is being made durable.
    syncing: bool,
    /// Writes that take long, before they begin.
    long: VecDeque<R>,
    /// One of them has the write connection.
    writing: bool,
    /// What waits for its end.
    held_up: VecDeque<R>,
}

impl<R> Default for Queue<R> {
    fn default() -> Queue<R> {
        Queue { waiting: VecDeque::new(), syncing: false, long: VecDeque::new(), writing: false, held_up: VecDeque::new() }
    }
}

impl<R: Waits> Queue<R> {
    pub(super) fn arrived(&mut self, request: R) -> Vec<Action<R>> {
        if self.syncing {
            self.waiting.push_back(request);
            return Vec::new();
        }
        vec![Action::Run(vec![request])]
    }

    /// A request has run, and has to run by itself.
    pub(super) fn takes_long(&mut self, request: R) {
        self.long.push_back(request);
    }

    /// A request has to wait for the write that is under way.
    pub(super) fn held_up(&mut self, request: R) {
        self.held_up.push_back(request);
    }

    /// Takes out those that wait for a long write, and whose callers no longer wait.
    pub(super) fn late(&mut self, now_ms: u64) -> impl Iterator<Item = R> + use<R> {
        take_late(&mut self.long, now_ms).into_iter().chain(take_late(&mut self.held_up, now_ms))
    }

    pub(super) fn ran(&mut self, wrote: bool) -> Vec<Action<R>> {
        if wrote {
            self.syncing = true;
            return vec![Action::Sync];
        }
        if self.syncing { Vec::new() } else { self.next() }
    }

    pub(super) fn written(&mut self, wrote: bool) -> Vec<Action<R>> {
        self.writing = false;
        // They came before those that wait now.
        std::mem::take(&mut self.held_up).into_iter().rev().for_each(|request| self.waiting.push_front(request));
        self.ran(wrote)
    }

    pub(super) fn synced(&mut self) -> Vec<Action<R>> {
        self.syncing = false;
        self.next()
    }

    fn next(&mut self) -> Vec<Action<R>> {
        let long = if self.writing { None } else { self.long.pop_front() };
        self.writing |= long.is_some();
        let group: Vec<R> = self.waiting.drain(..self.waiting.len().min(LARGEST)).collect();
        let group = if group.is_empty() { None } else { Some(Action::Run(group)) };
        long.map(Action::Write).into_iter().chain(group).collect()
    }
}
