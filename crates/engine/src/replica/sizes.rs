//! How much a source, a replica and its shelf keep and send at once.

/// Sizes of one source or replica. Those of production by default; tests choose smaller ones, to come to them soon.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Bytes of an answer, about.
    pub answer_bytes: usize,
    /// Frames read from the log for one answer.
    pub answer_frames: usize,
    /// Bytes of commits that a replica asks for at once.
    pub pulled_bytes: u32,
    /// Bytes of commits that a replica keeps for those behind it.
    pub relayed_bytes: usize,
    /// Commits whose page numbers a replica remembers, at most: a pinned position older than that has its pages fetched for it alone.
    pub remembered_commits: usize,
    /// Bytes of changes that a shelf gathers before it writes them.
    pub gathered_bytes: usize,
    /// Bytes of changes that all shelves of an isolate gather together, about.
    pub all_gathered_bytes: usize,
    /// A shelf with more than this writes when all together have gathered too much.
    pub few_gathered_bytes: usize,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes {
            answer_bytes: 4 << 20,
            answer_frames: 2_048,
            pulled_bytes: 1 << 20,
            relayed_bytes: 2 << 20,
            remembered_commits: 10_000,
            gathered_bytes: 4 << 20,
            all_gathered_bytes: 16 << 20,
            few_gathered_bytes: 16 << 10,
        }
    }
}

#[cfg(any(test, feature = "testing"))]
impl Sizes {
    /// So small that a database of a few pages comes to each of them.
    pub const TINY: Sizes = Sizes {
        answer_bytes: 6_000,
        answer_frames: 20,
        pulled_bytes: 800,
        relayed_bytes: 12_000,
        remembered_commits: 8,
        gathered_bytes: 6_000,
        all_gathered_bytes: 20_000,
        few_gathered_bytes: 1_000,
    };
}
