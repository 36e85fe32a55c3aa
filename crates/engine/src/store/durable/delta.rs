//! Old versions of pages as deltas: what is different from the next version of the same page.
//!
//! Two versions of a page, a minute apart, mostly differ by a few rows, and a delta is a tenth of an image. The newest version of a page is
//! always whole, so nothing of this concerns the present. A delta is an LZ4 block whose dictionary is the image of the next version; it is
//! read with that one, which may be a delta again, and so on to the first that is whole. Fold numbers are divided into groups for that, and a
//! version whose successor is in another group stays whole: no more than [`GROUP`] versions hang on each other.
//!
//! **Invariants**
//! 1. A version is made a delta when the state that brought its successor can only go by being the oldest. So the successor outlives it.
//! 2. A damaged version is left as it is, and does not keep others from becoming deltas.
//!
//! **Not here:** when (`thin`).

use super::kept::Fold;
use super::row::{RowReader, number_of_id, page_id, page_of_id, read_checksum};
use super::{DurableStore, FOLD_BITS, Param, Sql};
use crate::store::{PageStore, StoreError, codec};
use littoral_protocol::{Pgno, State, Txid};

/// Fold numbers whose versions may hang on each other.
const GROUP: u64 = 128;
/// Pages that a step looks at.
const STEP_PAGES: usize = 250;

/// A version that becomes a delta.
struct Delta {
    id: u64,
    txid: u64,
    checksum: Vec<u8>,
    stored: Vec<u8>,
    saved: u64,
}

impl<Q: Sql> DurableStore<Q> {
    /// Makes deltas of versions that were replaced by the next state which can only go by being the oldest. Returns whether there is one.
    pub(super) fn shrink(&self) -> Result<bool, StoreError> {
        let (shrunk, done) = self.kept.borrow().shrunk;
        let known = shrunk.max(self.oldest());
        let (Some(before), Some(fold)) = (self.fold_before(known.next())?, self.fold_after(known)?) else { return Ok(false) };
        // The last state before the exact ones may be dropped when the next one is settled.
        if self.fold_after(fold.txid)?.is_none_or(|next| next.txid >= self.exact_from()) {
            return Ok(false);
        }
        let done = if known == shrunk { done } else { Pgno(0) };
        let (state, list) = self.read_settled(fold)?;
        let pages: Vec<Pgno> = list.iter().skip_while(|pgno| *pgno <= done).take(STEP_PAGES).collect();
        let replaced = self.state(before.txid)?;
        let mut deltas = Vec::new();
        for pgno in pages.iter().copied().filter(|pgno| pgno.0 <= replaced.page_count && replaced.page_size == state.page_size) {
            deltas.extend(self.delta(pgno, &state, before, fold)?);
        }
        let saved: u64 = deltas.iter().map(|delta| delta.saved).sum();
        let is_done = pages.len() < STEP_PAGES;
        self.sql.transaction(&mut || {
            for Delta { id, txid, checksum, stored, .. } in &deltas {
                // Not by UPDATE: SQLite joins half-empty nodes of its own tree only when a row is deleted.
                self.sql.rows("DELETE FROM pages WHERE id = ?1", &[Param::Int(*id)])?;
                let pgno = Param::Int(u64::from(page_of_id(*id).0));
                let params = [Param::Int(*id), pgno, Param::Int(*txid), Param::Blob(checksum), Param::Blob(stored)];
                self.sql.run("INSERT INTO pages (id, pgno, txid, checksum, image, delta) VALUES (?1, ?2, ?3, ?4, ?5, 1)", &params)?;
            }
            let bytes = "UPDATE folds SET bytes = max(bytes - ?2, 0) WHERE txid = ?1";
            self.sql.run(bytes, &[Param::Int(fold.txid.0), Param::Int(saved)])?;
            if is_done { self.mark("shrunk", fold.txid) } else { Ok(()) }
        })?;
        let mut kept = self.kept.borrow_mut();
        kept.shrunk = if is_done { (fold.txid, Pgno(0)) } else { (known, pages.last().copied().unwrap_or(done)) };
        kept.history_bytes = kept.history_bytes.map(|bytes| bytes.saturating_sub(saved));
        Ok(true)
    }

    /// The version of a page before `fold` as a delta against that of `fold`. `None`: it stays as it is.
    fn delta(&self, pgno: Pgno, state: &State, before: Fold, fold: Fold) -> Result<Option<Delta>, StoreError> {
        let sql = "SELECT id, txid, checksum, image, delta IS NULL FROM pages WHERE id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT 2";
        let rows = self.sql.rows(sql, &[page_id(pgno, 0), page_id(pgno, fold.number)])?;
        let Ok([next, version]) = <[_; 2]>::try_from(rows) else { return Ok(None) };
        let (mut next, mut version) = (RowReader::new(next), RowReader::new(version));
        let (next_number, _, id, txid) = (number_of_id(next.int()?), next.int()?, version.int()?, version.int()?);
        let number = number_of_id(id);
        if next_number <= before.number || number > before.number || number / GROUP != next_number / GROUP {
            return Ok(None);
        }
        let whole = |row: &mut RowReader| {
            let (checksum, stored, is_whole) = (row.blob()?, row.blob()?, row.int()? == 1);
            let mut image = vec![0; state.page_size.bytes()];
            let expanded = is_whole && codec::expand(&stored, &mut image, pgno, state.txid, read_checksum(&checksum)?).is_ok();
            Ok::<_, StoreError>(expanded.then_some((image, checksum, stored.len())))
        };
        let (Some((base, ..)), Some((image, checksum, length))) = (whole(&mut next)?, whole(&mut version)?) else { return Ok(None) };
        let stored = codec::compress_against(&image, &base);
        // Where little is saved, it is not worth a longer way.
        let saved = length.saturating_sub(stored.len()) as u64;
        Ok((saved > length as u64 / 4).then_some(Delta { id, txid, checksum, stored, saved }))
    }

    /// The image of the version `id`, which is a delta. It is not checked.
    pub(super) fn expand_delta(&self, pgno: Pgno, id: u64, page_bytes: usize) -> Result<Vec<u8>, StoreError> {
        let sql = "SELECT txid, checksum, image FROM pages WHERE id >= ?1 AND id <= \
                   (SELECT min(id) FROM pages WHERE id > ?1 AND id < ?2 AND delta IS NULL) ORDER BY id DESC";
        let end = id - number_of_id(id) + ((number_of_id(id) / GROUP + 1) * GROUP).min(1 << FOLD_BITS);
        let mut rows = self.sql.rows(sql, &[Param::Int(id), Param::Int(end)])?.into_iter().map(RowReader::new);
        let missing = || StoreError::Corrupt { what: format!("a version of page {pgno} is a delta, and its base is missing") };
        let mut whole = rows.next().ok_or_else(missing)?;
        let (txid, checksum) = (Txid(whole.int()?), read_checksum(&whole.blob()?)?);
        let mut image = vec![0; page_bytes];
        codec::expand(&whole.blob()?, &mut image, pgno, txid, checksum)?;
        let mut base = vec![0; page_bytes];
        for mut row in rows {
            let txid = Txid(row.int()?);
            row.blob()?;
            std::mem::swap(&mut image, &mut base);
            codec::expand_against(&row.blob()?, &base, &mut image, pgno, txid)?;
        }
        Ok(image)
    }
}
