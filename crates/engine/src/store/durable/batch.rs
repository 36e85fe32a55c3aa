//! Writing pages of a fold, many with one statement: a statement costs the runtime more than a page does.
//!
//! **Not here:** which pages a fold has (`write`, `stage`).

use super::row::{RowReader, page_id};
use super::{DurableStore, FOLD_BITS, Param, Sql, VERSION_BYTES};
use crate::store::StoreError;
use littoral_protocol::{Checksum, Pgno, Txid};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Pages of a statement: a Durable Object lets one have 100 parameters, and a page takes four.
const SIZES: [usize; 3] = [24, 5, 1];

/// The statement for each of the sizes. It answers for each page how many bytes the version has that it replaces.
static STATEMENTS: LazyLock<[String; SIZES.len()]> = LazyLock::new(|| {
    SIZES.map(|pages| {
        let row = |page: usize| format!("(?{}, ?{}, ?{}, ?{})", 4 * page + 1, 4 * page + 2, 4 * page + 3, 4 * page + 4);
        let rows = (0..pages).map(row).collect::<Vec<_>>().join(", ");
        format!(
            "INSERT INTO pages (id, pgno, txid, checksum, image) \
             SELECT column1, column1 >> {FOLD_BITS}, column2, column3, column4 FROM (VALUES {rows}) WHERE true \
             RETURNING coalesce((SELECT length(older.image) + {VERSION_BYTES} FROM pages AS older \
             WHERE older.id >= pages.id >> {FOLD_BITS} << {FOLD_BITS} AND older.id < pages.id ORDER BY older.id DESC LIMIT 1), 0)"
        )
    })
});

/// A page as it is stored.
pub(super) struct StoredPage<'a> {
    pub(super) pgno: Pgno,
    pub(super) checksum: Checksum,
    pub(super) stored: Cow<'a, [u8]>,
}

/// Pages on their way into the fold of a number.
pub(super) struct PageBatch<'a, Q> {
    store: &'a DurableStore<Q>,
    number: u64,
    waiting: Vec<(Txid, StoredPage<'a>)>,
    replaced: u64,
}

impl<'a, Q: Sql> PageBatch<'a, Q> {
    pub(super) fn new(store: &'a DurableStore<Q>, number: u64) -> PageBatch<'a, Q> {
        PageBatch { store, number, waiting: Vec::with_capacity(SIZES[0]), replaced: 0 }
    }

    /// Adds a page as commit `txid` left it. It may be written later, and is by the end of [`PageBatch::finish`].
    pub(super) fn add(&mut self, txid: Txid, page: StoredPage<'a>) -> Result<(), StoreError> {
        self.waiting.push((txid, page));
        if self.waiting.len() == SIZES[0] { self.write() } else { Ok(()) }
    }

    /// Writes what has not been. Returns the bytes of the versions that all these pages replace.
    pub(super) fn finish(mut self) -> Result<u64, StoreError> {
        self.write()?;
        Ok(self.replaced)
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut rest = &waiting[..];
        for (size, statement) in SIZES.into_iter().zip(STATEMENTS.iter()) {
            while let Some((pages, others)) = rest.split_at_checked(size) {
                self.write_together(statement, pages)?;
                rest = others;
            }
        }
        Ok(())
    }

    fn write_together(&mut self, statement: &str, pages: &[(Txid, StoredPage<'_>)]) -> Result<(), StoreError> {
        let checksums: Vec<[u8; 8]> = pages.iter().map(|(_, page)| page.checksum.0.to_le_bytes()).collect();
        let params: Vec<Param<'_>> = pages
            .iter()
            .zip(&checksums)
            .flat_map(|((txid, page), checksum)| {
                [page_id(page.pgno, self.number), Param::Int(txid.0), Param::Blob(checksum), Param::Blob(&page.stored)]
            })
            .collect();
        for row in self.store.sql.rows(statement, &params)? {
            self.replaced += RowReader::new(row).int()?;
        }
        Ok(())
    }
}
