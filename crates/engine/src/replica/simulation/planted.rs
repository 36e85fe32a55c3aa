//! Bugs planted by hand, which the simulator has to find.
//!
//! **Not here:** where they take effect: `Follower::apply_one` and `session::decide`.

use crate::session::Freshness;
use littoral_protocol::{Pgno, State};
use std::cell::Cell;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The last frame of a commit is not applied.
    SkipsAFrame,
    /// The last page of a commit without images is not dropped.
    KeepsAPage,
    /// A replica that is one commit short of a bookmark answers.
    AnswersEarly,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in this thread.
pub(super) fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// What a commit is taken to have changed.
pub(crate) fn changed(mut pgnos: Vec<Pgno>, has_images: bool) -> Vec<Pgno> {
    let planted = PLANTED.get();
    if planted == Some(Bug::SkipsAFrame) && has_images || planted == Some(Bug::KeepsAPage) && !has_images {
        pgnos.pop();
    }
    pgnos
}

/// Whether a replica answers too early.
pub(crate) fn answers_early(freshness: Freshness, state: Option<State>) -> bool {
    PLANTED.get() == Some(Bug::AnswersEarly)
        && matches!((freshness, state), (Freshness::AtLeast(bookmark), Some(state)) if state.txid.next() == bookmark.txid)
}
