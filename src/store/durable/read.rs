//! Reading versions of pages, from the log or from the table `pages`, and commits from the log.

use super::index::{Index, Slot};
use super::row::{RowReader, cut_frame, page_id, page_of_id, read_checksum, read_entries};
use super::{Cell, DurableStore, FOLD_BITS, Param, Sql};
use crate::checksum::Checksum;
use crate::commit::{Commit, Frame};
use crate::page::Pgno;
use crate::store::{PageStore, StoreError, codec};
use crate::txid::Txid;

/// Where a version of a page is.
pub(super) enum Location {
    Log(Slot),
    /// In the table, written by a fold that is not older than `since`.
    Table {
        since: Txid,
    },
    /// It is the lock page.
    Nowhere,
}

impl<Q: Sql> DurableStore<Q> {
    /// Where the version of `pgno` as of `at` is.
    pub(super) fn locate(&self, pgno: Pgno, at: Txid) -> Result<Location, StoreError> {
        let state = self.state(at)?;
        if pgno.0 > state.page_count {
            return Err(StoreError::damaged_page(pgno, at, "the database has fewer pages"));
        }
        // It may have versions of a time when the page size was another and it an ordinary page.
        if pgno == state.page_size.lock_page() {
            return Ok(Location::Nowhere);
        }
        if at >= self.kept.borrow().folded() {
            let slot = self.kept.borrow().recent.newest(pgno, at);
            return Ok(slot.map_or(Location::Table { since: Txid::EMPTY }, Location::Log));
        }
        self.with_past(|past| match past.newest(pgno, at) {
            // A page of a wide commit is in the table, and so may be the newest version of all.
            Some(slot) if slot.length > 0 => Location::Log(slot),
            Some(slot) => Location::Table { since: slot.txid },
            None => Location::Table { since: Txid::EMPTY },
        })
    }

    pub(super) fn with_past<T>(&self, ask: impl FnOnce(&Index) -> T) -> Result<T, StoreError> {
        if self.kept.borrow().past.is_none() {
            let (oldest, folded) = (self.kept.borrow().oldest, self.kept.borrow().folded());
            let past = self.read_index(oldest, folded)?;
            self.kept.borrow_mut().past = Some(past);
        }
        let kept = self.kept.borrow();
        Ok(ask(kept.past.as_ref().unwrap_or(&Index::default())))
    }

    /// The newest version in the table `pages` that a fold from `since` to `at` wrote: its checksum and, if `with_image`, its stored image.
    pub(super) fn table_version(&self, pgno: Pgno, since: Txid, at: Txid, with_image: bool) -> Result<(Checksum, Vec<u8>), StoreError> {
        let sql = if with_image {
            "SELECT checksum, image FROM pages WHERE id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT 1"
        } else {
            "SELECT checksum, x'' FROM pages WHERE id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT 1"
        };
        let (first, last) = self.kept.borrow().fold_numbers(since, at);
        let row = self.one(sql, &[page_id(pgno, first), page_id(pgno, last)])?;
        let mut row = RowReader::new(row.ok_or_else(|| StoreError::damaged_page(pgno, at, "missing"))?);
        Ok((read_checksum(&row.blob()?)?, row.blob()?))
    }

    pub(super) fn log_image(&self, pgno: Pgno, slot: Slot) -> Result<Vec<u8>, StoreError> {
        let params = [Param::Int(slot.txid.0), Param::Int(u64::from(slot.offset) + 1), Param::Int(u64::from(slot.length))];
        let row = self.one("SELECT substr(frames, ?2, ?3) FROM commits WHERE txid = ?1", &params)?;
        row.map_or_else(|| Err(StoreError::damaged_page(pgno, slot.txid, "its commit is missing")), |row| RowReader::new(row).blob())
    }

    pub(super) fn read_commit(&self, row: Vec<Cell>) -> Result<Commit, StoreError> {
        let mut row = RowReader::new(row);
        let (state, entries) = read_entries(&mut row)?;
        let stored = row.optional_blob()?.unwrap_or_default();
        let mut frames = Vec::with_capacity(entries.len());
        for (pgno, slot) in entries {
            let mut image = vec![0; state.page_size.bytes()].into_boxed_slice();
            if slot.length > 0 {
                codec::expand(cut_frame(&stored, pgno, slot)?, &mut image, pgno, state.txid, slot.checksum)?;
            } else {
                let (_, stored) = self.table_version(pgno, state.txid, state.txid, true)?;
                codec::expand(&stored, &mut image, pgno, state.txid, slot.checksum)?;
            }
            frames.push(Frame { pgno, image, checksum: slot.checksum });
        }
        Ok(Commit { state, frames })
    }

    /// Reads consecutive pages from the table in one statement, up to the first whose newest version is elsewhere. Returns how many.
    pub(super) fn read_run<'i>(
        &self,
        first: Pgno,
        at: Txid,
        images: impl ExactSizeIterator<Item = &'i mut [u8]>,
    ) -> Result<usize, StoreError> {
        let mut wanted = 0;
        while wanted < images.len() && matches!(self.locate(Pgno(first.0 + wanted as u32), at)?, Location::Table { since: Txid::EMPTY }) {
            wanted += 1;
        }
        // One page alone is read as fast in the ordinary way.
        if wanted < 2 {
            return Ok(0);
        }
        let number = self.kept.borrow().fold_numbers(Txid::EMPTY, at).1;
        let range = [page_id(first, 0), page_id(Pgno(first.0 + wanted as u32), 0)];
        // Of the versions of each page the last one not newer than the fold: the images of the others are not touched.
        let sql = format!(
            "SELECT id, checksum, image FROM pages WHERE id IN \
             (SELECT max(id) FROM pages WHERE id >= ?1 AND id < ?2 AND id % {0} <= ?3 GROUP BY id / {0})",
            1u64 << FOLD_BITS
        );
        let [from, to] = range;
        let mut newest: Vec<Option<RowReader>> = (0..wanted).map(|_| None).collect();
        for row in self.sql.rows(&sql, &[from, to, Param::Int(number)])? {
            let mut row = RowReader::new(row);
            let pgno = page_of_id(row.int()?);
            if let Some(place) = newest.get_mut((pgno.0 - first.0) as usize) {
                *place = Some(row);
            }
        }
        let mut read = 0;
        for (image, row) in images.zip(newest) {
            let pgno = Pgno(first.0 + read as u32);
            let mut row = row.ok_or_else(|| StoreError::damaged_page(pgno, at, "missing"))?;
            let (checksum, stored) = (read_checksum(&row.blob()?)?, row.blob()?);
            codec::expand(&stored, image, pgno, at, checksum)?;
            read += 1;
        }
        Ok(read)
    }
}
