//! Addresses that need no token, since they were signed with one: each is good for what it names and for an hour, and nobody can make another
//! of it. The query string of one is `expires=<milliseconds since 1970>&...&signature=<hexadecimal digits>`.
//!
//! **Not here:** what they are for (`export`, `import`).

use super::auth::{check_signature, sign};
use crate::runtime::time::now_ms;
use littoral_protocol::rest::Refusal;
use wasm_bindgen::prelude::*;

/// For how long an address is good, in milliseconds.
const GOOD_MS: u64 = 60 * 60 * 1_000;

/// The query string of an address for `subject`, which says `query` beside that.
pub(super) fn signed(env: &JsValue, subject: &str, query: &str) -> Result<String, Refusal> {
    let separator = if query.is_empty() { "" } else { "&" };
    let query = format!("expires={}{separator}{query}", now_ms() + GOOD_MS);
    let signature = sign(env, &text(subject, &query))?;
    Ok(format!("{query}&signature={signature}"))
}

/// Whether a query string is that of an address for `subject`.
pub(super) fn check(env: &JsValue, subject: &str, query: &str) -> Result<(), Refusal> {
    let (query, signature) = query.rsplit_once("&signature=").ok_or_else(Refusal::not_signed)?;
    check_signature(env, &text(subject, query), signature)
}

/// Whether the address is still good; whoever has begun may go on.
pub(super) fn check_time(query: &str) -> Result<(), Refusal> {
    let expires = query.strip_prefix("expires=").and_then(|rest| rest.split('&').next()).and_then(|ms| ms.parse::<u64>().ok());
    expires.filter(|expires_ms| *expires_ms >= now_ms()).map(drop).ok_or_else(Refusal::not_signed)
}

fn text(subject: &str, query: &str) -> String {
    format!("{subject}\n{query}")
}
