//! How much the running calls may compute, in SQLite's instructions and in the work that one of them may hide (`sqlite::work`).
//!
//! **Not here:** limits of a single statement (`limits`).

use crate::sqlite::work;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often it is looked at, in instructions.
const STEP: u64 = 100;
/// Bytes that one instruction may fill or search; more count as more instructions.
const BYTES_PER_INSTRUCTION: u64 = 8;

/// The budget of one connection, in steps.
#[derive(Default)]
pub(super) struct InstructionBudget(Arc<AtomicU64>);

impl InstructionBudget {
    /// Interrupts what runs on the connection when there is nothing left.
    pub(super) fn watch(&self, sqlite: &mut rusqlite::Connection) -> rusqlite::Result<()> {
        let left = self.0.clone();
        let spend = move || {
            let (cost, before) = (1 + work::take(BYTES_PER_INSTRUCTION * STEP), left.load(Ordering::Relaxed));
            left.store(before.saturating_sub(cost), Ordering::Relaxed);
            before < cost
        };
        sqlite.progress_handler(STEP as i32, Some(spend))
    }

    /// Gives the calls that run next all of it.
    pub(super) fn refill(&self, kiloinstructions: u64) {
        work::take(1);
        self.0.store(kiloinstructions.saturating_mul(1_000 / STEP), Ordering::Relaxed);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}
