//! The contract tests of page stores.
