//! A database file becomes the next commit of a store, page by page as its bytes come: a file of gigabytes takes no more memory than a small one.
//!
//! **Invariants**
//! 1. Until [`Load::finish`] no state has anything of the file, and after an error none ever will.
//! 2. Page 1 follows that of the newest state (`header`), if there is one.
//! 3. What the header says is checked against the bytes that came. Whether the pages make sense is for SQLite to say.
//!
//! **Not here:** where the bytes come from; SQL.

use super::header::{self, ENCODING, HEADER_BYTES};
use super::{PageStore, StoreError};
use littoral_protocol::{Checksum, Frame, PageSize, Pgno, State};
use std::rc::Rc;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Bytes of pages that are staged together.
const STAGED_BYTES: usize = 4 << 20;

/// Takes the bytes of a database file, in order.
///
/// ```
/// use littoral_engine::store::{Load, MemoryStore, PageStore, StoreError};
/// use std::rc::Rc;
///
/// let store: Rc<dyn PageStore> = Rc::new(MemoryStore::new());
/// let mut load = Load::new(store.clone());
/// load.push(b"not a database").unwrap();
/// let refused = load.finish(0);
/// assert!(matches!(refused, Err(StoreError::NotADatabase(_))));
/// assert_eq!(store.head().txid.0, 0);
/// ```
pub struct Load {
    store: Rc<dyn PageStore>,
    header: Option<Header>,
    /// Not staged yet: the beginning of the file, or pages and a part of one.
    bytes: Vec<u8>,
    /// Pages staged.
    pages: u32,
    checksum: Checksum,
}

/// What the first page says.
#[derive(Clone, Copy)]
struct Header {
    page_size: PageSize,
    page_count: u32,
}

impl Load {
    /// Begins. What was staged in the store is discarded.
    pub fn new(store: Rc<dyn PageStore>) -> Load {
        store.discard_staged();
        Load { store, header: None, bytes: Vec::new(), pages: 0, checksum: Checksum::EMPTY }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let room = STAGED_BYTES - self.bytes.len().min(STAGED_BYTES - 1);
            let (piece, rest) = bytes.split_at(room.min(bytes.len()));
            self.bytes.extend_from_slice(piece);
            bytes = rest;
            if self.bytes.len() >= STAGED_BYTES {
                self.stage()?;
            }
        }
        Ok(())
    }

    /// Bytes taken so far.
    pub fn taken(&self) -> u64 {
        let page_bytes = self.header.map_or(0, |header| header.page_size.bytes() as u64);
        u64::from(self.pages) * page_bytes + self.bytes.len() as u64
    }

    /// Makes the file the next commit, at this time, in milliseconds since 1970. Returns its state.
    pub fn finish(mut self, time_ms: u64) -> Result<State, StoreError> {
        self.stage()?;
        let Some(Header { page_size, page_count }) = self.header else { return Err(not_a_database("it ends before its header does")) };
        if self.pages != page_count || !self.bytes.is_empty() {
            let (told, came) = (u64::from(page_count) * page_size.bytes() as u64, self.taken());
            return Err(not_a_database(&format!("its header tells of {told} bytes, and {came} came")));
        }
        let head = self.store.head();
        let state = State { txid: head.txid.next(), page_size, page_count, time_ms: time_ms.max(head.time_ms), checksum: self.checksum };
        self.store.append_staged(&state)?;
        Ok(state)
    }

    fn follow_newest(&mut self) -> Result<(), StoreError> {
        let head = self.store.head();
        if head.page_count > 0 {
            let mut newest = vec![0; head.page_size.bytes()];
            self.store.read_page(Pgno::FIRST, head.txid, &mut newest)?;
            header::follow(&mut self.bytes, &newest);
        }
        Ok(())
    }

    /// Stages the whole pages that are here.
    fn stage(&mut self) -> Result<(), StoreError> {
        if self.header.is_none() {
            let Some(first) = self.bytes.get(..HEADER_BYTES) else { return Ok(()) };
            self.header = Some(read_header(first)?);
            show_no_log(&mut self.bytes);
            self.follow_newest()?;
        }
        let Some(Header { page_size, page_count }) = self.header else { return Ok(()) };
        let whole = self.bytes.len() / page_size.bytes();
        if u64::from(self.pages) + whole as u64 > u64::from(page_count) {
            let told = u64::from(page_count) * page_size.bytes() as u64;
            return Err(not_a_database(&format!("its header tells of {told} bytes, and more came")));
        }
        let numbers = (self.pages + 1..).map(Pgno);
        let pages = numbers.zip(self.bytes.chunks_exact(page_size.bytes()));
        let frames: Vec<Frame> =
            pages.filter(|(pgno, _)| *pgno != page_size.lock_page()).map(|(pgno, image)| Frame::new(pgno, image.into())).collect();
        self.checksum = self.store.stage(&frames)?;
        self.pages += whole as u32;
        self.bytes.drain(..whole * page_size.bytes());
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.store.discard_staged();
    }
}

fn read_header(first: &[u8]) -> Result<Header, StoreError> {
    if !first.starts_with(MAGIC) {
        return Err(not_a_database("it does not begin as one"));
    }
    let (page_size, page_count) = PageSize::from_header(first).ok_or_else(|| not_a_database("its header has no page size"))?;
    // Versions of SQLite before 3.7.0 did not keep the number of pages there; the number is good where these two agree.
    if first[24..28] != first[92..96] || page_count == 0 {
        return Err(not_a_database("its header does not tell how many pages it has: open it with a newer SQLite and write to it"));
    }
    if !matches!(header::read(first, ENCODING), 0 | 1) {
        return Err(not_a_database("its text is UTF-16, and has to be UTF-8: VACUUM it INTO another after PRAGMA encoding = 'UTF-8'"));
    }
    Ok(Header { page_size, page_count })
}

/// Whether a file that begins so is a database file, or means to be.
pub fn is_database_file(first: &[u8]) -> bool {
    first.starts_with(MAGIC)
}

/// SQLite looks for a write-ahead log where the header says that there is one; what it held is not in the file.
fn show_no_log(first: &mut [u8]) {
    if let Some(versions) = first.get_mut(18..20) {
        versions.fill(1);
    }
}

fn not_a_database(what: &str) -> StoreError {
    StoreError::NotADatabase(what.into())
}
