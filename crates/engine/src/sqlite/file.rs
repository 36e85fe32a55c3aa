//! Files as SQLite calls them, and those that it can open: by a name of their own, for as long as [`Named`] lives. Whoever opens one may be told of
//! every read of it.
//!
//! **Invariant:** a file has one name, which no other file of the process had before.
//!
//! **Not here:** what a file does (`vfs`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// The name of the VFS, as given to `sqlite3_open_v2`.
pub(crate) const VFS_NAME: &std::ffi::CStr = c"littoral";

/// What a file call answers when it cannot do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFailure {
    /// The store failed; the error is kept in the file.
    Store,
    /// No room for more uncommitted pages, or in the store; the error is kept in the file.
    Full,
    /// Stored bytes are damaged; the error is kept in the file.
    Corrupt,
    /// A write to a file that was opened for reading.
    ReadOnly,
}

/// A database file with its rollback journal. Offsets and sizes are in bytes; a read answers how many there were.
pub(crate) trait File {
    fn size(&self) -> u64;
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, FileFailure>;
    fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), FileFailure>;
    fn truncate(&mut self, size: u64) -> Result<(), FileFailure>;
    /// SQLite commits what it wrote.
    fn commit(&mut self) -> Result<(), FileFailure>;
    fn journal_size(&self) -> u64;
    fn read_journal(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, FileFailure>;
    fn write_journal(&mut self, offset: u64, data: &[u8]) -> Result<(), FileFailure>;
    fn truncate_journal(&mut self, size: u64);
}

/// A file that several have in hand: SQLite's connections, and its owner.
pub(crate) type SharedFile = Rc<RefCell<dyn File>>;

/// Called before SQLite reads so many bytes of a file.
pub(crate) type OnRead = Rc<dyn Fn(usize)>;

/// A file that can be opened.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) file: SharedFile,
    pub(super) on_read: Option<OnRead>,
}

thread_local! {
    static FILES: RefCell<HashMap<String, Opened>> = RefCell::default();
    static NEXT_NAME: Cell<u64> = const { Cell::new(0) };
}

/// A file that SQLite can open for as long as this lives. SQLite keeps what it has opened.
pub(crate) struct Named(String);

impl Named {
    /// Gives a file a name.
    pub(crate) fn new(file: SharedFile) -> Named {
        let number = NEXT_NAME.replace(NEXT_NAME.get() + 1);
        let name = format!("littoral-{number}");
        FILES.with_borrow_mut(|files| files.insert(name.clone(), Opened { file, on_read: None }));
        Named(name)
    }

    /// The name to open.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // During thread shutdown the map may be gone already, and with it the entry.
        let _ = FILES.try_with(|files| files.borrow_mut().remove(&self.0));
    }
}

/// Has `on_read` called for reads of the file of that name, if it is opened from now on.
pub(crate) fn watch_reads(name: &str, on_read: OnRead) {
    FILES.with_borrow_mut(|files| {
        if let Some(known) = files.get_mut(name) {
            known.on_read = Some(on_read);
        }
    });
}

/// The file of that name.
pub(super) fn lookup(name: &str) -> Option<Opened> {
    FILES.with_borrow(|files| files.get(name).cloned())
}
