//! Group commit: requests that arrive while a write is being made durable wait for it and then run together, sharing one commit and one
//! storage write. Nobody waits longer for it: the runtime holds every answer back until the write before it is durable.

use super::Action;
use std::collections::VecDeque;

/// The most requests that run together.
const LARGEST: usize = 128;

pub(super) struct Queue<R> {
    waiting: VecDeque<R>,
    /// A write is being made durable.
    syncing: bool,
}

impl<R> Default for Queue<R> {
    fn default() -> Queue<R> {
        Queue { waiting: VecDeque::new(), syncing: false }
    }
}

impl<R> Queue<R> {
    pub(super) fn arrived(&mut self, request: R) -> Vec<Action<R>> {
        if self.syncing {
            self.waiting.push_back(request);
            return Vec::new();
        }
        vec![Action::Run(vec![request])]
    }

    pub(super) fn ran(&mut self, wrote: bool) -> Vec<Action<R>> {
        if !wrote {
            return self.next();
        }
        self.syncing = true;
        vec![Action::Sync]
    }

    pub(super) fn synced(&mut self) -> Vec<Action<R>> {
        self.syncing = false;
        self.next()
    }

    fn next(&mut self) -> Vec<Action<R>> {
        let group: Vec<R> = self.waiting.drain(..self.waiting.len().min(LARGEST)).collect();
        if group.is_empty() { Vec::new() } else { vec![Action::Run(group)] }
    }
}
