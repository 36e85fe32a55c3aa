//! Who may use the HTTP surface: whoever shows one of the Worker's tokens, or an address that was signed with one.
//!
//! **Invariants**
//! 1. Without a token in the configuration everything is closed.
//! 2. How long a comparison takes says nothing of the tokens: their digests are compared, all bytes of all of them.
//!
//! **Not here:** what a token is for.

use hmac::{Hmac, Mac};
use js_sys::Reflect;
use littoral_protocol::rest::Refusal;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use wasm_bindgen::prelude::*;

/// The secret that holds the tokens, separated by blanks: several, so that one can take another's place.
const TOKENS: &str = "LITTORAL_TOKENS";

/// Whether the header `Authorization` allows a request.
pub(super) fn check(env: &JsValue, authorization: Option<&str>) -> Result<(), Refusal> {
    let configured = configured(env)?;
    let shown = authorization.and_then(bearer).ok_or_else(Refusal::unauthenticated)?;
    let shown = Sha256::digest(shown.as_bytes());
    let is_known =
        configured.split_whitespace().fold(Choice::from(0), |known, token| known | Sha256::digest(token.as_bytes()).ct_eq(&shown));
    if is_known.into() { Ok(()) } else { Err(Refusal::unauthenticated()) }
}

/// The signature of a text: HMAC with SHA-256 (RFC 2104) under the first token, in hexadecimal digits.
pub(super) fn sign(env: &JsValue, text: &str) -> Result<String, Refusal> {
    let configured = configured(env)?;
    let signed = configured.split_whitespace().next().and_then(|token| mac(token, text)).map(|mac| mac.finalize().into_bytes());
    Ok(signed.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a text was signed under one of the tokens.
pub(super) fn check_signature(env: &JsValue, text: &str, signature: &str) -> Result<(), Refusal> {
    let digits = |at: usize| signature.get(at..at + 2).and_then(|byte| u8::from_str_radix(byte, 16).ok());
    let bytes: Option<Vec<u8>> = (0..signature.len()).step_by(2).map(digits).collect();
    let bytes = bytes.ok_or_else(Refusal::not_signed)?;
    let configured = configured(env)?;
    let is_good = |token: &str| mac(token, text).is_some_and(|mac| mac.verify_slice(&bytes).is_ok());
    if configured.split_whitespace().any(is_good) { Ok(()) } else { Err(Refusal::not_signed()) }
}

fn mac(token: &str, text: &str) -> Option<Hmac<Sha256>> {
    Some(Hmac::<Sha256>::new_from_slice(token.as_bytes()).ok()?.chain_update(text))
}

/// The tokens.
fn configured(env: &JsValue) -> Result<String, Refusal> {
    let tokens = Reflect::get(env, &TOKENS.into()).ok().and_then(|tokens| tokens.as_string());
    tokens.filter(|tokens| tokens.split_whitespace().next().is_some()).ok_or_else(Refusal::not_configured)
}

/// The token of `Bearer <token>` (RFC 6750): the scheme in any case.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}
