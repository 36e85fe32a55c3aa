//! Commits that are larger than memory: their pages are stored ahead, under the number of a fold to come.
//!
//! What is staged is noted as garbage with it. The commit makes the number a fold and strikes the notes off, in one transaction that touches
//! no page; whatever ends otherwise (a rollback, a crash, another commit) leaves garbage like any other.
//!
//! **Invariant:** a fold is the head when staging begins, and stays the newest until it ends: the number staged under is beyond all folds.
//!
//! **Not here:** which pages of a transaction are staged, and when (`vfs`).

use super::batch::{PageBatch, StoredPage};
use super::garbage::Garbage;
use super::index::encode_pages;
use super::kept::Stage;
use super::row::{RowReader, page_id, read_checksum};
use super::{DurableStore, Param, Sql, check_size};
use crate::store::{PageStore, StoreError, codec};
use littoral_protocol::{Checksum, Commit, Frame, InvalidCommit, PageSet, Pgno, State};

impl<Q: Sql> DurableStore<Q> {
    pub(super) fn stage_frames(&self, frames: &[Frame]) -> Result<Checksum, StoreError> {
        let begun = self.kept.borrow().stage.clone();
        let Some(first) = frames.first() else { return Ok(begun.map_or(Checksum::EMPTY, |stage| stage.checksum)) };
        let mut stage = begun.map_or_else(|| self.begin_stage(first.image.len()), Ok)?;
        for Frame { pgno, image, .. } in frames {
            check_size(pgno.0)?;
            if image.len() != stage.page_bytes {
                return Err(InvalidCommit::ImageLength { pgno: *pgno, got: image.len(), expected: stage.page_bytes }.into());
            }
        }
        let txid = self.head().txid.next();
        let mut anew = PageSet::new();
        self.sql.transaction(&mut || {
            let mut batch = PageBatch::new(self, stage.number);
            for Frame { pgno, image, checksum } in frames {
                let page = StoredPage { pgno: *pgno, checksum: *checksum, stored: codec::compress(image) };
                if stage.pages.insert(*pgno) {
                    anew.insert(*pgno);
                    batch.add(txid, page)?;
                } else {
                    stage.checksum ^= self.staged_row(&stage, *pgno)?.0;
                    self.write_page_again(stage.number, &page)?;
                }
                stage.checksum ^= *checksum;
            }
            stage.replaced += batch.finish()?;
            let pages = std::mem::take(&mut anew);
            self.note(&Garbage { first: stage.number, last: stage.number, stage: Some(stage.number), pages })
        })?;
        let checksum = stage.checksum;
        self.kept.borrow_mut().stage = Some(stage);
        Ok(checksum)
    }

    fn begin_stage(&self, page_bytes: usize) -> Result<Stage, StoreError> {
        let (head, newest) = (self.head().txid, self.kept.borrow().newest.txid);
        if head > newest {
            self.fold()?;
        }
        Ok(Stage { number: self.next_number()?, page_bytes, pages: PageSet::new(), checksum: Checksum::EMPTY, replaced: 0 })
    }

    pub(super) fn read_stage(&self, pgno: Pgno, image: &mut [u8]) -> Result<bool, StoreError> {
        let kept = self.kept.borrow();
        let Some(stage) = kept.stage.as_ref().filter(|stage| stage.pages.contains(pgno)) else { return Ok(false) };
        let (checksum, stored) = self.staged_row(stage, pgno)?;
        codec::expand(&stored, image, pgno, kept.head.txid.next(), checksum)?;
        Ok(true)
    }

    fn staged_row(&self, stage: &Stage, pgno: Pgno) -> Result<(Checksum, Vec<u8>), StoreError> {
        let row = self.one("SELECT checksum, image FROM pages WHERE id = ?1", &[page_id(pgno, stage.number)])?;
        let missing = || StoreError::Corrupt { what: format!("page {pgno} was staged and is missing") };
        let mut row = RowReader::new(row.ok_or_else(missing)?);
        Ok((read_checksum(&row.blob()?)?, row.blob()?))
    }

    pub(super) fn cut_stage(&self, last: u32) -> Result<Checksum, StoreError> {
        let Some(mut stage) = self.kept.borrow().stage.clone() else { return Ok(Checksum::EMPTY) };
        let cut = stage.pages.split_after(last);
        self.sql.transaction(&mut || {
            for pgno in cut.iter() {
                stage.checksum ^= self.staged_row(&stage, pgno)?.0;
                self.sql.rows("DELETE FROM pages WHERE id = ?1", &[page_id(pgno, stage.number)])?;
            }
            Ok(())
        })?;
        let checksum = stage.checksum;
        self.kept.borrow_mut().stage = Some(stage);
        Ok(checksum)
    }

    pub(super) fn append_stage(&self, state: &State) -> Result<(), StoreError> {
        let head = self.head();
        let commit = Commit { state: *state, frames: Vec::new() };
        commit.validate(head.txid)?;
        check_size(state.page_count)?;
        let Some(stage) = self.kept.borrow().stage.clone() else { return self.append(&commit) };
        if let Some(pgno) = stage.pages.last().filter(|last| last.0 > state.page_count) {
            return Err(InvalidCommit::Frame { pgno, page_count: state.page_count }.into());
        }
        let (got, expected) = (stage.page_bytes, state.page_size.bytes());
        if got != expected {
            return Err(InvalidCommit::ImageLength { pgno: stage.pages.last().unwrap_or(Pgno::FIRST), got, expected }.into());
        }
        let list = encode_pages(state, &stage.pages)?;
        let bytes = stage.replaced + self.cut_bytes(state)?;
        self.sql.transaction(&mut || {
            self.sql.rows("DELETE FROM garbage WHERE stage = ?1", &[Param::Int(stage.number)])?;
            self.write_fold_row(state.txid, stage.number, bytes)?;
            self.write_commit(state, &list, None)
        })?;
        let mut kept = self.kept.borrow_mut();
        kept.become_folded(*state, stage.number, bytes);
        kept.stage = None;
        Ok(())
    }
}
