//! Appending commits, folding the log into the table `pages`, and pruning.

use super::index::{ENTRY_BYTES, Slot, decode_entries, encode_entry, seal};
use super::row::{RowReader, cut_frame, page_id};
use super::{DurableStore, INLINE_BYTES, Param, Sql};
use crate::checksum::Checksum;
use crate::commit::{Commit, Frame, State};
use crate::page::Pgno;
use crate::store::{PageStore, StoreError, codec};
use crate::txid::Txid;

impl<Q: Sql> DurableStore<Q> {
    /// Writes the newest image of every page in the log beyond the newest fold to `pages`.
    /// To be called inside a transaction; `skip` are pages about to be written anyway.
    pub(super) fn write_fold(&self, skip: &[Frame]) -> Result<(), StoreError> {
        let newest = self.kept.borrow().recent.newest_of_all();
        let skipped = |pgno: &Pgno| skip.binary_search_by_key(pgno, |frame| frame.pgno).is_ok();
        let mut row: Option<(Txid, Vec<u8>)> = None;
        for (pgno, slot) in newest.into_iter().filter(|(pgno, slot)| slot.length > 0 && !skipped(pgno)) {
            // Ordered by txid: each log row is read once.
            if row.as_ref().is_none_or(|(txid, _)| *txid != slot.txid) {
                let whole = Slot { offset: 0, length: i32::MAX as u32, ..slot };
                row = Some((slot.txid, self.log_image(pgno, whole)?));
            }
            let frames = row.as_ref().map_or(&[][..], |(_, frames)| frames);
            self.write_page(pgno, slot.txid, slot.checksum, cut_frame(frames, pgno, slot)?)?;
        }
        Ok(())
    }

    /// Makes `folded` a fold. `replaced` bytes of images were written over older ones, beside those in the log.
    pub(super) fn write_fold_row(&self, folded: Txid, replaced: usize) -> Result<(), StoreError> {
        let log_bytes = self.kept.borrow().recent.bytes() + replaced as u64;
        let params = [Param::Int(self.kept.borrow().next_fold()), Param::Int(folded.0), Param::Int(log_bytes)];
        self.sql.rows("INSERT INTO folds (number, txid, log_bytes) VALUES (?1, ?2, ?3)", &params)?;
        Ok(())
    }

    /// Writes a page as a part of the next fold.
    pub(super) fn write_page(&self, pgno: Pgno, txid: Txid, checksum: Checksum, stored: &[u8]) -> Result<(), StoreError> {
        let id = page_id(pgno, self.kept.borrow().next_fold());
        let checksum = checksum.0.to_le_bytes();
        let params = [id, Param::Int(u64::from(pgno.0)), Param::Int(txid.0), Param::Blob(&checksum), Param::Blob(stored)];
        self.sql.rows("INSERT INTO pages (id, pgno, txid, checksum, image) VALUES (?1, ?2, ?3, ?4, ?5)", &params)?;
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
        self.sql.rows(sql, &params)?;
        Ok(())
    }

    pub(super) fn append_inline(&self, commit: &Commit) -> Result<bool, StoreError> {
        let mut pages = Vec::with_capacity(commit.frames.len() * ENTRY_BYTES);
        let mut frames = Vec::new();
        for Frame { pgno, image, checksum } in &commit.frames {
            let stored = codec::compress(image);
            encode_entry(&mut pages, *pgno, stored.len(), *checksum);
            frames.extend_from_slice(&stored);
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
        Ok(true)
    }

    pub(super) fn append_wide(&self, commit: &Commit) -> Result<(), StoreError> {
        let (txid, pages_before) = (commit.state.txid, self.head().page_count);
        let mut pages = Vec::with_capacity(commit.frames.len() * ENTRY_BYTES);
        for frame in &commit.frames {
            encode_entry(&mut pages, frame.pgno, 0, frame.checksum);
        }
        seal(&mut pages, &commit.state);
        self.sql.transaction(&mut || {
            self.write_fold(&commit.frames)?;
            let mut replaced = 0;
            for Frame { pgno, image, checksum } in &commit.frames {
                let stored = codec::compress(image);
                replaced += if pgno.0 <= pages_before { stored.len() } else { 0 };
                self.write_page(*pgno, txid, *checksum, &stored)?;
            }
            self.write_fold_row(txid, replaced)?;
            self.write_commit(&commit.state, &pages, None)
        })?;
        self.kept.borrow_mut().become_folded(commit.state);
        Ok(())
    }

    pub(super) fn fold(&self) -> Result<(), StoreError> {
        let head = self.head();
        self.sql.transaction(&mut || {
            self.write_fold(&[])?;
            self.write_fold_row(head.txid, 0)
        })?;
        self.kept.borrow_mut().become_folded(head);
        Ok(())
    }

    /// Drops what only states before the newest fold not newer than `before` need. Returns the new oldest state.
    pub(super) fn drop_before(&self, before: Txid) -> Result<Txid, StoreError> {
        let before = before.min(self.head().txid);
        let kept = self.kept.borrow().folds.iter().rposition(|fold| fold.txid <= before);
        let (oldest, horizon) = (self.oldest(), kept.map_or(Txid::EMPTY, |at| self.kept.borrow().folds[at].txid));
        // A log that begins with commit 1 is whole (see `load`): dropping the empty state before it would gain nothing.
        if horizon <= oldest || horizon == Txid(1) {
            return Ok(oldest);
        }
        let number = self.kept.borrow().fold_numbers(Txid::EMPTY, horizon).1;
        let dropped = self.read_index(oldest, horizon)?.newest_of_all();
        let at = Param::Int(horizon.0);
        self.sql.transaction(&mut || {
            for (pgno, _) in &dropped {
                let sql = "DELETE FROM pages WHERE id >= ?1 AND id < (SELECT max(id) FROM pages WHERE id >= ?1 AND id <= ?2)";
                self.sql.rows(sql, &[page_id(*pgno, 0), page_id(*pgno, number)])?;
            }
            let largest = self.one("SELECT max(page_count) FROM commits WHERE txid >= ?1", &[at])?.unwrap_or_default();
            let beyond = Pgno(RowReader::new(largest).int()? as u32 + 1);
            self.sql.rows("DELETE FROM pages WHERE id >= ?1", &[page_id(beyond, 0)])?;
            self.sql.rows("DELETE FROM commits WHERE txid < ?1", &[at])?;
            self.sql.rows("DELETE FROM folds WHERE txid < ?1", &[at])?;
            Ok(())
        })?;
        let mut kept = self.kept.borrow_mut();
        kept.oldest = horizon;
        kept.folds.retain(|fold| fold.txid >= horizon);
        kept.past = None;
        Ok(horizon)
    }
}
