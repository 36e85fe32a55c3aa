//! The primary as a source: answers followers from its page store.
//!
//! **Invariants**
//! 1. A question never changes anything, whatever it is.
//! 2. Commits are answered without a gap after the follower's position, or the follower is told to begin again.
//! 3. No answer is much longer than [`Sizes::answer_bytes`], nor is more read for it.
//!
//! **Not here:** the network (`worker`).

use super::Sizes;
use crate::commit_log::{Body, Fetch, Message, Pages, Pull, Refusal, RefusalReason, Restart, RestartReason, Segment, Sought, StoredFrame};
use crate::fetch::btree;
use crate::store::{PageStore, StoreError};
use littoral_protocol::{DatabaseId, Frame, Pgno, Position, State, Txid};

/// Pages that one question may name.
pub(super) const ASKED_PAGES: usize = 1_024;
/// Pages that come with a new beginning: for a small schema, all roots and some of their children.
const FIRST_PAGES: usize = 8;
/// An interior page with so few children brings them along: the next question would be for one of them.
pub(super) const FEW_CHILDREN: usize = 8;

/// Answers from a page store.
pub struct Source<'a> {
    store: &'a dyn PageStore,
    database: DatabaseId,
    sizes: Sizes,
}

impl<'a> Source<'a> {
    /// The source of the database in `store`.
    pub fn new(store: &'a dyn PageStore, database: DatabaseId) -> Source<'a> {
        Source { store, database, sizes: Sizes::default() }
    }

    /// The same with other sizes.
    pub fn with_sizes(self, sizes: Sizes) -> Source<'a> {
        Source { sizes, ..self }
    }

    /// The answer to a question, whatever bytes it is, and where it brings a follower that pulled: then it may be told of what comes after.
    pub fn answer_follower(&self, question: &[u8]) -> (Vec<u8>, Option<Position>) {
        let body = match Message::decode(question) {
            Ok(message) => self.answer_message(&message),
            Err(error) => refuse(RefusalReason::Malformed, error.to_string()),
        };
        let reaches = match &body {
            Body::Commits(segment) => Some(segment.commits.last().map_or(segment.after, |commit| commit.state.position())),
            Body::Restart(restart) => Some(restart.state.position()),
            Body::Pull(_) | Body::Fetch(_) | Body::Find(_) | Body::Pages(_) | Body::Found(_) | Body::Refused(_) => None,
        };
        (self.say(body).encode(), reaches)
    }

    /// The answer to a question, whatever bytes it is.
    pub fn answer(&self, question: &[u8]) -> Vec<u8> {
        self.answer_follower(question).0
    }

    fn answer_message(&self, message: &Message) -> Body {
        let foreign = message.database != DatabaseId::NONE && message.database != self.database;
        let answer = match &message.body {
            Body::Pull(_) if foreign => self.restart(RestartReason::Foreign),
            Body::Pull(pull) => self.pull(pull),
            _ if foreign => return refuse(RefusalReason::Foreign, format!("this is database {}", self.database)),
            Body::Fetch(fetch) => self.fetch(fetch),
            Body::Find(point) => self.find(*point),
            Body::Commits(_) | Body::Restart(_) | Body::Pages(_) | Body::Found(_) | Body::Refused(_) => {
                return refuse(RefusalReason::Malformed, "this is no question");
            }
        };
        answer.unwrap_or_else(|error| refuse_error(&error))
    }

    /// The commits after a position, to be sent unasked. `None`: there are none, or not all of them.
    pub fn news(&self, after: Position) -> Result<Option<Message>, StoreError> {
        if after.txid >= self.store.head().txid {
            return Ok(None);
        }
        let pull = Pull { after: Some(after), images: true, wanted: Txid::EMPTY, max_bytes: self.sizes.answer_bytes as u32 };
        let answer = self.pull(&pull)?;
        Ok(matches!(answer, Body::Commits(_)).then(|| self.say(answer)))
    }

    fn say(&self, body: Body) -> Message {
        Message { database: self.database, body }
    }

    fn pull(&self, pull: &Pull) -> Result<Body, StoreError> {
        let head = self.store.head();
        let Some(after) = pull.after else { return self.restart(RestartReason::First) };
        if after.txid > head.txid {
            return self.restart(RestartReason::Ahead);
        }
        match self.store.state(after.txid) {
            Ok(state) if state.checksum != after.checksum => return self.restart(RestartReason::Diverged),
            Ok(_) => {}
            Err(error) if is_gone(&error) => return self.restart(RestartReason::Pruned),
            Err(error) => return Err(error),
        }
        // A message has an end, and a follower could never come past a commit that does not fit into one: that comes as numbers.
        let most_bytes = if pull.images { (pull.max_bytes as usize).min(self.sizes.answer_bytes) } else { 0 };
        let commits = match self.store.logged_after(after.txid, self.sizes.answer_frames, most_bytes) {
            Ok(commits) => commits,
            Err(error) if is_gone(&error) => return self.restart(RestartReason::Pruned),
            Err(error) => return Err(error),
        };
        Ok(Body::Commits(Segment { head, age_ms: 0, after, commits }))
    }

    /// With the pages that a reader of any table or index needs first: the schema, and where they begin.
    fn restart(&self, reason: RestartReason) -> Result<Body, StoreError> {
        let state = self.store.head();
        let mut pages = Vec::new();
        if state.page_count > 0 {
            let mut first = vec![0; state.page_size.bytes()];
            self.store.read_page(Pgno::FIRST, state.txid, &mut first)?;
            let roots = btree::roots(&first).into_iter().filter(|root| root.0 > 1 && root.0 <= state.page_count);
            let wanted: Vec<Pgno> = std::iter::once(Pgno::FIRST).chain(roots).take(FIRST_PAGES).collect();
            pages = self.read(&state, &wanted, FIRST_PAGES)?;
        }
        Ok(Body::Restart(Restart { reason, state, age_ms: 0, pages }))
    }

    fn fetch(&self, fetch: &Fetch) -> Result<Body, StoreError> {
        if fetch.pages.len() > ASKED_PAGES {
            return Ok(refuse(RefusalReason::Malformed, format!("{} pages are more than {ASKED_PAGES}", fetch.pages.len())));
        }
        let state = match self.known_state(fetch.at)? {
            Ok(state) => state,
            Err(refused) => return Ok(refused),
        };
        if let Some(beyond) = fetch.pages.iter().find(|pgno| pgno.0 > state.page_count) {
            return Ok(refuse(RefusalReason::Malformed, format!("page {beyond} is beyond the {} pages", state.page_count)));
        }
        Ok(Body::Pages(Pages { frames: self.read(&state, &fetch.pages, usize::MAX)?, state }))
    }

    /// The state at a position, or the refusal: another state is there.
    fn known_state(&self, at: Position) -> Result<Result<State, Body>, StoreError> {
        match self.store.state(at.txid) {
            Ok(state) if state.checksum == at.checksum => Ok(Ok(state)),
            Ok(_) => Ok(Err(refuse(RefusalReason::Unknown, format!("there is no state {at} in this database")))),
            Err(error) => Err(error),
        }
    }

    /// The pages that are asked for, and children of interior pages that have few, `most` in all. The lock page has no image.
    fn read(&self, state: &State, pgnos: &[Pgno], most: usize) -> Result<Vec<StoredFrame>, StoreError> {
        let mut frames: Vec<StoredFrame> = Vec::with_capacity(pgnos.len());
        let mut wanted = pgnos.to_vec();
        let mut bytes = 0;
        let mut next = 0;
        while let Some(pgno) = wanted.get(next).copied().filter(|_| bytes < self.sizes.answer_bytes && frames.len() < most) {
            next += 1;
            if pgno == state.page_size.lock_page() || pgno.0 > state.page_count {
                continue;
            }
            let mut image = vec![0; state.page_size.bytes()].into_boxed_slice();
            self.store.read_page(pgno, state.txid, &mut image)?;
            let children = btree::children(pgno, &image);
            if next <= pgnos.len() && children.len() <= FEW_CHILDREN {
                wanted.extend(children.into_iter().filter(|child| !pgnos.contains(child)));
            }
            let frame = StoredFrame::pack(&Frame::new(pgno, image));
            bytes += frame.stored.len();
            frames.push(frame);
        }
        Ok(frames)
    }

    fn find(&self, point: Sought) -> Result<Body, StoreError> {
        match point {
            Sought::Time(time_ms) => self.store.txid_at(time_ms).and_then(|txid| self.store.state(txid)).map(Body::Found),
            Sought::At(position) => match self.known_state(position) {
                Ok(Ok(state)) => Ok(Body::Found(state)),
                Ok(Err(refused)) => Ok(refused),
                // The kept state before it stands for it.
                Err(StoreError::Thinned { asked, .. }) => {
                    self.store.resolve(asked).and_then(|txid| self.store.state(txid)).map(Body::Found)
                }
                Err(error) => Err(error),
            },
        }
    }
}

fn is_gone(error: &StoreError) -> bool {
    matches!(error, StoreError::Pruned { .. } | StoreError::Thinned { .. })
}

fn refuse(reason: RefusalReason, text: impl Into<String>) -> Body {
    Body::Refused(Refusal::new(reason, text))
}

fn refuse_error(error: &StoreError) -> Body {
    let reason = match error {
        StoreError::Pruned { .. } | StoreError::Thinned { .. } => RefusalReason::Pruned,
        StoreError::Future { .. } => RefusalReason::Unknown,
        _ => RefusalReason::Failed,
    };
    refuse(reason, error.to_string())
}
