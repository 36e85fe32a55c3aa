//! Transaction ids: the dense counter of commits.
//!
//! **Invariant:** the first commit of a database is 1 and each commit is its predecessor plus one. 0 is the empty database.
//!
//! **Not here:** the token that clients hold (`bookmark`).

use std::fmt;

/// The number of a commit. As text: 16 hexadecimal digits, so that text sorts as numbers do.
///
/// ```
/// use littoral_protocol::Txid;
/// assert_eq!(Txid(255).to_string(), "00000000000000ff");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Txid(pub u64);

impl Txid {
    /// The state before the first commit: no pages.
    pub const EMPTY: Txid = Txid(0);

    /// No commit has a larger one: JavaScript's integers and those of the storage end here.
    pub const MAX: Txid = Txid((1 << 53) - 1);

    /// The commit after this one.
    pub const fn next(self) -> Txid {
        Txid(self.0 + 1)
    }
}

impl fmt::Display for Txid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
