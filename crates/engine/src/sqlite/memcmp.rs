//! C's `memcmp`, eight bytes at a time. WebAssembly has no instruction for it, and the one that Rust brings along compares single bytes, which
//! every comparison of TEXT and BLOB in SQLite would wait for.
//!
//! **Not here:** copying and filling, for which there are instructions.

use std::ffi::c_int;

const WORD: usize = size_of::<u64>();

/// Takes the place of Rust's own in the linked module.
///
/// # Safety
/// Both addresses have `length` bytes.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub(super) unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, length: usize) -> c_int {
    let mut at = 0;
    // SAFETY: what is read ends at `length`, and need not be aligned.
    unsafe {
        while at + WORD <= length {
            let (left, right) = (a.add(at).cast::<u64>().read_unaligned(), b.add(at).cast::<u64>().read_unaligned());
            if left != right {
                return if left.to_be() < right.to_be() { -1 } else { 1 };
            }
            at += WORD;
        }
        while at < length {
            let (left, right) = (*a.add(at), *b.add(at));
            if left != right {
                return c_int::from(left) - c_int::from(right);
            }
            at += 1;
        }
    }
    0
}
