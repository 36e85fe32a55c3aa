//! Temporary files, in the table `scratch`. What a crash left is deleted in steps, as garbage is.
//!
//! **Invariant:** files that are open have higher numbers than those that were left.

use super::row::RowReader;
use super::{DurableStore, Param, Sql};
use crate::store::{ScratchSpace, StoreError};

/// Bits of an id that are the number of the block: of 64 KB each, for a terabyte.
const BLOCK_BITS: u32 = 24;
/// Blocks that a step deletes.
const STEP_BLOCKS: u64 = 200;

/// The numbers of files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Files {
    /// Of the last one.
    last: u64,
    /// Files up to this one were left, and some of them are still there.
    left: u64,
}

fn id(file: u64, block: u32) -> Param<'static> {
    Param::Int(file << BLOCK_BITS | u64::from(block))
}

impl<Q: Sql> DurableStore<Q> {
    /// What was left, when the store is opened.
    pub(super) fn left_files(&self) -> Result<Files, StoreError> {
        let last = self.int("SELECT coalesce(max(id), 0) FROM scratch", &[])? >> BLOCK_BITS;
        Ok(Files { last, left: last })
    }

    pub(super) fn has_left_files(&self) -> bool {
        self.kept.borrow().files.left > 0
    }

    /// Deletes some of what was left. Returns whether there was something.
    pub(super) fn sweep_files(&self) -> Result<bool, StoreError> {
        let left = self.kept.borrow().files.left;
        if left == 0 {
            return Ok(false);
        }
        let sql = "DELETE FROM scratch WHERE id IN (SELECT id FROM scratch WHERE id < ?1 ORDER BY id LIMIT ?2) RETURNING id";
        let deleted = self.sql.rows(sql, &[id(left + 1, 0), Param::Int(STEP_BLOCKS)])?;
        if (deleted.len() as u64) < STEP_BLOCKS {
            self.kept.borrow_mut().files.left = 0;
        }
        Ok(true)
    }
}

impl<Q: Sql> ScratchSpace for DurableStore<Q> {
    fn new_scratch(&self) -> u64 {
        let mut kept = self.kept.borrow_mut();
        kept.files.last += 1;
        kept.files.last
    }

    fn put_scratch(&self, file: u64, block: u32, bytes: &[u8]) -> Result<(), StoreError> {
        self.sql.run("INSERT OR REPLACE INTO scratch (id, bytes) VALUES (?1, ?2)", &[id(file, block), Param::Blob(bytes)])?;
        Ok(())
    }

    fn get_scratch(&self, file: u64, block: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.one("SELECT bytes FROM scratch WHERE id = ?1", &[id(file, block)])?;
        row.map(|row| RowReader::new(row).blob()).transpose()
    }

    fn cut_scratch(&self, file: u64, from: u32) -> Result<(), StoreError> {
        self.sql.rows("DELETE FROM scratch WHERE id >= ?1 AND id < ?2", &[id(file, from), id(file + 1, 0)])?;
        Ok(())
    }
}
