//! Checksums of pages and of whole databases.
//!
//! A page's checksum is XXH64 of its image with the page number as the seed. A database's checksum is the XOR of the checksums of
//! all its pages; the empty database has 0. XOR makes it incremental, as in superfly's LTX: a commit takes the old checksum of each
//! changed page out and puts the new one in, and never looks at the other pages.
//!
//! **Invariants**
//! 1. Two databases with equal pages have equal checksums, in whatever order they came to be.
//! 2. The lock page (see [`crate::PageSize::lock_page`]) has no checksum: it is never written.
//!
//! **Not here:** protection from forgery. XXH64 finds damage and divergence; it is no signature.

use crate::Pgno;
use std::fmt;
use std::ops::BitXorAssign;
use xxhash_rust::xxh64::xxh64;

/// The checksum of a page or of a database: 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checksum(pub u64);

impl Checksum {
    /// The checksum of the database without pages.
    pub const EMPTY: Checksum = Checksum(0);

    /// The checksum of one page.
    pub fn of_page(pgno: Pgno, image: &[u8]) -> Checksum {
        Checksum(xxh64(image, u64::from(pgno.0)))
    }
}

impl BitXorAssign for Checksum {
    fn bitxor_assign(&mut self, other: Checksum) {
        self.0 ^= other.0;
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_pages_change_the_database_checksum() {
        let sum = |a: &[u8], b: &[u8]| {
            let mut sum = Checksum::EMPTY;
            sum ^= Checksum::of_page(Pgno(1), a);
            sum ^= Checksum::of_page(Pgno(2), b);
            sum
        };
        assert_ne!(sum(b"one", b"two"), sum(b"two", b"one"));
        assert_ne!(sum(b"same", b"same"), Checksum::EMPTY);
    }

    #[test]
    fn the_page_checksum_is_xxh64_with_the_page_number_as_seed() {
        // Golden value: a change here is a change of the stored format.
        assert_eq!(Checksum::of_page(Pgno(1), &[0; 4096]).to_string(), GOLDEN);
    }
    const GOLDEN: &str = "82da6c108266bfde";
}
