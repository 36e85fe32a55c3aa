//! SQLite's temporary files. It opens them without a name, so what tells whose they are is the VFS: every database that has some has a VFS of
//! its own, which is the same in all else.
//!
//! **Invariants**
//! 1. A registered VFS is never freed: SQLite may have it in hand. Its place is taken by the next database that needs one.
//! 2. A VFS is of the thread that registered it; in another one it has no temporary files.
//!
//! **Not here:** what they hold, and where (`vfs`).

use super::callbacks::{AppData, vfs};
use super::file::{File, VFS_NAME};
use super::platform_vfs;
use rusqlite::ffi;
use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Makes temporary files.
pub(crate) trait TemporaryFiles {
    /// A new one, empty. SQLite drops it when it closes it: a statement journal with the connection.
    fn create(&self, is_statement_journal: bool) -> Rc<RefCell<dyn File>>;
}

/// A place for the files of one database.
struct Place {
    vfs_name: &'static CStr,
    files: Option<Rc<dyn TemporaryFiles>>,
}

thread_local! {
    static PLACES: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// The VFS of a database with temporary files, for as long as this lives.
pub(crate) struct TemporaryVfs {
    place: usize,
    name: &'static CStr,
}

impl TemporaryVfs {
    /// A VFS whose temporary files are these.
    pub(crate) fn new(files: Rc<dyn TemporaryFiles>) -> TemporaryVfs {
        PLACES.with_borrow_mut(|places| {
            let free = places.iter().position(|place| place.files.is_none());
            let place = free.unwrap_or(places.len());
            if free.is_none() {
                places.push(Place { vfs_name: register(place), files: None });
            }
            places[place].files = Some(files);
            TemporaryVfs { place, name: places[place].vfs_name }
        })
    }

    /// Its name, as given to `sqlite3_open_v2`.
    pub(crate) fn name(&self) -> &'static CStr {
        self.name
    }
}

impl Drop for TemporaryVfs {
    fn drop(&mut self) {
        // During thread shutdown the places may be gone already.
        let files = PLACES.try_with(|places| places.borrow_mut()[self.place].files.take());
        drop(files);
    }
}

/// A new file for the database of this place.
pub(super) fn create(place: usize, is_statement_journal: bool) -> Option<Rc<RefCell<dyn File>>> {
    let files = PLACES.with_borrow(|places| places.get(place).and_then(|place| place.files.clone()));
    files.map(|files| files.create(is_statement_journal))
}

fn register(place: usize) -> &'static CStr {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("{}-{}", VFS_NAME.to_string_lossy(), NEXT.fetch_add(1, Ordering::Relaxed));
    let name: &'static CStr = Box::leak(CString::new(name).unwrap_or_default().into_boxed_c_str());
    let data = Box::leak(Box::new(AppData { platform: platform_vfs(), temporary: Some(place) }));
    let vfs = Box::leak(Box::new(vfs(name, data)));
    // SAFETY: the structure is complete and lives forever; 0 = not the default.
    let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
    assert_eq!(code, ffi::SQLITE_OK, "registering the VFS failed");
    name
}
