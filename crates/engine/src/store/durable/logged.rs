//! Commits from the log, as they are sent to followers: with what followers need, and no image that a later commit replaces.
//!
//! **Invariant:** lists of pages say which images are needed before any is read.
//!
//! **Not here:** what followers are answered (`replica::Source`).

use super::index::{Listed, Slot};
use super::row::{LIST_COLUMNS, RowReader, read_list};
use super::{DurableStore, LISTS_AT_ONCE, Param, Sql};
use crate::commit_log::{Changed, LoggedCommit, StoredFrame};
use crate::store::{PageStore, StoreError, check_whole, codec};
use littoral_protocol::{Commit, Frame, PageSet, Pgno, State, Txid};
use std::collections::{HashMap, HashSet};

/// Bytes of pages for a byte of images: of pages that are stored as deltas, whole images are sent.
const MOST_EXPANDED: usize = 4;

/// The txid of the last of some commits that changes each page.
type Last = HashMap<Pgno, Txid>;

impl<Q: Sql> DurableStore<Q> {
    pub(super) fn read_log(&self, after: Txid, max_frames: usize) -> Result<Vec<Commit>, StoreError> {
        check_whole(after, self.exact_from(), self.head().txid)?;
        let sql = format!("SELECT {LIST_COLUMNS}, frames FROM commits WHERE txid = ?1");
        let (mut commits, mut frames) = (Vec::new(), 0);
        for txid in after.0 + 1.. {
            let Some(row) = self.one(&sql, &[Param::Int(txid)])? else { break };
            let mut row = RowReader::new(row);
            let (state, listed) = read_list(&mut row)?;
            let stored = self.frames_of(&state, &listed, &row.optional_blob()?.unwrap_or_default(), None, usize::MAX)?.unwrap_or_default();
            frames += stored.len();
            if frames > max_frames && !commits.is_empty() {
                break;
            }
            commits.push(expand_commit(state, &stored)?);
        }
        Ok(commits)
    }

    pub(super) fn read_compacted(&self, after: Txid, max_frames: usize, image_bytes: usize) -> Result<Vec<LoggedCommit>, StoreError> {
        check_whole(after, self.exact_from(), self.head().txid)?;
        let lists = self.lists_after(after, max_frames, image_bytes)?;
        let mut last = Last::new();
        for (state, listed) in &lists {
            last.extend(listed.pages().map(|pgno| (pgno, state.txid)));
        }
        lists.iter().map(|(state, listed)| self.compacted(*state, listed, &last, image_bytes)).collect()
    }

    /// The lists of the next commits: one at least, if there is one.
    fn lists_after(&self, after: Txid, max_frames: usize, image_bytes: usize) -> Result<Vec<(State, Listed)>, StoreError> {
        let sql = format!("SELECT {LIST_COLUMNS} FROM commits WHERE txid > ?1 ORDER BY txid LIMIT {LISTS_AT_ONCE}");
        let (mut lists, mut frames, mut bytes, mut pages) = (Vec::new(), 0, 0, HashSet::new());
        let mut last = after;
        loop {
            let rows = self.sql.rows(&sql, &[Param::Int(last.0)])?;
            let is_end = rows.len() < LISTS_AT_ONCE;
            for row in rows {
                let (state, listed) = read_list(&mut RowReader::new(row))?;
                frames += listed.len();
                bytes += listed.bytes();
                pages.extend(listed.pages());
                let expanded = pages.len() * state.page_size.bytes();
                let is_much =
                    frames > max_frames || image_bytes > 0 && (bytes > image_bytes || expanded > image_bytes.saturating_mul(MOST_EXPANDED));
                if is_much && !lists.is_empty() {
                    return Ok(lists);
                }
                last = state.txid;
                lists.push((state, listed));
            }
            if is_end {
                return Ok(lists);
            }
        }
    }

    fn compacted(&self, state: State, listed: &Listed, last: &Last, image_bytes: usize) -> Result<LoggedCommit, StoreError> {
        let has_needed = image_bytes > 0 && listed.pages().any(|pgno| is_needed(pgno, state.txid, Some(last)));
        let row = if has_needed && matches!(listed, Listed::Log(_)) { self.log_row(state.txid)? } else { Vec::new() };
        let frames = if image_bytes > 0 { self.frames_of(&state, listed, &row, Some(last), image_bytes)? } else { None };
        let pages = frames.map_or_else(|| Changed::Numbers(listed.pages().collect()), Changed::Images);
        Ok(LoggedCommit { state, pages })
    }

    /// The frames of a commit, with the images that `last` says are needed; without it, with all. `None`: they have more bytes than `most`.
    fn frames_of(
        &self,
        state: &State,
        listed: &Listed,
        row: &[u8],
        last: Option<&Last>,
        most: usize,
    ) -> Result<Option<Vec<StoredFrame>>, StoreError> {
        match listed {
            Listed::Log(entries) => self.log_frames(state, entries, row, last, most),
            Listed::Table(pages) => self.table_frames(state, pages, most),
        }
    }

    /// The frames of a commit whose images are in its row, checked; `None`: they have more bytes.
    fn log_frames(
        &self,
        state: &State,
        entries: &[(Pgno, Slot)],
        row: &[u8],
        last: Option<&Last>,
        most: usize,
    ) -> Result<Option<Vec<StoredFrame>>, StoreError> {
        let mut image = vec![0; state.page_size.bytes()];
        let (mut frames, mut bytes) = (Vec::with_capacity(entries.len()), 0);
        for (pgno, slot) in entries {
            let stored: Box<[u8]> =
                if is_needed(*pgno, state.txid, last) { self.whole(*pgno, *slot, row, &mut image)?.into() } else { Box::default() };
            bytes += stored.len();
            if bytes > most {
                return Ok(None);
            }
            frames.push(StoredFrame { pgno: *pgno, checksum: slot.checksum, stored });
        }
        Ok(Some(frames))
    }

    /// The frames of a commit whose images are in the table, checked; `None`: they have more bytes. All have their images: a checksum alone
    /// takes as long to read.
    fn table_frames(&self, state: &State, pages: &PageSet, most: usize) -> Result<Option<Vec<StoredFrame>>, StoreError> {
        let fold = self.with_index(state.txid, |fold, _| fold)?;
        let mut image = vec![0; state.page_size.bytes()];
        let (mut frames, mut bytes) = (Vec::new(), 0);
        for pgno in pages.iter() {
            if bytes >= most {
                return Ok(None);
            }
            let (checksum, stored) = self.table_version(pgno, fold, image.len())?;
            codec::expand(&stored, &mut image, pgno, state.txid, checksum)?;
            bytes += stored.len();
            frames.push(StoredFrame { pgno, checksum, stored: stored.into() });
        }
        Ok((bytes <= most).then_some(frames))
    }
}

/// Whether somebody needs the image of a page that a commit wrote: no later one changes the page.
fn is_needed(pgno: Pgno, txid: Txid, last: Option<&Last>) -> bool {
    last.is_none_or(|last| last.get(&pgno) == Some(&txid))
}

/// The commit with its images, checked.
fn expand_commit(state: State, frames: &[StoredFrame]) -> Result<Commit, StoreError> {
    let expand = |frame: &StoredFrame| {
        let mut image = vec![0; state.page_size.bytes()].into_boxed_slice();
        codec::expand(&frame.stored, &mut image, frame.pgno, state.txid, frame.checksum)?;
        Ok(Frame { pgno: frame.pgno, image, checksum: frame.checksum })
    };
    Ok(Commit { state, frames: frames.iter().map(expand).collect::<Result<_, StoreError>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::durable::HostSql;
    use littoral_protocol::{Checksum, PageSize};

    #[test]
    fn a_page_that_changes_again_and_again_has_one_image() {
        const COMMITS: u64 = 150;
        let store = DurableStore::open(HostSql::in_memory().unwrap()).unwrap();
        let mut checksums = [Checksum::EMPTY; 2];
        for txid in 1..=COMMITS {
            let image = |pgno: u32| vec![pgno as u8 + txid as u8; 512];
            let frames: Vec<Frame> =
                (1..=2).filter(|pgno| txid == 1 || *pgno == 2).map(|pgno| Frame::new(Pgno(pgno), image(pgno).into())).collect();
            frames.iter().for_each(|frame| checksums[frame.pgno.0 as usize - 1] = frame.checksum);
            let mut checksum = checksums[0];
            checksum ^= checksums[1];
            let state = State { txid: Txid(txid), page_size: PageSize::new(512).unwrap(), page_count: 2, time_ms: 1, checksum };
            store.append(&Commit { state, frames }).unwrap();
        }
        let compacted = store.logged_after(Txid(0), 1_000, 1 << 20).unwrap();
        let has_image = |commit: &LoggedCommit| match &commit.pages {
            Changed::Images(frames) => frames.iter().map(StoredFrame::has_image).collect::<Vec<_>>(),
            Changed::Numbers(_) => Vec::new(),
        };
        assert_eq!(compacted.len() as u64, COMMITS);
        assert_eq!(has_image(&compacted[0]), [true, false], "page 1 does not change again, page 2 does");
        assert!(compacted[1..compacted.len() - 1].iter().all(|commit| has_image(commit) == [false]));
        assert_eq!(has_image(compacted.last().unwrap()), [true]);
    }
}
