//! A simulated week: small commits through the durable store with a clock of its own, and maintenance when it is due.
//!
//! **Invariants** at the end:
//! 1. History is within its bytes, and so is the storage.
//! 2. Of the newest hour every state is kept; before, one a minute, back to the end of the retention or as far as the bytes reach.
//! 3. States read as they were committed.
//!
//! `cargo test --release --test week -- --ignored --nocapture` simulates 10 million commits; the tests that always run are shorter.
//!
//! **Not here:** random workloads (`history.rs`).

mod common;

use littoral::engine::{Database, Limits};
use littoral::store::durable::HostSql;
use littoral::store::{DurableStore, PageStore};
use littoral::{Checksum, Commit, Frame, PageSize, Pgno, State, Txid};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const BEGIN_MS: u64 = 1_700_000_040_000;
const PAGE_SIZE: PageSize = PageSize::new(512).unwrap();

/// A workload: each commit changes one page, or, as the tables of an application, mostly one of a few.
#[derive(Clone, Copy)]
struct Workload {
    commits: u64,
    ms_per_commit: u64,
    pages: u64,
}

impl Workload {
    /// The page that a commit changes. The first ones write all of them.
    fn page_of(&self, txid: u64) -> Pgno {
        let random = txid.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33;
        let page = match txid {
            _ if txid <= self.pages => txid - 1,
            _ if random.is_multiple_of(4) => random / 4 % self.pages,
            _ => random / 4 % 8,
        };
        Pgno(page as u32 + 1)
    }

    fn image(&self, txid: u64) -> Box<[u8]> {
        let row = format!("{txid:08}|{:016x}|", txid.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut image: Vec<u8> = row.as_bytes().iter().cycle().take(300).copied().collect();
        image.extend(common::noise(txid, 212));
        image.into()
    }

    /// The commit whose image a page has as of a state.
    fn writer_of(&self, pgno: Pgno, at: Txid) -> u64 {
        (1..=at.0).rev().find(|txid| self.page_of(*txid) == pgno).expect("every page is written at the beginning")
    }
}

struct Week {
    workload: Workload,
    sql: Rc<HostSql>,
    store: Rc<dyn PageStore>,
    limits: Limits,
    /// How long each step of maintenance took, in milliseconds.
    steps: Vec<f64>,
}

impl Week {
    fn simulate(workload: Workload, limits: Limits) -> Week {
        let sql = Rc::new(HostSql::in_memory().unwrap());
        let store = Rc::new(DurableStore::open(sql.clone()).unwrap());
        let clock = Rc::new(Cell::new(BEGIN_MS));
        let now = clock.clone();
        let mut database = Database::open(store.clone(), limits.clone(), Rc::new(move || now.get()));
        let mut week = Week { workload, sql, store, limits, steps: Vec::new() };
        let mut checksums = vec![Checksum::EMPTY; workload.pages as usize];
        let mut checksum = Checksum::EMPTY;
        let (started, mut due) = (Instant::now(), 0);
        for txid in 1..=workload.commits {
            clock.set(clock.get() + workload.ms_per_commit);
            let frame = Frame::new(workload.page_of(txid), workload.image(txid));
            let last = &mut checksums[frame.pgno.0 as usize - 1];
            checksum ^= *last;
            checksum ^= frame.checksum;
            *last = frame.checksum;
            let page_count = txid.min(workload.pages) as u32;
            let state = State { txid: Txid(txid), page_size: PAGE_SIZE, page_count, time_ms: clock.get(), checksum };
            week.store.append(&Commit { state, frames: vec![frame] }).unwrap();
            // A writer would keep within the bytes; here it is up to maintenance alone, at the end as well.
            due = if txid == workload.commits { 0 } else { due };
            while due <= clock.get() {
                let step = Instant::now();
                due = database.maintain(clock.get()).unwrap().unwrap_or(u64::MAX);
                week.steps.push(step.elapsed().as_secs_f64() * 1000.0);
            }
            if txid % 1_000_000 == 0 {
                println!("{txid} commits, {:.0} s: {}", started.elapsed().as_secs_f64(), week.report());
            }
        }
        println!("{} commits, {:.0} s: {}", workload.commits, started.elapsed().as_secs_f64(), week.report());
        week
    }

    fn value(&self, sql: &str) -> u64 {
        self.sql.connection().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64
    }

    fn storage_bytes(&self) -> u64 {
        self.value("SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size")
    }

    fn report(&self) -> String {
        let states = self.value("SELECT count(*) FROM commits");
        let exact = self.store.head().txid.0 - self.store.exact_from().0;
        let mut steps = self.steps.clone();
        steps.sort_by(f64::total_cmp);
        let step = |percent: usize| steps[(steps.len() - 1) * percent / 100];
        format!(
            "{states} states kept, {exact} of them exact, {:.1} hours back; history {:.1} MB, storage {:.1} MB; {} steps of maintenance: half in {:.2} ms, 99 % in {:.1} ms, the slowest {:.1} ms",
            (self.store.head().time_ms - self.store.state(self.store.oldest()).unwrap().time_ms.max(BEGIN_MS)) as f64 / HOUR_MS as f64,
            self.store.history_bytes().unwrap() as f64 / 1e6,
            self.storage_bytes() as f64 / 1e6,
            steps.len(),
            step(50),
            step(99),
            step(100),
        )
    }

    /// The kept states, oldest first.
    fn kept(&self) -> Vec<State> {
        let mut kept = vec![self.store.state(self.store.oldest()).unwrap()];
        while let Some(next) = self.store.next_kept(kept[kept.len() - 1].txid).unwrap() {
            kept.push(next);
        }
        kept
    }

    fn check(&self) -> Vec<State> {
        let (kept, exact_from, head) = (self.kept(), self.store.exact_from(), self.store.head());
        assert!(self.store.history_bytes().unwrap() <= self.limits.history_bytes);
        let exact = self.store.state(exact_from).unwrap();
        assert!(exact.time_ms + self.limits.history_exact_ms <= head.time_ms, "the newest hour is exact");
        let (thinned, rest) = kept.split_at(kept.partition_point(|state| state.txid < exact_from));
        assert_eq!(rest.len() as u64, head.txid.0 - exact_from.0 + 1);
        let minute = |state: &State| state.time_ms / MINUTE_MS;
        // The oldest may share its minute with the next one.
        assert!(thinned.windows(2).skip(1).all(|pair| minute(&pair[0]) < minute(&pair[1])), "one a minute");
        assert!(thinned.windows(2).skip(1).all(|pair| minute(&pair[0]) + 1 == minute(&pair[1])), "each minute");
        for state in thinned.iter().step_by(thinned.len() / 50 + 1).chain(rest.iter().step_by(rest.len() / 50 + 1)) {
            self.check_state(state);
        }
        kept
    }

    fn check_state(&self, state: &State) {
        assert_eq!(self.store.state(state.txid).as_ref(), Ok(state));
        let (mut sum, mut image) = (Checksum::EMPTY, [0; 512]);
        for pgno in (1..=state.page_count).map(Pgno) {
            self.store.read_page(pgno, state.txid, &mut image).unwrap();
            assert!(image[..] == self.workload.image(self.workload.writer_of(pgno, state.txid))[..], "page {pgno} at {}", state.txid);
            sum ^= Checksum::of_page(pgno, &image);
        }
        assert_eq!(sum, state.checksum);
    }
}

#[test]
#[ignore = "takes minutes"]
fn ten_million_small_commits_in_a_week() {
    let workload = Workload { commits: 10_000_000, ms_per_commit: 63, pages: 200 };
    let week = Week::simulate(workload, Limits::default());
    let kept = week.check();
    let back = week.store.head().time_ms - kept[0].time_ms;
    assert!((7 * 24 * HOUR_MS..7 * 24 * HOUR_MS + 10 * MINUTE_MS).contains(&back), "{back} ms are kept");
    assert!(week.storage_bytes() < 1 << 30);
}

#[test]
fn some_hours_of_small_commits() {
    let limits = Limits { history_ms: 2 * HOUR_MS, history_exact_ms: 10 * MINUTE_MS, ..Limits::default() };
    let week = Week::simulate(Workload { commits: 60_000, ms_per_commit: 180, pages: 100 }, limits);
    let kept = week.check();
    let back = week.store.head().time_ms - kept[0].time_ms;
    assert!((2 * HOUR_MS..2 * HOUR_MS + 10 * MINUTE_MS).contains(&back), "{back} ms are kept");
}

#[test]
fn history_is_capped_in_bytes_oldest_first() {
    let limits = Limits { history_bytes: 3_000_000, history_exact_ms: 5 * MINUTE_MS, ..Limits::default() };
    let week = Week::simulate(Workload { commits: 60_000, ms_per_commit: 180, pages: 400 }, limits);
    let kept = week.check();
    let back = week.store.head().time_ms - kept[0].time_ms;
    assert!((10 * MINUTE_MS..2 * HOUR_MS).contains(&back), "{back} ms are kept");
    assert!(week.storage_bytes() < 10_000_000, "{}", week.storage_bytes());
}
