//! What SQLite's file calls do to a page store.
//!
//! A writer gathers the pages that SQLite writes, whether at the end of a transaction or earlier because the cache spilled
//! (`uncommitted`). They become a commit when SQLite sends `SQLITE_FCNTL_COMMIT_PHASETWO`: it does so in every commit (`VACUUM`'s too), after the last
//! write and truncation, and never in a rollback. A failure there reaches the caller of `COMMIT` as an I/O error.
//!
//! **Invariants**
//! 1. Nothing uncommitted is part of a state.
//! 2. The file reads as the base state, with the uncommitted pages over it, cut or extended to `page_count`. Base bytes from
//!    `kept_bytes` on were truncated away: they read as zeros until written again.
//! 3. After a commit, or after uncommitted pages are discarded, the file reads as the base state.
//! 4. A reader's base never changes.
//! 5. A page of the base is changed only if SQLite had it as it was stored: see `journal`.
//!
//! **Not here:** raw pointers (`ffi`).

use super::journal::Journal;
use super::read_ahead::ReadAhead;
use super::uncommitted::Uncommitted;
use crate::sqlite::file::{File, FileFailure};
use crate::sqlite::page_cache::forget_only;
use crate::store::{PageReader, PageStore, StoreError};
use littoral_protocol::{Checksum, PageSize, Pgno, State, Txid};
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
    /// Page 1 of the base state: SQLite looks at its header often.
    first_page: Option<Box<[u8]>>,
    /// The state of which SQLite has read page 1 last: every page in its cache is as in that one.
    cached: Option<State>,
    journal: Journal,
    /// Pages read before SQLite asked for them.
    ahead: ReadAhead,
    error: Option<StoreError>,
    /// Errors since one was taken: of several, SQLite has gone on after all but the last.
    errors: u32,
}

struct Writer {
    clock: Clock,
    uncommitted: Uncommitted,
}

impl DbFile {
    /// Keeps uncommitted pages of so many bytes in memory.
    pub(crate) fn writer(store: Rc<dyn PageStore>, clock: Clock, uncommitted_bytes: usize) -> DbFile {
        let head = store.head();
        DbFile::at(Rc::new(store.clone()), head, Some(Writer { clock, uncommitted: Uncommitted::new(store, uncommitted_bytes) }))
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
            first_page: None,
            cached: None,
            journal: Journal::default(),
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
        let changed = self.pages.changed_lately(&self.base, &state);
        self.first_page = self.first_page.take().filter(|_| changed.is_some_and(|changed| !changed.contains(Pgno::FIRST)));
        if let Some(first) = &mut self.first_page {
            show_version(first, state.txid);
        }
        self.base = state;
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
        if let Some(writer) = &mut self.writer {
            writer.uncommitted.discard();
        }
        self.page_size = self.base.page_size;
        self.page_count = self.base.page_count;
        self.kept_bytes = self.base.size_bytes();
    }

    /// Makes what was written the next commit: with it the pages that a truncation or a new page size changed.
    fn append(&mut self, time_ms: u64) -> Result<(), StoreError> {
        self.follow_page_size()?;
        self.complete()?;
        let Some(Writer { uncommitted, .. }) = &mut self.writer else { return Ok(()) };
        let (page_size, page_count) = (self.page_size, self.page_count);
        let mut state = State { txid: self.base.txid.next(), page_size, page_count, time_ms, checksum: Checksum::EMPTY };
        let was_staged = uncommitted.is_staged();
        let first = uncommitted.commit(&self.base, &mut state)?;
        if was_staged || first.is_some() {
            self.first_page = first;
        }
        self.base = state;
        self.ahead.clear();
        self.discard_uncommitted();
        Ok(())
    }

    /// Adds the pages of the base that a truncation changed.
    fn complete(&mut self) -> Result<(), StoreError> {
        let lock_page = self.page_size.lock_page();
        let untouched = (self.kept_bytes / self.page_size.bytes() as u64) as u32;
        let Some(Writer { uncommitted, .. }) = &mut self.writer else { return Ok(()) };
        uncommitted.forget(lock_page);
        if untouched >= self.page_count {
            return Ok(());
        }
        let written = uncommitted.pages();
        for pgno in (untouched + 1..=self.page_count).map(Pgno).filter(|pgno| *pgno != lock_page && !written.contains(*pgno)) {
            let mut image = vec![0; self.page_size.bytes()].into_boxed_slice();
            self.read_base(pgno, &mut image)?;
            let Some(Writer { uncommitted, .. }) = &mut self.writer else { continue };
            uncommitted.write(pgno, image);
            uncommitted.spill(&self.base)?;
        }
        Ok(())
    }

    fn read_page(&mut self, pgno: Pgno, image: &mut [u8]) -> Result<(), FileFailure> {
        let written = self.writer.as_ref().map_or(Ok(false), |writer| writer.uncommitted.read(pgno, image));
        let read = written.and_then(|written| if written { Ok(()) } else { self.read_base(pgno, image) });
        read.map_err(|error| self.fail(error))
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

    /// SQLite has read the version of the file, and will forget all pages if it is new: says which of them are other now.
    fn tell_changed(&self) {
        let cached = self.cached.filter(|cached| version(cached.txid) != version(self.base.txid));
        let changed = cached.and_then(|cached| self.pages.changed_lately(&cached, &self.base));
        forget_only(changed.map(|mut changed| {
            // SQLite takes the version from there, when it reads it again.
            changed.insert(Pgno::FIRST);
            changed
        }));
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
        let empty = self.base.page_count == 0 && self.writer.as_ref().is_none_or(|writer| writer.uncommitted.is_empty());
        if let Some(size) = u32::try_from(length).ok().and_then(PageSize::new).filter(|_| empty) {
            self.page_size = size;
        }
    }

    /// Cuts the file anew when `VACUUM` has changed the page size: it writes the new file in pages of the old size (and a piece here
    /// and there), and only the header in page 1 says so. It writes every page, so none of the base is needed.
    fn follow_page_size(&mut self) -> Result<(), StoreError> {
        let (old_size, old_bytes) = (self.page_size, self.page_size.bytes() as u64);
        let Some(Writer { uncommitted, .. }) = &mut self.writer else { return Ok(()) };
        let mut first = vec![0; old_size.bytes()];
        let header = if uncommitted.read(Pgno::FIRST, &mut first)? { PageSize::from_header(&first) } else { None };
        let Some((page_size, page_count)) = header.filter(|(page_size, _)| *page_size != old_size) else { return Ok(()) };
        let old = uncommitted.take_all().ok_or_else(|| StoreError::Full("a database this large keeps its page size".into()))?;
        let byte = |at: u64| old.get(&old_size.page_at(at)).map_or(0, |page| page[(at % old_bytes) as usize]);
        for pgno in (1..=page_count).map(Pgno) {
            let begin = u64::from(pgno.0 - 1) * page_size.bytes() as u64;
            uncommitted.write(pgno, (begin..begin + page_size.bytes() as u64).map(byte).collect());
        }
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
            StoreError::Full(_) => FileFailure::Full,
            StoreError::Pruned { .. }
            | StoreError::Thinned { .. }
            | StoreError::Future { .. }
            | StoreError::InvalidCommit(_)
            | StoreError::NotADatabase(_)
            | StoreError::NoDatabase
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
        let buffer_length = buffer.len();
        let available = self.size().saturating_sub(offset).min(buffer_length as u64) as usize;
        let (inside, outside) = buffer.split_at_mut(available);
        outside.fill(0);
        self.for_each_page(offset, inside.len(), |file, pgno, from, range| {
            let piece = &mut inside[range];
            if from == 0 && piece.len() == file.page_size.bytes() {
                file.cached = file.cached.filter(|_| pgno != Pgno::FIRST);
                file.read_page(pgno, piece)?;
                file.cached = file.cached.or((pgno == Pgno::FIRST).then_some(file.base));
                return Ok(());
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
        if self.writer.is_none() && (offset, buffer_length) == VERSION {
            self.tell_changed();
        }
        Ok(available)
    }

    /// Writes `data` at `offset`: no state has it until the next commit.
    fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), FileFailure> {
        self.take_first_page_size(data.len());
        let page_bytes = self.page_size.bytes();
        self.for_each_page(offset, data.len(), |file, pgno, from, range| {
            let piece = &data[range];
            let image = if piece.len() == page_bytes {
                piece.into()
            } else {
                let mut image = vec![0; page_bytes].into_boxed_slice();
                file.read_page(pgno, &mut image)?;
                image[from..from + piece.len()].copy_from_slice(piece);
                image
            };
            let Writer { uncommitted, .. } = file.writer.as_mut().ok_or(FileFailure::ReadOnly)?;
            uncommitted.write(pgno, image);
            file.page_count = file.page_count.max(pgno.0);
            uncommitted.spill(&file.base).map_err(|error| file.fail(error))
        })
    }

    /// Cuts the file to `size` bytes.
    fn truncate(&mut self, size: u64) -> Result<(), FileFailure> {
        let Writer { uncommitted, .. } = self.writer.as_mut().ok_or(FileFailure::ReadOnly)?;
        self.page_count = size.div_ceil(self.page_size.bytes() as u64) as u32;
        self.kept_bytes = self.kept_bytes.min(size);
        uncommitted.cut(self.page_count).map_err(|error| self.fail(error))
    }

    /// Makes what was written the next commit. Nothing written: no commit.
    fn commit(&mut self) -> Result<(), FileFailure> {
        let has_other_length = self.page_count != self.base.page_count;
        let writer = self.writer.as_ref().filter(|writer| has_other_length || !writer.uncommitted.is_empty());
        let Some(Writer { clock, .. }) = writer else { return Ok(()) };
        let time_ms = clock().max(self.base.time_ms);
        self.append(time_ms).map_err(|error| {
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
        let store = self.writer.as_ref().ok_or(FileFailure::ReadOnly)?.uncommitted.store().clone();
        let Some(pgno) = self.journal.page_of(offset, data, self.base.page_size.bytes()) else {
            let error = || StoreError::Io(format!("the journal was written at {offset}, which is not its end"));
            return if self.journal.write(offset, data) { Ok(()) } else { Err(self.fail(error())) };
        };
        let stored = store.page_checksum(pgno, self.base.txid).map_err(|error| self.fail(error))?;
        if Checksum::of_page(pgno, data) != stored {
            return Err(self.fail(StoreError::MemoryDamaged(pgno)));
        }
        self.journal.push_image(data.len());
        if let Some(writer) = &mut self.writer {
            writer.uncommitted.note_original(pgno, stored);
        }
        Ok(())
    }

    /// Cuts the rollback journal to `size` bytes: to none when the transaction has ended.
    fn truncate_journal(&mut self, size: u64) {
        self.journal.truncate(size);
    }
}

/// Where SQLite looks for the version of a file as a transaction begins, and how many bytes it reads there.
const VERSION: (u64, usize) = (24, 16);

/// Writes a version into a database header as SQLite's file change counter: the writer does not count there, since it would rewrite page 1
/// with every commit, and a reader that moves from state to state has to see that they differ.
fn show_version(first_page: &mut [u8], txid: Txid) {
    for at in [VERSION.0 as usize, 92] {
        if let Some(field) = first_page.get_mut(at..at + 4) {
            field.copy_from_slice(&version(txid));
        }
    }
}

fn version(txid: Txid) -> [u8; 4] {
    (txid.0 as u32).to_be_bytes()
}
