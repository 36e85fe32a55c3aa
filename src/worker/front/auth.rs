//! Who may use the HTTP surface: whoever shows one of the Worker's tokens.
//!
//! **Invariants**
//! 1. Without a token in the configuration everything is closed.
//! 2. How long a comparison takes says nothing of the tokens: their digests are compared, all bytes of all of them.
//!
//! **Not here:** what a token is for.

use js_sys::Reflect;
use littoral_protocol::rest::Refusal;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use wasm_bindgen::prelude::*;

/// The secret that holds the tokens, separated by blanks: several, so that one can take another's place.
const TOKENS: &str = "LITTORAL_TOKENS";

/// Whether the header `Authorization` allows a request.
pub(super) fn check(env: &JsValue, authorization: Option<&str>) -> Result<(), Refusal> {
    let configured = Reflect::get(env, &TOKENS.into()).ok().and_then(|tokens| tokens.as_string()).unwrap_or_default();
    if configured.split_whitespace().next().is_none() {
        return Err(Refusal::not_configured());
    }
    let shown = authorization.and_then(bearer).ok_or_else(Refusal::unauthenticated)?;
    let shown = Sha256::digest(shown.as_bytes());
    let is_known =
        configured.split_whitespace().fold(Choice::from(0), |known, token| known | Sha256::digest(token.as_bytes()).ct_eq(&shown));
    if is_known.into() { Ok(()) } else { Err(Refusal::unauthenticated()) }
}

/// The token of `Bearer <token>` (RFC 6750): the scheme in any case.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}
