//! The header of a database file, as far as whoever makes page 1 has to know it (<https://www.sqlite.org/fileformat2.html#the_database_header>).
//!
//! **Invariant:** SQLite's schema cookie and change counter go on from the newest state: who knows the schema of any state before sees that it
//! is another one.
//!
//! **Not here:** which page 1 is made.

/// Bytes of the header, behind which page 1 is a page of a b-tree.
pub(crate) const HEADER_BYTES: usize = 100;
/// Where the bytes are told that are left free at the end of each page.
pub(crate) const RESERVED: usize = 20;
pub(crate) const PAGE_COUNT: usize = 28;
pub(crate) const FREE_LIST: usize = 32;
pub(crate) const SCHEMA_COOKIE: usize = 40;
pub(crate) const ENCODING: usize = 56;
const CHANGE_COUNTER: usize = 24;
/// The change counter that the number of pages is good for.
const VALID_FOR: usize = 92;

/// Makes page 1 one that follows `newest`.
pub(crate) fn follow(first: &mut [u8], newest: &[u8]) {
    for field in [CHANGE_COUNTER, SCHEMA_COOKIE] {
        write(first, field, read(newest, field).wrapping_add(1));
    }
    write(first, VALID_FOR, read(first, CHANGE_COUNTER));
}

/// A field of four bytes.
pub(crate) fn read(page: &[u8], field: usize) -> u32 {
    page.get(field..field + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Writes one.
pub(crate) fn write(page: &mut [u8], field: usize, value: u32) {
    if let Some(bytes) = page.get_mut(field..field + 4) {
        bytes.copy_from_slice(&value.to_be_bytes());
    }
}
