//! Appending commits, and folding the log into the table `pages`.
//!
//! **Not here:** dropping states (`thin`).

use super::batch::{PageBatch, StoredPage};
use super::index::{ENTRY_BYTES, decode_entries, encode_pages, seal};
use super::row::page_id;
use super::{DurableStore, FOLD_BITS, INLINE_BYTES, Param, Sql};
use crate::store::{PageStore, StoreError, codec};
use littoral_protocol::{Commit, Frame, PageSet, Pgno, State, Txid};
use std::borrow::Cow;

impl<Q: Sql> DurableStore<Q> {
    /// Writes the newest image of every page in the log beyond the newest fold to `pages`, for a fold at `state`. Returns how many bytes
    /// only older states need from now on. To be called inside a transaction; `skip` are pages about to be written anyway.
    fn write_fold(&self, state: &State, number: u64, skip: &PageSet) -> Result<u64, StoreError> {
        let newest = self.kept.borrow().recent.newest_of_all();
        let skipped = |pgno: &Pgno| pgno.0 > state.page_count || skip.contains(*pgno);
        let mut row: Option<(Txid, Vec<u8>)> = None;
        let mut image = vec![0; self.head().page_size.bytes()];
        let mut batch = PageBatch::new(self, number);
        for (pgno, slot) in newest.into_iter().filter(|(pgno, _)| !skipped(pgno)) {
            // Ordered by txid: each log row is read once.
            if row.as_ref().is_none_or(|(txid, _)| *txid != slot.txid) {
                row = Some((slot.txid, self.log_row(slot.txid)?));
            }
            let frames = row.as_ref().map_or(&[][..], |(_, frames)| frames);
            let stored = Cow::Owned(self.whole(pgno, slot, frames, &mut image)?.into_owned());
            batch.add(slot.txid, StoredPage { pgno, checksum: slot.checksum, stored })?;
        }
        let (replaced, cut) = (batch.finish()?, self.cut_bytes(state)?);
        Ok(self.kept.borrow().recent.bytes() + replaced + cut)
    }

    /// Bytes of the pages that the newest fold has and `state` has no more.
    pub(super) fn cut_bytes(&self, state: &State) -> Result<u64, StoreError> {
        let folded = self.kept.borrow().newest.txid;
        let before = self.state(folded)?;
        Ok(u64::from(before.page_count.saturating_sub(state.page_count)) * before.page_size.bytes() as u64)
    }

    /// Makes `folded` a fold. Only states before it need `bytes`.
    pub(super) fn write_fold_row(&self, folded: Txid, number: u64, bytes: u64) -> Result<(), StoreError> {
        let params = [Param::Int(folded.0), Param::Int(number), Param::Int(bytes)];
        self.sql.run("INSERT INTO folds (txid, number, bytes) VALUES (?1, ?2, ?3)", &params)?;
        Ok(())
    }

    /// The number of the next fold, if there is one left.
    pub(super) fn next_number(&self) -> Result<u64, StoreError> {
        let number = self.kept.borrow().next_number();
        if number >= 1 << FOLD_BITS {
            return Err(StoreError::Full("the table of pages has no number left for another fold".into()));
        }
        Ok(number)
    }

    /// Writes a page anew that the fold of this number has already.
    pub(super) fn write_page_again(&self, number: u64, page: &StoredPage<'_>) -> Result<(), StoreError> {
        let params = [page_id(page.pgno, number), Param::Blob(&page.checksum.0.to_le_bytes()), Param::Blob(&page.stored)];
        self.sql.run("UPDATE pages SET checksum = ?2, image = ?3 WHERE id = ?1", &params)?;
        Ok(())
    }

    pub(super) fn write_commit(&self, state: &State, pages: &[u8], frames: Option<&[u8]>) -> Result<(), StoreError> {
        let checksum = state.checksum.0.to_le_bytes();
        let mut params = vec![
            Param::Int(state.txid.0),
            Param::Int(u64::from(state.page_size.as_u32())),
            Param::Int(u64::from(state.page_count)),
            Param::Int(state.time_ms),
            Param::Blob(&checksum),
            Param::Blob(pages),
        ];
        params.extend(frames.map(Param::Blob));
        let sql = if frames.is_some() {
            "INSERT INTO commits (txid, page_size, page_count, time_ms, checksum, pages, frames) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
        } else {
            "INSERT INTO commits (txid, page_size, page_count, time_ms, checksum, pages) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        };
        self.sql.run(sql, &params)?;
        Ok(())
    }

    pub(super) fn append_inline(&self, commit: &Commit) -> Result<bool, StoreError> {
        let mut pages = Vec::with_capacity(commit.frames.len() * ENTRY_BYTES);
        let mut frames = Vec::new();
        for frame in &commit.frames {
            self.log_frame(frame, &mut pages, &mut frames);
            if frames.len() > INLINE_BYTES {
                return Ok(false);
            }
        }
        seal(&mut pages, &commit.state);
        self.write_commit(&commit.state, &pages, Some(&frames))?;
        let entries = decode_entries(&commit.state, &pages)?;
        let mut kept = self.kept.borrow_mut();
        kept.head = commit.state;
        kept.recent.add(entries);
        commit.frames.iter().for_each(|frame| self.images.note(frame.pgno, commit.state.txid, &frame.image));
        Ok(true)
    }

    pub(super) fn append_wide(&self, commit: &Commit) -> Result<(), StoreError> {
        let state = &commit.state;
        let pages: PageSet = commit.frames.iter().map(|frame| frame.pgno).collect();
        let list = encode_pages(state, &pages)?;
        let number = self.next_number()?;
        let mut bytes = 0;
        self.sql.transaction(&mut || {
            bytes = self.write_fold(state, number, &pages)?;
            let mut batch = PageBatch::new(self, number);
            for Frame { pgno, image, checksum } in &commit.frames {
                batch.add(state.txid, StoredPage { pgno: *pgno, checksum: *checksum, stored: codec::compress(image) })?;
            }
            bytes += batch.finish()?;
            self.write_fold_row(state.txid, number, bytes)?;
            self.write_commit(state, &list, None)
        })?;
        self.kept.borrow_mut().become_folded(*state, number, bytes);
        Ok(())
    }

    pub(super) fn fold(&self) -> Result<(), StoreError> {
        let (head, number) = (self.head(), self.next_number()?);
        let mut bytes = 0;
        self.sql.transaction(&mut || {
            bytes = self.write_fold(&head, number, &PageSet::new())?;
            self.write_fold_row(head.txid, number, bytes)
        })?;
        self.kept.borrow_mut().become_folded(head, number, bytes);
        Ok(())
    }
}
