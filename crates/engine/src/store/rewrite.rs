//! A commit that is made of pages instead of SQL: in steps, so that others have their turn, and then at once.

use super::StoreError;
use littoral_protocol::State;

/// One that is under way. Until [`Rewrite::finish`] no state has anything of it, and if it is dropped none ever will.
pub trait Rewrite {
    /// Does a part of it. Returns whether there is more to do.
    fn step(&mut self) -> Result<bool, StoreError>;

    /// Does the rest and makes it the next commit, at this time, in milliseconds since 1970. Returns the newest state, which is the one before if
    /// there was nothing to change.
    fn finish(self: Box<Self>, time_ms: u64) -> Result<State, StoreError>;
}
