//! What SQLite's file calls do to a page store.
//!
//! A writer gathers the pages that SQLite writes, whether at the end of a transaction or earlier because the cache spilled. They
//! become a commit when SQLite sends `SQLITE_FCNTL_COMMIT_PHASETWO`: it does so in every commit (`VACUUM`'s too), after the last
//! write and truncation, and never in a rollback. A failure there reaches the caller of `COMMIT` as an I/O error.
//!
//! **Invariants**
//! 1. Nothing uncommitted reaches the store.
//! 2. The file reads as the base state, with the pages in `written` over it, cut or extended to `page_count`. Base bytes from
//!    `kept_bytes` on were truncated away: they read as zeros until written again.
//! 3. After a commit, or after uncommitted pages are discarded, `written` is empty and the file reads as the base state.
//! 4. A reader's base never changes.
//! 5. A page of the base is changed only if SQLite had it as it was stored: see `journal`.
//!
//! **Not here:** raw pointers (`ffi`).

use super::journal::Journal;
use super::read_ahead::ReadAhead;
use crate::sqlite::file::{File, FileFailure};
use crate::store::{PageReader, PageStore, StoreError};
use littoral_protocol::{Checksum, Commit, Frame, PageSize, Pgno, State, Txid};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Tells the time, in milliseconds since 1970.
pub(crate) type Clock = Rc<dyn Fn() -> u64>;

/// An open database file.
pub(crate) struct DbFile {
    pages: Rc<dyn PageReader>,
    base: State,
    /// `None`: read-only.
    writer: Option<Writer>,
    page_size: PageSize,
    page_count: u32,
    kept_bytes: u64,
    written: BTreeMap<Pgno, Box<[u8]>>,
    /// Page 1 of the base state: SQLite looks at its header often.
    first_page: Option<Box<[u8]>>,
    journal: Journal,
    /// Checksums in the base state of the pages that the journal has.
    originals: BTreeMap<Pgno, Checksum>,
    /// Pages read before SQLite asked for them.
    ahead: ReadAhead,
    error: Option<StoreError>,
    /// Errors since one was taken: of several, SQLite has gone on after all but the last.
    errors: u32,
}

struct Writer {
    store: Rc<dyn PageStore>,
    clock: Clock,
    max_uncommitted_bytes: usize,
}

impl DbFile {
    pub(crate) fn writer(store: Rc<dyn PageStore>, clock: Clock, max_uncommitted_bytes: usize) -> DbFile {
        let head = store.head();
        DbFile::at(Rc::new(store.clone()), head, Some(Writer { store, clock, max_uncommitted_bytes }))
    }

    pub(crate) fn reader(pages: Rc<dyn PageReader>, state: State) -> DbFile {
        DbFile::at(pages, state, None)
    }

    fn at(pages: Rc<dyn PageReader>, base: State, writer: Option<Writer>) -> DbFile {
        DbFile {
            pages,
            base,
            writer,
            page_size: base.page_size,
            page_count: base.page_count,
            kept_bytes: base.size_bytes(),
            written: BTreeMap::new(),
            first_page: None,
            journal: Journal::default(),
            originals: BTreeMap::new(),
            ahead: ReadAhead::default(),
            error: None,
            errors: 0,
        }
    }

    pub(super) fn state(&self) -> State {
        self.base
    }

    /// Lets a reader read another state from now on. SQLite notices at its next transaction: see `show_version`.
    pub(super) fn move_to(&mut self, state: State) {
        self.base = state;
        self.first_page = None;
        self.ahead.clear();
        self.discard_uncommitted();
    }

    /// Bytes of the pages in use in the base state. How many are free is in the header
    /// (<https://www.sqlite.org/fileformat2.html#the_freelist>); where that cannot be read, all count.
    pub(super) fn size_in_use(&mut self) -> u64 {
        if self.first_page.is_none() && self.base.page_count > 0 {
            let mut image = vec![0; self.base.page_size.bytes()];
            // What cannot be read stays unknown here; whoever needs the page will say so.
            let _ = self.read_base_page(Pgno::FIRST, &mut image);
        }
        let free = self.first_page.as_ref().map_or(0, |first| u32::from_be_bytes([first[36], first[37], first[38], first[39]]));
        u64::from(self.base.page_count.saturating_sub(free)) * self.base.page_size.bytes() as u64
    }

    pub(super) fn pages_fetched(&self) -> u64 {
        self.pages.pages_fetched()
    }

    pub(super) fn page_size(&self) -> PageSize {
        self.page_size
    }

    pub(super) fn take_error(&mut self) -> Option<StoreError> {
        self.errors = 0;
        self.error.take()
    }

    pub(super) fn had_several_errors(&self) -> bool {
        self.errors > 1
    }

    pub(super) fn discard_uncommitted(&mut self) {
        self.written.clear();
        self.originals.clear();
        self.page_size = self.base.page_size;
        self.page_count = self.base.page_count;
        self.kept_bytes = self.base.size_bytes();
    }

    fn append(&mut self, store: &dyn PageStore, commit: &Commit) -> Result<(), StoreError> {
        store.append(commit)?;
        self.base = commit.state;
        if let Some(first) = commit.frames.first().filter(|frame| frame.pgno == Pgno::FIRST) {
            self.first_page = Some(first.image.clone());
        }
        self.ahead.clear();
        self.discard_uncommitted();
        Ok(())
    }

    /// The next commit: the written pages, and those that a truncation or a new page size changed.
    fn gather(&mut self, store: &dyn PageStore, time_ms: u64) -> Result<Commit, StoreError> {
        self.follow_page_size()?;
        let lock_page = self.page_size.lock_page();
        self.written.remove(&lock_page);
        let untouched = self.kept_bytes / self.page_size.bytes() as u64;
        for pgno in (untouched as u32 + 1..=self.page_count).map(Pgno) {
            if pgno != lock_page && !self.written.contains_key(&pgno) {
                let mut image = vec![0; self.page_size.bytes()].into_boxed_slice();
                self.read_base(pgno, &mut image)?;
                self.written.insert(pgno, image);
            }
        }
        let frames: Vec<Frame> = std::mem::take(&mut self.written).into_iter().map(|(pgno, image)| Frame::new(pgno, image)).collect();
        let state = State {
            txid: self.base.txid.next(),
            page_size: self.page_size,
            page_count: self.page_count,
            time_ms,
            checksum: self.checksum_after(store, &frames)?,
        };
        Ok(Commit { state, frames })
    }

    /// The database's checksum: the base's, with changed and truncated pages taken out and new images put in.
    fn checksum_after(&self, store: &dyn PageStore, frames: &[Frame]) -> Result<Checksum, StoreError> {
        let mut sum = self.base.checksum;
        let mut take_out = |pgno: Pgno| {
            sum ^= self.originals.get(&pgno).map_or_else(|| store.page_checksum(pgno, self.base.txid), |known| Ok(*known))?;
            Ok::<(), StoreError>(())
        };
        if self.page_size == self.base.page_size {
            for frame in frames.iter().filter(|frame| frame.pgno.0 <= self.base.page_count) {
                take_out(frame.pgno)?;
            }
            for pgno in self.page_count + 1..=self.base.page_count {
                take_out(Pgno(pgno))?;
            }
        } else {
            sum = Checksum::EMPTY;
        }
        for frame in frames {
            sum ^= frame.checksum;
        }
        Ok(sum)
    }

    fn read_page(&mut self, pgno: Pgno, image: &mut [u8]) -> Result<(), FileFailure> {
        if let Some(written) = self.written.get(&pgno) {
            image.copy_from_slice(written);
            return Ok(());
        }
        self.read_base(pgno, image).map_err(|error| self.fail(error))
    }

    /// Reads a page of the base state; zeros where the base has been cut.
    fn read_base(&mut self, pgno: Pgno, image: &mut [u8]) -> Result<(), StoreError> {
        let offset = u64::from(pgno.0 - 1) * image.len() as u64;
        let kept = self.kept_bytes.saturating_sub(offset).min(image.len() as u64) as usize;
        if kept > 0 {
            self.read_base_page(pgno, image)?;
        }
        image[kept..].fill(0);
        Ok(())
    }

    fn read_base_page(&mut self, pgno: Pgno, image: &mut [u8]) -> Result<(), StoreError> {
        if pgno != Pgno::FIRST {
            return self.ahead.read(&*self.pages, &self.base, pgno, image);
        }
        match &self.first_page {
            Some(first) => image.copy_from_slice(first),
            None => {
                self.pages.read_page(pgno, self.base.txid, image)?;
                if self.writer.is_none() {
                    show_version(image, self.base.txid);
                }
                self.first_page = Some((&*image).into());
            }
        }
        Ok(())
    }

    /// The first write to an empty database is one page long: that is its page size.
    fn take_first_page_size(&mut self, length: usize) {
        let empty = self.base.page_count == 0 && self.written.is_empty();
        if let Some(size) = u32::try_from(length).ok().and_then(PageSize::new).filter(|_| empty) {
            self.page_size = size;
        }
    }

    /// Cuts the file anew when `VACUUM` has changed the page size: it writes the new file in pages of the old size (and a piece here
    /// and there), and only the header in page 1 says so.
    fn follow_page_size(&mut self) -> Result<(), StoreError> {
        let header = self.written.get(&Pgno::FIRST).and_then(|page| header_sizes(page));
        let Some((page_size, page_count)) = header.filter(|(page_size, _)| *page_size != self.page_size) else {
            return Ok(());
        };
        let mut written = BTreeMap::new();
        for pgno in (1..=page_count).map(Pgno) {
            let mut image = vec![0; page_size.bytes()].into_boxed_slice();
            let read = self.read(u64::from(pgno.0 - 1) * image.len() as u64, &mut image);
            read.map_err(|_| self.take_error().unwrap_or_else(|| StoreError::Io(format!("page {pgno} could not be read"))))?;
            written.insert(pgno, image);
        }
        self.written = written;
        self.page_size = page_size;
        self.page_count = page_count;
        self.kept_bytes = 0;
        Ok(())
    }

    /// Calls `visit` with each page that `length` bytes at `offset` touch, where in the page they begin, and which of them lie in it.
    fn for_each_page(
        &mut self,
        offset: u64,
        length: usize,
        mut visit: impl FnMut(&mut DbFile, Pgno, usize, std::ops::Range<usize>) -> Result<(), FileFailure>,
    ) -> Result<(), FileFailure> {
        let page_bytes = self.page_size.bytes();
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let from = (at % page_bytes as u64) as usize;
            let piece = (page_bytes - from).min(length - done);
            visit(self, self.page_size.page_at(at), from, done..done + piece)?;
            done += piece;
        }
        Ok(())
    }

    fn fail(&mut self, error: StoreError) -> FileFailure {
        self.errors += 1;
        let failure = match &error {
            StoreError::Corrupt { .. } | StoreError::Schema(_) | StoreError::MemoryDamaged(_) => FileFailure::Corrupt,
            StoreError::Full(_) | StoreError::TooLarge { .. } => FileFailure::Full,
            StoreError::Pruned { .. }
            | StoreError::Thinned { .. }
            | StoreError::Future { .. }
            | StoreError::InvalidCommit(_)
            | StoreError::Missing(_)
            | StoreError::Io(_) => FileFailure::Store,
        };
        self.error = Some(error);
        failure
    }
}

impl File for DbFile {
    /// The length of the file, in bytes.
    fn size(&self) -> u64 {
        u64::from(self.page_count) * self.page_size.bytes() as u64
    }

    /// Reads at `offset`. Returns how many bytes the file has there; the rest of `buffer` is zeroed.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, FileFailure> {
        let available = self.size().saturating_sub(offset).min(buffer.len() as u64) as usize;
        let (inside, outside) = buffer.split_at_mut(available);
        outside.fill(0);
        self.for_each_page(offset, inside.len(), |file, pgno, from, range| {
            let piece = &mut inside[range];
            if from == 0 && piece.len() == file.page_size.bytes() {
                return file.read_page(pgno, piece);
            }
            if let Some(first) = file.first_page.as_ref().filter(|_| pgno == Pgno::FIRST && file.writer.is_none()) {
                // SQLite looks at the header at the beginning of every transaction.
                piece.copy_from_slice(&first[from..from + piece.len()]);
                return Ok(());
            }
            let mut image = vec![0; file.page_size.bytes()];
            file.read_page(pgno, &mut image)?;
            piece.copy_from_slice(&image[from..from + piece.len()]);
            Ok(())
        })?;
        Ok(available)
    }

    /// Writes `data` at `offset`, in memory until the next commit.
    fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), FileFailure> {
        let limit = self.writer.as_ref().ok_or(FileFailure::ReadOnly)?.max_uncommitted_bytes;
        self.take_first_page_size(data.len());
        let page_bytes = self.page_size.bytes();
        // A page written before needs no more room: a rollback writes those again.
        let fits = (self.written.len() + 1) * page_bytes <= limit || self.written.contains_key(&self.page_size.page_at(offset));
        if !fits {
            let error = StoreError::TooLarge { pages: self.written.len() + 1, limit: limit / page_bytes };
            return Err(self.fail(error));
        }
        self.for_each_page(offset, data.len(), |file, pgno, from, range| {
            let piece = &data[range];
            if piece.len() == page_bytes {
                file.written.insert(pgno, piece.into());
            } else {
                let mut image = vec![0; page_bytes].into_boxed_slice();
                file.read_page(pgno, &mut image)?;
                image[from..from + piece.len()].copy_from_slice(piece);
                file.written.insert(pgno, image);
            }
            file.page_count = file.page_count.max(pgno.0);
            Ok(())
        })
    }

    /// Cuts the file to `size` bytes.
    fn truncate(&mut self, size: u64) -> Result<(), FileFailure> {
        if self.writer.is_none() {
            return Err(FileFailure::ReadOnly);
        }
        self.page_count = size.div_ceil(self.page_size.bytes() as u64) as u32;
        self.written.split_off(&Pgno(self.page_count + 1));
        self.kept_bytes = self.kept_bytes.min(size);
        Ok(())
    }

    /// Makes what was written the next commit. Nothing written: no commit.
    fn commit(&mut self) -> Result<(), FileFailure> {
        let unchanged = self.written.is_empty() && self.page_count == self.base.page_count;
        let Some(writer) = self.writer.as_ref().filter(|_| !unchanged) else { return Ok(()) };
        let time_ms = (writer.clock)().max(self.base.time_ms);
        let store = writer.store.clone();
        let appended = self.gather(&*store, time_ms).and_then(|commit| self.append(&*store, &commit));
        appended.map_err(|error| {
            self.discard_uncommitted();
            self.fail(error)
        })
    }

    /// The length of the rollback journal, in bytes.
    fn journal_size(&self) -> u64 {
        self.journal.size()
    }

    /// Reads the rollback journal. Returns how many bytes it has there.
    fn read_journal(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, FileFailure> {
        let journal = std::mem::take(&mut self.journal);
        let read = journal.read(offset, buffer, |pgno, image| self.read_base_page(pgno, image));
        self.journal = journal;
        read.map_err(|error| self.fail(error))
    }

    /// Writes to the rollback journal: SQLite is about to change a page for the first time.
    fn write_journal(&mut self, offset: u64, data: &[u8]) -> Result<(), FileFailure> {
        let store = self.writer.as_ref().ok_or(FileFailure::ReadOnly)?.store.clone();
        let Some(pgno) = self.journal.page_of(offset, data, self.base.page_size.bytes()) else {
            let error = || StoreError::Io(format!("the journal was written at {offset}, which is not its end"));
            return if self.journal.write(offset, data) { Ok(()) } else { Err(self.fail(error())) };
        };
        let stored = store.page_checksum(pgno, self.base.txid).map_err(|error| self.fail(error))?;
        if Checksum::of_page(pgno, data) != stored {
            return Err(self.fail(StoreError::MemoryDamaged(pgno)));
        }
        self.journal.push_image(pgno, data.len());
        self.originals.insert(pgno, stored);
        Ok(())
    }

    /// Cuts the rollback journal to `size` bytes: to none when the transaction has ended.
    fn truncate_journal(&mut self, size: u64) {
        self.journal.truncate(size);
    }
}

/// Writes a txid into a database header as SQLite's file change counter: the writer does not count there, since it would rewrite page 1
/// with every commit, and a reader that moves from state to state has to see that they differ.
fn show_version(first_page: &mut [u8], txid: Txid) {
    let counter = (txid.0 as u32).to_be_bytes();
    for at in [24, 92] {
        if let Some(field) = first_page.get_mut(at..at + 4) {
            field.copy_from_slice(&counter);
        }
    }
}

/// The page size and the number of pages, as the database header says (<https://www.sqlite.org/fileformat2.html#the_database_header>).
fn header_sizes(first_page: &[u8]) -> Option<(PageSize, u32)> {
    let page_size = match u16::from_be_bytes(*first_page.get(16..)?.first_chunk()?) {
        1 => 65_536,
        bytes => u32::from(bytes),
    };
    Some((PageSize::new(page_size)?, u32::from_be_bytes(*first_page.get(28..)?.first_chunk()?)))
}
