//! The commits that a replica took last, kept for the followers behind it.
//!
//! **Invariant:** they are dense, up to the replica's position.
//!
//! **Not here:** what followers are answered (`relay`).

use crate::commit_log::LoggedCommit;
use littoral_protocol::{Position, State};
use std::collections::VecDeque;

/// The commits that a replica took last, for those behind it: dense, up to its position.
#[derive(Default)]
pub(super) struct Recent {
    commits: VecDeque<LoggedCommit>,
    /// The state before the first of them.
    before: Option<Position>,
    bytes: usize,
}

impl Recent {
    /// None yet, after `before`.
    pub(super) fn begin(before: Option<Position>) -> Recent {
        Recent { before, ..Recent::default() }
    }

    /// The next one: the oldest go, where all have more than `most_bytes`.
    pub(super) fn push(&mut self, commit: &LoggedCommit, most_bytes: usize) {
        self.bytes += size(commit);
        self.commits.push_back(commit.clone());
        while self.bytes > most_bytes {
            let Some(oldest) = self.commits.pop_front() else { break };
            self.bytes -= size(&oldest);
            self.before = Some(oldest.state.position());
        }
    }

    /// The commits after a position that is known here.
    pub(super) fn after(&self, after: Position) -> Option<impl Iterator<Item = &LoggedCommit>> {
        let known =
            if self.before == Some(after) { 0 } else { self.commits.iter().position(|commit| commit.state.position() == after)? + 1 };
        Some(self.commits.iter().skip(known))
    }

    pub(super) fn state_at(&self, at: Position) -> Option<State> {
        self.commits.iter().map(|commit| commit.state).find(|state| state.position() == at)
    }
}

pub(super) fn size(commit: &LoggedCommit) -> usize {
    64 + commit.pages.bytes()
}
