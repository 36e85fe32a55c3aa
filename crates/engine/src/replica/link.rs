//! What a replica needs of the runtime: a way to the next tier, waiting, the time.
//!
//! **Not here:** what is asked (`follower`).

use crate::fetch::Fetcher;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// Something that will be there.
pub type Later<T> = Pin<Box<dyn Future<Output = T>>>;

/// Why the next tier did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

/// One request's way to the next tier.
pub trait Link {
    /// Asks a question of the commit log.
    fn ask(&self, question: Vec<u8>) -> Later<Result<Vec<u8>, LinkError>>;

    /// Runs `job` on a stack that may wait for pages.
    fn run_waiting(&self, job: Box<dyn FnOnce()>) -> Later<Result<(), LinkError>>;

    /// Fetches pages for one query that runs so.
    fn fetcher(&self) -> Rc<dyn Fetcher>;

    /// Waits until another request's question about this database has been answered, or for a while.
    fn wait(&self) -> Later<()>;

    /// Ends the waiting of all.
    fn wake(&self);

    /// Something for others to call, and the waiting for that, of this many milliseconds at most.
    fn turn(&self, longest_ms: u64) -> (Box<dyn FnOnce()>, Later<()>);

    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// Says something for people to read.
    fn log(&self, line: &str);
}
