//! Commits that are made of pages: a state of the past that becomes the newest one, a database file, the pages of a branch. Each has the write
//! connection to itself, like a write that takes long, and others have their turn after every few pages.
//!
//! **Invariants**
//! 1. The state that is restored is kept while that lasts.
//! 2. No connection goes on with what it knew of the database before: the one that writes is opened anew, others see another schema cookie.
//!
//! **Not here:** which pages they are (`store`, `branch`), how a point of the past is found (`past`).

use super::budget::GiveWay;
use super::import::Bytes;
use super::lease::Lease;
use super::past::find;
use super::{Error, Failure};
use crate::store::{Load, PageStore, Restore, Rewrite};
use littoral_protocol::sql::Point;
use littoral_protocol::{Bookmark, State};
use std::rc::Rc;

/// What such a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The new state.
    pub bookmark: Bookmark,
    /// The one before: restoring that takes it back.
    pub previous: Bookmark,
}

impl Lease {
    /// Restores a state of the past.
    pub fn restore(&self, point: Point, now_ms: u64, give_way: &GiveWay) -> Result<Rewritten, Failure> {
        self.spoiling(|| {
            let txid = find(&**self.store(), point)?;
            let _kept = self.history().pin(txid);
            self.rewrite_once(Box::new(Restore::new(self.store().clone(), txid)?), now_ms, give_way)
        })
    }

    /// Makes a commit of pages that `begin` knows of.
    pub fn rewrite(
        &self,
        begin: impl FnOnce(&Rc<dyn PageStore>) -> Result<Box<dyn Rewrite>, Error>,
        now_ms: u64,
        give_way: &GiveWay,
    ) -> Result<Rewritten, Failure> {
        self.spoiling(|| self.rewrite_once(begin(self.store())?, now_ms, give_way))
    }

    /// Makes a commit of a database file: its pages take the place of all others.
    pub fn load(&self, bytes: Bytes<'_>, now_ms: u64, give_way: &GiveWay) -> Result<Rewritten, Failure> {
        self.spoiling(|| {
            let mut load = Load::new(self.store().clone());
            while let Some(bytes) = bytes()? {
                load.push(&bytes)?;
                give_way()?;
                self.check_alive()?;
            }
            Ok(load.finish(now_ms)?)
        })
    }

    fn rewrite_once(&self, mut rewrite: Box<dyn Rewrite>, now_ms: u64, give_way: &GiveWay) -> Result<State, Error> {
        while rewrite.step()? {
            give_way()?;
            self.check_alive()?;
        }
        Ok(rewrite.finish(now_ms)?)
    }

    /// Runs what changes pages below the write connection.
    fn spoiling(&self, run: impl FnOnce() -> Result<State, Error>) -> Result<Rewritten, Failure> {
        let previous = self.store().head().bookmark();
        let state = run().map_err(Failure::from);
        self.spoils(state.as_ref().err().cloned());
        Ok(Rewritten { bookmark: state?.bookmark(), previous })
    }
}
