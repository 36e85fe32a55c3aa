//! A replica as a source for those behind it: it answers from what it has, and says what it needs where that is not enough.
//!
//! **Invariants**
//! 1. It never answers about a state that it has not reached itself, and never makes a follower begin again: only the primary does.
//! 2. The age it tells is its own.
//!
//! **Not here:** carrying questions to the primary (`worker`).

use super::follower::Follower;
use super::recent::size;
use super::source::{ASKED_PAGES, FEW_CHILDREN};
use crate::commit_log::{Body, Changed, Fetch, LoggedCommit, Message, Pages, Pull, Segment, StoredFrame, compact};
use crate::fetch::btree;
use crate::store::StoreError;
use littoral_protocol::{DatabaseId, Frame, Pgno, State, Txid};

/// What a relay does with a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Relayed {
    /// This is the answer.
    Say(Message),
    /// The replica has to pull first, and be asked again.
    PullFirst,
    /// The replica has to fetch these pages for the answer, and be asked again.
    FetchFirst(Message),
    /// The primary has to be asked.
    PassOn,
}

impl Follower {
    /// Answers a question of a follower behind this one, or says what is needed for that. `final_try`: what can be had was had.
    pub fn relay(&mut self, question: &Message, now_ms: u64, final_try: bool) -> Result<Relayed, StoreError> {
        let Some((database, state)) = self.state() else { return Ok(Relayed::PassOn) };
        let foreign = question.database != database && question.database != DatabaseId::NONE;
        match &question.body {
            _ if foreign => Ok(Relayed::PassOn),
            Body::Fetch(fetch) if fetch.pages.len() > ASKED_PAGES => Ok(Relayed::PassOn),
            Body::Pull(pull) => Ok(self.relay_pull(&state, pull, now_ms, final_try)),
            Body::Fetch(fetch) => self.relay_fetch(&state, fetch, final_try),
            _ => Ok(Relayed::PassOn),
        }
    }

    fn relay_pull(&self, state: &State, pull: &Pull, now_ms: u64, final_try: bool) -> Relayed {
        let Some(after) = pull.after else { return Relayed::PassOn };
        let behind = after.txid.max(pull.wanted) > state.txid;
        let age_ms = self.staleness_ms(now_ms).and_then(|staleness| u32::try_from(staleness).ok());
        if (behind || age_ms.is_none()) && !final_try {
            return Relayed::PullFirst;
        }
        let Some(age_ms) = age_ms else { return Relayed::PassOn };
        if after.txid > state.txid {
            return Relayed::PassOn;
        }
        let Some(commits) = self.recent().and_then(|recent| recent.after(after)) else { return Relayed::PassOn };
        let mut bytes = 0;
        let fits = |commit: &&LoggedCommit| {
            let fits = bytes <= pull.max_bytes as usize;
            bytes += size(commit);
            fits
        };
        let carried = |commit: &LoggedCommit| if pull.images { commit.clone() } else { numbers_only(commit) };
        let mut commits: Vec<LoggedCommit> = commits.take_while(fits).map(carried).collect();
        compact(&mut commits);
        let segment = Segment { head: *state, age_ms, after, commits };
        Relayed::Say(Message { database: self.database(), body: Body::Commits(segment) })
    }

    fn relay_fetch(&mut self, state: &State, fetch: &Fetch, final_try: bool) -> Result<Relayed, StoreError> {
        let known = if state.position() == fetch.at { Some(*state) } else { self.recent().and_then(|recent| recent.state_at(fetch.at)) };
        let Some(state) = known else { return Ok(Relayed::PassOn) };
        let at = state.txid;
        let (mut frames, mut missing, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut children = Vec::new();
        for pgno in fetch.pages.iter().copied().filter(|pgno| *pgno != state.page_size.lock_page()) {
            match frame(self, pgno, at)? {
                Some(_) if bytes > self.sizes.answer_bytes => break,
                Some((frame, few)) => {
                    bytes += frame.stored.len();
                    frames.push(frame);
                    children.extend(few);
                }
                None => missing.push(pgno),
            }
        }
        if !missing.is_empty() {
            if final_try {
                return Ok(Relayed::PassOn);
            }
            let body = Body::Fetch(Fetch { at: fetch.at, pages: missing });
            return Ok(Relayed::FetchFirst(Message { database: self.database(), body }));
        }
        for child in children {
            if bytes <= self.sizes.answer_bytes && self.holds(child, at) && !fetch.pages.contains(&child) {
                frames.extend(frame(self, child, at)?.map(|(frame, _)| frame));
            }
        }
        Ok(Relayed::Say(Message { database: self.database(), body: Body::Pages(Pages { state, frames }) }))
    }
}

/// A page as of `at`, and its children if it has few.
fn frame(follower: &mut Follower, pgno: Pgno, at: Txid) -> Result<Option<(StoredFrame, Vec<Pgno>)>, StoreError> {
    let Some(image) = follower.read(pgno, at)? else { return Ok(None) };
    let mut children = btree::children(pgno, &image);
    if children.len() > FEW_CHILDREN {
        children.clear();
    }
    Ok(Some((StoredFrame::pack(&Frame::new(pgno, (&*image).into())), children)))
}

fn numbers_only(commit: &LoggedCommit) -> LoggedCommit {
    LoggedCommit { state: commit.state, pages: Changed::Numbers(commit.pgnos()) }
}
