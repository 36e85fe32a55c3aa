//! Page images as stored bytes: an LZ4 block, or the image itself where LZ4 does not make it smaller.
//!
//! **Invariant:** stored bytes are as long as a page exactly when they are the image itself. No tag is needed.
//!
//! **Not here:** checksums. They are kept beside the bytes and checked by whoever reads.

use crate::checksum::Checksum;
use crate::page::Pgno;
use crate::store::StoreError;
use crate::txid::Txid;
use std::borrow::Cow;

/// The bytes to store for `image`.
pub(crate) fn compress(image: &[u8]) -> Cow<'_, [u8]> {
    let block = lz4_flex::block::compress(image);
    if block.len() < image.len() { Cow::Owned(block) } else { Cow::Borrowed(image) }
}

/// Restores an image from stored bytes and checks it. `image` is one page long.
pub(crate) fn expand(stored: &[u8], image: &mut [u8], pgno: Pgno, at: Txid, checksum: Checksum) -> Result<(), StoreError> {
    if stored.len() == image.len() {
        image.copy_from_slice(stored);
    } else {
        let length =
            lz4_flex::block::decompress_into(stored, image).map_err(|error| StoreError::damaged_page(pgno, at, &error.to_string()))?;
        if length != image.len() {
            return Err(StoreError::damaged_page(pgno, at, &format!("{length} bytes instead of {}", image.len())));
        }
    }
    let found = Checksum::of_page(pgno, image);
    if found != checksum {
        return Err(StoreError::damaged_page(pgno, at, &format!("checksum {found} instead of {checksum}")));
    }
    Ok(())
}
