//! What the durable store knows without asking storage: rebuilt when it is opened.

use super::base::Base;
use super::index::Index;
use super::scratch::Files;
use littoral_protocol::{Checksum, PageSet, Pgno, State, Txid};

pub(super) struct Kept {
    pub(super) head: State,
    pub(super) oldest: Txid,
    /// From here on every state is kept. It is a fold.
    pub(super) exact_from: Txid,
    /// Versions that this state or an older one replaced are deltas; so are those that the next one replaced, up to this page.
    pub(super) shrunk: (Txid, Pgno),
    /// The newest fold.
    pub(super) newest: Fold,
    /// Frames after the newest fold.
    pub(super) recent: Index,
    /// The stretch of the past that was asked for last: a snapshot asks for its own with every page.
    pub(super) past: Option<Past>,
    /// The past state that was asked for last.
    pub(super) last_asked: Option<State>,
    /// Bytes that only states before the newest fold need; `None` until somebody asks.
    pub(super) history_bytes: Option<u64>,
    /// The commit to come, as far as it is stored.
    pub(super) stage: Option<Stage>,
    /// Numbers under which there are pages that are part of no state, until they are swept.
    pub(super) discarded: Vec<u64>,
    pub(super) files: Files,
    /// What it began with, as long as pages of that are missing.
    pub(super) base: Option<Base>,
    /// The oldest fold, and how many pages its state has, when a branch asked last.
    pub(super) oldest_fold: Option<(Fold, u32)>,
}

/// What is stored of a commit to come: pages under a number that is no fold's yet.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) number: u64,
    pub(super) page_bytes: usize,
    pub(super) pages: PageSet,
    /// The checksum of all of them.
    pub(super) checksum: Checksum,
    /// Bytes of the versions that they replace.
    pub(super) replaced: u64,
}

/// A state as of which the table `pages` is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fold {
    pub(super) txid: Txid,
    pub(super) number: u64,
}

impl Fold {
    /// The empty database: no page is missing from the table.
    pub(super) const EMPTY: Fold = Fold { txid: Txid::EMPTY, number: 0 };
}

/// The states from a fold to the next.
pub(super) struct Past {
    pub(super) fold: Fold,
    pub(super) next: Txid,
    /// Frames after the fold and before the next.
    pub(super) index: Index,
}

impl Kept {
    pub(super) fn empty() -> Kept {
        Kept {
            head: State::EMPTY,
            oldest: Txid::EMPTY,
            exact_from: Txid::EMPTY,
            shrunk: (Txid::EMPTY, Pgno(0)),
            newest: Fold::EMPTY,
            recent: Index::default(),
            past: None,
            last_asked: None,
            history_bytes: None,
            stage: None,
            discarded: Vec::new(),
            files: Files::default(),
            base: None,
            oldest_fold: None,
        }
    }

    /// The number of the next fold: beyond all under which anything is stored.
    pub(super) fn next_number(&self) -> u64 {
        let staged = self.stage.as_ref().map(|stage| stage.number);
        self.discarded.iter().copied().chain(staged).max().unwrap_or(0).max(self.newest.number) + 1
    }

    /// The newest fold is now at `head`; `bytes` are needed by states before it only.
    pub(super) fn become_folded(&mut self, head: State, number: u64, bytes: u64) {
        self.newest = Fold { txid: head.txid, number };
        self.head = head;
        self.recent = Index::default();
        self.history_bytes = self.history_bytes.map(|history| history + bytes);
    }

    /// Forgets what was asked of the past, some of which is dropped.
    pub(super) fn forget_past(&mut self) {
        self.past = None;
        self.last_asked = None;
        self.history_bytes = None;
    }
}
