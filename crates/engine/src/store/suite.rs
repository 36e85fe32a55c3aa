//! The contract of page stores as tests: one list of cases that runs over every implementation, natively and inside workerd.
//!
//! Nothing here panics or needs files, threads or time, so a Worker can run it in its own storage. Each case gets a store of its own
//! by name and may open it again; what it says of the store is what [`PageStore`] promises, and no more.
//!
//! **Invariants** that every case checks, after every reopening:
//! 1. Every kept state has the pages that were committed, byte for byte.
//! 2. The checksum of every state is the XOR of the checksums of its pages.
//! 3. The head, the oldest state, the one from which on all are kept and the log after it are those before the store was closed.
//!
//! **Not here:** damage and crashes: they need a hand on the storage (`tests/store_contract.rs`, `tests/crash.rs`).

mod history;
mod staging;
mod thinning;

use super::{PageStore, StoreError};
use history::{Failed, History, Image, ensure, equal, prune, verify};
use littoral_protocol::{Commit, Frame, InvalidCommit, PageSize, Pgno, State, Txid};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Opens the store of a name: fresh the first time, the same one again afterwards.
pub type Open<'a> = dyn FnMut(&str) -> Result<Rc<dyn PageStore>, StoreError> + 'a;

/// What a case found: `Err` tells what is not as promised.
pub type Outcome = Result<(), String>;

type Reopen<'a> = dyn FnMut() -> Result<Rc<dyn PageStore>, StoreError> + 'a;
type Case = fn(&mut Reopen<'_>) -> Result<(), Failed>;

const CASES: [(&str, Case); 24] = [
    ("an empty store has the empty state and nothing else", an_empty_store_has_the_empty_state),
    ("txids are dense", txids_are_dense),
    ("commits that break an invariant are refused", invalid_commits_are_refused),
    ("every kept state reads as it was committed", every_state_reads_as_committed),
    ("the log is read in whole commits up to a limit", the_log_is_read_in_whole_commits),
    ("pruning keeps what the oldest kept state needs", pruning_keeps_what_is_needed),
    ("states that are pruned or in the future are refused", pruned_and_future_states_are_refused),
    ("a database shrinks and grows again", shrinking_and_growing),
    ("a commit may change the page size", the_page_size_changes),
    ("a commit of one page and one of 20,000 pages", narrow_and_huge_commits),
    ("incompressible pages, zero pages and long commits", odd_images),
    ("the lock page is never written and reads as zeros", the_lock_page_reads_as_zeros),
    ("many small commits", many_small_commits),
    ("a commit without frames", a_commit_without_frames),
    ("a commit is staged piece by piece", staging::a_commit_is_staged),
    ("what is staged is part of no state until it is committed", staging::what_is_staged_is_part_of_no_state),
    ("temporary files are kept in blocks, and are nobody's when the store is opened again", staging::temporary_files),
    ("the pages that changed between two states are named", changed_pages_are_named),
    ("a state is found by its time", states_are_found_by_time),
    ("what only the past needs is measured", the_past_is_measured),
    ("thinning leaves the last state of each step of time", thinning::thinning_leaves_the_last_of_each_step),
    ("what was thinned out resolves to the state before it", thinning::thinned_states_resolve),
    ("pinned states are not thinned out", thinning::pinned_states_stay),
    ("thinning and pruning wide commits that shrink and grow", thinning::wide_commits_are_thinned),
];

/// The names of the cases, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name)
}

/// Runs every case.
pub fn run(open: &mut Open<'_>) -> Vec<(&'static str, Outcome)> {
    names().map(|name| (name, run_case(name, open))).collect()
}

/// Runs one case by name.
pub fn run_case(name: &str, open: &mut Open<'_>) -> Outcome {
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).ok_or_else(|| format!("no case is called {name:?}"))?;
    case(&mut || open(name)).map_err(|Failed(what)| what)
}

fn an_empty_store_has_the_empty_state(open: &mut Reopen<'_>) -> Result<(), Failed> {
    for _ in 0..2 {
        let store = open()?;
        equal("the head", &store.head(), &State::EMPTY)?;
        equal("the oldest state", &store.oldest(), &Txid::EMPTY)?;
        equal("state 0", &store.state(Txid::EMPTY), &Ok(State::EMPTY))?;
        equal("the log", &store.log_after(Txid::EMPTY, 1_000), &Ok(Vec::new()))?;
        equal("all states are kept from", &store.exact_from(), &Txid::EMPTY)?;
        equal("pruning", &store.prune(Txid(5)), &Ok(false))?;
        equal("thinning", &store.thin(Txid(5), 1, &BTreeSet::new()), &Ok(false))?;
        equal("the next state", &store.next_kept(Txid::EMPTY), &Ok(None))?;
        equal("resolving", &store.resolve(Txid::EMPTY), &Ok(Txid::EMPTY))?;
        ensure("page 1 cannot be read", store.read_page(Pgno(1), Txid::EMPTY, &mut [0; 4096]).is_err())?;
        ensure("page 1 has no checksum", store.page_checksum(Pgno(1), Txid::EMPTY).is_err())?;
    }
    Ok(())
}

fn txids_are_dense(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, PageSize::DEFAULT);
    for length in 0..5 {
        for wrong in [0, length, length + 2, length + 100] {
            let mut commit = history.next(3, &[(1, Image::Noise(length)), (2, Image::Zeros), (3, Image::Zeros)]);
            commit.state.txid = Txid(wrong);
            let refused = StoreError::InvalidCommit(InvalidCommit::Gap { head: Txid(length), got: Txid(wrong) });
            equal("a gap", &history.store.append(&commit), &Err(refused))?;
            equal("the head after a gap", &history.store.head().txid, &Txid(length))?;
        }
        history.commit(3, &[(1, Image::Noise(length)), (2, Image::Zeros), (3, Image::Zeros)])?;
    }
    history.check_and_reopen(open)
}

fn invalid_commits_are_refused(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, PageSize::DEFAULT);
    history.commit(3, &[(1, Image::Noise(1)), (2, Image::Text(2)), (3, Image::Zeros)])?;
    let valid = history.next(4, &[(1, Image::Noise(4)), (2, Image::Noise(5)), (4, Image::Noise(6))]);
    let spoil = |change: &dyn Fn(&mut Vec<Frame>)| {
        let mut commit = valid.clone();
        change(&mut commit.frames);
        commit
    };
    let spoilt = [
        ("frames out of order", spoil(&|frames| frames.swap(0, 1))),
        ("a page twice", spoil(&|frames| frames[1].pgno = Pgno(1))),
        ("page 0", spoil(&|frames| frames[0].pgno = Pgno(0))),
        ("a page beyond the last", spoil(&|frames| frames[2].pgno = Pgno(5))),
        ("an image that is too short", spoil(&|frames| frames[1].image = frames[1].image[1..].into())),
        ("an image that is too long", spoil(&|frames| frames[1].image = [&*frames[1].image, &[0]].concat().into())),
        ("an empty image", spoil(&|frames| frames[2].image = Box::default())),
    ];
    for (what, commit) in spoilt {
        let refused = matches!(history.store.append(&commit), Err(StoreError::InvalidCommit(_)));
        ensure(&format!("{what} is refused"), refused)?;
        verify(&*history.store, &history.versions)?;
    }
    history.append(valid)?;
    history.check_and_reopen(open)
}

fn every_state_reads_as_committed(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(1024));
    for round in 0..60_u64 {
        let pages = 100 + round as u32;
        // Every tenth commit is wide; between them a few pages change, page 1 always.
        let step = if round % 10 == 9 { 1 } else { 13 + round as u32 % 7 };
        let grown = history.page_count() + 1..=pages;
        let mut changes: Vec<u32> = (1..=pages).step_by(step as usize).chain(grown).collect();
        changes.sort_unstable();
        changes.dedup();
        let changes: Vec<_> = changes.into_iter().map(|pgno| (pgno, Image::of(round * 1_000 + u64::from(pgno)))).collect();
        history.commit(pages, &changes)?;
    }
    history.check_and_reopen(open)
}

fn the_log_is_read_in_whole_commits(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, PageSize::DEFAULT);
    let lengths = [3, 1, 100, 2, 2, 70, 1, 1, 1];
    let mut commits = Vec::new();
    for (round, length) in lengths.into_iter().enumerate() {
        let changes: Vec<_> = (1..=length).map(|pgno| (pgno, Image::Text(1_000 * round as u64 + u64::from(pgno)))).collect();
        commits.push(history.commit(100.min(history.page_count().max(length)), &changes)?);
    }
    for _ in 0..2 {
        let store = open()?;
        for after in 0..=lengths.len() {
            for limit in [0, 1, 2, 3, 4, 5, 99, 100, 101, 103, 104, 1_000, usize::MAX] {
                let mut expected: &[Commit] = &commits[after..];
                let mut frames = 0;
                let fits = |commit: &&Commit| {
                    frames += commit.frames.len();
                    frames <= limit
                };
                let whole = expected.iter().take_while(fits).count().max(usize::from(!expected.is_empty()));
                expected = &expected[..whole];
                let found = store.log_after(Txid(after as u64), limit)?;
                ensure(&format!("the log after {after}, {limit} frames, has {whole} commits and not {}", found.len()), found == expected)?;
            }
        }
    }
    history.check_and_reopen(open)
}

fn pruning_keeps_what_is_needed(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(512));
    for round in 0..40_u64 {
        // Wide commits at 1, 11, 21 and 31; the database shrinks after each.
        let (pages, step) = if round % 10 == 0 { (80, 1) } else { (75, 11) };
        let changes: Vec<_> = (1..=pages).step_by(step).map(|pgno| (pgno, Image::of(round * 100 + u64::from(pgno)))).collect();
        history.commit(pages, &changes)?;
    }
    let mut oldest = Txid::EMPTY;
    for before in [1, 5, 11, 12, 12, 3, 20, 33] {
        let pruned = prune(&*history.store, Txid(before))?;
        ensure(&format!("pruning before {before} leaves {pruned} as the oldest"), pruned >= oldest && pruned <= oldest.max(Txid(before)))?;
        equal("the oldest state", &history.store.oldest(), &pruned)?;
        oldest = pruned;
        history.forget_before(oldest);
        history.check_and_reopen(open)?;
        for txid in 0..oldest.0 {
            let refused = StoreError::Pruned { asked: Txid(txid), oldest };
            equal("a pruned state", &history.store.state(Txid(txid)), &Err(refused.clone()))?;
            equal("a page of it", &history.store.read_page(Pgno(1), Txid(txid), &mut [0; 512]), &Err(refused.clone()))?;
            equal("what it resolves to", &history.store.resolve(Txid(txid)), &Err(refused))?;
            let gap = StoreError::Thinned { asked: Txid(txid), exact_from: history.store.exact_from() };
            equal("the log after it", &history.store.log_after(Txid(txid), 1), &Err(gap))?;
        }
    }
    ensure("pruning at a state that is complete drops what is older", oldest >= Txid(31))?;
    history.commit(75, &[(1, Image::Noise(9)), (70, Image::Noise(10))])?;
    ensure("nothing newer than the head is pruned", prune(&*history.store, Txid(u64::MAX >> 11))? <= history.store.head().txid)?;
    history.forget_before(history.store.oldest());
    history.check_and_reopen(open)
}

fn pruned_and_future_states_are_refused(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, PageSize::DEFAULT);
    history.commit(70, &(1..=70).map(|pgno| (pgno, Image::Text(pgno.into()))).collect::<Vec<_>>())?;
    let head = history.store.head().txid;
    for asked in [Txid(2), Txid(3), Txid(1 << 50)] {
        let future = StoreError::Future { asked, head };
        equal("a future state", &history.store.state(asked), &Err(future.clone()))?;
        equal("a page of it", &history.store.read_page(Pgno(1), asked, &mut [0; 4096]), &Err(future.clone()))?;
        equal("a checksum of it", &history.store.page_checksum(Pgno(1), asked), &Err(future.clone()))?;
        equal("what it resolves to", &history.store.resolve(asked), &Err(future.clone()))?;
        equal("the state after it", &history.store.next_kept(asked), &Ok(None))?;
        equal("the log after it", &history.store.log_after(asked, 1), &Err(future))?;
    }
    for pgno in [71, 72, 100_000] {
        ensure("a page beyond the last cannot be read", history.store.read_page(Pgno(pgno), head, &mut [0; 4096]).is_err())?;
        ensure("a page beyond the last has no checksum", history.store.page_checksum(Pgno(pgno), head).is_err())?;
    }
    history.check_and_reopen(open)
}

fn shrinking_and_growing(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(512));
    for (round, pages) in [150_u32, 2, 90, 1, 66, 150, 10, 200].into_iter().enumerate() {
        // Growing brings new images of every page that comes back; shrinking changes page 1 only.
        let grown = history.page_count() + 1..=pages;
        let changes: Vec<_> = std::iter::once(1).chain(grown.filter(|pgno| *pgno > 1)).collect();
        let changes: Vec<_> = changes.into_iter().map(|pgno| (pgno, Image::of(round as u64 * 1_000 + u64::from(pgno)))).collect();
        history.commit(pages, &changes)?;
        let beyond = Pgno(pages + 1);
        ensure("a page cut off cannot be read", history.store.read_page(beyond, history.store.head().txid, &mut [0; 512]).is_err())?;
    }
    history.check_and_reopen(open)?;
    prune(&*history.store, Txid(5))?;
    history.forget_before(history.store.oldest());
    history.check_and_reopen(open)
}

fn the_page_size_changes(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(4096));
    for (round, bytes) in [4096, 512, 65_536, 1024, 512].into_iter().enumerate() {
        history.page_size = page_size(bytes);
        let pages = 3 + round as u32 * 30;
        let changes: Vec<_> = (1..=pages).map(|pgno| (pgno, Image::of(u64::from(bytes) + u64::from(pgno)))).collect();
        history.commit(pages, &changes)?;
        history.commit(pages, &[(2, Image::Noise(u64::from(bytes)))])?;
    }
    history.check_and_reopen(open)
}

fn narrow_and_huge_commits(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(512));
    history.commit(1, &[(1, Image::Text(1))])?;
    let all: Vec<_> = (1..=20_000).map(|pgno| (pgno, Image::Text(pgno.into()))).collect();
    history.commit(20_000, &all)?;
    history.commit(20_000, &[(19_999, Image::Noise(2))])?;
    history.check_and_reopen(open)?;
    equal("frames of the huge commit", &history.store.log_after(Txid(1), 1)?.first().map(|commit| commit.frames.len()), &Some(20_000))
}

fn odd_images(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(65_536));
    // The most frames that a small commit has, each as long as can be and not to be compressed: far more than one stored value holds.
    for (round, frames) in [64, 1, 15, 16, 29, 30, 31, 65].into_iter().enumerate() {
        let changes: Vec<_> = (1..=frames).map(|pgno| (pgno, Image::Noise(round as u64 * 100 + u64::from(pgno)))).collect();
        history.commit(history.page_count().max(frames), &changes)?;
    }
    history.commit(65, &(1..=64).map(|pgno| (pgno, Image::Zeros)).collect::<Vec<_>>())?;
    history.commit(65, &[(1, Image::Zeros), (3, Image::Noise(7)), (64, Image::Zeros)])?;
    history.check_and_reopen(open)
}

fn the_lock_page_reads_as_zeros(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let size = page_size(65_536);
    let lock_page = size.lock_page();
    // With small pages the number of that page is an ordinary one, and has versions.
    let mut history = History::new(open()?, page_size(512));
    history.commit(lock_page.0 + 1, &[(1, Image::Noise(1)), (lock_page.0, Image::Noise(2)), (lock_page.0 + 1, Image::Noise(3))])?;
    history.page_size = size;
    history.commit(lock_page.0 + 1, &[(1, Image::Noise(4)), (lock_page.0 - 1, Image::Text(5)), (lock_page.0 + 1, Image::Zeros)])?;
    history.commit(lock_page.0 + 1, &[(2, Image::Zeros)])?;
    for _ in 0..2 {
        let store = open()?;
        for txid in [Txid(2), Txid(3)] {
            let mut image = vec![1; size.bytes()];
            store.read_page(lock_page, txid, &mut image)?;
            ensure("the lock page reads as zeros", image.iter().all(|byte| *byte == 0))?;
            equal("the checksum of the lock page", &store.page_checksum(lock_page, txid)?.0, &0)?;
        }
    }
    history.check_and_reopen(open)
}

fn many_small_commits(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(512));
    for round in 0..1_500_u64 {
        let leaf = 2 + (round * 7 % 40) as u32;
        let grown = history.page_count() + 1..=50;
        let mut changes = vec![(1, Image::Text(round)), (leaf, Image::of(round)), (leaf + 1, Image::Text(round + 7))];
        changes.extend(grown.filter(|pgno| *pgno > 1 && *pgno != leaf && *pgno != leaf + 1).map(|pgno| (pgno, Image::Zeros)));
        changes.sort_by_key(|(pgno, _)| *pgno);
        history.commit(50, &changes)?;
        if round % 500 == 499 {
            history.keep_one_in(50);
            history.check_and_reopen(open)?;
        }
    }
    Ok(())
}

fn a_commit_without_frames(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, PageSize::DEFAULT);
    history.commit(3, &[(1, Image::Text(1)), (2, Image::Text(2)), (3, Image::Zeros)])?;
    history.commit(2, &[])?;
    history.commit(2, &[])?;
    history.commit(0, &[])?;
    equal("the log by one frame at a time", &history.store.log_after(Txid(1), 0)?.len(), &3)?;
    history.check_and_reopen(open)
}

fn changed_pages_are_named(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(512));
    history.commit(4, &[(1, Image::Text(1)), (2, Image::Text(2)), (3, Image::Zeros), (4, Image::Text(4))])?;
    history.commit(4, &[(2, Image::Text(5))])?;
    history.commit(2, &[(1, Image::Text(6))])?;
    history.commit(3, &[(3, Image::Text(7))])?;
    history.page_size = page_size(1_024);
    history.commit(2, &[(1, Image::Text(8)), (2, Image::Text(9))])?;
    for store in [history.store.clone(), open()?] {
        let named = |from, to| Ok::<_, Failed>(store.changed_between(Txid(from), Txid(to))?.iter().map(|pgno| pgno.0).collect::<Vec<_>>());
        equal("what a commit wrote", &named(1, 2)?, &vec![2])?;
        equal("what several wrote, as far as it is there", &named(1, 3)?, &vec![1, 2])?;
        equal("a page that was cut and came again", &named(2, 4)?, &vec![1, 3])?;
        equal("pages that were cut, the other way", &named(3, 1)?, &vec![1, 2, 3, 4])?;
        equal("nothing, between a state and itself", &named(4, 4)?, &vec![])?;
        equal("everything, from the empty state", &named(0, 2)?, &vec![1, 2, 3, 4])?;
        equal("everything, after the page size changed", &named(4, 5)?, &vec![1, 2])?;
        equal("everything, before the page size changed", &named(5, 1)?, &vec![1, 2, 3, 4])?;
        ensure("a state that is not there is refused", store.changed_between(Txid(1), Txid(9)).is_err())?;
    }
    history.check_and_reopen(open)
}

fn states_are_found_by_time(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, PageSize::DEFAULT);
    equal("the state of an empty store", &history.store.txid_at(5)?, &Txid::EMPTY)?;
    for round in 1..=90 {
        // A second passes between commits, except at every tenth.
        let mut commit = history.next(70, &(1..=70).map(|pgno| (pgno, Image::Text(round))).collect::<Vec<_>>());
        commit.state.time_ms = 1_000 * (round - round / 10);
        history.append(commit)?;
    }
    for (time_ms, txid) in [(0, 0), (999, 0), (1_000, 1), (1_001, 1), (9_000, 10), (9_500, 10), (10_000, 11), (81_000, 90), (u64::MAX, 90)]
    {
        equal(&format!("the state at {time_ms} ms"), &history.store.txid_at(time_ms)?, &Txid(txid))?;
    }
    let oldest = prune(&*history.store, Txid(50))?;
    for time_ms in [0, 1_000, 20_000] {
        equal("the state at a time that is pruned", &history.store.txid_at(time_ms)?, &oldest)?;
    }
    history.forget_before(oldest);
    history.check_and_reopen(open)
}

fn the_past_is_measured(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, PageSize::DEFAULT);
    let page = PageSize::DEFAULT.bytes() as u64;
    let wide = |seed: u64| (1..=100).map(|pgno| (pgno, Image::Noise(seed * 1_000 + u64::from(pgno)))).collect::<Vec<_>>();
    history.commit(100, &wide(1))?;
    let only_present = history.store.history_bytes()?;
    ensure(&format!("without a past, {only_present} bytes are little"), only_present < 10 * page)?;
    // Five times 100 pages at once, then 3,000 one by one: more than any store keeps in its log before it puts it in order.
    for seed in 2..7 {
        history.commit(100, &wide(seed))?;
    }
    for seed in 0..3_000 {
        history.commit(100, &[(1 + seed as u32 % 9, Image::Noise(seed))])?;
        history.keep_one_in(500);
    }
    let past = history.store.history_bytes()?;
    ensure(&format!("{past} bytes are about 3,500 pages"), (2_000 * page..14_000 * page).contains(&past))?;
    let head = history.store.head().txid;
    prune(&*history.store, head)?;
    let left = history.store.history_bytes()?;
    ensure(&format!("pruning leaves {left} bytes of {past}"), left < past / 2)?;
    history.forget_before(history.store.oldest());
    history.check_and_reopen(open)
}

/// A page size of this list of cases, all of which SQLite allows.
fn page_size(bytes: u32) -> PageSize {
    PageSize::new(bytes).unwrap_or(PageSize::DEFAULT)
}
