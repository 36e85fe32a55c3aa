//! Who there is in the simulated world, and what may happen to them.
//!
//! **Not here:** when something happens (`network`), what they make of it.

use super::truth::Mark;
use crate::primary::{self, Waits};
use littoral_protocol::sql::Point;
use littoral_protocol::{Position, State};

/// The primary's number; those above are nodes.
pub(super) const PRIMARY: usize = 0;
/// Replica objects have the first numbers.
pub(super) const OBJECTS: usize = 3;
/// Replicas that share the memory of isolates have the next.
pub(super) const REPLICAS: usize = 4;
pub(super) const CLIENTS: usize = 6;

/// Who reads at a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    Client {
        client: usize,
        op: u64,
    },
    /// Reads the past, outside sessions.
    Historian(Point),
    /// Reads all pages at the end.
    Auditor,
}

/// What the primary is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// Who asks; `None`: somebody outside, who listens to no answer.
    pub(super) client: Option<usize>,
    pub(super) op: u64,
    pub(super) write: bool,
    /// The node that it came through.
    pub(super) through: usize,
    /// When nobody waits for an answer any more.
    pub(super) until_ms: Option<u64>,
}

impl Ask {
    /// A write of somebody outside.
    pub(super) const NOBODY_S: Ask = Ask { client: None, op: 0, write: true, through: PRIMARY, until_ms: None };
}

impl Waits for Ask {
    fn until_ms(&self) -> Option<u64> {
        self.until_ms
    }
}

pub(super) enum Event {
    Question {
        from: usize,
        to: usize,
        call: u64,
        bytes: Vec<u8>,
    },
    Answer {
        call: u64,
        bytes: Vec<u8>,
    },
    Timeout {
        call: u64,
    },
    Push {
        to: usize,
        push: u64,
        bytes: Vec<u8>,
    },
    Pushed {
        node: usize,
        push: u64,
        position: Option<Position>,
    },
    PushTimeout {
        node: usize,
        push: u64,
    },
    Poll {
        node: usize,
    },
    Up {
        node: usize,
        boot: u64,
    },
    Client {
        client: usize,
    },
    /// A request arrives at the primary.
    AtPrimary {
        request: Ask,
    },
    /// Something that the primary waits for has come.
    Primary {
        life: u64,
        event: primary::Event<Ask>,
    },
    /// A long write at the primary comes to its end.
    Written {
        life: u64,
    },
    /// A long read at the primary comes to its end.
    Read {
        life: u64,
        number: u64,
    },
    Done {
        request: Ask,
        place: Mark,
        state: State,
    },
    Query {
        query: u64,
    },
    /// Time has passed that a node waited for.
    Woken {
        node: usize,
    },
    Commit,
    Chaos,
}
