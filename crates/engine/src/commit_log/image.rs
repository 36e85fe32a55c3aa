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
    patch(image, base).unwrap_or_else(|| lz4_flex::block::compress_with_dict(image, base))
}

/// Bytes of a block below which nothing shorter is looked for.
const SHORT_PATCH: usize = 200;
/// Equal bytes that are worth a match: it takes three at least.
const SHORTEST_MATCH: usize = 8;
/// A block ends with so many bytes that no match begins in.
const LAST_LITERALS: usize = 12;

/// Such a block whose matches are all where they are in the image, if it is short: most changes of a page leave most of it in its place, and to
/// look only there saves a third of what a single-row insert computes (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>).
fn patch(image: &[u8], base: &[u8]) -> Option<Vec<u8>> {
    let offset = u16::try_from(base.len()).ok().filter(|_| base.len() == image.len())?;
    let end = image.len().checked_sub(LAST_LITERALS)?;
    let mut block = Vec::with_capacity(SHORT_PATCH);
    let (mut at, mut written) = (0, 0);
    while at < end {
        let same = common_length(&image[at..end], &base[at..end]);
        if same >= SHORTEST_MATCH {
            push_sequence(&mut block, &image[written..at], Some((offset, same)));
            written = at + same;
        }
        // What ends it is a byte that differs.
        at += same + 1;
        if block.len() + at.saturating_sub(written) > SHORT_PATCH {
            return None;
        }
    }
    push_sequence(&mut block, &image[written..], None);
    Some(block)
}

/// How many bytes two slices of the same length have in common at their beginning.
fn common_length(one: &[u8], other: &[u8]) -> usize {
    let (ones, others) = (one.as_chunks::<16>().0, other.as_chunks::<16>().0);
    let same = 16 * ones.iter().zip(others).take_while(|(one, other)| u128::from_ne_bytes(**one) == u128::from_ne_bytes(**other)).count();
    same + one[same..].iter().zip(&other[same..]).take_while(|(one, other)| one == other).count()
}

/// Literals, and a match with its offset and length. None: the block ends.
fn push_sequence(block: &mut Vec<u8>, literals: &[u8], matched: Option<(u16, usize)>) {
    let match_length = matched.map_or(0, |(_, length)| length - 4);
    block.push((literals.len().min(15) << 4 | match_length.min(15)) as u8);
    push_length(block, literals.len());
    block.extend_from_slice(literals);
    if let Some((offset, _)) = matched {
        block.extend_from_slice(&offset.to_le_bytes());
        push_length(block, match_length);
    }
}

/// What of a length does not fit its four bits of the token.
fn push_length(block: &mut Vec<u8>, length: usize) {
    if let Some(mut rest) = length.checked_sub(15) {
        while rest >= 255 {
            block.push(255);
            rest -= 255;
        }
        block.push(rest as u8);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_makes_an_image_of_another_does(
            size in prop::sample::select(vec![512_usize, 4096, 32_768, 65_536]),
            seed in any::<u64>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..80)), 0..12),
            shift in 0_usize..3,
        ) {
            let mut noise = seed | 1;
            let base: Vec<u8> = (0..size).map(|_| { noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); (noise >> 56) as u8 }).collect();
            let mut image = base.clone();
            image[..size / 4].rotate_right(shift);
            for (at, bytes) in changes {
                let at = at.index(size);
                let length = bytes.len().min(size - at);
                image[at..at + length].copy_from_slice(&bytes[..length]);
            }
            let block = compress_against(&image, &base);
            let mut found = vec![0; size];
            expand_against(&block, &base, &mut found).unwrap();
            prop_assert!(found == image);
        }
    }

    #[test]
    fn a_few_bytes_in_their_place_are_a_few_bytes() {
        let base: Vec<u8> = (0..4096_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut image = base.clone();
        for at in [3, 4, 100, 2_000, 4_095] {
            image[at] ^= 1;
        }
        let block = patch(&image, &base).unwrap();
        assert!(block.len() < 60, "{}", block.len());
        let mut found = vec![0; 4096];
        expand_against(&block, &base, &mut found).unwrap();
        assert!(found == image);
        assert!(patch(&base, &base).is_some_and(|block| block.len() < 40));
        image.rotate_left(1);
        assert_eq!(patch(&image, &base), None, "nothing is in its place");
    }
}
