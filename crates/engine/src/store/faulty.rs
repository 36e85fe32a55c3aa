//! Stores that fail where a test says: at the n-th operation, once or from then on.
//!
//! [`FaultyStore`] wraps any page store, [`FaultySql`] the SQL storage below [`super::DurableStore`]. Both count operations with one
//! [`Fault`], so a test can first run a workload to count them and then fail at each in turn.
//!
//! **Not here:** torn writes. The storage below promises that one SQL transaction is atomic; these fail between operations.

use super::durable::{Param, Sql, SqlError, StoredValue};
use super::{PageStore, ScratchSpace, StoreError};
use crate::commit_log::LoggedCommit;
use littoral_protocol::{Checksum, Commit, DatabaseId, Frame, PageSet, Pgno, State, Txid};
use std::cell::Cell as Counter;
use std::collections::BTreeSet;
use std::rc::Rc;

/// When to fail. Clones share one counter.
#[derive(Clone, Debug, Default)]
pub struct Fault(Rc<Plan>);

#[derive(Debug, Default)]
struct Plan {
    operations: Counter<u64>,
    armed_at: Counter<Option<u64>>,
    kind: Counter<Kind>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Kind {
    #[default]
    Once,
    Stop,
    StopAfter,
}

/// What becomes of one operation.
enum Verdict {
    Passes,
    Fails,
    /// It is done, and nobody hears of it.
    AnswerLost,
}

impl Fault {
    /// Fails the `n`-th operation from now (from 1), and that one only.
    pub fn fail_at(&self, n: u64) {
        self.arm(n, Kind::Once);
    }

    /// Fails the `n`-th operation from now and every one after it: the process is gone.
    pub fn stop_at(&self, n: u64) {
        self.arm(n, Kind::Stop);
    }

    /// Does the `n`-th operation from now but loses its answer, and fails every one after it: the process was gone a moment later.
    pub fn stop_after(&self, n: u64) {
        self.arm(n, Kind::StopAfter);
    }

    /// Lets everything pass again.
    pub fn clear(&self) {
        self.0.armed_at.set(None);
    }

    /// Operations seen since the last call that armed it.
    pub fn operations(&self) -> u64 {
        self.0.operations.get()
    }

    fn arm(&self, n: u64, kind: Kind) {
        self.0.operations.set(0);
        self.0.armed_at.set(Some(n));
        self.0.kind.set(kind);
    }

    fn next(&self) -> Verdict {
        let now = self.0.operations.get() + 1;
        self.0.operations.set(now);
        let Some(at) = self.0.armed_at.get() else { return Verdict::Passes };
        match self.0.kind.get() {
            Kind::Once if now == at => Verdict::Fails,
            Kind::Stop if now >= at => Verdict::Fails,
            Kind::StopAfter if now == at => Verdict::AnswerLost,
            Kind::StopAfter if now > at => Verdict::Fails,
            Kind::Once | Kind::Stop | Kind::StopAfter => Verdict::Passes,
        }
    }

    fn run<T, E: From<SqlError>>(&self, operation: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        match self.next() {
            Verdict::Passes => operation(),
            Verdict::Fails => Err(injected().into()),
            Verdict::AnswerLost => operation().and_then(|_| Err(injected().into())),
        }
    }
}

fn injected() -> SqlError {
    SqlError::Failed(INJECTED.into())
}

/// What every injected failure says.
pub const INJECTED: &str = "injected failure";

/// A page store that fails as its [`Fault`] says.
pub struct FaultyStore<S> {
    store: S,
    fault: Fault,
    damaged: Counter<Option<Pgno>>,
}

impl<S> FaultyStore<S> {
    /// Wraps `store`.
    pub fn new(store: S, fault: Fault) -> FaultyStore<S> {
        FaultyStore { store, fault, damaged: Counter::new(None) }
    }

    /// Changes the last byte of this page whenever it is read, after it was checked: as if the reader's memory had been overwritten.
    /// Pages read before they are asked for stay whole.
    pub fn damage(&self, pgno: Option<Pgno>) {
        self.damaged.set(pgno);
    }
}

impl<S: PageStore> ScratchSpace for FaultyStore<S> {
    fn new_scratch(&self) -> u64 {
        self.store.new_scratch()
    }

    fn put_scratch(&self, file: u64, block: u32, bytes: &[u8]) -> Result<(), StoreError> {
        self.fault.run(|| self.store.put_scratch(file, block, bytes))
    }

    fn get_scratch(&self, file: u64, block: u32) -> Result<Option<Vec<u8>>, StoreError> {
        self.fault.run(|| self.store.get_scratch(file, block))
    }

    fn cut_scratch(&self, file: u64, from: u32) -> Result<(), StoreError> {
        self.fault.run(|| self.store.cut_scratch(file, from))
    }
}

impl<S: PageStore> PageStore for FaultyStore<S> {
    fn id(&self) -> DatabaseId {
        self.store.id()
    }

    fn head(&self) -> State {
        self.store.head()
    }

    fn oldest(&self) -> Txid {
        self.store.oldest()
    }

    fn exact_from(&self) -> Txid {
        self.store.exact_from()
    }

    fn state(&self, txid: Txid) -> Result<State, StoreError> {
        self.fault.run(|| self.store.state(txid))
    }

    fn resolve(&self, txid: Txid) -> Result<Txid, StoreError> {
        self.fault.run(|| self.store.resolve(txid))
    }

    fn next_kept(&self, txid: Txid) -> Result<Option<State>, StoreError> {
        self.fault.run(|| self.store.next_kept(txid))
    }

    fn txid_at(&self, time_ms: u64) -> Result<Txid, StoreError> {
        self.fault.run(|| self.store.txid_at(time_ms))
    }

    fn history_bytes(&self) -> Result<u64, StoreError> {
        self.fault.run(|| self.store.history_bytes())
    }

    fn read_page(&self, pgno: Pgno, at: Txid, image: &mut [u8]) -> Result<(), StoreError> {
        self.fault.run(|| self.store.read_page(pgno, at, image))?;
        if let Some(last) = image.last_mut().filter(|_| self.damaged.get() == Some(pgno)) {
            *last ^= 1;
        }
        Ok(())
    }

    fn read_pages(&self, first: Pgno, at: Txid, page_bytes: usize, images: &mut [u8]) -> Result<usize, StoreError> {
        if self.damaged.get().is_some() {
            return Ok(0);
        }
        self.fault.run(|| self.store.read_pages(first, at, page_bytes, images))
    }

    fn page_checksum(&self, pgno: Pgno, at: Txid) -> Result<Checksum, StoreError> {
        self.fault.run(|| self.store.page_checksum(pgno, at))
    }

    fn append(&self, commit: &Commit) -> Result<(), StoreError> {
        self.fault.run(|| self.store.append(commit))
    }

    fn stage(&self, frames: &[Frame]) -> Result<Checksum, StoreError> {
        self.fault.run(|| self.store.stage(frames))
    }

    fn read_staged(&self, pgno: Pgno, image: &mut [u8]) -> Result<bool, StoreError> {
        self.fault.run(|| self.store.read_staged(pgno, image))
    }

    fn cut_staged(&self, last: u32) -> Result<Checksum, StoreError> {
        self.fault.run(|| self.store.cut_staged(last))
    }

    fn staged(&self) -> PageSet {
        self.store.staged()
    }

    fn append_staged(&self, state: &State) -> Result<(), StoreError> {
        self.fault.run(|| self.store.append_staged(state))
    }

    fn discard_staged(&self) {
        self.store.discard_staged();
    }

    fn has_discarded(&self) -> bool {
        self.store.has_discarded()
    }

    fn log_after(&self, after: Txid, max_frames: usize) -> Result<Vec<Commit>, StoreError> {
        self.fault.run(|| self.store.log_after(after, max_frames))
    }

    fn logged_after(&self, after: Txid, max_frames: usize, image_bytes: usize) -> Result<Vec<LoggedCommit>, StoreError> {
        self.fault.run(|| self.store.logged_after(after, max_frames, image_bytes))
    }

    fn written_lately(&self, after: Txid, until: Txid) -> Option<PageSet> {
        self.store.written_lately(after, until)
    }

    fn written_between(&self, after: Txid, until: Txid) -> Result<PageSet, StoreError> {
        self.fault.run(|| self.store.written_between(after, until))
    }

    fn prune(&self, before: Txid) -> Result<bool, StoreError> {
        self.fault.run(|| self.store.prune(before))
    }

    fn thin(&self, before: Txid, step_ms: u64, pinned: &BTreeSet<Txid>) -> Result<bool, StoreError> {
        self.fault.run(|| self.store.thin(before, step_ms, pinned))
    }
}

/// SQL storage that fails as its [`Fault`] says, between statements and before the end of a transaction.
pub struct FaultySql<Q> {
    sql: Q,
    fault: Fault,
}

impl<Q> FaultySql<Q> {
    /// Wraps `sql`.
    pub fn new(sql: Q, fault: Fault) -> FaultySql<Q> {
        FaultySql { sql, fault }
    }
}

impl<Q: Sql> Sql for FaultySql<Q> {
    fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<StoredValue>>, SqlError> {
        self.fault.run(|| self.sql.rows(sql, params))
    }

    fn transaction(&self, body: &mut dyn FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut answer = Ok(());
        self.sql.transaction(&mut || {
            body()?;
            match self.fault.next() {
                Verdict::Passes => {}
                Verdict::Fails => return Err(injected().into()),
                Verdict::AnswerLost => answer = Err(injected().into()),
            }
            Ok(())
        })?;
        answer
    }
}
