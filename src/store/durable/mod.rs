//! The durable store: pages and the commit log in SQL tables, in a Durable Object or in a local file.
//!
//! A small commit is one row of the log, with the images of its pages in it: one storage row written, whatever it changed. When
//! many frames have gathered, the newest image of each page is *folded* into the table `pages`, as a WAL checkpoint does. A wide
//! commit writes its pages there at once.
//!
//! | table | columns |
//! |---|---|
//! | `littoral` | `key`, `value`: `schema` = 1; `id`, the database's, 16 hexadecimal digits |
//! | `commits` | `txid`, `page_size`, `page_count`, `time_ms`, `checksum`, `pages` (see `index`), `frames` (stored images, one after the other; NULL: in `pages`) |
//! | `pages` | `id` = `pgno` · 2²⁷ + number of the fold that wrote it; `pgno`, `txid`, `checksum`, `image` |
//! | `folds` | `number`, from 1; `txid`: the state as of which `pages` is complete; `log_bytes`: of the images in the log since the fold before, and of those that a wide commit replaced |
//!
//! `id` makes the versions of a page neighbours in a table whose inner nodes hold integers only, so that a page among millions is a few
//! steps away. (In a `WITHOUT ROWID` table inner nodes hold whole rows: point reads of 1 GB took 3.6 times those of 1 MB.)
//!
//! **Invariants**
//! 1. Let F be the newest fold. For every page, the newest version not newer than F is in `pages`, for F and every older fold kept.
//! 2. Versions newer than F are in the log only; the index in memory covers exactly those.
//! 3. Every commit after the oldest kept state is in the log with its frames.
//! 4. A commit is one SQL statement, or one SQL transaction: never half there.
//!
//! **Not here:** when to prune (`engine`), and the storage's own SQL (`sql`).

#[cfg(not(target_arch = "wasm32"))]
mod host;
mod index;
mod kept;
#[cfg(all(target_arch = "wasm32", feature = "server"))]
pub(crate) mod object;
mod read;
mod row;
mod schema;
mod sql;
mod write;

#[cfg(not(target_arch = "wasm32"))]
pub use host::HostSql;
pub use sql::{Cell, MAX_VALUE_BYTES, Param, Sql, SqlError};

use super::{PageStore, StoreError, check_kept, codec};
use crate::checksum::Checksum;
use crate::commit::{Commit, State};
use crate::page::Pgno;
use crate::position::DatabaseId;
use crate::txid::Txid;
use index::{ENTRY_BYTES, Index, SEAL_BYTES};
use kept::{Fold, Kept};
use read::Location;
use row::{RowReader, read_entries, read_state};
use std::cell::RefCell;

/// Frames of a commit that still fit one log row; a commit with more is written to `pages` at once.
const INLINE_FRAMES: usize = 64;
/// Bytes of stored images that still fit one log row.
const INLINE_BYTES: usize = 1_000_000;
/// Frames in the log beyond the newest fold that make the next commit fold first.
const FOLD_FRAMES: usize = 1_024;
/// Pages that one commit may change: their list has to fit one value.
const MAX_FRAMES: usize = (MAX_VALUE_BYTES - SEAL_BYTES) / ENTRY_BYTES;

/// Bits of an `id` in `pages` that are the number of the fold. JavaScript's integers have 53: 26 are left for the page number.
const FOLD_BITS: u32 = 27;
const MAX_PAGES: u32 = 1 << 26;

const STATE_COLUMNS: &str = "txid, page_size, page_count, time_ms, checksum";

/// A page store in SQL tables.
pub struct DurableStore<Q> {
    sql: Q,
    id: DatabaseId,
    kept: RefCell<Kept>,
}

impl<Q: Sql> DurableStore<Q> {
    /// Opens the store in `sql`, and creates its tables in storage that is empty.
    ///
    /// Storage with a newer schema, or with tables of somebody else, is refused and left as it is.
    pub fn open(sql: Q) -> Result<DurableStore<Q>, StoreError> {
        let id = schema::open(&sql)?;
        let store = DurableStore { sql, id, kept: RefCell::new(Kept::empty()) };
        store.load()?;
        Ok(store)
    }

    /// Reads the state and the index from the tables: a few rows, and one for each commit not yet folded.
    fn load(&self) -> Result<(), StoreError> {
        let newest = self.one(&format!("SELECT {STATE_COLUMNS}, pages FROM commits ORDER BY txid DESC LIMIT 1"), &[])?;
        let head = newest.map_or(Ok(State::EMPTY), |row| read_entries(&mut RowReader::new(row)).map(|(state, _)| state))?;
        let first = self.int("SELECT coalesce(min(txid), 0) FROM commits")?;
        // The log begins with commit 1 until it is pruned; then with the oldest state kept.
        let oldest = if first == 1 { Txid::EMPTY } else { Txid(first) };
        let folds = self.sql.rows("SELECT number, txid FROM folds ORDER BY number", &[])?.into_iter().map(|row| {
            let mut row = RowReader::new(row);
            Ok(Fold { number: row.int()?, txid: Txid(row.int()?) })
        });
        let folds = folds.collect::<Result<Vec<Fold>, StoreError>>()?;
        let folded = folds.last().map_or(Txid::EMPTY, |fold| fold.txid);
        let recent = self.read_index(folded, head.txid)?;
        *self.kept.borrow_mut() = Kept { head, oldest, folds, recent, past: None, last_asked: None };
        Ok(())
    }

    fn read_index(&self, after: Txid, until: Txid) -> Result<Index, StoreError> {
        let mut index = Index::default();
        let range = [Param::Int(after.0), Param::Int(until.0)];
        let sql = format!("SELECT {STATE_COLUMNS}, pages FROM commits WHERE txid > ?1 AND txid <= ?2 ORDER BY txid");
        for row in self.sql.rows(&sql, &range)? {
            index.add(read_entries(&mut RowReader::new(row))?.1);
        }
        Ok(index)
    }

    fn one(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Vec<Cell>>, StoreError> {
        Ok(self.sql.rows(sql, params)?.into_iter().next())
    }

    fn int(&self, sql: &str) -> Result<u64, StoreError> {
        let row = self.one(sql, &[])?.unwrap_or_default();
        RowReader::new(row).int()
    }
}

impl<Q: Sql> PageStore for DurableStore<Q> {
    fn id(&self) -> DatabaseId {
        self.id
    }

    fn head(&self) -> State {
        self.kept.borrow().head
    }

    fn oldest(&self) -> Txid {
        self.kept.borrow().oldest
    }

    fn state(&self, txid: Txid) -> Result<State, StoreError> {
        let head = self.head();
        check_kept(txid, self.oldest(), head.txid)?;
        if txid == head.txid {
            return Ok(head);
        }
        if txid == Txid::EMPTY {
            return Ok(State::EMPTY);
        }
        if let Some(state) = self.kept.borrow().last_asked.filter(|state| state.txid == txid) {
            return Ok(state);
        }
        let row = self.one(&format!("SELECT {STATE_COLUMNS} FROM commits WHERE txid = ?1"), &[Param::Int(txid.0)])?;
        let row = row.ok_or_else(|| StoreError::Corrupt { what: format!("commit {txid} is missing from the log") })?;
        let state = read_state(&mut RowReader::new(row))?;
        self.kept.borrow_mut().last_asked = Some(state);
        Ok(state)
    }

    fn txid_at(&self, time_ms: u64) -> Result<Txid, StoreError> {
        // Times ascend with txids, so this is a search by halves, not a scan.
        let (mut known, mut beyond) = (self.oldest(), self.head().txid.next());
        while beyond.0 - known.0 > 1 {
            let middle = Txid(known.0 + (beyond.0 - known.0) / 2);
            if self.state(middle)?.time_ms <= time_ms { known = middle } else { beyond = middle }
        }
        Ok(known)
    }

    fn history_bytes(&self) -> Result<u64, StoreError> {
        self.int("SELECT coalesce(sum(log_bytes), 0) FROM folds WHERE txid > (SELECT min(txid) FROM folds)")
    }

    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError> {
        match self.locate(pgno, at)? {
            Location::Log(slot) => codec::expand(&self.log_image(pgno, slot)?, image, pgno, at, slot.checksum),
            Location::Table { since } => {
                let (checksum, stored) = self.table_version(pgno, since, at, true)?;
                codec::expand(&stored, image, pgno, at, checksum)
            }
            Location::Nowhere => {
                image.fill(0);
                Ok(())
            }
        }
    }

    fn read_pages(&self, first: Pgno, at: Txid, page_bytes: usize, images: &mut [u8]) -> Result<usize, StoreError> {
        self.read_run(first, at, images.chunks_exact_mut(page_bytes))
    }

    fn page_checksum(&self, pgno: Pgno, at: Txid) -> Result<Checksum, StoreError> {
        match self.locate(pgno, at)? {
            Location::Log(slot) => Ok(slot.checksum),
            Location::Table { since } => Ok(self.table_version(pgno, since, at, false)?.0),
            Location::Nowhere => Ok(Checksum::EMPTY),
        }
    }

    fn append(&self, commit: &Commit) -> Result<(), StoreError> {
        commit.validate(self.head().txid)?;
        if commit.frames.len() > MAX_FRAMES {
            return Err(StoreError::TooLarge { pages: commit.frames.len(), limit: MAX_FRAMES });
        }
        if commit.state.page_count >= MAX_PAGES {
            return Err(StoreError::Full(format!("a database has at most {MAX_PAGES} pages")));
        }
        if self.kept.borrow().recent.frames() >= FOLD_FRAMES {
            self.fold()?;
        }
        if commit.frames.len() <= INLINE_FRAMES && self.append_inline(commit)? {
            return Ok(());
        }
        self.append_wide(commit)
    }

    fn log_after(&self, after: Txid, max_frames: usize) -> Result<Vec<Commit>, StoreError> {
        check_kept(after, self.oldest(), self.head().txid)?;
        let mut commits = Vec::new();
        let mut frames = 0;
        let mut after = after;
        loop {
            let sql = format!("SELECT {STATE_COLUMNS}, pages, frames FROM commits WHERE txid = ?1");
            let Some(row) = self.one(&sql, &[Param::Int(after.next().0)])? else { break };
            let commit = self.read_commit(row)?;
            frames += commit.frames.len();
            if frames > max_frames && !commits.is_empty() {
                break;
            }
            after = commit.state.txid;
            commits.push(commit);
        }
        Ok(commits)
    }

    fn prune(&self, before: Txid) -> Result<Txid, StoreError> {
        self.drop_before(before)
    }
}
