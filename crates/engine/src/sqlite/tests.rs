//! The functions that SQLite calls, called as it calls them and without it: no C code runs, so Miri can watch every access to memory
//! (`make test STEPS=miri`).
//!
//! **Not here:** that SQLite calls them so (`vfs::tests`, and the step `memory`).

use super::changes::{Operation, RowChange, Watcher, Watchers, on_row_change};
use super::file::{Named, VFS_NAME};
use super::{callbacks, memcmp};
use crate::store::{MemoryStore, PageStore};
use crate::vfs::DbFile;
use rusqlite::ffi;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::rc::Rc;

const DATABASE: c_int = ffi::SQLITE_OPEN_MAIN_DB;
const JOURNAL: c_int = ffi::SQLITE_OPEN_MAIN_JOURNAL;
const PAGE: usize = 4096;

unsafe extern "C" fn ones(_vfs: *mut ffi::sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    // SAFETY: the caller gives `length` bytes.
    unsafe { ptr::write_bytes(out, 1, length as usize) };
    length
}

unsafe extern "C" fn noon(_vfs: *mut ffi::sqlite3_vfs, now: *mut f64) -> c_int {
    // SAFETY: the caller gives a place for the answer.
    unsafe { *now = 2_440_588.0 };
    ffi::SQLITE_OK
}

/// What SQLite would find registered: the VFS, which keeps a pointer to the platform's.
struct Vfs {
    vfs: *mut ffi::sqlite3_vfs,
    data: *mut callbacks::AppData,
}

impl Vfs {
    fn new() -> Vfs {
        // SAFETY: numbers, pointers and optional functions: all zeros are a value of it.
        let mut platform: ffi::sqlite3_vfs = unsafe { std::mem::zeroed() };
        platform.xRandomness = Some(ones);
        platform.xCurrentTime = Some(noon);
        let platform = Box::into_raw(Box::new(platform));
        let data = Box::into_raw(Box::new(callbacks::AppData { platform, temporary: None }));
        Vfs { vfs: Box::into_raw(Box::new(callbacks::vfs(VFS_NAME, data))), data }
    }

    fn open(&self, name: Option<&CStr>, kind: c_int) -> Result<File, c_int> {
        // SAFETY: alive until `self` goes.
        let vfs = unsafe { &*self.vfs };
        let mut file = File(vec![u64::MAX; (vfs.szOsFile as usize).div_ceil(size_of::<u64>())]);
        let mut flags = 0;
        let name = name.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: the file has `szOsFile` bytes, and the name is null or ends with a zero byte.
        let code = unsafe { vfs.xOpen.unwrap()(self.vfs, name, file.raw(), kind, &mut flags) };
        if code == ffi::SQLITE_OK {
            assert_eq!(flags, kind);
            return Ok(file);
        }
        // SAFETY: `xOpen` has initialised the methods.
        assert!(unsafe { (*file.raw()).pMethods.is_null() }, "SQLite would close it");
        file.0.clear();
        Err(code)
    }
}

impl Drop for Vfs {
    fn drop(&mut self) {
        // SAFETY: all come from boxes, and nothing uses them afterwards.
        unsafe { (drop(Box::from_raw(self.vfs)), drop(Box::from_raw((*self.data).platform)), drop(Box::from_raw(self.data))) };
    }
}

/// The memory that SQLite allocates for an open file. Empty: it is not open.
struct File(Vec<u64>);

impl File {
    fn raw(&mut self) -> *mut ffi::sqlite3_file {
        self.0.as_mut_ptr().cast()
    }

    fn methods(&mut self) -> &'static ffi::sqlite3_io_methods {
        // SAFETY: the file is open, and the methods are static.
        unsafe { &*(*self.raw()).pMethods }
    }

    fn read(&mut self, offset: i64, buffer: &mut [u8]) -> c_int {
        let read = self.methods().xRead.unwrap();
        // SAFETY: the file is open, and the buffer has its length.
        unsafe { read(self.raw(), buffer.as_mut_ptr().cast(), buffer.len() as c_int, offset) }
    }

    fn write(&mut self, offset: i64, data: &[u8]) -> c_int {
        let write = self.methods().xWrite.unwrap();
        // SAFETY: the file is open, and the data has its length.
        unsafe { write(self.raw(), data.as_ptr().cast(), data.len() as c_int, offset) }
    }

    fn size(&mut self) -> i64 {
        let (mut size, ask) = (-1, self.methods().xFileSize.unwrap());
        // SAFETY: the file is open.
        assert_eq!(unsafe { ask(self.raw(), &mut size) }, ffi::SQLITE_OK);
        size
    }

    fn truncate(&mut self, size: i64) -> c_int {
        let truncate = self.methods().xTruncate.unwrap();
        // SAFETY: the file is open.
        unsafe { truncate(self.raw(), size) }
    }

    fn control(&mut self, operation: c_int) -> c_int {
        let control = self.methods().xFileControl.unwrap();
        // SAFETY: the file is open; the operations here take no argument.
        unsafe { control(self.raw(), operation, ptr::null_mut::<c_void>()) }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            let close = self.methods().xClose.unwrap();
            // SAFETY: the file is open, and closed once.
            unsafe { close(self.raw()) };
        }
    }
}

/// A file with a name, and the name as SQLite gives it, that of its journal beside it.
fn named(file: DbFile) -> (Named, CString, CString) {
    let named = Named::new(Rc::new(RefCell::new(file)));
    let (name, journal) = (CString::new(named.name()).unwrap(), CString::new(format!("{}-journal", named.name())).unwrap());
    (named, name, journal)
}

/// A page that says how many there are, if it is the first, and is otherwise full of `byte`.
fn page(byte: u8, pages: u8) -> Vec<u8> {
    let mut page = vec![byte; PAGE];
    page[16..18].copy_from_slice(&(PAGE as u16).to_be_bytes());
    page[28..32].copy_from_slice(&u32::from(pages).to_be_bytes());
    page
}

#[test]
fn a_file_is_written_read_rolled_back_and_closed_after_its_name_has_gone() {
    let store: Rc<dyn PageStore> = Rc::new(MemoryStore::new());
    let (named, name, journal) = named(DbFile::writer(store.clone(), Rc::new(|| 1), 16 * PAGE));
    let vfs = Vfs::new();
    let mut database = vfs.open(Some(&name), DATABASE).unwrap();
    let mut journal = vfs.open(Some(&journal), JOURNAL).unwrap();
    drop(named);
    assert_eq!(vfs.open(Some(&name), DATABASE).err(), Some(ffi::SQLITE_CANTOPEN));
    drop(vfs);

    let (first, second) = (page(1, 2), page(2, 2));
    assert_eq!(database.write(0, &first), ffi::SQLITE_OK);
    assert_eq!(database.write(PAGE as i64, &second), ffi::SQLITE_OK);
    assert_eq!(database.size(), 2 * PAGE as i64);
    assert_eq!(database.control(ffi::SQLITE_FCNTL_SIZE_HINT), ffi::SQLITE_NOTFOUND);
    assert_eq!(database.control(ffi::SQLITE_FCNTL_COMMIT_PHASETWO), ffi::SQLITE_OK);
    assert_eq!(store.head().page_count, 2);

    assert_eq!(journal.write(0, &[0; 512]), ffi::SQLITE_OK);
    assert_eq!(journal.write(512, &2_u32.to_be_bytes()), ffi::SQLITE_OK);
    assert_eq!(journal.write(516, &second), ffi::SQLITE_OK, "a page as it is stored");
    assert_eq!(journal.write(516 + PAGE as i64, &[7; 4]), ffi::SQLITE_OK);
    assert_eq!(journal.size(), 520 + PAGE as i64);
    assert_eq!(database.write(PAGE as i64, &page(9, 2)), ffi::SQLITE_OK);
    let mut buffer = vec![0xff; PAGE + 8];
    assert_eq!(journal.read(516, &mut buffer[..PAGE]), ffi::SQLITE_OK);
    assert_eq!(buffer[..PAGE], second);
    assert_eq!(journal.read(512, &mut buffer), ffi::SQLITE_OK);
    assert_eq!(buffer[PAGE + 4..], [7; 4]);
    assert_eq!(journal.read(516, &mut buffer), ffi::SQLITE_IOERR_SHORT_READ);
    assert_eq!(journal.write(520 + PAGE as i64, &1_u32.to_be_bytes()), ffi::SQLITE_OK);
    assert_eq!(journal.write(524 + PAGE as i64, &second), ffi::SQLITE_CORRUPT, "a page as it is not stored");
    assert_eq!(journal.truncate(0), ffi::SQLITE_OK);
    assert_eq!(journal.size(), 0);

    assert_eq!(database.read(PAGE as i64 - 3, &mut buffer[..6]), ffi::SQLITE_OK);
    assert_eq!(buffer[..6], [1, 1, 1, 9, 9, 9]);
    assert_eq!(database.read(2 * PAGE as i64 - 1, &mut buffer[..4]), ffi::SQLITE_IOERR_SHORT_READ);
    assert_eq!(buffer[..4], [9, 0, 0, 0]);
    assert_eq!(database.truncate(PAGE as i64), ffi::SQLITE_OK);
    assert_eq!(database.size(), PAGE as i64);
    drop(database);
    assert_eq!(journal.size(), 0, "each of the two keeps the file");
}

#[test]
fn a_file_for_reading_is_not_written() {
    let state = MemoryStore::new().head();
    let (named, name, _) = named(DbFile::reader(Rc::new(Rc::new(MemoryStore::new()) as Rc<dyn PageStore>), state));
    let vfs = Vfs::new();
    let mut database = vfs.open(Some(&name), DATABASE).unwrap();
    drop(named);
    assert_eq!(database.write(0, &page(1, 1)), ffi::SQLITE_READONLY);
    assert_eq!(database.truncate(0), ffi::SQLITE_READONLY);
    assert_eq!(database.read(0, &mut [0; 100]), ffi::SQLITE_IOERR_SHORT_READ);
}

#[test]
fn names_that_are_not_ours_are_refused() {
    let state = MemoryStore::new().head();
    let (_named, name, _) = named(DbFile::reader(Rc::new(Rc::new(MemoryStore::new()) as Rc<dyn PageStore>), state));
    let vfs = Vfs::new();
    let refused = [
        (None, DATABASE),
        (Some(c"m"), DATABASE),
        (Some(&*name), JOURNAL),
        (Some(&*name), ffi::SQLITE_OPEN_TEMP_DB),
        (Some(c"\xff"), DATABASE),
    ];
    for (name, kind) in refused {
        assert_eq!(vfs.open(name, kind).err(), Some(ffi::SQLITE_CANTOPEN), "{name:?}, {kind}");
    }
}

#[test]
fn the_vfs_answers_within_the_room_it_is_given() {
    let vfs = Vfs::new();
    let raw = vfs.vfs;
    let name = CString::new("x".repeat(20)).unwrap();
    let mut out = vec![-1 as c_char; 21];
    let (mut exists, mut random, mut days, mut now) = (-1, [0 as c_char; 5], 0.0, 0);
    // SAFETY: every place has the length that is said, and the VFS is alive.
    unsafe {
        assert_eq!((*raw).xFullPathname.unwrap()(raw, name.as_ptr(), 20, out.as_mut_ptr()), ffi::SQLITE_CANTOPEN);
        assert_eq!((*raw).xFullPathname.unwrap()(raw, name.as_ptr(), 21, out.as_mut_ptr()), ffi::SQLITE_OK);
        assert_eq!((*raw).xAccess.unwrap()(raw, name.as_ptr(), 0, &mut exists), ffi::SQLITE_OK);
        assert_eq!((*raw).xRandomness.unwrap()(raw, 5, random.as_mut_ptr()), 5);
        assert_eq!((*raw).xCurrentTime.unwrap()(raw, &mut days), ffi::SQLITE_OK);
        assert_eq!((*raw).xCurrentTimeInt64.unwrap()(raw, &mut now), ffi::SQLITE_OK);
        assert_eq!(CStr::from_ptr((*raw).zName), VFS_NAME);
        assert_eq!(CStr::from_ptr(out.as_ptr()), &*name);
    }
    assert_eq!((exists, random, days, now), (0, [1; 5], 2_440_588.0, 2_440_588 * 86_400_000));
}

#[test]
fn memory_is_compared_in_the_order_of_its_bytes() {
    let text = b"the quick brown fox jumps over it";
    for length in 0..text.len() {
        for changed in 0..length {
            for byte in [0, text[changed].wrapping_add(1), 0xff] {
                // Begins at an odd address, too, and is followed by what must not be looked at.
                let mut other = text.to_vec();
                (other[changed], other[length]) = (byte, b'!');
                for from in [0, 1].into_iter().filter(|from| *from <= changed) {
                    // SAFETY: both have so many bytes.
                    let order = unsafe { memcmp::memcmp(text[from..].as_ptr(), other[from..].as_ptr(), length - from) };
                    assert_eq!(order.cmp(&0), text[from..length].cmp(&other[from..length]), "{length} {changed} {byte}");
                }
            }
        }
    }
}

/// What happened to a row, in which table, and its rowid before and after.
type Line = (Operation, String, Option<i64>, Option<i64>);

struct Told(RefCell<Vec<Line>>);

impl Watcher for Told {
    fn row_changes(&self, change: &RowChange<'_>) {
        self.0.borrow_mut().push((change.operation(), change.table().into(), change.old_rowid(), change.new_rowid()));
    }
}

#[test]
fn every_watcher_is_told_of_a_change() {
    let told = [(); 2].map(|()| Rc::new(Told(RefCell::default())));
    let watchers = Watchers::new(told.iter().map(|told| told.clone() as Rc<dyn Watcher>));
    for operation in [ffi::SQLITE_INSERT, ffi::SQLITE_UPDATE, ffi::SQLITE_DELETE] {
        let (context, nobody) = (ptr::from_ref(&watchers).cast_mut().cast(), ptr::null_mut());
        // SAFETY: the context is the watchers, which live; names end with a zero byte; no watcher asks for values.
        unsafe { on_row_change(context, nobody, operation, c"main".as_ptr(), c"t".as_ptr(), 4, 5) };
    }
    let expected = [
        (Operation::Insert, "t".into(), None, Some(5)),
        (Operation::Update, "t".into(), Some(4), Some(5)),
        (Operation::Delete, "t".into(), Some(4), None),
    ];
    assert!(told.iter().all(|told| *told.0.borrow() == expected));
}
