//! Room for what is longer than memory and nobody needs for long: SQLite's temporary files.
//!
//! **Not here:** what they hold, and how much of it stays in memory (`vfs`).

use super::StoreError;

/// Bytes of a block of a temporary file: few storage rows, each of which a moment in memory holds.
pub const BLOCK_BYTES: usize = 64 << 10;

/// Temporary files in blocks. They are part of no state, and gone when the store is opened again.
pub trait ScratchSpace {
    /// A number for a new file.
    fn new_scratch(&self) -> u64;

    /// Stores a block of a file, of [`BLOCK_BYTES`] at most.
    fn put_scratch(&self, file: u64, block: u32, bytes: &[u8]) -> Result<(), StoreError>;

    /// Reads a block; `None`: it was not stored.
    fn get_scratch(&self, file: u64, block: u32) -> Result<Option<Vec<u8>>, StoreError>;

    /// Deletes the blocks of a file from `from` on.
    fn cut_scratch(&self, file: u64, from: u32) -> Result<(), StoreError>;
}
