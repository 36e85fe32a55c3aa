//! SQLite's view of a page store: a VFS whose files are states of a store.
//!
//! A [`DatabaseFile`] is opened under a name of its own, either for writing (at the head, one at a time) or for reading one state.
//! SQLite then opens that name through the VFS [`DatabaseFile::vfs_name`]. What the file does is in `db_file`; `sqlite` only translates.
//!
//! How SQLite is to be configured on such a connection, and why:
//! - `journal_mode = TRUNCATE` for the writer: SQLite's own rollback journal serves statement aborts and savepoints, and shows each page
//!   before it is changed; nothing of it is stored (`journal`).
//! - `temp_store = FILE` where there is scratch space: sorters, temporary trees and the statement journal may be longer than memory
//!   (`scratch_file`). Replicas have none, and keep them in SQLite's memory: `temp_store = MEMORY`.
//! - `locking_mode = EXCLUSIVE` for the writer: it is the only one, its cache stays valid, and a commit need not rewrite page 1
//!   just to count changes.
//! - `synchronous = OFF`: there is nothing to sync; a commit is the one call that the store makes atomic.
//!
//! **Not here:** SQL (`engine`).

mod db_file;
mod journal;
mod read_ahead;
mod scratch_file;
#[cfg(test)]
mod tests;
mod uncommitted;

pub(crate) use db_file::{Clock, DbFile};

use crate::sqlite::{
    self,
    file::{File, Named, VFS_NAME},
    temporary::TemporaryVfs,
};
use crate::store::{PageReader, PageStore, ScratchSpace, StoreError};
use littoral_protocol::{PageSize, State};
use scratch_file::ScratchFiles;
use std::cell::RefCell;
use std::ffi::CStr;
use std::rc::Rc;

/// A file that SQLite can open by [`DatabaseFile::name`] for as long as this value lives. SQLite keeps what it has opened.
pub(crate) struct DatabaseFile {
    named: Named,
    temporary: Option<(TemporaryVfs, Rc<ScratchFiles>)>,
    file: Rc<RefCell<DbFile>>,
}

impl DatabaseFile {
    /// The store's head, for writing.
    pub(crate) fn writer(store: Rc<dyn PageStore>, clock: Clock, uncommitted_bytes: usize) -> DatabaseFile {
        let space = store.clone();
        DatabaseFile::register(DbFile::writer(store, clock, uncommitted_bytes)).with_scratch(space)
    }

    /// One state at a time, for reading.
    pub(crate) fn reader(pages: Rc<dyn PageReader>, state: State) -> DatabaseFile {
        DatabaseFile::register(DbFile::reader(pages, state))
    }

    /// Lets a file for reading show another state. Not while SQLite is in a transaction on it.
    pub(crate) fn move_to(&self, state: State) {
        self.file.borrow_mut().move_to(state);
    }

    /// The same with temporary files in a store: SQLite keeps them in its memory otherwise.
    pub(crate) fn with_scratch(mut self, space: Rc<dyn ScratchSpace>) -> DatabaseFile {
        let files = Rc::new(ScratchFiles::new(space));
        self.temporary = Some((TemporaryVfs::new(files.clone()), files));
        self
    }

    /// The VFS to open it with.
    pub(crate) fn vfs_name(&self) -> &'static CStr {
        self.temporary.as_ref().map_or(VFS_NAME, |(vfs, _)| vfs.name())
    }

    /// Whether temporary files may be in files.
    pub(crate) fn has_scratch(&self) -> bool {
        self.temporary.is_some()
    }

    fn register(file: DbFile) -> DatabaseFile {
        sqlite::register_vfs();
        let file = Rc::new(RefCell::new(file));
        DatabaseFile { named: Named::new(file.clone()), temporary: None, file }
    }

    /// The name to open.
    pub(crate) fn name(&self) -> &str {
        self.named.name()
    }

    /// The newest state committed through this file, or the state that it reads.
    pub(crate) fn state(&self) -> State {
        self.file.borrow().state()
    }

    /// Bytes of the pages in use in the state that it reads: free pages do not count.
    pub(crate) fn size_in_use(&self) -> u64 {
        self.file.borrow_mut().size_in_use()
    }

    /// Pages that had to be fetched from elsewhere for the present reading.
    pub(crate) fn pages_fetched(&self) -> u64 {
        self.file.borrow().pages_fetched()
    }

    /// Bytes of a page as SQLite sees them now, in a transaction too.
    pub(crate) fn page_size(&self) -> PageSize {
        self.file.borrow().page_size()
    }

    /// Whether SQLite has changed anything in the present transaction.
    pub(crate) fn has_changes(&self) -> bool {
        self.file.borrow().journal_size() > 0
    }

    /// Forgets what SQLite wrote and did not commit. To be called when SQLite has rolled a transaction back.
    pub(crate) fn discard_uncommitted(&self) {
        self.file.borrow_mut().discard_uncommitted();
    }

    /// Gives back what statements of a transaction needed that has ended.
    pub(crate) fn forget_statements(&self) {
        if let Some((_, files)) = &self.temporary {
            files.forget_statements();
        }
    }

    /// The error behind the last `SQLITE_IOERR`, `SQLITE_FULL` or `SQLITE_CORRUPT` that the file answered.
    pub(crate) fn take_error(&self) -> Option<StoreError> {
        let temporary = self.temporary.as_ref().and_then(|(_, files)| files.take_error());
        self.file.borrow_mut().take_error().or(temporary)
    }

    /// Whether SQLite went on after an error, and met another one.
    pub(crate) fn had_several_errors(&self) -> bool {
        self.file.borrow().had_several_errors()
    }
}
