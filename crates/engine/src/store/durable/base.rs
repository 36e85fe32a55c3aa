//! The base of a branch: a state of another database, with which it begins, and of which it has no page at first.
//!
//! A page that no commit of the branch has written is as in the base. Those that came are rows of `pages` like others, under the number of the
//! first fold; the rest is [`StoreError::Missing`]. Once all have come the store is like any other.
//!
//! **Invariants**
//! 1. A page of the base is kept only if the oldest state has no version of it: what that one has already, no state needs from the base.
//! 2. Where the store has a base, the pages up to the mark `filled` are there.
//!
//! **Not here:** where missing pages come from (`branch`).

use super::batch::{PageBatch, StoredPage};
use super::index::encode_pages;
use super::kept::Fold;
use super::row::page_id;
use super::{DurableStore, FOLD_BITS, Param, RowReader, Sql, StoredValue};
use crate::commit_log::{Body, Message, StoredFrame};
use crate::store::{PageStore, StoreError};
use littoral_protocol::{DatabaseId, PageSet, Pgno, State, Txid};
use std::borrow::Cow;

/// The number of the fold at the base.
const NUMBER: u64 = 1;
/// The mark of the base: a message with the other database and the state.
const BASE: &str = "base";
/// The mark of the page up to which all are there.
const FILLED: &str = "filled";
/// Pages that are looked for with one statement.
const LOOKED_AT: u32 = 4_096;

/// What a branch begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The database that the state is of.
    pub parent: DatabaseId,
    /// The state.
    pub state: State,
}

impl<Q: Sql> DurableStore<Q> {
    /// Begins with a state of another database. To be called on a store that is empty; where it was called before, nothing is done.
    pub fn begin_at(&self, base: Base) -> Result<(), StoreError> {
        let Base { parent, state } = base;
        if self.base() == Some(base) {
            return Ok(());
        }
        if self.head() != State::EMPTY {
            return Err(StoreError::Schema("a branch begins in storage that is empty".into()));
        }
        if state.txid == Txid::EMPTY {
            return Ok(());
        }
        let (mark, nothing) = (Message { database: parent, body: Body::Found(state) }.encode(), encode_pages(&state, &PageSet::new())?);
        self.sql.transaction(&mut || {
            self.sql.run("DELETE FROM folds", &[])?;
            self.write_fold_row(state.txid, NUMBER, 0)?;
            self.write_commit(&state, &nothing, None)?;
            for key in ["oldest", "exact_from", "shrunk"] {
                self.mark(key, state.txid)?;
            }
            self.sql.run("INSERT INTO littoral (key, value) VALUES (?1, ?2)", &[Param::Text(BASE), Param::Blob(&mark)])?;
            self.sql.run("INSERT INTO littoral (key, value) VALUES (?1, 0)", &[Param::Text(FILLED)])?;
            Ok(())
        })?;
        self.load()
    }

    /// What it began with, as long as pages of that are missing.
    pub fn base(&self) -> Option<Base> {
        self.kept.borrow().base
    }

    pub(super) fn read_base(&self) -> Result<Option<Base>, StoreError> {
        let Some(row) = self.one("SELECT value FROM littoral WHERE key = ?1", &[Param::Text(BASE)])? else { return Ok(None) };
        match Message::decode(&RowReader::new(row).blob()?) {
            Ok(Message { database, body: Body::Found(state) }) => Ok(Some(Base { parent: database, state })),
            _ => Err(StoreError::Corrupt { what: "what a branch begins with cannot be read".into() }),
        }
    }

    /// The table has no version of a page that a state has.
    pub(super) fn absent(&self, pgno: Pgno, fold: Fold) -> StoreError {
        match self.base() {
            Some(base) if pgno.0 <= base.state.page_count => StoreError::Missing(pgno),
            _ => StoreError::damaged_page(pgno, fold.txid, "missing"),
        }
    }

    /// Whether a page of the base is there, or needed by no state.
    pub(crate) fn has_base_page(&self, pgno: Pgno) -> Result<bool, StoreError> {
        Ok(!self.lacking(pgno, pgno)?.contains(pgno))
    }

    /// Keeps pages of the base that are missing. They have been checked.
    pub(crate) fn keep_base(&self, frames: &[StoredFrame]) -> Result<(), StoreError> {
        let Some(base) = self.base() else { return Ok(()) };
        let mut missing = PageSet::new();
        for frame in frames {
            missing.add(&self.lacking(frame.pgno, frame.pgno)?);
        }
        self.sql.transaction(&mut || {
            let mut batch = PageBatch::new(self, NUMBER);
            // A page may come twice.
            let mut missing = missing.clone();
            for StoredFrame { pgno, checksum, stored } in frames.iter().filter(|frame| missing.remove(frame.pgno)) {
                batch.add(base.state.txid, StoredPage { pgno: *pgno, checksum: *checksum, stored: Cow::Borrowed(&**stored) })?;
            }
            batch.finish().map(drop)
        })
    }

    /// The next pages of the base that are missing, up to so many, in order. None: all are there, and the store is like any other from now on.
    pub(crate) fn next_lacking(&self, most: usize) -> Result<Vec<Pgno>, StoreError> {
        let Some(base) = self.base() else { return Ok(Vec::new()) };
        let mut filled = self.int("SELECT value FROM littoral WHERE key = ?1", &[Param::Text(FILLED)])? as u32;
        while filled < base.state.page_count {
            let last = base.state.page_count.min(filled + LOOKED_AT);
            let lacking = self.lacking(Pgno(filled + 1), Pgno(last))?;
            if let Some(first) = lacking.iter().next() {
                self.mark(FILLED, Txid(u64::from(first.0) - 1))?;
                return Ok(lacking.iter().take(most).collect());
            }
            filled = last;
        }
        self.sql.run("DELETE FROM littoral WHERE key IN (?1, ?2)", &[Param::Text(BASE), Param::Text(FILLED)])?;
        self.kept.borrow_mut().base = None;
        Ok(Vec::new())
    }

    /// The pages from `first` to `last` of which the oldest state needs the version of the base, and that are not there.
    fn lacking(&self, first: Pgno, last: Pgno) -> Result<PageSet, StoreError> {
        let Some(base) = self.base() else { return Ok(PageSet::new()) };
        let (oldest, page_count) = self.oldest_fold()?;
        let last = Pgno(last.0.min(base.state.page_count).min(page_count));
        let mut lacking = PageSet::new();
        if first > last {
            return Ok(lacking);
        }
        lacking.insert_range(first.0..=last.0);
        lacking.remove(base.state.page_size.lock_page());
        let sql =
            format!("SELECT DISTINCT id >> {FOLD_BITS} FROM pages WHERE id >= ?1 AND id <= ?2 AND id & {} <= ?3", (1u64 << FOLD_BITS) - 1);
        let most = (1u64 << FOLD_BITS) - 1;
        for row in self.sql.rows(&sql, &[page_id(first, 0), page_id(last, most), Param::Int(oldest.number)])? {
            if let Some(StoredValue::Int(pgno)) = row.first() {
                lacking.remove(Pgno(*pgno as u32));
            }
        }
        Ok(lacking)
    }

    /// The oldest fold, and how many pages its state has.
    fn oldest_fold(&self) -> Result<(Fold, u32), StoreError> {
        let (oldest, known) = (self.oldest(), self.kept.borrow().oldest_fold);
        if let Some(known) = known.filter(|(fold, _)| fold.txid == oldest) {
            return Ok(known);
        }
        let fold = self.fold_before(oldest.next())?.unwrap_or(Fold::EMPTY);
        let found = (fold, self.state(fold.txid)?.page_count);
        self.kept.borrow_mut().oldest_fold = Some(found);
        Ok(found)
    }
}
