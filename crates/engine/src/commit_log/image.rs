//! Page images as stored and sent: an LZ4 block, or the image itself where LZ4 does not make it smaller. Old versions may be stored as an LZ4
//! block whose dictionary is another image.
//!
//! **Invariant:** stored bytes are as long as a page exactly when they are the image itself. No tag is needed.

use littoral_protocol::{Checksum, Pgno};
use std::borrow::Cow;

/// The bytes to store for `image`.
pub(crate) fn compress(image: &[u8]) -> Cow<'_, [u8]> {
    let block = lz4_flex::block::compress(image);
    if block.len() < image.len() { Cow::Owned(block) } else { Cow::Borrowed(image) }
}

/// What makes `image` out of `base`, an LZ4 block with that as its dictionary.
pub(crate) fn compress_against(image: &[u8], base: &[u8]) -> Vec<u8> {
    lz4_flex::block::compress_with_dict(image, base)
}

/// Restores an image from what [`compress_against`] made of it. It is not checked.
pub(crate) fn expand_against(stored: &[u8], base: &[u8], image: &mut [u8]) -> Result<(), String> {
    let length = lz4_flex::block::decompress_into_with_dict(stored, image, base).map_err(|error| error.to_string())?;
    if length == image.len() { Ok(()) } else { Err(format!("{length} bytes instead of {}", image.len())) }
}

/// Restores an image from stored bytes and checks it. `image` is one page long. The error says what was found instead.
pub(crate) fn expand(stored: &[u8], image: &mut [u8], pgno: Pgno, checksum: Checksum) -> Result<(), String> {
    expand_unchecked(stored, image)?;
    check(image, pgno, checksum)
}

/// As [`expand`], for the base of something that will be checked.
pub(crate) fn expand_unchecked(stored: &[u8], image: &mut [u8]) -> Result<(), String> {
    if stored.len() == image.len() {
        image.copy_from_slice(stored);
    } else {
        let length = lz4_flex::block::decompress_into(stored, image).map_err(|error| error.to_string())?;
        if length != image.len() {
            return Err(format!("{length} bytes instead of {}", image.len()));
        }
    }
    Ok(())
}

/// Checks an image. The error says what was found instead.
pub(crate) fn check(image: &[u8], pgno: Pgno, checksum: Checksum) -> Result<(), String> {
    let found = Checksum::of_page(pgno, image);
    if found != checksum {
        return Err(format!("checksum {found} instead of {checksum}"));
    }
    Ok(())
}
