//! Sessions: who may answer a read.
//!
//! A session carries the newest bookmark that it has seen, or says where it wants to begin. A replica answers if its state is not older; else
//! it pulls first, and if that is not enough the primary answers. So what a session reads never goes back, and never misses its own writes.
//!
//! **Invariants**
//! 1. A read with a bookmark is answered from that state or a later one.
//! 2. Without a session the primary answers, unless the database allows a staleness; then no answer is older than that.
//! 3. A write that went through an isolate is seen by the reads that come there after it.
//! 4. A replica is asked to pull at most once for a read.
//!
//! **Not here:** carrying the bookmark from request to request (`client`).

use littoral_protocol::{Bookmark, State, Txid};
use std::cmp::Ordering;

/// A replica that has not heard from its source for longer than this asks before it answers, whoever asks: milliseconds.
pub const UNHEARD_MS: u64 = 1_000;

/// Where a read wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// No session.
    None,
    /// The primary: `first-primary`.
    Primary,
    /// Anywhere: `first-unconstrained`.
    Anywhere,
    /// At this state or a later one.
    AtLeast(Bookmark),
}

impl Freshness {
    /// What a session's token asks for. `None`: it is neither a constraint nor a bookmark.
    pub fn of(token: Option<&str>) -> Option<Freshness> {
        match token {
            None => Some(Freshness::None),
            Some("first-primary") => Some(Freshness::Primary),
            Some("first-unconstrained") => Some(Freshness::Anywhere),
            Some(text) => text.parse().ok().map(Freshness::AtLeast),
        }
    }
}

/// What a replica does with a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It answers.
    Answer,
    /// It pulls, and decides again with `pulled`.
    Pull,
    /// The primary answers.
    Primary,
}

/// What is known about a replica at the moment.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Its state; `None`: none yet.
    pub state: Option<State>,
    /// Milliseconds that it may be behind the primary; `None`: unknown.
    pub staleness_ms: Option<u64>,
    /// It has pulled for this read.
    pub pulled: bool,
    /// The newest write that this isolate has passed on to the primary: reads that come after it see it, in whatever session.
    pub passed_on: Option<Bookmark>,
}

/// Whether a state has all that was written up to a bookmark, or is of a database that took the name of the bookmark's. Times of one database
/// never go back, so where txid and time disagree there are two, and the time tells which is the later one.
fn has(state: State, bookmark: Bookmark) -> bool {
    match state.txid.cmp(&bookmark.txid) {
        Ordering::Less => state.time_ms > bookmark.time_ms,
        // With another checksum it is of another database, or of a replica that has diverged.
        Ordering::Equal => state.bookmark() == bookmark || state.time_ms > bookmark.time_ms,
        Ordering::Greater => state.time_ms >= bookmark.time_ms,
    }
}

/// The later of two bookmarks that were passed on under one name.
pub fn later(one: Option<Bookmark>, other: Bookmark) -> Bookmark {
    let order = |bookmark: &Bookmark| (bookmark.time_ms, bookmark.txid);
    one.filter(|one| order(one) > order(&other)).unwrap_or(other)
}

/// Decides who answers a read. `max_staleness_ms` is what the database allows to reads without a session.
pub fn decide(freshness: Freshness, max_staleness_ms: Option<u64>, view: View) -> Decision {
    let fresh_within = |limit: u64| view.staleness_ms.is_some_and(|staleness| staleness <= limit);
    let has_passed_on = |state: State| view.passed_on.is_none_or(|bookmark| has(state, bookmark));
    let good = match (freshness, view.state) {
        (Freshness::Primary, _) => return Decision::Primary,
        (Freshness::None, _) if max_staleness_ms.is_none() => return Decision::Primary,
        // It is the same for all databases that had the name. The first commit ends this.
        (Freshness::AtLeast(bookmark), _) if bookmark.txid == Txid::EMPTY => return Decision::Primary,
        (_, None) => false,
        (Freshness::None, Some(state)) => has_passed_on(state) && max_staleness_ms.is_some_and(fresh_within),
        // Having asked once is as fresh as it gets without the primary.
        (Freshness::Anywhere, Some(state)) => has_passed_on(state) && (view.pulled || fresh_within(UNHEARD_MS)),
        // At the very txid another checksum is that of another database, or of a replica that has diverged: a pull tells.
        (Freshness::AtLeast(bookmark), Some(state)) if state.txid == bookmark.txid => state.bookmark() == bookmark && has_passed_on(state),
        // A later txid of an earlier time is that of a database which had the name before: times of one database never go back.
        (Freshness::AtLeast(bookmark), Some(state)) => {
            state.txid > bookmark.txid && state.time_ms >= bookmark.time_ms && has_passed_on(state)
        }
    };
    match (good, view.pulled) {
        (true, _) => Decision::Answer,
        (false, false) => Decision::Pull,
        (false, true) => Decision::Primary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(txid: u64) -> State {
        State { txid: Txid(txid), ..State::EMPTY }
    }

    fn decide_at(freshness: Freshness, txid: u64, staleness_ms: u64, pulled: bool) -> Decision {
        decide(freshness, None, View { state: Some(at(txid)), staleness_ms: Some(staleness_ms), pulled, passed_on: Some(at(3).bookmark()) })
    }

    #[test]
    fn a_bookmark_is_never_answered_from_an_earlier_state() {
        let session = Freshness::AtLeast(at(5).bookmark());
        assert_eq!(decide_at(session, 4, 0, false), Decision::Pull);
        assert_eq!(decide_at(session, 4, 0, true), Decision::Primary);
        assert_eq!(decide_at(session, 5, 9_999, false), Decision::Answer);
        assert_eq!(decide_at(session, 6, 9_999, false), Decision::Answer);
        let forged = Bookmark { checksum: 1, ..at(5).bookmark() };
        assert_eq!(decide_at(Freshness::AtLeast(forged), 5, 0, false), Decision::Pull);
        assert_eq!(decide_at(Freshness::AtLeast(forged), 5, 0, true), Decision::Primary);
    }

    #[test]
    fn a_bookmark_of_a_new_database_is_not_answered_from_the_one_before_it() {
        let new = State { time_ms: 2_000, ..at(3) };
        let old = State { time_ms: 1_000, ..at(9) };
        let decide = |state, pulled| {
            decide(Freshness::AtLeast(new.bookmark()), None, View { state: Some(state), staleness_ms: Some(0), pulled, passed_on: None })
        };
        assert_eq!(decide(old, false), Decision::Pull);
        assert_eq!(decide(old, true), Decision::Primary);
        assert_eq!(decide(State { time_ms: 2_000, ..at(9) }, false), Decision::Answer);
        assert_eq!(decide_at(Freshness::AtLeast(State::EMPTY.bookmark()), 9, 0, false), Decision::Primary, "new, and empty as yet");
    }

    #[test]
    fn without_a_session_the_allowed_staleness_is_kept() {
        let view = |staleness_ms, pulled| View { state: Some(at(5)), staleness_ms, pulled, passed_on: None };
        assert_eq!(decide(Freshness::None, None, view(Some(0), false)), Decision::Primary);
        assert_eq!(decide(Freshness::None, Some(100), view(Some(100), false)), Decision::Answer);
        assert_eq!(decide(Freshness::None, Some(100), view(Some(101), false)), Decision::Pull);
        assert_eq!(decide(Freshness::None, Some(100), view(Some(101), true)), Decision::Primary);
        assert_eq!(decide(Freshness::None, Some(100), view(None, true)), Decision::Primary);
    }

    #[test]
    fn an_unconstrained_session_is_answered_at_once_by_a_replica_that_is_in_touch() {
        assert_eq!(decide_at(Freshness::Anywhere, 5, UNHEARD_MS, false), Decision::Answer);
        assert_eq!(decide_at(Freshness::Anywhere, 5, UNHEARD_MS + 1, false), Decision::Pull);
        assert_eq!(decide_at(Freshness::Anywhere, 5, 9_999, true), Decision::Answer);
        assert_eq!(decide_at(Freshness::Primary, 5, 0, true), Decision::Primary);
        assert_eq!(decide_at(Freshness::Anywhere, 2, 0, false), Decision::Pull, "a write has passed by");
        assert_eq!(decide_at(Freshness::Anywhere, 2, 0, true), Decision::Primary);
    }

    #[test]
    fn a_write_that_was_passed_on_is_told_from_those_of_a_database_that_had_the_name() {
        let state = |txid, time_ms| State { time_ms, ..at(txid) };
        let (old, new) = (state(11, 1_000), state(1, 2_000));
        assert!(!has(old, new.bookmark()), "rows of the old one");
        assert!(has(new, old.bookmark()), "no later reads go to the primary");
        assert!(has(state(2, 2_000), new.bookmark()) && !has(new, state(2, 2_000).bookmark()));
        assert_eq!(later(Some(old.bookmark()), new.bookmark()), new.bookmark());
        assert_eq!(later(Some(state(2, 2_000).bookmark()), new.bookmark()), state(2, 2_000).bookmark());
        assert_eq!(later(None, old.bookmark()), old.bookmark());
    }

    #[test]
    fn tokens_are_constraints_or_bookmarks() {
        assert_eq!(Freshness::of(None), Some(Freshness::None));
        assert_eq!(Freshness::of(Some("first-primary")), Some(Freshness::Primary));
        assert_eq!(Freshness::of(Some("first-unconstrained")), Some(Freshness::Anywhere));
        assert_eq!(Freshness::of(Some(&at(7).bookmark().to_string())), Some(Freshness::AtLeast(at(7).bookmark())));
        assert_eq!(Freshness::of(Some("first")), None);
    }
}
