//! The durable store: pages and the commit log in SQL tables, in a Durable Object or in a local file.
//!
//! A small commit is one row of the log, with the images of its pages in it: one storage row written, whatever it changed. When
//! many frames have gathered, the newest image of each page is *folded* into the table `pages`, as a WAL checkpoint does. A wide
//! commit writes its pages there at once.
//!
//! | table | columns |
//! |---|---|
//! | `littoral` | `key`, `value`: `schema` = 1 |
//! | `commits` | `txid`, `page_size`, `page_count`, `time_ms`, `checksum`, `pages` (see `index`), `frames` (stored images, one after the other; NULL: in `pages`) |
//! | `pages` | `pgno`, `txid`, `checksum`, `image` |
//! | `folds` | `txid`: the states as of which `pages` is complete; `log_bytes`: of the images in the log since the fold before, and of those that a wide commit replaced |
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
#[cfg(all(target_arch = "wasm32", feature = "server"))]
pub(crate) mod object;
mod schema;
mod sql;

#[cfg(not(target_arch = "wasm32"))]
pub use host::HostSql;
pub use sql::{Cell, MAX_VALUE_BYTES, Param, Sql, SqlError};

use super::{PageStore, StoreError, check_kept, codec};
use crate::checksum::Checksum;
use crate::commit::{Commit, Frame, State};
use crate::page::{PageSize, Pgno};
use crate::txid::Txid;
use index::{ENTRY_BYTES, Index, SEAL_BYTES, Slot, decode_entries, encode_entry, seal};
use sql::RowReader;
use std::cell::RefCell;

/// Frames of a commit that still fit one log row; a commit with more is written to `pages` at once.
const INLINE_FRAMES: usize = 64;
/// Bytes of stored images that still fit one log row.
const INLINE_BYTES: usize = 1_000_000;
/// Frames in the log beyond the newest fold that make the next commit fold first.
const FOLD_FRAMES: usize = 1_024;
/// Pages that one commit may change: their list has to fit one value.
const MAX_FRAMES: usize = (MAX_VALUE_BYTES - SEAL_BYTES) / ENTRY_BYTES;

const STATE_COLUMNS: &str = "txid, page_size, page_count, time_ms, checksum";

/// A page store in SQL tables.
pub struct DurableStore<Q> {
    sql: Q,
    inner: RefCell<Inner>,
}

struct Inner {
    head: State,
    oldest: Txid,
    folded: Txid,
    /// Frames after `folded`.
    recent: Index,
    /// Frames in `oldest..=folded`, read when a state before `folded` is asked for.
    past: Option<Index>,
    /// The past state that was asked for last: a snapshot asks for its own with every page.
    last_asked: Option<State>,
}

impl<Q: Sql> DurableStore<Q> {
    /// Opens the store in `sql`, and creates its tables in storage that is empty.
    ///
    /// Storage with a newer schema, or with tables of somebody else, is refused and left as it is.
    pub fn open(sql: Q) -> Result<DurableStore<Q>, StoreError> {
        schema::open(&sql)?;
        let store = DurableStore { sql, inner: RefCell::new(Inner::empty()) };
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
        let folded = Txid(self.int("SELECT coalesce(max(txid), 0) FROM folds")?);
        let recent = self.read_index(folded, head.txid)?;
        *self.inner.borrow_mut() = Inner { head, oldest, folded, recent, past: None, last_asked: None };
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

    /// Where the version of `pgno` as of `at` is.
    fn locate(&self, pgno: Pgno, at: Txid) -> Result<Location, StoreError> {
        let state = self.state(at)?;
        if pgno.0 > state.page_count {
            return Err(StoreError::damaged_page(pgno, at, "the database has fewer pages"));
        }
        // It may have versions of a time when the page size was another and it an ordinary page.
        if pgno == state.page_size.lock_page() {
            return Ok(Location::Nowhere);
        }
        if at >= self.inner.borrow().folded {
            let slot = self.inner.borrow().recent.newest(pgno, at);
            return Ok(slot.map_or(Location::Table { newer_than: Txid::EMPTY }, Location::Log));
        }
        self.with_past(|past| match past.newest(pgno, at) {
            // A page of a wide commit is in the table, and so may be the newest version of all.
            Some(slot) if slot.length > 0 => Location::Log(slot),
            Some(slot) => Location::Table { newer_than: Txid(slot.txid.0 - 1) },
            None => Location::Table { newer_than: Txid::EMPTY },
        })
    }

    fn with_past<T>(&self, ask: impl FnOnce(&Index) -> T) -> Result<T, StoreError> {
        if self.inner.borrow().past.is_none() {
            let (oldest, folded) = (self.inner.borrow().oldest, self.inner.borrow().folded);
            let past = self.read_index(oldest, folded)?;
            self.inner.borrow_mut().past = Some(past);
        }
        let inner = self.inner.borrow();
        Ok(ask(inner.past.as_ref().unwrap_or(&Index::default())))
    }

    /// A version in the table `pages`: its checksum and, if `with_image`, its stored image.
    fn table_version(&self, pgno: Pgno, at: Txid, newer_than: Txid, with_image: bool) -> Result<(Checksum, Vec<u8>), StoreError> {
        let sql = if with_image {
            "SELECT checksum, image FROM pages WHERE pgno = ?1 AND txid <= ?2 AND txid > ?3 ORDER BY txid DESC LIMIT 1"
        } else {
            "SELECT checksum, x'' FROM pages WHERE pgno = ?1 AND txid <= ?2 AND txid > ?3 ORDER BY txid DESC LIMIT 1"
        };
        let row = self.one(sql, &[Param::Int(u64::from(pgno.0)), Param::Int(at.0), Param::Int(newer_than.0)])?;
        let mut row = RowReader::new(row.ok_or_else(|| StoreError::damaged_page(pgno, at, "missing"))?);
        Ok((read_checksum(&row.blob()?)?, row.blob()?))
    }

    fn log_image(&self, pgno: Pgno, slot: Slot) -> Result<Vec<u8>, StoreError> {
        let params = [Param::Int(slot.txid.0), Param::Int(u64::from(slot.offset) + 1), Param::Int(u64::from(slot.length))];
        let row = self.one("SELECT substr(frames, ?2, ?3) FROM commits WHERE txid = ?1", &params)?;
        row.map_or_else(|| Err(StoreError::damaged_page(pgno, slot.txid, "its commit is missing")), |row| RowReader::new(row).blob())
    }

    /// Writes the newest image of every page in the log beyond the newest fold to `pages`.
    /// To be called inside a transaction; `skip` are pages about to be written anyway.
    fn write_fold(&self, skip: &[Frame]) -> Result<(), StoreError> {
        let newest = self.inner.borrow().recent.newest_of_all();
        let skipped = |pgno: &Pgno| skip.binary_search_by_key(pgno, |frame| frame.pgno).is_ok();
        let mut row: Option<(Txid, Vec<u8>)> = None;
        for (pgno, slot) in newest.into_iter().filter(|(pgno, slot)| slot.length > 0 && !skipped(pgno)) {
            // Ordered by txid: each log row is read once.
            if row.as_ref().is_none_or(|(txid, _)| *txid != slot.txid) {
                let whole = Slot { offset: 0, length: i32::MAX as u32, ..slot };
                row = Some((slot.txid, self.log_image(pgno, whole)?));
            }
            let frames = row.as_ref().map_or(&[][..], |(_, frames)| frames);
            self.write_page(pgno, slot.txid, slot.checksum, cut_frame(frames, pgno, slot)?)?;
        }
        Ok(())
    }

    /// Makes `folded` a fold. `replaced` bytes of images were written over older ones, beside those in the log.
    fn write_fold_row(&self, folded: Txid, replaced: usize) -> Result<(), StoreError> {
        let log_bytes = self.inner.borrow().recent.bytes() + replaced as u64;
        self.sql.rows("INSERT INTO folds (txid, log_bytes) VALUES (?1, ?2)", &[Param::Int(folded.0), Param::Int(log_bytes)])?;
        Ok(())
    }

    fn write_page(&self, pgno: Pgno, txid: Txid, checksum: Checksum, stored: &[u8]) -> Result<(), StoreError> {
        let checksum = checksum.0.to_le_bytes();
        let params = [Param::Int(u64::from(pgno.0)), Param::Int(txid.0), Param::Blob(&checksum), Param::Blob(stored)];
        self.sql.rows("INSERT INTO pages (pgno, txid, checksum, image) VALUES (?1, ?2, ?3, ?4)", &params)?;
        Ok(())
    }

    fn write_commit(&self, state: &State, pages: &[u8], frames: Option<&[u8]>) -> Result<(), StoreError> {
        let checksum = state.checksum.0.to_le_bytes();
        let mut params = vec![
            Param::Int(state.txid.0),
            Param::Int(u64::from(state.page_size.as_u32())),
            Param::Int(u64::from(state.page_count)),
            Param::Int(state.time_ms),
            Param::Blob(&checksum),
            Param::Blob(pages),
        ];
        params.extend(frames.map(Param::Blob));
        let sql = if frames.is_some() {
            "INSERT INTO commits (txid, page_size, page_count, time_ms, checksum, pages, frames) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
        } else {
            "INSERT INTO commits (txid, page_size, page_count, time_ms, checksum, pages) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        };
        self.sql.rows(sql, &params)?;
        Ok(())
    }

    fn append_inline(&self, commit: &Commit) -> Result<bool, StoreError> {
        let mut pages = Vec::with_capacity(commit.frames.len() * ENTRY_BYTES);
        let mut frames = Vec::new();
        for Frame { pgno, image, checksum } in &commit.frames {
            let stored = codec::compress(image);
            encode_entry(&mut pages, *pgno, stored.len(), *checksum);
            frames.extend_from_slice(&stored);
            if frames.len() > INLINE_BYTES {
                return Ok(false);
            }
        }
        seal(&mut pages, &commit.state);
        self.write_commit(&commit.state, &pages, Some(&frames))?;
        let entries = decode_entries(&commit.state, &pages)?;
        let mut inner = self.inner.borrow_mut();
        inner.head = commit.state;
        inner.recent.add(entries);
        Ok(true)
    }

    fn append_wide(&self, commit: &Commit) -> Result<(), StoreError> {
        let (txid, pages_before) = (commit.state.txid, self.head().page_count);
        let mut pages = Vec::with_capacity(commit.frames.len() * ENTRY_BYTES);
        for frame in &commit.frames {
            encode_entry(&mut pages, frame.pgno, 0, frame.checksum);
        }
        seal(&mut pages, &commit.state);
        self.sql.transaction(&mut || {
            self.write_fold(&commit.frames)?;
            let mut replaced = 0;
            for Frame { pgno, image, checksum } in &commit.frames {
                let stored = codec::compress(image);
                replaced += if pgno.0 <= pages_before { stored.len() } else { 0 };
                self.write_page(*pgno, txid, *checksum, &stored)?;
            }
            self.write_fold_row(txid, replaced)?;
            self.write_commit(&commit.state, &pages, None)
        })?;
        self.inner.borrow_mut().become_folded(commit.state);
        Ok(())
    }

    fn fold(&self) -> Result<(), StoreError> {
        let head = self.head();
        self.sql.transaction(&mut || {
            self.write_fold(&[])?;
            self.write_fold_row(head.txid, 0)
        })?;
        self.inner.borrow_mut().become_folded(head);
        Ok(())
    }

    fn read_commit(&self, row: Vec<Cell>) -> Result<Commit, StoreError> {
        let mut row = RowReader::new(row);
        let (state, entries) = read_entries(&mut row)?;
        let stored = row.optional_blob()?.unwrap_or_default();
        let mut frames = Vec::with_capacity(entries.len());
        for (pgno, slot) in entries {
            let mut image = vec![0; state.page_size.bytes()].into_boxed_slice();
            if slot.length > 0 {
                codec::expand(cut_frame(&stored, pgno, slot)?, &mut image, pgno, state.txid, slot.checksum)?;
            } else {
                let (_, stored) = self.table_version(pgno, state.txid, Txid(state.txid.0 - 1), true)?;
                codec::expand(&stored, &mut image, pgno, state.txid, slot.checksum)?;
            }
            frames.push(Frame { pgno, image, checksum: slot.checksum });
        }
        Ok(Commit { state, frames })
    }
}

/// Where a version of a page is.
enum Location {
    Log(Slot),
    Table {
        newer_than: Txid,
    },
    /// It is the lock page.
    Nowhere,
}

impl Inner {
    fn empty() -> Inner {
        Inner { head: State::EMPTY, oldest: Txid::EMPTY, folded: Txid::EMPTY, recent: Index::default(), past: None, last_asked: None }
    }

    fn become_folded(&mut self, head: State) {
        self.head = head;
        self.folded = head.txid;
        self.recent = Index::default();
        self.past = None;
    }
}

impl<Q: Sql> PageStore for DurableStore<Q> {
    fn head(&self) -> State {
        self.inner.borrow().head
    }

    fn oldest(&self) -> Txid {
        self.inner.borrow().oldest
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
        if let Some(state) = self.inner.borrow().last_asked.filter(|state| state.txid == txid) {
            return Ok(state);
        }
        let row = self.one(&format!("SELECT {STATE_COLUMNS} FROM commits WHERE txid = ?1"), &[Param::Int(txid.0)])?;
        let row = row.ok_or_else(|| StoreError::Corrupt { what: format!("commit {txid} is missing from the log") })?;
        let state = read_state(&mut RowReader::new(row))?;
        self.inner.borrow_mut().last_asked = Some(state);
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
            Location::Table { newer_than } => {
                let (checksum, stored) = self.table_version(pgno, at, newer_than, true)?;
                codec::expand(&stored, image, pgno, at, checksum)
            }
            Location::Nowhere => {
                image.fill(0);
                Ok(())
            }
        }
    }

    fn page_checksum(&self, pgno: Pgno, at: Txid) -> Result<Checksum, StoreError> {
        match self.locate(pgno, at)? {
            Location::Log(slot) => Ok(slot.checksum),
            Location::Table { newer_than } => Ok(self.table_version(pgno, at, newer_than, false)?.0),
            Location::Nowhere => Ok(Checksum::EMPTY),
        }
    }

    fn append(&self, commit: &Commit) -> Result<(), StoreError> {
        commit.validate(self.head().txid)?;
        if commit.frames.len() > MAX_FRAMES {
            return Err(StoreError::TooLarge { pages: commit.frames.len(), limit: MAX_FRAMES });
        }
        if self.inner.borrow().recent.frames() >= FOLD_FRAMES {
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
        let before = Param::Int(before.min(self.head().txid).0);
        let fold = self.one("SELECT coalesce(max(txid), 0) FROM folds WHERE txid <= ?1", &[before])?.unwrap_or_default();
        let horizon = Txid(RowReader::new(fold).int()?);
        let oldest = self.oldest();
        // A log that begins with commit 1 is whole (see `load`): dropping the empty state before it would gain nothing.
        if horizon <= oldest || horizon == Txid(1) {
            return Ok(oldest);
        }
        let dropped = self.read_index(oldest, horizon)?.newest_of_all();
        let at = Param::Int(horizon.0);
        self.sql.transaction(&mut || {
            for (pgno, _) in &dropped {
                let sql = "DELETE FROM pages WHERE pgno = ?1 AND txid < (SELECT max(txid) FROM pages WHERE pgno = ?1 AND txid <= ?2)";
                self.sql.rows(sql, &[Param::Int(u64::from(pgno.0)), at])?;
            }
            let sql = "DELETE FROM pages WHERE pgno > (SELECT max(page_count) FROM commits WHERE txid >= ?1)";
            self.sql.rows(sql, &[at])?;
            self.sql.rows("DELETE FROM commits WHERE txid < ?1", &[at])?;
            self.sql.rows("DELETE FROM folds WHERE txid < ?1", &[at])?;
            Ok(())
        })?;
        let mut inner = self.inner.borrow_mut();
        inner.oldest = horizon;
        inner.past = None;
        Ok(horizon)
    }
}

fn cut_frame(frames: &[u8], pgno: Pgno, slot: Slot) -> Result<&[u8], StoreError> {
    let from = slot.offset as usize;
    frames.get(from..from + slot.length as usize).ok_or_else(|| StoreError::damaged_page(pgno, slot.txid, "its log row is cut"))
}

fn read_checksum(bytes: &[u8]) -> Result<Checksum, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Corrupt { what: "a stored checksum is not 8 bytes long".into() })?;
    Ok(Checksum(u64::from_le_bytes(bytes)))
}

/// The state and the page list of a log row, checked against each other.
fn read_entries(row: &mut RowReader) -> Result<(State, Vec<(Pgno, Slot)>), StoreError> {
    let state = read_state(row)?;
    let entries = decode_entries(&state, &row.blob()?)?;
    Ok((state, entries))
}

fn read_state(row: &mut RowReader) -> Result<State, StoreError> {
    let (txid, page_size, page_count, time_ms) = (Txid(row.int()?), row.int()?, row.int()?, row.int()?);
    let damaged = |what: &str| StoreError::Corrupt { what: format!("commit {txid} has an impossible {what}") };
    Ok(State {
        txid,
        page_size: u32::try_from(page_size).ok().and_then(PageSize::new).ok_or_else(|| damaged("page size"))?,
        page_count: u32::try_from(page_count).map_err(|_| damaged("page count"))?,
        time_ms,
        checksum: read_checksum(&row.blob()?)?,
    })
}
