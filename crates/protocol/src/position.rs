//! Positions: exactly which state of exactly which database.
//!
//! A follower names its position whenever it asks for something. Where it differs from what the source knows at that txid, the two have
//! diverged, and the follower begins anew.
//!
//! **Not here:** the text token that clients hold (`bookmark`).

use crate::{Checksum, State, Txid};
use std::fmt;

/// Tells databases apart, also two that had the same name one after the other. Drawn at random when a database is created; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DatabaseId(pub u64);

impl DatabaseId {
    /// No database, or one that is not known yet.
    pub const NONE: DatabaseId = DatabaseId(0);

    /// That of the database with this UUID: its first 64 bits.
    ///
    /// ```
    /// use littoral_protocol::DatabaseId;
    /// assert_eq!(DatabaseId::of_uuid("0123abcd-4567-4890-8abc-0123456789ab"), Some(DatabaseId(0x0123_abcd_4567_4890)));
    /// assert_eq!(DatabaseId::of_uuid("main"), None);
    /// ```
    pub fn of_uuid(uuid: &str) -> Option<DatabaseId> {
        let digits: String = uuid.get(..18)?.split('-').collect();
        (digits.len() == 16).then(|| u64::from_str_radix(&digits, 16).ok().map(DatabaseId))?
    }
}

impl fmt::Display for DatabaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A txid with the checksum of the database there. As text: `000000000000002a/82da6c108266bfde`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The commit.
    pub txid: Txid,
    /// Checksum of the database after it.
    pub checksum: Checksum,
}

impl Position {
    /// The position as bytes: txid and checksum, big-endian.
    pub fn to_bytes(&self) -> [u8; 16] {
        (u128::from(self.txid.0) << 64 | u128::from(self.checksum.0)).to_be_bytes()
    }

    /// The position of these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Position {
        let both = u128::from_be_bytes(bytes);
        Position { txid: Txid((both >> 64) as u64), checksum: Checksum(both as u64) }
    }
}

impl State {
    /// The position of this state.
    pub fn position(&self) -> Position {
        Position { txid: self.txid, checksum: self.checksum }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.txid, self.checksum)
    }
}
