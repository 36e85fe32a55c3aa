//! Replicas: followers of a primary's commit log that keep some of its pages and answer reads.
//!
//! One state machine, [`Follower`], serves both tiers: in the memory of an isolate, and in a Durable Object that also keeps pages in its
//! storage ([`HeldPages`]). It asks for nothing itself: its [`Driver`] carries its questions to a source and the answers back.
//!
//! | part | what it does |
//! |---|---|
//! | [`Source`] | answers followers from a page store: the primary |
//! | [`Follower::relay`] | answers followers from a follower: a replica object, for the isolates behind it |
//! | [`Follower`] | position, versions of pages, pins; applies what comes; holds pages for readers (`fetch`) |
//! | [`Driver`] | what moves a follower: pulls, waits, answers those behind it, finds the state that a read is answered from |
//! | [`Link`] | what a replica needs of the runtime |
//! | [`PageCache`] | versions of pages in memory, of all followers together |
//! | [`HeldPages`] | pages in SQL storage |
//!
//! **Not here:** SQL (`engine`), who may answer (`session`), the network.

mod cache;
mod driver;
mod follower;
mod held;
mod link;
mod pin;
mod recent;
mod relay;
#[cfg(test)]
mod simulation;
mod sizes;
mod source;
#[cfg(test)]
mod tests;

pub use cache::{PageCache, Version};
pub use driver::{Driver, Pinned};
pub use follower::{Applied, Asked, Follower, SharedFollower};
pub use held::{HeldPages, PageShelf};
pub use link::{Later, Link, LinkError};
pub use pin::Pin;
pub use relay::Relayed;
pub use sizes::Sizes;
pub use source::Source;

use crate::commit_log::{DecodeError, Refusal};
use crate::store::StoreError;

/// Why a follower could not take an answer. It is as it was, or has thrown its pages away where the error says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// The answer is no message, or has damaged images.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The source refused.
    #[error("the source refused: {}", .0.text)]
    Refused(Refusal),
    /// It does not answer the question.
    #[error("the source answered something else than was asked")]
    Unexpected,
    /// What the follower holds is not what the primary has. Its pages are gone, and it begins anew.
    #[error("the replica has diverged at commit {at}: {what}; it has thrown its pages away")]
    Diverged {
        /// Its txid.
        at: littoral_protocol::Txid,
        /// What was found.
        what: String,
    },
    /// Its own storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
