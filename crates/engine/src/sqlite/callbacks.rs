//! The functions that SQLite calls: `sqlite3_vfs` and `sqlite3_io_methods` (<https://www.sqlite.org/c3ref/vfs.html>).

use super::file::{File, FileFailure, Opened, lookup};
use super::{temporary, work};
use rusqlite::ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;

/// What SQLite holds for an open file: its own header, then ours. SQLite allocates it, `x_open` fills it, `x_close` empties it.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    opened: ManuallyDrop<Opened>,
}

const MAX_PATHNAME: c_int = 128;

/// What a VFS keeps in `pAppData`.
pub(super) struct AppData {
    /// SQLite's own for the platform, which has time and randomness.
    pub(super) platform: *mut ffi::sqlite3_vfs,
    /// Where its temporary files come from, if it has some (`temporary`).
    pub(super) temporary: Option<usize>,
}

/// A VFS of this name. `data` lives as long as it does.
pub(super) fn vfs(name: &'static CStr, data: *mut AppData) -> ffi::sqlite3_vfs {
    // SAFETY: the caller found the platform's registered; registered structures are complete and stay.
    let platform = unsafe { &*(*data).platform };
    ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<OpenFile>() as c_int,
        mxPathname: MAX_PATHNAME,
        pNext: ptr::null_mut(),
        zName: name.as_ptr(),
        pAppData: data.cast(),
        xOpen: Some(x_open),
        xDelete: Some(x_delete),
        xAccess: Some(x_access),
        xFullPathname: Some(x_full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(x_randomness),
        xSleep: platform.xSleep,
        xCurrentTime: Some(x_current_time),
        xGetLastError: None,
        xCurrentTimeInt64: Some(x_current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

/// What SQLite adds to a database's name for its rollback journal.
const JOURNAL_SUFFIX: &str = "-journal";

/// Files that SQLite opens without a name, and deletes when it closes them.
const TEMPORARY: c_int =
    ffi::SQLITE_OPEN_TEMP_DB | ffi::SQLITE_OPEN_TRANSIENT_DB | ffi::SQLITE_OPEN_TEMP_JOURNAL | ffi::SQLITE_OPEN_SUBJOURNAL;

/// Of a database file, or a temporary one.
static IO_METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(x_close),
    xRead: Some(x_read),
    xWrite: Some(x_write),
    xTruncate: Some(x_truncate),
    xSync: Some(x_sync),
    xFileSize: Some(x_file_size),
    xLock: Some(x_lock),
    xUnlock: Some(x_lock),
    xCheckReservedLock: Some(x_check_reserved_lock),
    xFileControl: Some(x_file_control),
    xSectorSize: Some(x_sector_size),
    xDeviceCharacteristics: Some(x_device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Of the rollback journal of a database file, which is the same `OpenFile`.
static JOURNAL_METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    xRead: Some(x_read_journal),
    xWrite: Some(x_write_journal),
    xTruncate: Some(x_truncate_journal),
    xFileSize: Some(x_journal_size),
    xFileControl: Some(x_no_file_control),
    ..IO_METHODS
};

unsafe extern "C" fn x_open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives `szOsFile` bytes; a null `pMethods` tells it that there is nothing to close.
    unsafe { (*file).pMethods = ptr::null() };
    // SAFETY: SQLite's names are null or end with a zero byte.
    let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }).and_then(|name| name.to_str().ok());
    let (found, methods) = match flags & (ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_MAIN_JOURNAL | TEMPORARY) {
        ffi::SQLITE_OPEN_MAIN_DB => (name.and_then(lookup), &IO_METHODS),
        ffi::SQLITE_OPEN_MAIN_JOURNAL => (name.and_then(|name| name.strip_suffix(JOURNAL_SUFFIX)).and_then(lookup), &JOURNAL_METHODS),
        kind if kind & TEMPORARY != 0 => {
            // SAFETY: SQLite calls this with our VFS.
            let place = unsafe { (*app_data(vfs)).temporary };
            let file = place.and_then(|place| temporary::create(place, kind & ffi::SQLITE_OPEN_SUBJOURNAL != 0));
            (file.map(|file| Opened { file, on_read: None }), &IO_METHODS)
        }
        _ => (None, &IO_METHODS),
    };
    let Some(found) = found else { return ffi::SQLITE_CANTOPEN };
    // SAFETY: `file` has room for a `OpenFile` and is ours to initialise.
    unsafe { file.cast::<OpenFile>().write(OpenFile { base: ffi::sqlite3_file { pMethods: methods }, opened: ManuallyDrop::new(found) }) };
    if !out_flags.is_null() {
        // SAFETY: checked not to be null.
        unsafe { *out_flags = flags };
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: the file was opened by `x_open` and is closed once; nothing uses it afterwards.
    unsafe { ManuallyDrop::drop(&mut (*file.cast::<OpenFile>()).opened) };
    ffi::SQLITE_OK
}

/// What was opened.
///
/// # Safety
/// `file` was opened by `x_open`, and is not closed while the result is used.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a Opened {
    // SAFETY: the caller's promise.
    unsafe { &*ptr::addr_of!((*file.cast::<OpenFile>()).opened) }
}

/// Runs `call` on the open file.
///
/// # Safety
/// `file` was opened by `x_open` and not closed.
unsafe fn with_file(file: *mut ffi::sqlite3_file, call: impl FnOnce(&mut dyn File) -> c_int) -> c_int {
    // SAFETY: the caller's promise.
    let Opened { file, .. } = unsafe { opened(file) };
    // Busy cannot happen: no file call leads to another. An error is still better than a panic through C.
    file.try_borrow_mut().map_or(ffi::SQLITE_MISUSE, |mut file| work::apart(|| call(&mut *file)))
}

/// The result code of an outcome.
fn answer(outcome: Result<(), FileFailure>, io_error: c_int) -> c_int {
    outcome.map_or_else(|failure| code(failure, io_error), |()| ffi::SQLITE_OK)
}

/// The result code of a failure; `io_error` says which call it was.
fn code(failure: FileFailure, io_error: c_int) -> c_int {
    match failure {
        FileFailure::Store => io_error,
        FileFailure::Full => ffi::SQLITE_FULL,
        FileFailure::Corrupt => ffi::SQLITE_CORRUPT,
        FileFailure::ReadOnly => ffi::SQLITE_READONLY,
    }
}

unsafe extern "C" fn x_read(file: *mut ffi::sqlite3_file, buffer: *mut c_void, length: c_int, offset: ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls methods of open files only, and does not close one that it reads, whatever runs meanwhile.
    if let Some(on_read) = unsafe { &opened(file).on_read } {
        on_read(length as usize);
    }
    // SAFETY: SQLite calls methods of open files only, and gives a buffer of `length` bytes.
    unsafe { read_with(file, buffer, length, |file, buffer| file.read(offset as u64, buffer)) }
}

unsafe extern "C" fn x_read_journal(file: *mut ffi::sqlite3_file, buffer: *mut c_void, length: c_int, offset: ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls methods of open files only, and gives a buffer of `length` bytes.
    unsafe { read_with(file, buffer, length, |file, buffer| file.read_journal(offset as u64, buffer)) }
}

/// # Safety
/// `file` was opened by `x_open` and not closed; `buffer` has `length` bytes.
unsafe fn read_with(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    length: c_int,
    read: impl FnOnce(&mut dyn File, &mut [u8]) -> Result<usize, FileFailure>,
) -> c_int {
    // SAFETY: the caller's promise; the bytes need not be initialised, so they are zeroed first.
    let buffer = unsafe {
        ptr::write_bytes(buffer.cast::<u8>(), 0, length as usize);
        std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length as usize)
    };
    let call = |file: &mut dyn File| match read(file, buffer) {
        Ok(read) if read == length as usize => ffi::SQLITE_OK,
        Ok(_) => ffi::SQLITE_IOERR_SHORT_READ,
        Err(failure) => code(failure, ffi::SQLITE_IOERR_READ),
    };
    // SAFETY: the caller's promise.
    unsafe { with_file(file, call) }
}

unsafe extern "C" fn x_write(file: *mut ffi::sqlite3_file, data: *const c_void, length: c_int, offset: ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite gives `length` initialised bytes.
    let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length as usize) };
    // SAFETY: SQLite calls methods of open files only.
    unsafe { with_file(file, |file| answer(file.write(offset as u64, data), ffi::SQLITE_IOERR_WRITE)) }
}

unsafe extern "C" fn x_write_journal(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    length: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite gives `length` initialised bytes.
    let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length as usize) };
    // SAFETY: SQLite calls methods of open files only.
    unsafe { with_file(file, |file| answer(file.write_journal(offset as u64, data), ffi::SQLITE_IOERR_WRITE)) }
}

unsafe extern "C" fn x_truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls methods of open files only.
    unsafe { with_file(file, |file| answer(file.truncate(size as u64), ffi::SQLITE_IOERR_TRUNCATE)) }
}

unsafe extern "C" fn x_truncate_journal(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    let call = |file: &mut dyn File| {
        file.truncate_journal(size as u64);
        ffi::SQLITE_OK
    };
    // SAFETY: SQLite calls methods of open files only.
    unsafe { with_file(file, call) }
}

unsafe extern "C" fn x_sync(_file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_file_size(file: *mut ffi::sqlite3_file, size: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls methods of open files only, and gives a place for the answer.
    unsafe { size_with(file, size, |file| file.size()) }
}

unsafe extern "C" fn x_journal_size(file: *mut ffi::sqlite3_file, size: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls methods of open files only, and gives a place for the answer.
    unsafe { size_with(file, size, |file| file.journal_size()) }
}

/// # Safety
/// `file` was opened by `x_open` and not closed; `size` is a place for the answer.
unsafe fn size_with(file: *mut ffi::sqlite3_file, size: *mut ffi::sqlite3_int64, ask: impl FnOnce(&dyn File) -> u64) -> c_int {
    let call = |file: &mut dyn File| {
        // SAFETY: the caller's promise.
        unsafe { *size = ask(file) as i64 };
        ffi::SQLITE_OK
    };
    // SAFETY: the caller's promise.
    unsafe { with_file(file, call) }
}

/// Readers have a state of their own and there is one writer: no lock ever has to wait.
unsafe extern "C" fn x_lock(_file: *mut ffi::sqlite3_file, _level: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_check_reserved_lock(_file: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    // SAFETY: SQLite gives a place for the answer.
    unsafe { *reserved = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_file_control(file: *mut ffi::sqlite3_file, operation: c_int, _argument: *mut c_void) -> c_int {
    if operation != ffi::SQLITE_FCNTL_COMMIT_PHASETWO {
        return ffi::SQLITE_NOTFOUND;
    }
    // SAFETY: SQLite calls methods of open files only.
    unsafe { with_file(file, |file| answer(file.commit(), ffi::SQLITE_IOERR_FSYNC)) }
}

unsafe extern "C" fn x_no_file_control(_file: *mut ffi::sqlite3_file, _operation: c_int, _argument: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn x_sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    0
}

unsafe extern "C" fn x_device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn x_delete(_vfs: *mut ffi::sqlite3_vfs, _name: *const c_char, _sync_directory: c_int) -> c_int {
    ffi::SQLITE_OK
}

/// Asked for journals and write-ahead logs of earlier processes only: there are none.
unsafe extern "C" fn x_access(_vfs: *mut ffi::sqlite3_vfs, _name: *const c_char, _flags: c_int, exists: *mut c_int) -> c_int {
    // SAFETY: SQLite gives a place for the answer.
    unsafe { *exists = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_full_pathname(_vfs: *mut ffi::sqlite3_vfs, name: *const c_char, length: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite's names end with a zero byte.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if name.len() > length as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: `out` has room for `length` bytes, and the name is not longer.
    unsafe { ptr::copy_nonoverlapping(name.as_ptr().cast(), out, name.len()) };
    ffi::SQLITE_OK
}

/// What `pAppData` points to.
///
/// # Safety
/// `vfs` is a VFS made by [`vfs`].
unsafe fn app_data(vfs: *mut ffi::sqlite3_vfs) -> *const AppData {
    // SAFETY: the caller's promise.
    unsafe { (*vfs).pAppData.cast() }
}

/// The platform's VFS.
///
/// # Safety
/// As for [`app_data`].
unsafe fn platform(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: the caller's promise; the data lives as long as the VFS.
    unsafe { (*app_data(vfs)).platform }
}

unsafe extern "C" fn x_randomness(vfs: *mut ffi::sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite calls this with our VFS; the call is passed on unchanged.
    unsafe {
        let platform = platform(vfs);
        (*platform).xRandomness.map_or(0, |randomness| randomness(platform, length, out))
    }
}

unsafe extern "C" fn x_current_time(vfs: *mut ffi::sqlite3_vfs, now: *mut f64) -> c_int {
    // SAFETY: SQLite calls this with our VFS; the call is passed on unchanged.
    unsafe {
        let platform = platform(vfs);
        (*platform).xCurrentTime.map_or(ffi::SQLITE_ERROR, |current_time| current_time(platform, now))
    }
}

unsafe extern "C" fn x_current_time_int64(vfs: *mut ffi::sqlite3_vfs, now: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls this with our VFS; the call is passed on unchanged.
    unsafe {
        let platform = platform(vfs);
        if (*platform).iVersion >= 2
            && let Some(current_time) = (*platform).xCurrentTimeInt64
        {
            return current_time(platform, now);
        }
        let mut julian_day = 0.0;
        let code = x_current_time(vfs, &mut julian_day);
        *now = (julian_day * 86_400_000.0) as i64;
        code
    }
}
