//! Dropping states in small steps: settling folds, dropping settled states, sweeping the versions that nobody needs any more.
//!
//! A step is one SQL transaction. It touches the rows of one stretch of the log, or one row of garbage and its pages; what it leaves is
//! found by the next one, after a restart too.
//!
//! **Invariant:** a state is dropped only when there is no garbage, so `first` and `last` of a row of garbage always mean what they meant.
//!
//! **Not here:** which states are too old, or pinned (`engine`); making deltas of what stays (`delta`).

use super::index::{Slot, encode_list};
use super::kept::Fold;
use super::row::{RowReader, read_entries};
use super::{DurableStore, FOLD_BITS, MAX_LISTED, Param, STATE_COLUMNS, Sql, VERSION_BYTES};
use crate::store::{PageStore, StoreError, same_step};
use littoral_protocol::{Pgno, State, Txid};
use std::collections::{BTreeMap, BTreeSet};

/// Pages of a row of garbage: about as many rows as a step deletes.
const GARBAGE_PAGES: usize = 1_000;

/// Of each page, the versions from the fold `first` to the fold `last`.
struct Garbage {
    first: u64,
    last: u64,
    pages: Vec<u32>,
}

impl<Q: Sql> DurableStore<Q> {
    /// Drops the oldest state, if the one that follows is not newer than `before`.
    pub(super) fn prune_step(&self, before: Txid) -> Result<bool, StoreError> {
        if self.sweep()? {
            return Ok(true);
        }
        let oldest = self.oldest();
        if oldest == self.exact_from() {
            return self.settle_next(before, &BTreeSet::new());
        }
        match (self.fold_before(oldest.next())?, self.fold_after(oldest)?) {
            (Some(dropped), Some(next)) if next.txid <= before => self.drop_oldest(dropped, next).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Drops the last state but one of those settled, if it is of the same step of time as the last one; else settles another.
    pub(super) fn thin_step(&self, before: Txid, step_ms: u64, pinned: &BTreeSet<Txid>) -> Result<bool, StoreError> {
        if self.sweep()? || self.shrink()? {
            return Ok(true);
        }
        let exact_from = self.exact_from();
        if let (Some(last), Some(next)) = (self.fold_before(exact_from)?, self.fold_before(exact_from.next())?)
            && last.txid > self.oldest()
            && !pinned.contains(&last.txid)
            && same_step(&self.state(last.txid)?, &self.state(next.txid)?, step_ms)
            && self.drop_between(last, next)?
        {
            return Ok(true);
        }
        self.settle_next(before, pinned)
    }

    /// Settles the next fold that is not newer than `before`, unless a pinned state lies before it. The head becomes a fold for it.
    fn settle_next(&self, before: Txid, pinned: &BTreeSet<Txid>) -> Result<bool, StoreError> {
        let (exact_from, head) = (self.exact_from(), self.head().txid);
        match self.fold_after(exact_from)? {
            Some(next) if next.txid <= before && pinned.range(exact_from.next()..next.txid).next().is_none() => self.settle(next),
            None if before == head && head > exact_from => self.fold(),
            _ => return Ok(false),
        }?;
        Ok(true)
    }

    /// Makes one commit of those after `exact_from` up to `next`, with its images in `pages`: they are there.
    fn settle(&self, next: Fold) -> Result<(), StoreError> {
        let exact_from = self.exact_from();
        let state = self.state(next.txid)?;
        let mut frames = self.read_index(exact_from, next.txid)?.newest_of_all();
        frames.retain(|(pgno, _)| pgno.0 <= state.page_count);
        frames.sort_unstable_by_key(|(pgno, _)| *pgno);
        let list = encode_list(&state, frames.into_iter());
        let (from, to) = (Param::Int(exact_from.0), Param::Int(next.txid.0));
        let log_bytes = "SELECT coalesce(sum(length(pages) + length(frames)), 0) FROM commits WHERE txid > ?1 AND txid <= ?2";
        let log_bytes = Param::Int(self.int(log_bytes, &[from, to])?);
        self.sql.transaction(&mut || {
            self.sql.rows("DELETE FROM commits WHERE txid > ?1 AND txid < ?2", &[from, to])?;
            self.sql.rows("UPDATE commits SET pages = ?2, frames = NULL WHERE txid = ?1", &[to, Param::Blob(&list)])?;
            self.sql.rows("UPDATE folds SET bytes = max(bytes - ?2, 0) WHERE txid = ?1", &[to, log_bytes])?;
            self.mark("exact_from", next.txid)
        })?;
        let mut kept = self.kept.borrow_mut();
        kept.exact_from = next.txid;
        kept.forget_past();
        Ok(())
    }

    /// Drops the oldest state: of the pages that `next` has anew, or has no more, their only older versions.
    fn drop_oldest(&self, dropped: Fold, next: Fold) -> Result<(), StoreError> {
        let before = self.state(dropped.txid)?.page_count;
        let (state, frames) = self.read_list(next)?;
        let anew = frames.keys().map(|pgno| pgno.0).filter(|pgno| *pgno <= before);
        let pages = anew.chain(state.page_count + 1..=before).collect();
        let garbage = Garbage { first: 0, last: dropped.number, pages };
        self.sql.transaction(&mut || {
            self.drop_row(dropped, &garbage)?;
            self.mark("oldest", next.txid)
        })?;
        let mut kept = self.kept.borrow_mut();
        kept.oldest = next.txid;
        kept.forget_past();
        Ok(())
    }

    /// Drops a settled state between others. The versions that it has anew go, if `next` has newer ones or no such page, or become its.
    /// Returns whether that could be done: the list of `next` may become too long.
    fn drop_between(&self, dropped: Fold, next: Fold) -> Result<bool, StoreError> {
        let first = self.fold_before(dropped.txid)?.map_or(0, |before| before.number + 1);
        let (state, mut frames) = self.read_list(next)?;
        let (mut pages, mut freed) = (Vec::new(), 0);
        for (pgno, slot) in self.read_list(dropped)?.1 {
            if frames.contains_key(&pgno) || pgno.0 > state.page_count {
                pages.push(pgno.0);
                freed += u64::from(slot.length) + VERSION_BYTES;
            } else {
                frames.insert(pgno, slot);
            }
        }
        if frames.len() > MAX_LISTED {
            return Ok(false);
        }
        let list = encode_list(&state, frames.into_iter());
        let garbage = Garbage { first, last: dropped.number, pages };
        let (at, to) = (Param::Int(dropped.txid.0), Param::Int(next.txid.0));
        self.sql.transaction(&mut || {
            self.sql.rows("UPDATE commits SET pages = ?2 WHERE txid = ?1", &[to, Param::Blob(&list)])?;
            let bytes = "UPDATE folds SET bytes = max(bytes + (SELECT bytes FROM folds WHERE txid = ?2) - ?3, 0) WHERE txid = ?1";
            self.sql.rows(bytes, &[to, at, Param::Int(freed)])?;
            self.drop_row(dropped, &garbage)
        })?;
        self.kept.borrow_mut().forget_past();
        Ok(true)
    }

    fn drop_row(&self, dropped: Fold, garbage: &Garbage) -> Result<(), StoreError> {
        for pages in garbage.pages.chunks(GARBAGE_PAGES) {
            let list = format!("[{}]", pages.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
            let params = [Param::Int(garbage.first), Param::Int(garbage.last), Param::Text(&list)];
            self.sql.rows("INSERT INTO garbage (first, last, pages) VALUES (?1, ?2, ?3)", &params)?;
        }
        self.sql.rows("DELETE FROM commits WHERE txid = ?1", &[Param::Int(dropped.txid.0)])?;
        self.sql.rows("DELETE FROM folds WHERE txid = ?1", &[Param::Int(dropped.txid.0)])?;
        Ok(())
    }

    /// Deletes what a row of garbage names. Returns whether there was one.
    fn sweep(&self) -> Result<bool, StoreError> {
        let Some(row) = self.one("SELECT number FROM garbage ORDER BY number LIMIT 1", &[])? else { return Ok(false) };
        let number = Param::Int(RowReader::new(row).int()?);
        let sql = format!(
            "DELETE FROM pages WHERE id IN (SELECT \
             (SELECT max(id) FROM pages WHERE id >= page.value * {0} + first AND id <= page.value * {0} + last) \
             FROM garbage, json_each(garbage.pages) AS page WHERE number = ?1)",
            1u64 << FOLD_BITS
        );
        self.sql.transaction(&mut || {
            self.sql.rows(&sql, &[number])?;
            self.sql.rows("DELETE FROM garbage WHERE number = ?1", &[number])?;
            Ok(())
        })?;
        Ok(true)
    }

    /// A settled state and its list.
    pub(super) fn read_list(&self, fold: Fold) -> Result<(State, BTreeMap<Pgno, Slot>), StoreError> {
        let row = self.one(&format!("SELECT {STATE_COLUMNS}, pages FROM commits WHERE txid = ?1"), &[Param::Int(fold.txid.0)])?;
        let (state, entries) = read_entries(&mut RowReader::new(row.unwrap_or_default()))?;
        Ok((state, entries.into_iter().collect()))
    }

    pub(super) fn mark(&self, key: &str, txid: Txid) -> Result<(), StoreError> {
        self.sql.rows("UPDATE littoral SET value = ?2 WHERE key = ?1", &[Param::Text(key), Param::Int(txid.0)])?;
        Ok(())
    }
}
