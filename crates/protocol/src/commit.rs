//! Commits: what one transaction did to the database.
//!
//! **Invariants**
//! 1. `txid` is the predecessor's plus one.
//! 2. Frames are in ascending order of page number, each page at most once, each number in `1..=page_count`.
//! 3. Each frame's image is exactly one page long.
//! 4. `checksum` is the checksum of the whole database after the commit (`checksum` module).
//!
//! **Not here:** how a commit is stored (`store`) or sent.

use crate::{Bookmark, Checksum, PageSize, Pgno, Txid};

/// A page number with a page image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which page.
    pub pgno: Pgno,
    /// Its bytes after the commit, one page long.
    pub image: Box<[u8]>,
    /// The checksum of the image.
    pub checksum: Checksum,
}

impl Frame {
    /// A frame with its checksum computed.
    pub fn new(pgno: Pgno, image: Box<[u8]>) -> Frame {
        let checksum = Checksum::of_page(pgno, &image);
        Frame { pgno, image, checksum }
    }
}

/// The state of a database after a commit, without its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The commit.
    pub txid: Txid,
    /// Bytes of each page.
    pub page_size: PageSize,
    /// Pages in the database.
    pub page_count: u32,
    /// Time of the commit, milliseconds since 1970.
    pub time_ms: u64,
    /// Checksum of all pages.
    pub checksum: Checksum,
}

impl State {
    /// The database before its first commit.
    pub const EMPTY: State =
        State { txid: Txid::EMPTY, page_size: PageSize::DEFAULT, page_count: 0, time_ms: 0, checksum: Checksum::EMPTY };

    /// The size of the database file, in bytes.
    pub fn size_bytes(&self) -> u64 {
        u64::from(self.page_count) * u64::from(self.page_size.as_u32())
    }

    /// The bookmark of this state.
    pub fn bookmark(&self) -> Bookmark {
        Bookmark { txid: self.txid, page_count: self.page_count, checksum: self.checksum.0, time_ms: self.time_ms }
    }
}

/// One transaction: the state that it made and the pages that it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The state after it.
    pub state: State,
    /// The pages it changed, ascending.
    pub frames: Vec<Frame>,
}

/// Which invariant of a commit does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommit {
    /// The txid does not follow the head.
    #[error("commit {got} does not follow commit {head}")]
    Gap {
        /// The store's newest commit.
        head: Txid,
        /// The commit that was offered.
        got: Txid,
    },
    /// Frames are not ascending, or name a page outside the database.
    #[error("frame of page {pgno} is out of order or outside the {page_count} pages")]
    Frame {
        /// The page.
        pgno: Pgno,
        /// Pages in the database.
        page_count: u32,
    },
    /// An image is not one page long.
    #[error("image of page {pgno} has {got} bytes, not {expected}")]
    ImageLength {
        /// The page.
        pgno: Pgno,
        /// The length found.
        got: usize,
        /// The page size.
        expected: usize,
    },
}

impl Commit {
    /// Checks the invariants that can be seen from the commit and the txid before it.
    pub fn validate(&self, head: Txid) -> Result<(), InvalidCommit> {
        let State { txid, page_size, page_count, .. } = self.state;
        if txid != head.next() {
            return Err(InvalidCommit::Gap { head, got: txid });
        }
        let mut last = 0;
        for Frame { pgno, image, .. } in &self.frames {
            if pgno.0 <= last || pgno.0 > page_count {
                return Err(InvalidCommit::Frame { pgno: *pgno, page_count });
            }
            if image.len() != page_size.bytes() {
                return Err(InvalidCommit::ImageLength { pgno: *pgno, got: image.len(), expected: page_size.bytes() });
            }
            last = pgno.0;
        }
        Ok(())
    }
}
