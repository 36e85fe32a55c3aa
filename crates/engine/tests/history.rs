//! The past under random workloads: what is kept, and that it reads as it was committed.
//!
//! **Invariants** of a store, however commits, thinning, pruning and reopening follow each other:
//! 1. Every kept state reads as it was committed, byte for byte; the log is whole from `exact_from` on.
//! 2. From `exact_from` on every state is kept. Of each step of time before it the last state is, and otherwise only the oldest and those
//!    that were pinned once.
//! 3. Every txid and every time resolves to the newest kept state that is not newer.
//!
//! **Not here:** failures (`crash_history.rs`), a week of it (`week.rs`), bookmarks (`engine.rs`).

mod common;

use common::noise;
use littoral_engine::store::durable::HostSql;
use littoral_engine::store::{DurableStore, MemoryStore, PageStore, StoreError};
use littoral_protocol::{Checksum, Commit, Frame, PageSize, Pgno, State, Txid};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

const STEP_MS: u64 = 1_000;

#[derive(Clone, Debug)]
enum Step {
    /// So much later, so many pages in all, these of them new.
    Commit {
        later_ms: u64,
        pages: u32,
        changed: BTreeSet<u32>,
    },
    /// Small commits, soon after each other.
    Burst {
        commits: u32,
        later_ms: u64,
    },
    /// Of the commits so far, in percent.
    Thin {
        before: u64,
        steps: usize,
    },
    Prune {
        before: u64,
        steps: usize,
    },
    Pin {
        at: u64,
    },
    Unpin,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let pages = || prop_oneof![6 => 30_u32..40, 1 => 5_u32..30, 1 => 100_u32..2_000];
    let later = || prop_oneof![5 => 0_u64..300, 2 => 300_u64..3_000, 1 => 3_000_u64..100_000];
    let steps = || prop_oneof![1 => 1_usize..20, 1 => Just(usize::MAX)];
    prop_oneof![
        8 => (later(), pages(), prop::collection::btree_set(1_u32..40, 0..9))
            .prop_map(|(later_ms, pages, changed)| Step::Commit { later_ms, pages, changed }),
        1 => (later(), pages()).prop_map(|(later_ms, pages)| Step::Commit { later_ms, pages, changed: (1..=pages).collect() }),
        3 => (1_u32..60, 0_u64..400).prop_map(|(commits, later_ms)| Step::Burst { commits, later_ms }),
        3 => (0_u64..101, steps()).prop_map(|(before, steps)| Step::Thin { before, steps }),
        1 => (0_u64..60, steps()).prop_map(|(before, steps)| Step::Prune { before, steps }),
        1 => (0_u64..101).prop_map(|at| Step::Pin { at }),
        1 => Just(Step::Unpin),
        1 => Just(Step::Reopen),
    ]
}

/// A state and all of its pages.
type Version = (State, Rc<BTreeMap<Pgno, Rc<Frame>>>);

/// A store, everything that was committed to it, and what was pinned.
struct Checked {
    store: Rc<dyn PageStore>,
    versions: Vec<Version>,
    pinned: BTreeSet<Txid>,
    once_pinned: BTreeSet<Txid>,
}

impl Checked {
    fn new(store: Rc<dyn PageStore>) -> Checked {
        Checked { store, versions: vec![(State::EMPTY, Rc::default())], pinned: BTreeSet::new(), once_pinned: BTreeSet::new() }
    }

    fn commit(&mut self, later_ms: u64, page_count: u32, changed: impl Iterator<Item = u32>) {
        let (before, pages) = self.versions.last().unwrap();
        let txid = before.txid.next();
        let grown = before.page_count + 1..=page_count;
        let changed: BTreeSet<u32> = changed.filter(|pgno| *pgno <= page_count).chain(grown).collect();
        let image = |pgno: u32| match (txid.0 + u64::from(pgno)) % 8 {
            0 => noise(txid.0 << 20 | u64::from(pgno), 512),
            // A few bytes differ from the version before: old ones become deltas.
            1..6 => [noise(u64::from(pgno), 500), noise(txid.0, 12)].concat(),
            _ => format!("page {pgno} of {txid}").into_bytes().into_iter().cycle().take(512).collect(),
        };
        let frames: Vec<Frame> = changed.into_iter().map(|pgno| Frame::new(Pgno(pgno), image(pgno).into())).collect();
        let mut pages = (**pages).clone();
        pages.split_off(&Pgno(page_count + 1));
        pages.extend(frames.iter().map(|frame| (frame.pgno, Rc::new(frame.clone()))));
        let mut checksum = Checksum::EMPTY;
        pages.values().for_each(|frame| checksum ^= frame.checksum);
        let time_ms = before.time_ms + later_ms;
        let state = State { txid, page_size: PageSize::new(512).unwrap(), page_count, time_ms, checksum };
        self.append(&Commit { state, frames });
        self.versions.push((state, Rc::new(pages)));
    }

    /// Some are staged: from the end, some pages twice, and some that are cut off. What was staged before may have been for nothing.
    fn append(&self, commit: &Commit) {
        let Commit { state, frames } = commit;
        let noise = |pgno: u32| Frame::new(Pgno(pgno), vec![pgno as u8; 512].into());
        match state.txid.0 % 7 {
            0 => {
                self.store.stage(&frames.iter().map(|frame| noise(frame.pgno.0)).collect::<Vec<_>>()).unwrap();
                self.store.append(commit).unwrap();
            }
            1 | 2 if !frames.is_empty() => {
                if state.txid.0.is_multiple_of(2) {
                    self.store.stage(&[noise(1), noise(state.page_count + 3)]).unwrap();
                    self.store.discard_staged();
                }
                self.store.stage(&[noise(frames[0].pgno.0), noise(state.page_count + 1), noise(state.page_count + 9)]).unwrap();
                for frames in frames.chunks(7).rev() {
                    self.store.stage(frames).unwrap();
                }
                let mut sum = Checksum::EMPTY;
                frames.iter().for_each(|frame| sum ^= frame.checksum);
                assert_eq!(self.store.cut_staged(state.page_count), Ok(sum));
                self.store.append_staged(state).unwrap();
            }
            _ => self.store.append(commit).unwrap(),
        }
    }

    /// The txid of a commit so many percent of the way.
    fn at(&self, percent: u64) -> Txid {
        Txid(self.store.head().txid.0 * percent / 100)
    }

    /// Checks a state: that it reads as it was committed, or that it is said to be thinned out.
    fn probe(&self, txid: Txid) {
        if self.store.resolve(txid) == Ok(txid) {
            self.check_state(txid);
        } else {
            assert!(self.store.state(txid).is_err());
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Commit { later_ms, pages, changed } => self.commit(*later_ms, *pages, changed.iter().copied()),
            Step::Burst { commits, later_ms } => {
                let pages = self.store.head().page_count.max(30);
                (0..*commits).for_each(|n| self.commit(*later_ms, pages, [1, 2 + n % 25].into_iter()));
            }
            Step::Thin { before, steps } => {
                let before = self.at(*before);
                // What was asked for last is remembered.
                let last = Txid(before.0 - before.0.min(1));
                self.probe(last);
                let _ = (0..*steps).take_while(|_| self.store.thin(before, STEP_MS, &self.pinned).unwrap()).count();
                self.probe(last);
            }
            Step::Prune { before, steps } => {
                let oldest = self.store.oldest();
                let before = self.at(*before).min(self.pinned.first().copied().unwrap_or(Txid(u64::MAX)));
                let _ = (0..*steps).take_while(|_| self.store.prune(before).unwrap()).count();
                assert!((oldest..=before.max(oldest)).contains(&self.store.oldest()));
            }
            Step::Pin { at } => {
                let asked = self.at(*at).max(self.store.oldest());
                let txid = self.store.resolve(asked).unwrap();
                self.pinned.insert(txid);
                self.once_pinned.insert(txid);
            }
            Step::Unpin => drop(self.pinned.pop_first()),
            Step::Reopen => {}
        }
    }

    /// The kept states, after checking that they are those that should be.
    fn kept(&self) -> Vec<Txid> {
        let (oldest, exact_from, head) = (self.store.oldest(), self.store.exact_from(), self.store.head().txid);
        let mut kept = vec![oldest];
        while let Some(next) = self.store.next_kept(kept[kept.len() - 1]).unwrap() {
            kept.push(next.txid);
        }
        assert!(oldest <= exact_from && exact_from <= head);
        let is_kept: BTreeSet<Txid> = kept.iter().copied().collect();
        let mut resolved = oldest;
        for (index, (state, _)) in self.versions.iter().enumerate().skip(oldest.0 as usize) {
            let (txid, next) = (state.txid, self.versions.get(index + 1));
            let is_last = next.is_none_or(|(next, _)| next.time_ms / STEP_MS != state.time_ms / STEP_MS);
            if txid >= exact_from || is_last || txid == oldest || self.pinned.contains(&txid) {
                assert!(is_kept.contains(&txid), "{txid} is kept");
            } else if txid < exact_from && !self.once_pinned.contains(&txid) && !self.may_be_left(txid) {
                assert!(!is_kept.contains(&txid), "{txid} is thinned out");
            }
            if is_kept.contains(&txid) {
                resolved = txid;
            } else {
                assert_eq!(self.store.state(txid), Err(StoreError::Thinned { asked: txid, exact_from }));
            }
            assert_eq!(self.store.resolve(txid), Ok(resolved));
            if is_last {
                assert_eq!(self.store.txid_at(state.time_ms), Ok(resolved));
            }
        }
        kept
    }

    /// While thinning has not come to its end, one state may be left that the next step drops.
    fn may_be_left(&self, txid: Txid) -> bool {
        self.store.next_kept(txid).unwrap().is_none_or(|next| next.txid >= self.store.exact_from())
    }

    fn check_state(&self, txid: Txid) {
        let (state, pages) = &self.versions[txid.0 as usize];
        assert_eq!(self.store.state(txid).as_ref(), Ok(state));
        let mut image = [0; 512];
        for (pgno, frame) in &**pages {
            self.store.read_page(*pgno, txid, &mut image).unwrap_or_else(|error| panic!("page {pgno} at {txid}: {error}"));
            assert!(image[..] == frame.image[..], "page {pgno} at {txid}");
        }
    }

    /// Between two states every page is named that differs, and nobody else that no commit between them wrote.
    fn check_changed(&self, from: Txid, to: Txid) {
        let of = |txid: Txid| &self.versions[txid.0 as usize].1;
        let named = self.store.changed_between(from, to).unwrap();
        for (pgno, frame) in of(to).iter() {
            let differs = of(from).get(pgno).is_none_or(|before| before.image != frame.image);
            assert!(!differs || named.contains(*pgno), "page {pgno} differs between {from} and {to}");
        }
        let between = &self.versions[from.min(to).0 as usize + 1..=from.max(to).0 as usize];
        let older = of(from.min(to));
        let was_written = |pgno: &Pgno| between.iter().any(|(_, pages)| pages.get(pgno).is_none_or(|page| !Rc::ptr_eq(page, &older[pgno])));
        let extra = named.iter().find(|pgno| older.contains_key(pgno) && !was_written(pgno));
        assert_eq!(extra, None, "nobody wrote it between {from} and {to}");
    }

    fn check(&self) {
        let kept = self.kept();
        kept.iter().for_each(|txid| self.check_state(*txid));
        for (index, from) in kept.iter().enumerate().step_by(kept.len().div_ceil(12)) {
            // Its neighbour, one far away, and itself.
            for to in [kept.get(index + 1), kept.get(kept.len() - 1 - index), Some(from)].into_iter().flatten() {
                self.check_changed(*from, *to);
                self.check_changed(*to, *from);
            }
        }
        let log = self.store.log_after(self.store.exact_from(), usize::MAX).unwrap();
        assert_eq!(log.len() as u64, self.store.head().txid.0 - self.store.exact_from().0);
        for commit in log {
            let (state, pages) = &self.versions[commit.state.txid.0 as usize];
            assert_eq!(commit.state, *state);
            assert!(commit.frames.iter().all(|frame| *pages[&frame.pgno] == *frame || frame.pgno.0 > state.page_count));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kept_states_read_as_they_were_committed(steps in prop::collection::vec(step(), 1..60)) {
        let sql = Rc::new(HostSql::in_memory().unwrap());
        let open = || Rc::new(DurableStore::open(sql.clone()).unwrap().with_step(STEP_MS));
        let mut durable = Checked::new(open());
        let mut memory = Checked::new(Rc::new(MemoryStore::new()));
        for (number, step) in steps.iter().enumerate() {
            durable.apply(step);
            memory.apply(step);
            if matches!(step, Step::Reopen) {
                durable.store = open();
            }
            if number % 20 == 19 {
                durable.check();
            }
        }
        durable.check();
        memory.check();
        // Nothing is left behind that only the past needed.
        let head = durable.store.head();
        common::prune(&*durable.store, head.txid);
        let left = |table: &str| sql.connection().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u32>(0)).unwrap();
        assert_eq!((left("folds"), left("garbage")), (1, 0));
        assert_eq!((left("commits"), left("pages")), ((head.txid > Txid::EMPTY).into(), head.page_count));
        assert_eq!(durable.store.history_bytes(), Ok(0));
        durable.check_state(head.txid);
    }
}
