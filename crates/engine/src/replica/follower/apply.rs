//! Applying commits: the only way in which a follower moves forward.
//!
//! Commits come many at once, and most of them change the same few pages. An image that a later commit of the same answer replaces is
//! never seen, unless a query has pinned that very state: so mostly it does not even come, and if it does it is not expanded. Where the last one
//! did not come, the page is dropped.
//!
//! **Invariants**
//! 1. Nothing is changed before all images that are kept in memory are checked, and all are on the shelf (which checks when it is read).
//!
//! **Not here:** where commits come from, restarts.

use super::{Change, Follower, Image, ReplicaError, Version};
use crate::commit_log::{Changed, LoggedCommit, StoredFrame};
use littoral_protocol::{Checksum, Pgno, State, Txid};
use std::collections::{HashMap, HashSet};

/// The images of a commit that are needed.
type Images = Vec<Image>;

/// Pages that are held, but whose newest image was not expanded: a later commit of the same answer replaces it. With its checksum.
type Owed = HashMap<Pgno, Checksum>;

impl Follower {
    pub(super) fn apply(&mut self, before: &State, commits: &[LoggedCommit]) -> Result<(), ReplicaError> {
        if commits.is_empty() {
            return Ok(());
        }
        let images = self.needed_images(commits)?;
        let shelved = self.shelf.as_ref().map_or(Ok(()), |shelf| shelf.advance(commits));
        shelved.map_err(|error| self.lost_shelf(error))?;
        let (mut before, mut owed) = (*before, Owed::new());
        for (commit, images) in commits.iter().zip(images) {
            if let Err(what) = self.check_sum(&before, commit, &owed) {
                return Err(self.diverged(&what));
            }
            self.apply_one(&before, commit, images, &mut owed);
            before = commit.state;
        }
        Ok(())
    }

    /// Of each commit the images that somebody may read: of pages that are held, and that no later one of these commits changes.
    fn needed_images(&self, commits: &[LoggedCommit]) -> Result<Vec<Images>, ReplicaError> {
        let mut last: HashMap<Pgno, Txid> = HashMap::new();
        for commit in commits {
            last.extend(commit.pgnos().into_iter().map(|pgno| (pgno, commit.state.txid)));
        }
        let cache = self.cache.borrow();
        let is_needed = |frame: &&StoredFrame, at: Txid| {
            let is_last = last.get(&frame.pgno) == Some(&at) || self.pins.any_within(at, Txid(u64::MAX));
            frame.has_image() && is_last && cache.newest(self.owner, frame.pgno).is_some()
        };
        let images_of = |commit: &LoggedCommit| {
            let Changed::Images(frames) = &commit.pages else { return Ok(Images::new()) };
            let needed = frames.iter().filter(|frame| is_needed(frame, commit.state.txid));
            needed.map(|frame| Ok((frame.pgno, frame.checksum, frame.expand(commit.state.page_size)?.into()))).collect()
        };
        commits.iter().map(images_of).collect()
    }

    /// The checksum after a commit follows from the one before it, where all of its pages are held.
    fn check_sum(&self, before: &State, commit: &LoggedCommit, owed: &Owed) -> Result<(), String> {
        let Changed::Images(frames) = &commit.pages else { return Ok(()) };
        if before.page_size != commit.state.page_size || commit.state.page_count < before.page_count {
            return Ok(());
        }
        let cache = self.cache.borrow();
        let mut sum = before.checksum;
        for frame in frames {
            if frame.pgno.0 <= before.page_count {
                let held = owed.get(&frame.pgno).copied().or_else(|| cache.newest(self.owner, frame.pgno).map(|held| held.checksum));
                let Some(held) = held else { return Ok(()) };
                sum ^= held;
            }
            sum ^= frame.checksum;
        }
        if sum == commit.state.checksum { Ok(()) } else { Err(format!("commit {} leads to checksum {sum} here", commit.state.txid)) }
    }

    fn apply_one(&mut self, before: &State, commit: &LoggedCommit, images: Images, owed: &mut Owed) {
        let State { txid, page_count, .. } = commit.state;
        let pgnos = commit.pgnos();
        let cut = (page_count + 1..=before.page_count).map(Pgno);
        let shared = self.cache.clone();
        let mut cache = shared.borrow_mut();
        let mut held = HashSet::new();
        for pgno in pgnos.iter().copied().chain(cut) {
            let was_owed = owed.remove(&pgno).is_some();
            let is_there = cache.newest(self.owner, pgno).is_some();
            if is_there {
                cache.end_newest(self.owner, pgno, txid, |since, until| self.pins.any_within(since, until));
            }
            if is_there || was_owed {
                held.insert(pgno);
            }
        }
        for (pgno, checksum, image) in images {
            if held.remove(&pgno) {
                cache.insert(self.owner, pgno, Version { since: txid, until: None, image, checksum });
            }
        }
        if let Changed::Images(frames) = &commit.pages {
            owed.extend(frames.iter().filter(|frame| held.contains(&frame.pgno)).map(|frame| (frame.pgno, frame.checksum)));
        }
        self.changes.push_back(Change { txid, pgnos, page_count });
        self.forget_changes();
        if let Some(known) = &mut self.known {
            known.state = commit.state;
        }
        if let Some(recent) = &mut self.recent {
            recent.push(commit, self.sizes.relayed_bytes);
        }
    }
}
