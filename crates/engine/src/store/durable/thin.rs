//! Dropping states in small steps: settling folds, dropping settled states.
//!
//! A step is one SQL transaction. It touches the rows of one stretch of the log; what it leaves is found by the next one, after a restart too.
//!
//! **Invariant:** a state is dropped, and a version made a delta, only when there is no garbage but of a commit that is being staged: so
//! `first` and `last` of a row of garbage always mean what they meant.
//!
//! **Not here:** which states are too old, or pinned (`engine`); making deltas of what stays (`delta`); deleting what nobody needs (`garbage`).

use super::garbage::Garbage;
use super::index::encode_pages;
use super::kept::Fold;
use super::row::{LIST_COLUMNS, RowReader, read_list};
use super::{DurableStore, Param, Sql};
use crate::store::{PageStore, StoreError, same_step};
use littoral_protocol::{PageSet, State, Txid};
use std::collections::BTreeSet;

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
        {
            return self.drop_between(last, next).map(|()| true);
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
        let mut pages = self.listed_between(exact_from, next.txid)?;
        pages.split_after(state.page_count);
        let list = encode_pages(&state, &pages)?;
        let (from, to) = (Param::Int(exact_from.0), Param::Int(next.txid.0));
        let log_bytes = "SELECT coalesce(sum(length(pages) + length(frames)), 0) FROM commits WHERE txid > ?1 AND txid <= ?2";
        let log_bytes = Param::Int(self.int(log_bytes, &[from, to])?);
        self.sql.transaction(&mut || {
            self.sql.run("DELETE FROM commits WHERE txid > ?1 AND txid < ?2", &[from, to])?;
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
        let (state, mut pages) = self.read_settled(next)?;
        pages.insert_range(state.page_count + 1..=before);
        pages.split_after(before);
        let garbage = Garbage { first: 0, last: dropped.number, stage: None, pages };
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
    fn drop_between(&self, dropped: Fold, next: Fold) -> Result<(), StoreError> {
        let first = self.fold_before(dropped.txid)?.map_or(0, |before| before.number + 1);
        let (state, mut anew) = self.read_settled(next)?;
        let mut replaced = PageSet::new();
        for pgno in self.read_settled(dropped)?.1.iter() {
            if pgno.0 > state.page_count || !anew.insert(pgno) {
                replaced.insert(pgno);
            }
        }
        let list = encode_pages(&state, &anew)?;
        let garbage = Garbage { first, last: dropped.number, stage: None, pages: replaced };
        let freed = self.garbage_bytes(&garbage)?;
        let (at, to) = (Param::Int(dropped.txid.0), Param::Int(next.txid.0));
        self.sql.transaction(&mut || {
            self.sql.rows("UPDATE commits SET pages = ?2 WHERE txid = ?1", &[to, Param::Blob(&list)])?;
            let bytes = "UPDATE folds SET bytes = max(bytes + (SELECT bytes FROM folds WHERE txid = ?2) - ?3, 0) WHERE txid = ?1";
            self.sql.run(bytes, &[to, at, Param::Int(freed)])?;
            self.drop_row(dropped, &garbage)
        })?;
        self.kept.borrow_mut().forget_past();
        Ok(())
    }

    fn drop_row(&self, dropped: Fold, garbage: &Garbage) -> Result<(), StoreError> {
        self.note(garbage)?;
        self.sql.run("DELETE FROM commits WHERE txid = ?1", &[Param::Int(dropped.txid.0)])?;
        self.sql.rows("DELETE FROM folds WHERE txid = ?1", &[Param::Int(dropped.txid.0)])?;
        Ok(())
    }

    /// A settled state, and the pages that it has anew.
    pub(super) fn read_settled(&self, fold: Fold) -> Result<(State, PageSet), StoreError> {
        let row = self.one(&format!("SELECT {LIST_COLUMNS} FROM commits WHERE txid = ?1"), &[Param::Int(fold.txid.0)])?;
        let (state, listed) = read_list(&mut RowReader::new(row.unwrap_or_default()))?;
        Ok((state, listed.into_pages()))
    }

    pub(super) fn mark(&self, key: &str, txid: Txid) -> Result<(), StoreError> {
        self.sql.rows("UPDATE littoral SET value = ?2 WHERE key = ?1", &[Param::Text(key), Param::Int(txid.0)])?;
        Ok(())
    }
}
