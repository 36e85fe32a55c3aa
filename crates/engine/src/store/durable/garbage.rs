//! Versions of pages that no state needs: noted in the table `garbage`, a thousand in a row, and swept row by row.
//!
//! **Invariant:** what a row names is deleted together with the row.
//!
//! **Not here:** what becomes garbage (`thin`, `stage`).

use super::row::RowReader;
use super::{DurableStore, FOLD_BITS, Param, Sql, VERSION_BYTES};
use crate::store::StoreError;
use littoral_protocol::PageSet;

/// Pages of a row: about as many rows as a step deletes.
const ROW_PAGES: usize = 1_000;

/// Of each page, the newest version from the fold `first` to the fold `last`.
pub(super) struct Garbage {
    pub(super) first: u64,
    pub(super) last: u64,
    /// They were staged, under this number.
    pub(super) stage: Option<u64>,
    pub(super) pages: PageSet,
}

impl<Q: Sql> DurableStore<Q> {
    /// Notes garbage, to be swept. To be called inside a transaction.
    pub(super) fn note(&self, garbage: &Garbage) -> Result<(), StoreError> {
        for pages in lists(&garbage.pages) {
            let mut params = vec![Param::Int(garbage.first), Param::Int(garbage.last), Param::Text(&pages)];
            params.extend(garbage.stage.map(Param::Int));
            let stage = if garbage.stage.is_some() { "?4" } else { "NULL" };
            self.sql.run(&format!("INSERT INTO garbage (first, last, pages, stage) VALUES (?1, ?2, ?3, {stage})"), &params)?;
        }
        Ok(())
    }

    /// The bytes that sweeping it will give back.
    pub(super) fn garbage_bytes(&self, garbage: &Garbage) -> Result<u64, StoreError> {
        let sql = format!("SELECT coalesce(sum(length(image) + {VERSION_BYTES}), 0) FROM pages WHERE id IN ({})", versions("?3"));
        let sum = |pages: String| self.int(&sql, &[Param::Int(garbage.first), Param::Int(garbage.last), Param::Text(&pages)]);
        lists(&garbage.pages).map(sum).sum()
    }

    /// Deletes what a row of garbage names, or some of what temporary files left. Returns whether there was something.
    pub(super) fn sweep(&self) -> Result<bool, StoreError> {
        // What is being staged is garbage only if it is discarded.
        let staging = self.kept.borrow().stage.as_ref().map_or(0, |stage| stage.number);
        let sql = "SELECT first, last, pages, number FROM garbage WHERE stage IS NULL OR stage <> ?1 ORDER BY number LIMIT 1";
        let Some(row) = self.one(sql, &[Param::Int(staging)])? else { return self.sweep_files() };
        let mut row = RowReader::new(row);
        let (first, last, pages, number) = (row.int()?, row.int()?, row.text()?, row.int()?);
        let delete = format!("DELETE FROM pages WHERE id IN ({})", versions("?3"));
        self.sql.transaction(&mut || {
            self.sql.run(&delete, &[Param::Int(first), Param::Int(last), Param::Text(&pages)])?;
            self.sql.rows("DELETE FROM garbage WHERE number = ?1", &[Param::Int(number)])?;
            Ok(())
        })?;
        if !self.kept.borrow().discarded.is_empty() {
            let mut left = self.staged_numbers()?;
            left.retain(|number| *number != staging);
            self.kept.borrow_mut().discarded = left;
        }
        Ok(true)
    }

    /// The numbers under which something is staged, or was when the store was left.
    pub(super) fn staged_numbers(&self) -> Result<Vec<u64>, StoreError> {
        let rows = self.sql.rows("SELECT DISTINCT stage FROM garbage WHERE stage IS NOT NULL", &[])?;
        rows.into_iter().map(|row| RowReader::new(row).int()).collect()
    }
}

/// The ids of the versions that garbage names: `?1` and `?2` are the folds.
fn versions(pages: &str) -> String {
    format!(
        "SELECT (SELECT max(id) FROM pages WHERE id >= page.value * {0} + ?1 AND id <= page.value * {0} + ?2) FROM json_each({pages}) AS page",
        1u64 << FOLD_BITS
    )
}

/// The numbers as JSON lists.
fn lists(pages: &PageSet) -> impl Iterator<Item = String> {
    let mut pages = pages.iter();
    std::iter::from_fn(move || {
        let list: Vec<String> = pages.by_ref().take(ROW_PAGES).map(|pgno| pgno.0.to_string()).collect();
        (!list.is_empty()).then(|| format!("[{}]", list.join(",")))
    })
}
