//! How deep the stack is. SQLite's compiler recurses as deep as a statement nests, and not everything that nests has a limit (views that read
//! views). A WebAssembly stack that grows too large ends the instance; so before it does, SQLite gets no more memory, which it can bear
//! anywhere, and every level of its recursion asks for some. A SELECT inside others is refused sooner.
//!
//! The stack meant is that of C and Rust in the instance's own memory. The runtime's, beside it, is of about the same size and holds return
//! addresses and small values. How much cannot be asked, and depends on the compiler: where SELECTs nest and all is optimised, it is full when
//! less than a quarter of this one is.
//!
//! **Not here:** native programs, whose stacks are larger and of no known size.

use std::cell::Cell;

thread_local! {
    static TOO_DEEP: Cell<bool> = const { Cell::new(false) };
}

/// The stack has 1 MiB and grows down to address 0 (`wasm-ld --stack-first`), so an address in it is what is left. Expressions as deep as is
/// allowed use 205 KB, with no harm to the runtime's stack.
#[cfg(target_arch = "wasm32")]
const MUST_BE_LEFT: usize = (1 << 20) - (240 << 10);
/// At a SELECT inside another one, which takes more of the runtime's stack. With optimised code (V8's `--no-liftoff`) that is full when between
/// 190 and 220 KB are used, in the worst case that is tested, scalar subqueries; with code that is not, at more than twice as much.
#[cfg(target_arch = "wasm32")]
const MUST_BE_LEFT_FOR_SELECT: usize = (1 << 20) - (144 << 10);

/// Bytes of the stack that are left.
#[cfg(target_arch = "wasm32")]
fn left() -> usize {
    let here = 0_u8;
    std::hint::black_box(&raw const here) as usize
}

/// Whether the stack has grown so deep that nothing more should be begun; remembered for [`take_too_deep`].
pub(super) fn is_too_deep() -> bool {
    #[cfg(target_arch = "wasm32")]
    return remember(left() < MUST_BE_LEFT);
    #[cfg(not(target_arch = "wasm32"))]
    false
}

/// Whether it is too deep for another SELECT; remembered likewise.
pub(crate) fn is_too_deep_for_select() -> bool {
    #[cfg(target_arch = "wasm32")]
    return remember(left() < MUST_BE_LEFT_FOR_SELECT);
    #[cfg(not(target_arch = "wasm32"))]
    false
}

#[cfg(target_arch = "wasm32")]
fn remember(too_deep: bool) -> bool {
    if too_deep {
        TOO_DEEP.set(true);
    }
    too_deep
}

/// Whether something was refused for this reason since this was last asked.
pub(crate) fn take_too_deep() -> bool {
    TOO_DEEP.replace(false)
}

/// Remembers it again, or not.
pub(super) fn set_too_deep(too_deep: bool) {
    TOO_DEEP.set(too_deep);
}
