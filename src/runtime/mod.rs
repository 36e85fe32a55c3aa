//! The Workers runtime and JavaScript: the only code that names them, besides the binding's transport and the entry points.
//!
//! **Not here:** Durable Object classes and entry points (`worker`), deciding anything.

#[cfg(feature = "server")]
mod incoming;
pub(crate) mod js;
#[cfg(feature = "edge")]
pub(crate) mod jspi;
#[cfg(feature = "edge")]
pub(crate) mod link;
#[cfg(feature = "edge")]
pub(crate) mod request;
#[cfg(feature = "server")]
pub(crate) mod storage;
#[cfg(feature = "edge")]
pub(crate) mod stubs;
#[cfg(feature = "edge")]
pub(crate) mod time;
#[cfg(feature = "server")]
pub(crate) mod turns;
#[cfg(feature = "edge")]
pub(crate) mod variable;
#[cfg(feature = "edge")]
pub(crate) mod work;
