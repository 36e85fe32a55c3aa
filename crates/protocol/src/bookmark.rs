//! Bookmarks: the opaque text token for a position in a database's history.
//!
//! The shape is D1's, 8-8-8-32 lower-case hexadecimal digits, so that every tool that sorts or stores D1 bookmarks handles ours:
//!
//! | digits | content |
//! |---|---|
//! | 8-8 | txid, high and low half |
//! | 8 | pages in the database |
//! | 16 | database checksum |
//! | 16 | time of the commit, milliseconds since 1970 |
//!
//! **Invariant:** bookmarks of one database sort as text in commit order, since the txid comes first and is of fixed width.
//!
//! **Not here:** whether the state is still kept (`store`), or waiting for it (`session`).

use crate::{Checksum, Txid};
use std::fmt;
use std::str::FromStr;

/// A position in the history of a database, as clients hold it.
///
/// ```
/// use littoral_protocol::Bookmark;
/// let text = "00000000-0000002a-00000003-0123456789abcdef0000019a00000000";
/// let bookmark: Bookmark = text.parse().unwrap();
/// assert_eq!(bookmark.txid.0, 42);
/// assert_eq!(bookmark.to_string(), text);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bookmark {
    /// The commit it names.
    pub txid: Txid,
    /// Pages in the database after that commit.
    pub page_count: u32,
    /// Checksum of the database after that commit.
    pub checksum: u64,
    /// Time of that commit, milliseconds since 1970.
    pub time_ms: u64,
}

impl Bookmark {
    /// The checksum it names.
    pub fn checksum(&self) -> Checksum {
        Checksum(self.checksum)
    }
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, low) = (self.txid.0 >> 32, self.txid.0 & 0xffff_ffff);
        write!(f, "{high:08x}-{low:08x}-{:08x}-{:016x}{:016x}", self.page_count, self.checksum, self.time_ms)
    }
}

/// The text is no bookmark: not 8-8-8-32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a bookmark: expected 8-8-8-32 hexadecimal digits")]
pub struct ParseBookmarkError;

impl FromStr for Bookmark {
    type Err = ParseBookmarkError;

    fn from_str(text: &str) -> Result<Bookmark, ParseBookmarkError> {
        let bytes = text.as_bytes();
        let dashes_at = [8, 17, 26];
        let well_formed = bytes.len() == 59
            && bytes
                .iter()
                .enumerate()
                .all(|(at, byte)| if dashes_at.contains(&at) { *byte == b'-' } else { matches!(byte, b'0'..=b'9' | b'a'..=b'f') });
        if !well_formed {
            return Err(ParseBookmarkError);
        }
        let hex = |from: usize, to: usize| u64::from_str_radix(&text[from..to], 16).map_err(|_| ParseBookmarkError);
        Ok(Bookmark {
            txid: Txid(hex(0, 8)? << 32 | hex(9, 17)?),
            page_count: hex(18, 26)? as u32,
            checksum: hex(27, 43)?,
            time_ms: hex(43, 59)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bookmarks_survive_text_and_sort_as_text(a: (u64, u32, u64, u64), b: (u64, u32, u64, u64)) {
            let make = |(txid, page_count, checksum, time_ms)| Bookmark { txid: Txid(txid), page_count, checksum, time_ms };
            let (a, b) = (make(a), make(b));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,70}") {
            let _ = text.parse::<Bookmark>();
        }
    }

    #[test]
    fn almost_bookmarks_are_refused() {
        let good = "00000000-0000002a-00000003-0123456789abcdef0000019a00000000";
        assert!(good.parse::<Bookmark>().is_ok());
        for bad in ["", "first-primary", &good.to_uppercase(), &good[1..], &good.replace('-', "+"), &format!("{good}0")] {
            assert_eq!(bad.parse::<Bookmark>(), Err(ParseBookmarkError), "{bad}");
        }
    }
}
