//! Page images as stored bytes, with the store's errors.
//!
//! **Not here:** the format (`commit_log::image`): what is stored is what is sent.

use crate::commit_log::image;
pub(crate) use crate::commit_log::image::{compress, compress_against};
use crate::store::StoreError;
use littoral_protocol::{Checksum, Pgno, Txid};

/// Restores an image from stored bytes and checks it. `image` is one page long.
pub(crate) fn expand(stored: &[u8], image: &mut [u8], pgno: Pgno, at: Txid, checksum: Checksum) -> Result<(), StoreError> {
    image::expand(stored, image, pgno, checksum).map_err(|detail| StoreError::damaged_page(pgno, at, &detail))
}

/// Restores an image that others are restored from. It is not checked.
pub(crate) fn expand_unchecked(stored: &[u8], image: &mut [u8], pgno: Pgno, at: Txid) -> Result<(), StoreError> {
    image::expand_unchecked(stored, image).map_err(|detail| StoreError::damaged_page(pgno, at, &detail))
}

/// Restores an image from a delta and its base. It is not checked.
pub(crate) fn expand_against(stored: &[u8], base: &[u8], image: &mut [u8], pgno: Pgno, at: Txid) -> Result<(), StoreError> {
    image::expand_against(stored, base, image).map_err(|detail| StoreError::damaged_page(pgno, at, &detail))
}

/// Checks an image.
pub(crate) fn check(image: &[u8], pgno: Pgno, at: Txid, checksum: Checksum) -> Result<(), StoreError> {
    image::check(image, pgno, checksum).map_err(|detail| StoreError::damaged_page(pgno, at, &detail))
}
