//! Replicas in the Workers runtime: what [`super::Link`] is there, and the replicas of this isolate.
//!
//! **Not here:** Durable Object classes and entry points (`worker`).

mod binding;
pub(crate) mod isolate;
pub(crate) mod jspi;
pub(crate) mod link;

pub use binding::{Namespaces, open, open_in};
