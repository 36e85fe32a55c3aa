//! Long reads at the simulator's primary: each reads the state that was the head when it began, while everything else goes on.
//!
//! **Not here:** how many there are and which is next (`primary::Primary`); how a stack is put aside.

use super::event::{Ask, Event};
use super::network::Network;
use super::truth::{Check, Mark, Truth};
use crate::store::PageStore;
use littoral_protocol::{DatabaseId, Pgno, State, Txid};
use std::collections::{BTreeMap, BTreeSet};

/// As many as `docs/limits.md` says.
const MOST: usize = 8;
const LONGEST_MS: u64 = 150;

pub(super) struct LongRead {
    pub(super) request: Ask,
    pub(super) place: Mark,
    pub(super) state: State,
}

#[derive(Default)]
pub(super) struct LongReads {
    reading: BTreeMap<u64, LongRead>,
    waiting: usize,
}

impl LongReads {
    /// Those of these requests that are done soon; the others are long, and wait.
    pub(super) fn put_aside(&mut self, net: &mut Network, requests: Vec<Ask>) -> (Vec<Ask>, Vec<Ask>) {
        let part = net.weather.long_reads;
        let (long, short): (Vec<Ask>, Vec<Ask>) = requests.into_iter().partition(|request| !request.write && net.rng.f64() < part);
        self.waiting += long.len();
        (short, long)
    }

    /// Nobody waits for one any more that has not begun.
    pub(super) fn gives_up(&mut self) {
        self.waiting -= 1;
    }

    /// One begins.
    pub(super) fn begin(&mut self, net: &mut Network, life: u64, read: LongRead) {
        self.waiting -= 1;
        let number = net.number();
        self.reading.insert(number, read);
        assert!(self.reading.len() <= MOST, "{} long reads at once", self.reading.len());
        net.after(LONGEST_MS, Event::Read { life, number });
    }

    /// One has come to its end: some of its pages are read, and have to be those of its state.
    pub(super) fn end(
        &mut self,
        net: &mut Network,
        number: u64,
        (database, store): (DatabaseId, &dyn PageStore),
        truth: &Truth,
    ) -> Result<Option<LongRead>, String> {
        let Some(read) = self.reading.remove(&number) else { return Ok(None) };
        let LongRead { state, place, .. } = &read;
        if truth.id(place.0) != database {
            net.note(|| format!("what is read at {place:?} is no more"));
            return Ok(None);
        }
        net.stats.long_reads += 1;
        for _ in 0..net.rng.u32(0..4).min(state.page_count) {
            let (pgno, mut image) = (Pgno(net.rng.u32(1..=state.page_count)), vec![0; state.page_size.bytes()]);
            store.read_page(pgno, state.txid, &mut image).map_err(|error| format!("a long read at {place:?} fails: {error}"))?;
            truth.check_page(database, pgno, state.txid, &image)?;
        }
        Ok(Some(read))
    }

    /// The states that are being read, which are kept.
    pub(super) fn pinned(&self) -> BTreeSet<Txid> {
        self.reading.values().map(|read| read.state.txid).collect()
    }

    /// Those that have no answer yet.
    pub(super) fn open(&self) -> Check {
        let (reading, waiting) = (self.reading.len(), self.waiting);
        if reading + waiting == 0 { Ok(()) } else { Err(format!("{reading} long reads do not end, and {waiting} never begin")) }
    }
}
