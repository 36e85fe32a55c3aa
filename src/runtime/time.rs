//! The time.

/// Milliseconds since 1970. The runtime's clock stands still while code runs.
#[allow(clippy::disallowed_methods, reason = "the one place that asks")]
pub(crate) fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}
