//! The commit log on the wire: what followers ask for and what a source answers, as bytes.
//!
//! A *source* (the primary, or a replica for those behind it) answers a *follower*. Two questions make a replica: [`Pull`], the commits
//! after a position, and [`Fetch`], pages as of a position. Formats follow superfly's LTX: big-endian, page images as LZ4 blocks, each
//! with its checksum, and the checksum of the whole database before and after every commit.
//!
//! # A message
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 4 | magic `LTRL` |
//! | 4 | 1 | version: 1 |
//! | 5 | 1 | kind |
//! | 6 | 8 | the database's id; 0 in a question: not known yet |
//! | 14 | n | body, by kind |
//! | 14 + n | 8 | XXH64 of all bytes before, seed 0 |
//!
//! | kind | body |
//! |---|---|
//! | 1 pull | position, flags 1 (bit 0: has a position, bit 1: images wanted), wanted txid 8, bytes wanted at most 4 |
//! | 2 commits | head state, age 4, position before the first commit, count 4, commits |
//! | 3 restart | reason 1, state, age 4, count 4, frames |
//! | 4 fetch | position, count 4, page numbers 4 each |
//! | 5 pages | state, count 4, frames |
//! | 6 find | 0 and a time 8, or 1 and a position |
//! | 7 found | state |
//! | 8 refused | reason 1, UTF-8 text to the end |
//!
//! | part | bytes |
//! |---|---|
//! | position | txid 8 (below 2⁵³, as everywhere), database checksum 8 |
//! | state | txid 8, page size 4, page count 4, time in milliseconds since 1970 8, database checksum 8 |
//! | commit | state, 1 (0: frames with images, 1: page numbers only), count 4, then frames, or page numbers 4 each |
//! | frame | page number 4, checksum of the image 8, length 4, stored image: as long as a page, or an LZ4 block; in a commit also empty: a later commit of the same answer changes the page again |
//! | age | milliseconds that the head may be behind the primary's, 4 |
//!
//! **Invariants**
//! 1. Decoding any bytes ends in a message or an error: no panic, and no allocation larger than the bytes that came.
//! 2. Commits of a message are dense: each follows the one before, the first follows the position before.
//! 3. A frame's image is checked against its checksum when it is expanded.
//!
//! **Not here:** who asks whom, and when (`replica`).

mod decode;
mod encode;
pub(crate) mod image;
#[cfg(test)]
mod tests;

use littoral_protocol::{Checksum, Commit, DatabaseId, Frame, PageSize, Pgno, Position, State, Txid};
use std::collections::HashSet;

/// The longest message that is read or written, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 24 << 20;

const MAGIC: [u8; 4] = *b"LTRL";
const VERSION: u8 = 1;

/// A question or an answer about one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which database.
    pub database: DatabaseId,
    /// What is asked or answered.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// What came after this position?
    Pull(Pull),
    /// That came after it.
    Commits(Segment),
    /// Begin again from here.
    Restart(Restart),
    /// What are these pages, as of this position?
    Fetch(Fetch),
    /// They are these, and maybe some that are likely to be next.
    Pages(Pages),
    /// Which state is it that was there then?
    Find(Sought),
    /// That one, or the newest kept before it.
    Found(State),
    /// No.
    Refused(Refusal),
}

/// A question for commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Where the follower is; `None`: nowhere.
    pub after: Option<Position>,
    /// Whether commits are to carry their images, or page numbers only.
    pub images: bool,
    /// The follower is asked for this txid: a source that is behind it may want to pull first.
    pub wanted: Txid,
    /// Bytes of the answer, about; at least one commit comes if there is one.
    pub max_bytes: u32,
}

/// Commits, and how far the source has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The source's newest state.
    pub head: State,
    /// Milliseconds that `head` may be behind the primary.
    pub age_ms: u32,
    /// The state before the first commit.
    pub after: Position,
    /// Dense, oldest first. Fewer than there are, when they are many.
    pub commits: Vec<LoggedCommit>,
}

/// A commit as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedCommit {
    /// The state after it.
    pub state: State,
    /// What it changed.
    pub pages: Changed,
}

/// The pages that a commit changed, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// With their images.
    Images(Vec<StoredFrame>),
    /// Their numbers.
    Numbers(Vec<Pgno>),
}

/// A page with its image as it is stored and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFrame {
    /// Which page.
    pub pgno: Pgno,
    /// The checksum of the image.
    pub checksum: Checksum,
    /// As long as a page: the image. Shorter: an LZ4 block of it. Empty: it was left out, since a later commit changes the page again.
    pub stored: Box<[u8]>,
}

/// The follower's position is of no use: it throws its pages away and begins at `state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Why.
    pub reason: RestartReason,
    /// The source's newest state.
    pub state: State,
    /// Milliseconds that `state` may be behind the primary.
    pub age_ms: u32,
    /// Pages of that state that every reader needs first.
    pub pages: Vec<StoredFrame>,
}

/// Why a follower has to begin again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartReason {
    /// It had no position.
    First,
    /// The commits after its position are no longer kept.
    Pruned,
    /// At its txid the source has another state.
    Diverged,
    /// Its position is that of another database.
    Foreign,
    /// The source has not come to its position: it has lost commits, or the follower was never there.
    Ahead,
}

/// A question for pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// As of this position.
    pub at: Position,
    /// Their numbers.
    pub pages: Vec<Pgno>,
}

/// Pages as of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages {
    /// The state that they belong to.
    pub state: State,
    /// At least the first that was asked for; fewer than asked for, when they are many.
    pub frames: Vec<StoredFrame>,
}

/// A point of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// What was there at this time, in milliseconds since 1970.
    Time(u64),
    /// This position.
    At(Position),
}

/// Why a question is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of reason.
    pub reason: RefusalReason,
    /// For people.
    pub text: String,
}

/// The kinds of reasons to refuse a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// It is no question, or more than is answered at once.
    Malformed,
    /// It is about another database.
    Foreign,
    /// There is no such state, now or ever.
    Unknown,
    /// The state is no longer kept.
    Pruned,
    /// The source failed.
    Failed,
}

/// Bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not even the envelope is right.
    #[error("not a message of the commit log: {0}")]
    Envelope(&'static str),
    /// A newer version's.
    #[error("the message has version {0}, and this Littoral reads version {VERSION}")]
    Version(u8),
    /// It ends too early, or has something left over.
    #[error("the message is cut or has bytes left over at {0}")]
    Length(&'static str),
    /// A field has a value that it cannot have.
    #[error("the message has an impossible {0}")]
    Value(&'static str),
    /// An image is not what its checksum says.
    #[error("the image of page {pgno} is damaged: {detail}")]
    Image {
        /// The page.
        pgno: Pgno,
        /// What was found.
        detail: String,
    },
}

impl StoredFrame {
    /// Packs an image.
    pub fn pack(frame: &Frame) -> StoredFrame {
        StoredFrame { pgno: frame.pgno, checksum: frame.checksum, stored: image::compress(&frame.image).into_owned().into() }
    }

    /// Whether the image was not left out.
    pub fn has_image(&self) -> bool {
        !self.stored.is_empty()
    }

    /// The image, checked.
    pub fn expand(&self, page_size: PageSize) -> Result<Box<[u8]>, DecodeError> {
        let mut expanded = vec![0; page_size.bytes()].into_boxed_slice();
        let expand = image::expand(&self.stored, &mut expanded, self.pgno, self.checksum);
        expand.map_err(|detail| DecodeError::Image { pgno: self.pgno, detail })?;
        Ok(expanded)
    }
}

impl Changed {
    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        match self {
            Changed::Images(frames) => frames.iter().map(|frame| frame.stored.len() + 16).sum(),
            Changed::Numbers(pgnos) => 4 * pgnos.len(),
        }
    }
}

impl LoggedCommit {
    /// Packs a commit with its images.
    pub fn pack(commit: &Commit) -> LoggedCommit {
        LoggedCommit { state: commit.state, pages: Changed::Images(commit.frames.iter().map(StoredFrame::pack).collect()) }
    }

    /// The same with page numbers only, if the images have more bytes than that.
    pub fn within(self, image_bytes: usize) -> LoggedCommit {
        match &self.pages {
            Changed::Images(frames) if frames.iter().map(|frame| frame.stored.len()).sum::<usize>() > image_bytes => {
                LoggedCommit { state: self.state, pages: Changed::Numbers(self.pgnos()) }
            }
            Changed::Images(_) | Changed::Numbers(_) => self,
        }
    }

    /// The numbers of the pages that it changed.
    pub fn pgnos(&self) -> Vec<Pgno> {
        match &self.pages {
            Changed::Images(frames) => frames.iter().map(|frame| frame.pgno).collect(),
            Changed::Numbers(pgnos) => pgnos.clone(),
        }
    }
}

/// Leaves out the images of pages that a later one of these commits changes: whoever takes all of them never sees those.
pub fn compact(commits: &mut [LoggedCommit]) {
    let mut changed = HashSet::new();
    for commit in commits.iter_mut().rev() {
        match &mut commit.pages {
            Changed::Images(frames) => {
                frames.iter_mut().filter(|frame| !changed.insert(frame.pgno)).for_each(|frame| frame.stored = Box::default())
            }
            Changed::Numbers(pgnos) => changed.extend(pgnos.iter().copied()),
        }
    }
}

impl Refusal {
    /// A refusal in these words.
    pub fn new(reason: RefusalReason, text: impl Into<String>) -> Refusal {
        Refusal { reason, text: text.into() }
    }
}
