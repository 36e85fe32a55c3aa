//! A simulated week: small commits through the durable store with a clock of its own, and maintenance when it is due.
//!
//! **Invariants** at the end:
//! 1. History is within its bytes, and so is the storage.
//! 2. Of the newest hour every state is kept; before, one a minute, back to the end of the retention or as far as the bytes reach.
//! 3. States read as they were committed.
//! 4. Old versions are small.
//!
//! `cargo test --release --test week -- --ignored --nocapture` simulates 10 million commits; the tests that always run are shorter.
//!
//! **Not here:** random workloads (`history.rs`).

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod common;

use littoral_engine::engine::{Engine, Limits};
use littoral_engine::store::durable::HostSql;
use littoral_engine::store::{DurableStore, PageStore};
use littoral_protocol::{Checksum, Commit, Frame, PageSize, Pgno, State, Txid};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const BEGIN_MS: u64 = 1_700_000_040_000;
const PAGE_SIZE: PageSize = PageSize::new(4096).unwrap();
const PAGE_BYTES: usize = 4_096;
const ROWS: u64 = 32;
const ROW_BYTES: usize = PAGE_BYTES / ROWS as usize;

/// A workload: each commit changes one row, in any page or, as the tables of an application, mostly in one of a few.
#[derive(Clone, Copy)]
struct Workload {
    commits: u64,
    ms_per_commit: u64,
    pages: u64,
}

impl Workload {
    /// The page and the row that a commit changes. The first ones make the pages.
    fn place_of(&self, txid: u64) -> (Pgno, usize) {
        let random = txid.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33;
        let page = match txid {
            _ if txid <= self.pages => txid - 1,
            _ if random.is_multiple_of(4) => random / 4 % self.pages,
            _ => random / 4 % 8,
        };
        (Pgno(page as u32 + 1), (random / 1_000 % ROWS) as usize)
    }

    /// The row that a commit writes: half of it does not compress.
    fn write(txid: u64, row: &mut [u8]) {
        let text = format!("customer.{txid:08}@example.com|{:016x}|", txid.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (words, digits) = row.split_at_mut(ROW_BYTES / 2);
        words.iter_mut().zip(text.as_bytes().iter().cycle()).for_each(|(byte, letter)| *byte = *letter);
        digits.copy_from_slice(&common::noise(txid, ROW_BYTES / 2));
    }

    /// All pages as of a state.
    fn pages_at(&self, at: Txid, page_count: u32) -> Vec<[u8; PAGE_BYTES]> {
        let mut pages = vec![[0; PAGE_BYTES]; page_count as usize];
        let mut missing = page_count as usize * ROWS as usize;
        let mut written = vec![[false; ROWS as usize]; page_count as usize];
        for txid in (1..=at.0).rev() {
            let (pgno, row) = self.place_of(txid);
            let page = pgno.0 as usize - 1;
            if !std::mem::replace(&mut written[page][row], true) {
                Self::write(txid, &mut pages[page][row * ROW_BYTES..][..ROW_BYTES]);
                missing -= 1;
            }
            if missing == 0 {
                break;
            }
        }
        pages
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
        let mut database = Engine::open(store.clone(), limits.clone(), Rc::new(move || now.get()));
        let mut week = Week { workload, sql, store, limits, steps: Vec::new() };
        let mut pages = vec![([0; PAGE_BYTES], Checksum::EMPTY); workload.pages as usize];
        let mut checksum = Checksum::EMPTY;
        let (started, mut due) = (Instant::now(), 0);
        for txid in 1..=workload.commits {
            clock.set(clock.get() + workload.ms_per_commit);
            let (pgno, row) = workload.place_of(txid);
            let (page, last) = &mut pages[pgno.0 as usize - 1];
            Workload::write(txid, &mut page[row * ROW_BYTES..][..ROW_BYTES]);
            let frame = Frame::new(pgno, page.to_vec().into());
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
        self.sql.connection().query_row(sql, [], |row| row.get::<_, f64>(0)).unwrap() as u64
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
            "{states} states kept, {exact} of them exact, {:.1} hours back; history {:.1} MB, storage {:.1} MB; {} deltas of {} bytes, {} whole versions of {}; {} steps of maintenance: half in {:.2} ms, 99 % in {:.1} ms, the slowest {:.1} ms",
            (self.store.head().time_ms - self.store.state(self.store.oldest()).unwrap().time_ms.max(BEGIN_MS)) as f64 / HOUR_MS as f64,
            self.store.history_bytes().unwrap() as f64 / 1e6,
            self.storage_bytes() as f64 / 1e6,
            self.value("SELECT count(*) FROM pages WHERE delta = 1"),
            self.value("SELECT coalesce(avg(length(image)), 0) FROM pages WHERE delta = 1"),
            self.value("SELECT count(*) FROM pages WHERE delta IS NULL"),
            self.value("SELECT coalesce(avg(length(image)), 0) FROM pages WHERE delta IS NULL"),
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
        let (deltas, bytes) = ("SELECT count(*) FROM pages WHERE delta = 1", "SELECT avg(length(image)) FROM pages WHERE delta = 1");
        assert!(self.value(deltas) > 10 * thinned.len() as u64 && self.value(bytes) < PAGE_BYTES as u64 / 4, "old versions are small");
        for state in thinned.iter().step_by(thinned.len() / 50 + 1).chain(rest.iter().step_by(rest.len() / 50 + 1)) {
            self.check_state(state);
        }
        kept
    }

    fn check_state(&self, state: &State) {
        assert_eq!(self.store.state(state.txid).as_ref(), Ok(state));
        let (mut sum, mut image) = (Checksum::EMPTY, [0; PAGE_BYTES]);
        for (pgno, page) in (1..).map(Pgno).zip(self.workload.pages_at(state.txid, state.page_count)) {
            self.store.read_page(pgno, state.txid, &mut image).unwrap();
            assert!(image == page, "page {pgno} at {}", state.txid);
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
    assert!((6 * 24 * HOUR_MS..7 * 24 * HOUR_MS + 10 * MINUTE_MS).contains(&back), "{back} ms are kept");
    assert!(week.storage_bytes() < 1 << 30, "{} bytes", week.storage_bytes());
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
    let limits = Limits { history_bytes: 5_000_000, history_exact_ms: 5 * MINUTE_MS, ..Limits::default() };
    let week = Week::simulate(Workload { commits: 60_000, ms_per_commit: 180, pages: 400 }, limits);
    let kept = week.check();
    let back = week.store.head().time_ms - kept[0].time_ms;
    assert!((10 * MINUTE_MS..2 * HOUR_MS).contains(&back), "{back} ms are kept");
    assert!(week.storage_bytes() < 5_000_000 + 400 * PAGE_BYTES as u64, "{}", week.storage_bytes());
}
