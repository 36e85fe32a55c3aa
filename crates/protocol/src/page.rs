//! Pages: the fixed-size blocks that a SQLite database file consists of.
//!
//! A page is named by its number, from 1. Its size is a power of two from 512 to 65,536 bytes, one size for the whole
//! database at one transaction (`VACUUM` can change it), stored in the header at the start of page 1:
//! <https://www.sqlite.org/fileformat2.html#the_database_header>.
//!
//! **Not here:** who keeps pages (`store`), and what is in them (SQLite's business).

use std::fmt;

/// The number of a page, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pgno(pub u32);

impl Pgno {
    /// The page that begins with the database header.
    pub const FIRST: Pgno = Pgno(1);
}

impl fmt::Display for Pgno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The size of every page of a database, in bytes.
///
/// ```
/// use littoral_protocol::PageSize;
/// assert!(PageSize::new(4096).is_some());
/// assert!(PageSize::new(4095).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u32);

impl PageSize {
    /// The size a new database gets when nobody asks for another.
    pub const DEFAULT: PageSize = PageSize(4096);

    /// A page size, if SQLite allows `bytes`.
    pub const fn new(bytes: u32) -> Option<PageSize> {
        if bytes.is_power_of_two() && bytes >= 512 && bytes <= 65_536 { Some(PageSize(bytes)) } else { None }
    }

    /// The page size and the number of pages that the header of a database file tells
    /// (<https://www.sqlite.org/fileformat2.html#the_database_header>).
    pub fn from_header(first_page: &[u8]) -> Option<(PageSize, u32)> {
        let page_size = match u16::from_be_bytes(*first_page.get(16..)?.first_chunk()?) {
            1 => 65_536,
            bytes => u32::from(bytes),
        };
        Some((PageSize::new(page_size)?, u32::from_be_bytes(*first_page.get(28..)?.first_chunk()?)))
    }

    /// The size in bytes.
    pub const fn bytes(self) -> usize {
        self.0 as usize
    }

    /// The size in bytes, as stored in a commit.
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// The page that holds the byte at `offset` of the database file.
    pub fn page_at(self, offset: u64) -> Pgno {
        Pgno((offset / u64::from(self.0)) as u32 + 1)
    }

    /// The page that SQLite never uses, because locks live on its bytes (`PENDING_BYTE`, at 1 GiB). It is part of the file's
    /// length, is never written, and reads as zeros.
    pub fn lock_page(self) -> Pgno {
        self.page_at(0x4000_0000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_the_page_size_and_the_pages() {
        let mut header = [0; 32];
        header[31] = 9;
        assert_eq!(PageSize::from_header(&header), None);
        header[16..18].copy_from_slice(&[0x10, 0]);
        assert_eq!(PageSize::from_header(&header), Some((PageSize::DEFAULT, 9)));
        header[16..18].copy_from_slice(&[0, 1]);
        assert_eq!(PageSize::from_header(&header), PageSize::new(65_536).map(|size| (size, 9)));
        assert_eq!(PageSize::from_header(&header[..31]), None);
    }

    #[test]
    fn page_sizes_are_the_powers_of_two_that_sqlite_allows() {
        let allowed: Vec<u32> = (0..=131_072).filter(|&n| PageSize::new(n).is_some()).collect();
        assert_eq!(allowed, [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536]);
    }

    #[test]
    fn the_lock_page_follows_from_the_page_size() {
        assert_eq!(PageSize::new(4096).unwrap().lock_page(), Pgno(262_145));
        assert_eq!(PageSize::new(65_536).unwrap().lock_page(), Pgno(16_385));
    }
}
