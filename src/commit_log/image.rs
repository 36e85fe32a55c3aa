//! Page images as stored and sent: an LZ4 block, or the image itself where LZ4 does not make it smaller.
//!
//! **Invariant:** stored bytes are as long as a page exactly when they are the image itself. No tag is needed.

use crate::checksum::Checksum;
use crate::page::Pgno;
use std::borrow::Cow;

/// The bytes to store for `image`.
pub(crate) fn compress(image: &[u8]) -> Cow<'_, [u8]> {
    let block = lz4_flex::block::compress(image);
    if block.len() < image.len() { Cow::Owned(block) } else { Cow::Borrowed(image) }
}

/// Restores an image from stored bytes and checks it. `image` is one page long. The error says what was found instead.
pub(crate) fn expand(stored: &[u8], image: &mut [u8], pgno: Pgno, checksum: Checksum) -> Result<(), String> {
    if stored.len() == image.len() {
        image.copy_from_slice(stored);
    } else {
        let length = lz4_flex::block::decompress_into(stored, image).map_err(|error| error.to_string())?;
        if length != image.len() {
            return Err(format!("{length} bytes instead of {}", image.len()));
        }
    }
    let found = Checksum::of_page(pgno, image);
    if found != checksum {
        return Err(format!("checksum {found} instead of {checksum}"));
    }
    Ok(())
}
