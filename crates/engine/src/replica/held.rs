//! Pages that a replica keeps in SQL storage: they survive its eviction and its restart.
//!
//! All are as of one position, which is written with them. Since a storage row written costs the same whatever its size, changes are gathered in
//! memory and written together: a crash loses some of them, and the replica goes on from the position that was written last.
//!
//! | table | columns |
//! |---|---|
//! | `replica` | `key` = `position`, `value`: the database, txid, page size, page count, time, checksum, and the XXH64 of the text before it |
//! | `held` | `pgno`, `checksum`, `image` (stored as in the commit log) |
//!
//! **Invariants**
//! 1. What is stored is as of the stored position; what is read is as of the position in memory.
//! 2. The bytes of the images are within the budget, after each write.
//!
//! **Not here:** versions (`cache`): there is one of each page.

use super::Sizes;
use crate::commit_log::{Changed, LoggedCommit, StoredFrame};
use crate::store::StoreError;
use crate::store::durable::{Param, Sql, StoredValue};
use littoral_protocol::{Checksum, DatabaseId, PageSize, Pgno, State, Txid};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// How many entries of the queue may be of pages that are not there any more, beyond one for each that is.
const QUEUE_SLACK: usize = 1_000;

/// Where a follower keeps pages beyond its memory.
pub trait PageShelf {
    /// The position that it was left at.
    fn position(&self) -> Option<(DatabaseId, State)>;
    /// What is wrong with the position that it was left at, if that is of no use.
    fn damage(&self) -> Option<&'static str>;
    /// The page as of the position.
    fn read(&self, pgno: Pgno) -> Result<Option<StoredFrame>, StoreError>;
    /// Keeps pages of the position.
    fn put(&self, frames: &[StoredFrame]) -> Result<(), StoreError>;
    /// Moves the position over commits: pages that are held are replaced, or dropped where no image came.
    fn advance(&self, commits: &[LoggedCommit]) -> Result<(), StoreError>;
    /// Begins anew with these pages.
    fn restart(&self, database: DatabaseId, state: &State, frames: &[StoredFrame]) -> Result<(), StoreError>;
    /// Drops everything.
    fn clear(&self) -> Result<(), StoreError>;
    /// Writes what was gathered.
    fn flush(&self) -> Result<(), StoreError>;
}

/// A shelf in SQL storage.
pub struct HeldPages<Q> {
    sql: Q,
    budget: usize,
    sizes: Sizes,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    position: Option<(DatabaseId, State)>,
    damage: Option<&'static str>,
    /// What is stored or gathered: the length of each page's image, and whether it was read since it was last spared.
    index: HashMap<Pgno, Entry>,
    bytes: usize,
    /// Not written yet; `None`: to be deleted.
    gathered: BTreeMap<Pgno, Option<StoredFrame>>,
    gathered_bytes: Gathered,
    /// Pages in the order in which they may be evicted; some are not there any more, and some are named twice.
    queue: std::collections::VecDeque<Pgno>,
}

struct Entry {
    bytes: usize,
    used: bool,
}

thread_local! {
    /// Bytes that all shelves of this isolate have gathered.
    static ALL_GATHERED: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that a shelf has gathered.
#[derive(Default)]
struct Gathered(usize);

impl Gathered {
    fn change(&mut self, more: usize, less: usize) {
        self.0 = self.0 + more - less;
        ALL_GATHERED.set(ALL_GATHERED.get() + more - less);
    }

    fn are_many(&self, sizes: &Sizes) -> bool {
        self.0 > sizes.gathered_bytes || self.0 > sizes.few_gathered_bytes && ALL_GATHERED.get() > sizes.all_gathered_bytes
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        ALL_GATHERED.set(ALL_GATHERED.get() - self.0);
    }
}

impl<Q: Sql> HeldPages<Q> {
    /// Opens the shelf in `sql`, and creates its tables in storage that is empty. `budget` is in bytes of images.
    pub fn open(sql: Q, budget: usize) -> Result<HeldPages<Q>, StoreError> {
        sql.rows("CREATE TABLE IF NOT EXISTS replica (key TEXT PRIMARY KEY, value) WITHOUT ROWID", &[])?;
        sql.rows("CREATE TABLE IF NOT EXISTS held (pgno INTEGER PRIMARY KEY, checksum BLOB NOT NULL, image BLOB NOT NULL)", &[])?;
        let held = HeldPages { sql, budget, sizes: Sizes::default(), inner: RefCell::default() };
        held.load()?;
        Ok(held)
    }

    /// The same with other sizes.
    pub fn with_sizes(self, sizes: Sizes) -> HeldPages<Q> {
        HeldPages { sizes, ..self }
    }

    fn load(&self) -> Result<(), StoreError> {
        let mut values: HashMap<String, StoredValue> = HashMap::new();
        for row in self.sql.rows("SELECT key, value FROM replica", &[])? {
            if let [StoredValue::Text(key), value] = &row[..] {
                values.insert(key.clone(), value.clone());
            }
        }
        let mut inner = self.inner.borrow_mut();
        let Some(position) = values.get("position") else { return Ok(()) };
        inner.position = read_position(position);
        if inner.position.is_none() {
            inner.damage = Some("the stored position is damaged");
            return Ok(());
        }
        for row in self.sql.rows("SELECT pgno, length(image) FROM held", &[])? {
            if let [StoredValue::Int(pgno), StoredValue::Int(bytes)] = row[..] {
                inner.add(Pgno(pgno as u32), bytes as usize);
            }
        }
        Ok(())
    }

    /// Writes the position and what was gathered, in one transaction.
    fn write(&self, inner: &mut Inner) -> Result<(), StoreError> {
        let evicted = inner.choose_evicted(self.budget);
        let written = self.sql.transaction(&mut || {
            for pgno in &evicted {
                self.delete(*pgno)?;
            }
            for (pgno, frame) in &inner.gathered {
                match frame {
                    _ if evicted.contains(pgno) => {}
                    Some(frame) => {
                        let checksum = frame.checksum.0.to_le_bytes();
                        let params = [Param::Int(u64::from(pgno.0)), Param::Blob(&checksum), Param::Blob(&frame.stored)];
                        self.sql.rows("INSERT OR REPLACE INTO held (pgno, checksum, image) VALUES (?1, ?2, ?3)", &params)?;
                    }
                    None => self.delete(*pgno)?,
                }
            }
            self.write_position(inner.position.as_ref())
        });
        if written.is_err() {
            inner.queue.extend(evicted);
            return written;
        }
        for pgno in evicted {
            inner.remove(pgno);
        }
        inner.gathered.clear();
        inner.gathered_bytes = Gathered::default();
        Ok(())
    }

    fn delete(&self, pgno: Pgno) -> Result<(), StoreError> {
        self.sql.rows("DELETE FROM held WHERE pgno = ?1", &[Param::Int(u64::from(pgno.0))])?;
        Ok(())
    }

    fn write_position(&self, position: Option<&(DatabaseId, State)>) -> Result<(), StoreError> {
        let Some((database, state)) = position else { return Ok(()) };
        // One value, so one row: text, since integers have 53 bits here.
        let State { txid, page_size, page_count, time_ms, checksum } = state;
        let text = format!("{database} {txid} {} {page_count} {time_ms} {checksum}", page_size.as_u32());
        let text = format!("{text} {}", seal(&text));
        self.sql.rows("INSERT OR REPLACE INTO replica (key, value) VALUES ('position', ?1)", &[Param::Text(&text)])?;
        Ok(())
    }
}

impl Inner {
    fn add(&mut self, pgno: Pgno, bytes: usize) {
        match self.index.insert(pgno, Entry { bytes, used: false }) {
            Some(old) => self.bytes -= old.bytes,
            None => self.queue.push_back(pgno),
        }
        self.bytes += bytes;
        if self.queue.len() > 2 * self.index.len() + QUEUE_SLACK {
            let mut seen = HashSet::new();
            self.queue.retain(|pgno| self.index.contains_key(pgno) && seen.insert(*pgno));
        }
    }

    fn remove(&mut self, pgno: Pgno) {
        if let Some(old) = self.index.remove(&pgno) {
            self.bytes -= old.bytes;
        }
    }

    fn gather(&mut self, pgno: Pgno, frame: Option<&StoredFrame>) {
        let bytes = frame.map_or(0, |frame| frame.stored.len());
        match frame {
            Some(_) => self.add(pgno, bytes),
            None => self.remove(pgno),
        }
        let old = self.gathered.insert(pgno, frame.cloned());
        self.gathered_bytes.change(bytes, old.flatten().map_or(0, |old| old.stored.len()));
    }

    /// Pages to let go of, so that the rest is within `budget`: the oldest that were not read since they were last spared.
    fn choose_evicted(&mut self, budget: usize) -> BTreeSet<Pgno> {
        let (mut evicted, mut freed) = (BTreeSet::new(), 0);
        let mut looked_at = 0;
        let most = 2 * self.queue.len();
        while self.bytes - freed > budget && looked_at < most {
            looked_at += 1;
            let Some(pgno) = self.queue.pop_front() else { break };
            match self.index.get_mut(&pgno) {
                Some(entry) if entry.used => {
                    entry.used = false;
                    self.queue.push_back(pgno);
                }
                Some(entry) if evicted.insert(pgno) => freed += entry.bytes,
                Some(_) | None => {}
            }
        }
        evicted
    }
}

impl<Q: Sql> PageShelf for HeldPages<Q> {
    fn position(&self) -> Option<(DatabaseId, State)> {
        self.inner.borrow().position
    }

    fn damage(&self) -> Option<&'static str> {
        self.inner.borrow().damage
    }

    fn read(&self, pgno: Pgno) -> Result<Option<StoredFrame>, StoreError> {
        let mut inner = self.inner.borrow_mut();
        let Some(entry) = inner.index.get_mut(&pgno) else { return Ok(None) };
        entry.used = true;
        if let Some(gathered) = inner.gathered.get(&pgno) {
            return Ok(gathered.clone());
        }
        let rows = self.sql.rows("SELECT checksum, image FROM held WHERE pgno = ?1", &[Param::Int(u64::from(pgno.0))])?;
        let frame = rows.into_iter().next().and_then(|row| {
            let [StoredValue::Blob(checksum), StoredValue::Blob(stored)] = &row[..] else { return None };
            let checksum = Checksum(u64::from_le_bytes(checksum.as_slice().try_into().ok()?));
            Some(StoredFrame { pgno, checksum, stored: stored.as_slice().into() })
        });
        Ok(frame)
    }

    fn put(&self, frames: &[StoredFrame]) -> Result<(), StoreError> {
        let mut inner = self.inner.borrow_mut();
        for frame in frames {
            inner.gather(frame.pgno, Some(frame));
        }
        if inner.gathered_bytes.are_many(&self.sizes) { self.write(&mut inner) } else { Ok(()) }
    }

    fn advance(&self, commits: &[LoggedCommit]) -> Result<(), StoreError> {
        let mut inner = self.inner.borrow_mut();
        let Some(((_, before), last)) = inner.position.zip(commits.last()) else { return Ok(()) };
        let mut page_count = before.page_count;
        let mut changed: BTreeMap<Pgno, Option<&StoredFrame>> = BTreeMap::new();
        for LoggedCommit { state, pages } in commits {
            changed.extend(
                (state.page_count + 1..=page_count).map(|pgno| (Pgno(pgno), None)).filter(|(pgno, _)| inner.index.contains_key(pgno)),
            );
            page_count = state.page_count;
            match pages {
                Changed::Images(frames) => {
                    changed.extend(frames.iter().map(|frame| (frame.pgno, Some(frame).filter(|frame| frame.has_image()))))
                }
                Changed::Numbers(pgnos) => changed.extend(pgnos.iter().map(|pgno| (*pgno, None))),
            }
        }
        for (pgno, frame) in changed {
            if inner.index.contains_key(&pgno) {
                inner.gather(pgno, frame);
            }
        }
        if let Some((_, state)) = &mut inner.position {
            *state = last.state;
        }
        if inner.gathered_bytes.are_many(&self.sizes) { self.write(&mut inner) } else { Ok(()) }
    }

    fn restart(&self, database: DatabaseId, state: &State, frames: &[StoredFrame]) -> Result<(), StoreError> {
        self.clear()?;
        let mut inner = self.inner.borrow_mut();
        inner.position = Some((database, *state));
        for frame in frames {
            inner.gather(frame.pgno, Some(frame));
        }
        self.write(&mut inner)
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.sql.transaction(&mut || {
            self.sql.rows("DELETE FROM held", &[])?;
            self.sql.rows("DELETE FROM replica", &[])?;
            Ok(())
        })?;
        self.inner.replace(Inner::default());
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut inner = self.inner.borrow_mut();
        if inner.gathered.is_empty() && inner.position.is_none() {
            return Ok(());
        }
        self.write(&mut inner)
    }
}

/// Nothing else would tell a damaged position: its pages are right, each by itself.
fn seal(text: &str) -> Checksum {
    Checksum::of_page(Pgno(0), text.as_bytes())
}

fn read_position(stored: &StoredValue) -> Option<(DatabaseId, State)> {
    let StoredValue::Text(text) = stored else { return None };
    let (text, _) = text.rsplit_once(' ').filter(|(text, sealed)| *sealed == seal(text).to_string())?;
    let mut fields = text.split(' ');
    let mut hex = || u64::from_str_radix(fields.next()?, 16).ok();
    let (database, txid) = (DatabaseId(hex()?), Txid(hex()?));
    let page_size = PageSize::new(fields.next()?.parse().ok()?)?;
    let (page_count, time_ms) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let checksum = Checksum(u64::from_str_radix(fields.next()?, 16).ok()?);
    Some((database, State { txid, page_size, page_count, time_ms, checksum }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Fault, FaultySql, HostSql};
    use littoral_protocol::Frame;

    #[test]
    fn a_position_with_one_byte_changed_is_no_position() {
        let sql = std::rc::Rc::new(HostSql::in_memory().unwrap());
        let state = State { txid: Txid(0x2a), page_size: PageSize::new(512).unwrap(), page_count: 9, ..State::EMPTY };
        HeldPages::open(sql.clone(), 1_500).unwrap().with_sizes(Sizes::TINY).restart(DatabaseId(7), &state, &[]).unwrap();
        let text: String = sql.connection().query_row("SELECT value FROM replica", (), |row| row.get(0)).unwrap();
        assert_eq!(read_position(&StoredValue::Text(text.clone())), Some((DatabaseId(7), state)));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            sql.connection().execute("UPDATE replica SET value = ?1", [String::from_utf8(bytes).unwrap()]).unwrap();
            let shelf = HeldPages::open(sql.clone(), 1_500).unwrap().with_sizes(Sizes::TINY);
            assert_eq!((shelf.position(), shelf.damage()), (None, Some("the stored position is damaged")), "byte {at}");
        }
    }

    #[test]
    fn many_shelves_gather_no_more_together_than_one_isolate_bears() {
        let state = |txid| State { txid: Txid(txid), page_size: PageSize::new(512).unwrap(), page_count: 9, ..State::EMPTY };
        let image: Vec<u8> = (0..64).flat_map(|n| Checksum::of_page(Pgno(n), &[7]).0.to_be_bytes()).collect();
        let frame = |pgno| StoredFrame::pack(&Frame::new(Pgno(pgno), image.clone().into()));
        let shelves: Vec<_> =
            (0..100).map(|_| HeldPages::open(HostSql::in_memory().unwrap(), 1 << 20).unwrap().with_sizes(Sizes::TINY)).collect();
        for shelf in &shelves {
            shelf.restart(DatabaseId(7), &state(1), &[]).unwrap();
            shelf.put(&[frame(1), frame(2), frame(3)]).unwrap();
            assert!(ALL_GATHERED.get() <= Sizes::TINY.all_gathered_bytes + 100 * Sizes::TINY.few_gathered_bytes);
        }
        let gathered: usize = shelves.iter().map(|shelf| shelf.inner.borrow().gathered_bytes.0).sum();
        assert!(gathered > 10_000 && gathered == ALL_GATHERED.get(), "{gathered} bytes are gathered");
        assert!(shelves.iter().all(|shelf| shelf.read(Pgno(3)).unwrap().is_some()));
        drop(shelves);
        assert_eq!(ALL_GATHERED.get(), 0);
    }

    #[test]
    fn the_budget_holds_when_pages_were_dropped_and_came_back_and_when_writing_failed() {
        let fault = Fault::default();
        let sql = std::rc::Rc::new(HostSql::in_memory().unwrap());
        let shelf = HeldPages::open(FaultySql::new(sql.clone(), fault.clone()), 1_500).unwrap().with_sizes(Sizes::TINY);
        let state = |txid| State { txid: Txid(txid), page_size: PageSize::new(512).unwrap(), page_count: 9, ..State::EMPTY };
        let frame = |pgno: u32| {
            let image: Vec<u8> = (0..64).flat_map(|n| Checksum::of_page(Pgno(n), &[pgno as u8]).0.to_be_bytes()).collect();
            StoredFrame::pack(&Frame::new(Pgno(pgno), image.into()))
        };
        let stored = || sql.connection().query_row("SELECT sum(length(image)) FROM held", (), |row| row.get::<_, i64>(0)).unwrap();
        shelf.restart(DatabaseId(7), &state(1), &[frame(1)]).unwrap();
        for txid in 2..5_000 {
            shelf.advance(&[LoggedCommit { state: state(txid), pages: Changed::Numbers(vec![Pgno(1)]) }]).unwrap();
            shelf.put(&[frame(1)]).unwrap();
        }
        assert!(shelf.inner.borrow().queue.len() <= QUEUE_SLACK + 2, "the queue does not grow without end");
        shelf.put(&[frame(2), frame(3), frame(4), frame(5)]).unwrap();
        fault.fail_at(2);
        shelf.flush().unwrap_err();
        fault.clear();
        shelf.flush().unwrap();
        assert_eq!(stored(), 1_024);
    }
}
