//! Reading versions of pages, from the log or from the table `pages`.
//!
//! **Not here:** whole commits (`logged`).

use super::index::{Index, Slot};
use super::kept::{Fold, Past};
use super::row::{RowReader, number_of_id, page_id, page_of_id, read_checksum};
use super::{DurableStore, Param, Sql};
use crate::store::{PageStore, StoreError, codec};
use littoral_protocol::{Checksum, Pgno, Txid};
use std::ops::Range;

/// Where a version of a page is.
pub(super) enum Location {
    /// In the log: the last of these, which hangs on those before.
    Log(Vec<Slot>),
    /// In the table: the newest that this fold or an older one wrote.
    Table(Fold),
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
        self.with_index(at, |fold, index| match index.chain(pgno, at) {
            [] => Location::Table(fold),
            chain => Location::Log(chain.to_vec()),
        })
    }

    /// Asks the newest fold that is not newer than `at`, and the index of the frames between it and the next.
    pub(super) fn with_index<T>(&self, at: Txid, ask: impl FnOnce(Fold, &Index) -> T) -> Result<T, StoreError> {
        if at >= self.kept.borrow().newest.txid {
            let kept = self.kept.borrow();
            return Ok(ask(kept.newest, &kept.recent));
        }
        let known = self.kept.borrow_mut().past.take().filter(|past| (past.fold.txid..past.next).contains(&at));
        let past = known.map_or_else(|| self.read_past(at), Ok)?;
        let answer = ask(past.fold, &past.index);
        self.kept.borrow_mut().past = Some(past);
        Ok(answer)
    }

    fn read_past(&self, at: Txid) -> Result<Past, StoreError> {
        let missing = || StoreError::Corrupt { what: format!("there is no fold about commit {at}") };
        let fold = self.fold_before(at.next())?.ok_or_else(missing)?;
        let next = self.fold_after(at)?.ok_or_else(missing)?.txid;
        Ok(Past { fold, next, index: self.read_index(fold.txid, Txid(next.0 - 1))? })
    }

    /// The newest fold before `txid`.
    pub(super) fn fold_before(&self, txid: Txid) -> Result<Option<Fold>, StoreError> {
        self.read_fold("SELECT txid, number FROM folds WHERE txid < ?1 ORDER BY txid DESC LIMIT 1", txid)
    }

    /// The oldest fold after `txid`.
    pub(super) fn fold_after(&self, txid: Txid) -> Result<Option<Fold>, StoreError> {
        self.read_fold("SELECT txid, number FROM folds WHERE txid > ?1 ORDER BY txid LIMIT 1", txid)
    }

    fn read_fold(&self, sql: &str, txid: Txid) -> Result<Option<Fold>, StoreError> {
        let Some(row) = self.one(sql, &[Param::Int(txid.0)])? else { return Ok(None) };
        let mut row = RowReader::new(row);
        Ok(Some(Fold { txid: Txid(row.int()?), number: row.int()? }))
    }

    /// The newest version in the table `pages` that `fold` or an older one wrote: its checksum and its stored image, or the image itself.
    pub(super) fn table_version(&self, pgno: Pgno, fold: Fold, page_bytes: usize) -> Result<(Checksum, Vec<u8>), StoreError> {
        let (id, mut row) = self.newest_row("checksum, image, delta IS NULL", pgno, fold)?;
        let (checksum, stored, is_whole) = (read_checksum(&row.blob()?)?, row.blob()?, row.int()? == 1);
        Ok((checksum, if is_whole { stored } else { self.expand_delta(pgno, id, page_bytes)? }))
    }

    /// The checksum of that version.
    pub(super) fn table_checksum(&self, pgno: Pgno, fold: Fold) -> Result<Checksum, StoreError> {
        read_checksum(&self.newest_row("checksum", pgno, fold)?.1.blob()?)
    }

    /// The newest version that is part of a state: its `id`, and the columns.
    fn newest_row(&self, columns: &str, pgno: Pgno, fold: Fold) -> Result<(u64, RowReader), StoreError> {
        let sql = format!("SELECT id, {columns} FROM pages WHERE id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT 1");
        let mut last = Some(fold.number);
        while let Some(number) = last {
            let Some(row) = self.one(&sql, &[page_id(pgno, 0), page_id(pgno, number)])? else { break };
            let mut row = RowReader::new(row);
            let id = row.int()?;
            if !self.is_discarded(id) {
                return Ok((id, row));
            }
            last = number_of_id(id).checked_sub(1);
        }
        Err(self.absent(pgno, fold))
    }

    /// Whether this version was staged and never became part of a state.
    fn is_discarded(&self, id: u64) -> bool {
        self.kept.borrow().discarded.contains(&number_of_id(id))
    }

    /// Reads consecutive pages from the table in one statement, up to the first whose newest version is elsewhere, or a delta. Returns how many.
    pub(super) fn read_run<'i>(
        &self,
        first: Pgno,
        at: Txid,
        images: impl ExactSizeIterator<Item = &'i mut [u8]>,
    ) -> Result<usize, StoreError> {
        let (mut wanted, mut newest) = (0, Fold::EMPTY);
        while wanted < images.len()
            && let Location::Table(fold) = self.locate(Pgno(first.0 + wanted as u32), at)?
        {
            newest = fold;
            wanted += 1;
        }
        // One page alone is read as fast in the ordinary way.
        if wanted < 2 {
            return Ok(0);
        }
        let versions = self.read_versions(first, wanted, newest)?;
        let mut read = 0;
        for image in images.take(wanted) {
            let pgno = Pgno(first.0 + read as u32);
            // It may be a delta; if it is missing, reading it alone will tell.
            let Some(version) = versions.newest(pgno).filter(|version| !version.stored.is_empty()) else { break };
            codec::expand(&versions.images[version.stored.clone()], image, pgno, at, version.checksum)?;
            read += 1;
        }
        Ok(read)
    }

    /// Reads the versions of `count` pages that `fold` or an older one wrote: of a few less, where they have many.
    fn read_versions(&self, first: Pgno, count: usize, fold: Fold) -> Result<Versions, StoreError> {
        // All of a kind in one value: values cost the runtime more than bytes. To concatenate bytes makes text, and no other bytes.
        const SQL: &str = "SELECT group_concat(id || ' ' || iif(delta IS NULL, length(image), 0), ' '), \
                           CAST(group_concat(checksum, '') AS BLOB), CAST(group_concat(iif(delta IS NULL, image, x''), '') AS BLOB) \
                           FROM pages WHERE id >= ?1 AND id <= \
                           coalesce((SELECT id FROM pages WHERE id >= ?1 AND id <= ?2 ORDER BY id LIMIT 1 OFFSET ?3), ?2)";
        let (from, to) = (page_id(first, 0), page_id(Pgno(first.0 + count as u32 - 1), fold.number));
        let most = 2 * count;
        let mut row = RowReader::new(self.one(SQL, &[from, to, Param::Int(most as u64)])?.unwrap_or_default());
        let Some(list) = row.optional_text()? else { return Ok(Versions::default()) };
        let mut versions = Versions::new(&list, &row.blob()?, row.blob()?)?;
        if versions.all.len() > most {
            // Those of the last page may not all be there.
            let last = versions.all.last().map(|version| page_of_id(version.id));
            versions.all.retain(|version| Some(page_of_id(version.id)) != last);
        }
        versions.all.retain(|version| number_of_id(version.id) <= fold.number && !self.is_discarded(version.id));
        Ok(versions)
    }
}

/// Versions of consecutive pages.
#[derive(Default)]
struct Versions {
    all: Vec<Version>,
    /// The stored images, one after the other.
    images: Vec<u8>,
}

struct Version {
    id: u64,
    checksum: Checksum,
    /// Where its image is. Empty: it is a delta.
    stored: Range<usize>,
}

impl Versions {
    /// From what is stored: `list` has the `id` and the length of the image of each.
    fn new(list: &str, checksums: &[u8], images: Vec<u8>) -> Result<Versions, StoreError> {
        let damaged = || StoreError::Corrupt { what: "a run of pages is not as it was asked for".into() };
        let numbers: Vec<u64> = list.split(' ').map(str::parse).collect::<Result<_, _>>().map_err(|_| damaged())?;
        let (pairs, _) = numbers.as_chunks::<2>();
        let (checksums, rest) = checksums.as_chunks::<8>();
        let mut end = 0u64;
        let version = |(&[id, length], checksum): (&[u64; 2], &[u8; 8])| {
            let begin = end;
            end = end.saturating_add(length);
            Version { id, checksum: Checksum(u64::from_le_bytes(*checksum)), stored: begin as usize..end as usize }
        };
        let mut all: Vec<Version> = pairs.iter().zip(checksums).map(version).collect();
        if !rest.is_empty() || all.len() != pairs.len() || end != images.len() as u64 {
            return Err(damaged());
        }
        all.sort_unstable_by_key(|version| version.id);
        Ok(Versions { all, images })
    }

    /// The newest version of a page.
    fn newest(&self, pgno: Pgno) -> Option<&Version> {
        let newer = self.all.partition_point(|version| page_of_id(version.id) <= pgno);
        self.all[..newer].last().filter(|version| page_of_id(version.id) == pgno)
    }
}
