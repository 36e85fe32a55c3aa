//! The durable store: pages and the commit log in SQL tables, in a Durable Object or in a local file.
//!
//! A small commit is one row of the log, with the images of its pages in it, or what is different in them (`log`): one storage row written,
//! whatever it changed. When many frames have gathered, the newest image of each page is *folded* into the table `pages`, as a WAL checkpoint
//! does. A wide commit writes its pages there at once.
//!
//! Thinning *settles* one fold after the other: the commits between two folds become one, whose page list names all the pages that
//! changed and whose images are those in `pages`, like a wide commit. Of settled states any may be dropped: its list joins that of the
//! next one, and the versions that nobody else needs become garbage, which is *swept* a thousand at a time. What stays becomes small (`delta`).
//!
//! A commit that is larger than memory is *staged*: its pages go to `pages` under the number of a fold to come, and are garbage until the
//! commit makes that number a fold and strikes them off (`stage`). What a crash leaves is swept like any other garbage.
//!
//! | table | columns |
//! |---|---|
//! | `littoral` | `key`, `value`: `schema` = 4; `id`, the database's, 16 hexadecimal digits; `oldest`, `exact_from`, `shrunk`: txids; of a branch `base` and `filled` (see `base`) |
//! | `commits` | `txid`, `page_size`, `page_count`, `time_ms`, `checksum`, `pages` (see `index`), `frames` (stored images, one after the other; NULL: in `pages`) |
//! | `pages` | `id` = `pgno` · 2²⁷ + number of the fold that it is part of; `pgno`, `txid`, `checksum`, `image`; `delta` = 1: the image is a delta (see `delta`), else NULL |
//! | `folds` | `txid`: the state as of which `pages` is complete; `number`; `bytes`: what only states from the fold before on need: their log, and the versions that were replaced |
//! | `scratch` | `id` = number of a temporary file · 2²⁴ + number of the block; `bytes`, 65,536 at most |
//! | `garbage` | `number`; `pages`: a JSON list of page numbers; of each the newest version from the fold `first` to the fold `last` is needed by nobody; `stage`: it was staged under this number, else NULL |
//!
//! `id` makes the versions of a page neighbours in a table whose inner nodes hold integers only, so that a page among millions is a few
//! steps away. (In a `WITHOUT ROWID` table inner nodes hold whole rows: point reads of 1 GB took 3.6 times those of 1 MB.)
//!
//! **Invariants**
//! 1. Let F be the newest fold. For every page, the newest version not newer than F is in `pages`, for F and every older fold kept.
//! 2. Versions newer than F are in the log only; the index in memory covers exactly those.
//! 3. Every commit after `exact_from` is in the log with its frames. `exact_from` is a fold.
//! 4. A kept state before `exact_from` is a fold. Its list has the pages of which a version was written after the kept state before it,
//!    and of each exactly one such version is there that is no garbage. Of the oldest state every page has exactly one version.
//! 5. The last state of each step of time is a fold, unless the head lies in the same step.
//! 6. A commit, and a step of pruning or thinning, is one SQL statement or one SQL transaction: never half there.
//! 7. No fold has a number under which something is staged or was discarded, and no read looks at such versions.
//!
//! **Not here:** when to prune and thin (`engine`), and the storage's own SQL (`sql`).

mod base;
mod batch;
mod delta;
mod garbage;
#[cfg(not(target_arch = "wasm32"))]
mod host;
mod images;
mod index;
mod kept;
mod log;
mod logged;
mod read;
mod row;
mod schema;
mod scratch;
mod sql;
mod stage;
mod thin;
mod write;

pub use base::Base;
#[cfg(not(target_arch = "wasm32"))]
pub use host::HostSql;
pub use sql::{MAX_VALUE_BYTES, Param, Sql, SqlError, StoredValue};

use super::{PageStore, StoreError, check_kept, codec, same_step};
use crate::commit_log::LoggedCommit;
use images::Images;
use index::{Index, Listed};
use kept::{Fold, Kept};
use littoral_protocol::{Checksum, Commit, DatabaseId, Frame, PageSet, Pgno, State, Txid};
use read::Location;
use row::{LIST_COLUMNS, RowReader, read_list, read_state};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Frames of a commit that still fit one log row; a commit with more is written to `pages` at once.
const INLINE_FRAMES: usize = 64;
/// Bytes of stored images that still fit one log row.
const INLINE_BYTES: usize = 1_000_000;
/// Frames in the log beyond the newest fold that make the next commit fold first.
const FOLD_FRAMES: usize = 1_024;
/// Bytes that a version of a page takes beside its image: its row, and its entry in a list.
const VERSION_BYTES: u64 = 64;
/// Milliseconds of a step of time, if nobody says otherwise.
const STEP_MS: u64 = 60_000;

/// Bits of an `id` in `pages` that are the number of the fold. JavaScript's integers have 53: 26 are left for the page number.
const FOLD_BITS: u32 = 27;
const MAX_PAGES: u32 = 1 << 26;

/// Page lists that are read with one statement.
const LISTS_AT_ONCE: usize = 64;
const STATE_COLUMNS: &str = "txid, page_size, page_count, time_ms, checksum";

/// A page store in SQL tables.
pub struct DurableStore<Q> {
    sql: Q,
    id: DatabaseId,
    kept: RefCell<Kept>,
    images: Images,
    step_ms: u64,
}

impl<Q: Sql> DurableStore<Q> {
    /// Opens the store in `sql`, and creates its tables in storage that is empty.
    ///
    /// Storage with a newer schema, or with tables of somebody else, is refused and left as it is.
    pub fn open(sql: Q) -> Result<DurableStore<Q>, StoreError> {
        DurableStore::open_as(sql, DatabaseId::NONE)
    }

    /// The same, of the database with this id if the storage is empty.
    pub fn open_as(sql: Q, database: DatabaseId) -> Result<DurableStore<Q>, StoreError> {
        let id = schema::open(&sql, database)?;
        let store = DurableStore { sql, id, kept: RefCell::new(Kept::empty()), images: Images::new(), step_ms: STEP_MS };
        store.load()?;
        Ok(store)
    }

    /// The same store with steps of this many milliseconds: the last state of each can stay when those around it are thinned out.
    pub fn with_step(self, step_ms: u64) -> DurableStore<Q> {
        DurableStore { step_ms, ..self }
    }

    /// Reads the state and the index from the tables: a few rows, and one for each commit not yet folded.
    fn load(&self) -> Result<(), StoreError> {
        let newest = self.one(&format!("SELECT {LIST_COLUMNS} FROM commits ORDER BY txid DESC LIMIT 1"), &[])?;
        let head = newest.map_or(Ok(State::EMPTY), |row| read_list(&mut RowReader::new(row)).map(|(state, _)| state))?;
        let newest = self.fold_before(head.txid.next())?.unwrap_or(Fold::EMPTY);
        let mark = |key: &str| {
            let value = self.one("SELECT value FROM littoral WHERE key = ?1", &[Param::Text(key)])?;
            RowReader::new(value.unwrap_or_default()).int().map(Txid)
        };
        let (oldest, exact_from, shrunk) = (mark("oldest")?, mark("exact_from")?, (mark("shrunk")?, Pgno(0)));
        let recent = self.read_index(newest.txid, head.txid)?;
        let (discarded, files, base) = (self.staged_numbers()?, self.left_files()?, self.read_base()?);
        *self.kept.borrow_mut() = Kept { head, oldest, exact_from, shrunk, newest, recent, discarded, files, base, ..Kept::empty() };
        Ok(())
    }

    fn read_index(&self, after: Txid, until: Txid) -> Result<Index, StoreError> {
        let mut index = Index::default();
        let range = [Param::Int(after.0), Param::Int(until.0)];
        let sql = format!("SELECT {LIST_COLUMNS} FROM commits WHERE txid > ?1 AND txid <= ?2 ORDER BY txid");
        for row in self.sql.rows(&sql, &range)? {
            match read_list(&mut RowReader::new(row))? {
                (_, Listed::Log(entries)) => index.add(entries),
                (state, Listed::Table(_)) => {
                    return Err(StoreError::Corrupt { what: format!("the images of commit {} are in no fold", state.txid) });
                }
            }
        }
        Ok(index)
    }

    /// The pages that the commits after `after`, up to `until`, have in their lists.
    fn listed_between(&self, after: Txid, until: Txid) -> Result<PageSet, StoreError> {
        let sql = format!("SELECT {LIST_COLUMNS} FROM commits WHERE txid > ?1 AND txid <= ?2 ORDER BY txid LIMIT {LISTS_AT_ONCE}");
        let (mut pages, mut last) = (PageSet::new(), after);
        while last < until {
            let rows = self.sql.rows(&sql, &[Param::Int(last.0), Param::Int(until.0)])?;
            last = if rows.is_empty() { until } else { last };
            for row in rows {
                let (state, listed) = read_list(&mut RowReader::new(row))?;
                pages.add(&listed.into_pages());
                last = state.txid;
            }
        }
        Ok(pages)
    }

    fn one(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Vec<StoredValue>>, StoreError> {
        Ok(self.sql.rows(sql, params)?.into_iter().next())
    }

    fn int(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        RowReader::new(self.one(sql, params)?.unwrap_or_default()).int()
    }

    /// The newest kept state that is not newer than `txid`, between the oldest and the head.
    fn kept_at(&self, txid: Txid) -> Result<State, StoreError> {
        let sql = format!("SELECT {STATE_COLUMNS} FROM commits WHERE txid <= ?1 ORDER BY txid DESC LIMIT 1");
        let row = self.one(&sql, &[Param::Int(txid.0)])?;
        row.map_or(Ok(State::EMPTY), |row| read_state(&mut RowReader::new(row)))
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

    fn exact_from(&self) -> Txid {
        self.kept.borrow().exact_from
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
        let state = self.kept_at(txid)?;
        let exact_from = self.exact_from();
        if state.txid == txid {
            self.kept.borrow_mut().last_asked = Some(state);
            return Ok(state);
        }
        Err(match txid < exact_from {
            true => StoreError::Thinned { asked: txid, exact_from },
            false => StoreError::Corrupt { what: format!("commit {txid} is missing from the log") },
        })
    }

    fn resolve(&self, txid: Txid) -> Result<Txid, StoreError> {
        check_kept(txid, self.oldest(), self.head().txid)?;
        if txid >= self.exact_from() { Ok(txid) } else { self.kept_at(txid).map(|state| state.txid) }
    }

    fn next_kept(&self, txid: Txid) -> Result<Option<State>, StoreError> {
        let sql = format!("SELECT {STATE_COLUMNS} FROM commits WHERE txid > ?1 ORDER BY txid LIMIT 1");
        self.one(&sql, &[Param::Int(txid.0)])?.map(|row| read_state(&mut RowReader::new(row))).transpose()
    }

    fn txid_at(&self, time_ms: u64) -> Result<Txid, StoreError> {
        // Times ascend with txids, so this is a search by halves, not a scan. `known` may be a txid that was thinned out.
        let (mut known, mut beyond) = (self.oldest(), self.head().txid.next());
        while beyond.0 - known.0 > 1 {
            let middle = Txid(known.0 + (beyond.0 - known.0) / 2);
            let state = self.kept_at(middle)?;
            if state.txid <= known || state.time_ms <= time_ms { known = middle } else { beyond = state.txid }
        }
        self.resolve(known)
    }

    fn history_bytes(&self) -> Result<u64, StoreError> {
        let known = self.kept.borrow().history_bytes;
        let bytes = match known {
            Some(bytes) => bytes,
            None => self.int("SELECT coalesce(sum(bytes), 0) FROM folds WHERE txid > ?1", &[Param::Int(self.oldest().0)])?,
        };
        self.kept.borrow_mut().history_bytes = Some(bytes);
        // The nodes of the storage's own trees are not full: measured by tests/week.rs.
        Ok(bytes * 7 / 5)
    }

    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError> {
        match self.locate(pgno, at)? {
            Location::Log(chain) => self.read_chain(pgno, &chain, image),
            Location::Table(fold) => {
                let (checksum, stored) = self.table_version(pgno, fold, image.len())?;
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
            Location::Log(chain) => Ok(chain.last().map_or(Checksum::EMPTY, |version| version.checksum)),
            Location::Table(fold) => self.table_checksum(pgno, fold),
            Location::Nowhere => Ok(Checksum::EMPTY),
        }
    }

    fn append(&self, commit: &Commit) -> Result<(), StoreError> {
        commit.validate(self.head().txid)?;
        check_size(commit.state.page_count)?;
        self.discard_staged();
        let head = self.head();
        let step_ends = head.txid > self.kept.borrow().newest.txid && !same_step(&head, &commit.state, self.step_ms);
        if step_ends || self.kept.borrow().recent.frames() >= FOLD_FRAMES {
            self.fold()?;
        }
        if commit.frames.len() <= INLINE_FRAMES && self.append_inline(commit)? {
            return Ok(());
        }
        self.append_wide(commit)
    }

    fn stage(&self, frames: &[Frame]) -> Result<Checksum, StoreError> {
        self.stage_frames(frames)
    }

    fn read_staged(&self, pgno: Pgno, image: &mut [u8]) -> Result<bool, StoreError> {
        self.read_stage(pgno, image)
    }

    fn cut_staged(&self, last: u32) -> Result<Checksum, StoreError> {
        self.cut_stage(last)
    }

    fn staged(&self) -> PageSet {
        self.kept.borrow().stage.as_ref().map(|stage| stage.pages.clone()).unwrap_or_default()
    }

    fn append_staged(&self, state: &State) -> Result<(), StoreError> {
        self.append_stage(state)
    }

    fn discard_staged(&self) {
        let mut kept = self.kept.borrow_mut();
        let number = kept.stage.take().map(|stage| stage.number);
        kept.discarded.extend(number);
    }

    fn has_discarded(&self) -> bool {
        !self.kept.borrow().discarded.is_empty() || self.has_left_files()
    }

    fn log_after(&self, after: Txid, max_frames: usize) -> Result<Vec<Commit>, StoreError> {
        self.read_log(after, max_frames)
    }

    fn logged_after(&self, after: Txid, max_frames: usize, image_bytes: usize) -> Result<Vec<LoggedCommit>, StoreError> {
        self.read_compacted(after, max_frames, image_bytes)
    }

    fn written_lately(&self, after: Txid, until: Txid) -> Option<PageSet> {
        let kept = self.kept.borrow();
        (after >= kept.newest.txid && until <= kept.head.txid).then(|| kept.recent.written_between(after, until))
    }

    fn written_between(&self, after: Txid, until: Txid) -> Result<PageSet, StoreError> {
        self.state(after)?;
        self.state(until)?;
        // The list of a kept state has the pages that were written after the kept state before it.
        self.listed_between(after, until)
    }

    fn prune(&self, before: Txid) -> Result<bool, StoreError> {
        self.prune_step(before.min(self.head().txid))
    }

    fn thin(&self, before: Txid, step_ms: u64, pinned: &BTreeSet<Txid>) -> Result<bool, StoreError> {
        self.thin_step(before.min(self.head().txid), step_ms, pinned)
    }
}

fn check_size(page_count: u32) -> Result<(), StoreError> {
    if page_count >= MAX_PAGES { Err(StoreError::Full(format!("a database has at most {MAX_PAGES} pages"))) } else { Ok(()) }
}
