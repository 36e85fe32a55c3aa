//! Cases of thinning: which states stay, what is answered for the others, and that those that stay read as before.
//!
//! **Invariant:** steps of time are those that a durable store folds by.
//!
//! **Not here:** stores that fail (`tests/crash.rs`), random workloads (`tests/history.rs`).

use super::history::{Failed, History, Image, ensure, equal, kept, prune};
use super::{Reopen, StoreError, page_size};
use crate::store::same_step;
use littoral_protocol::{State, Txid};
use std::collections::BTreeSet;

const STEP_MS: u64 = 60_000;

/// Thins until there is nothing to do, checks what is left of `history`, and goes on checking that.
fn thin(history: &mut History, before: Txid, pinned: &BTreeSet<Txid>) -> Result<(), Failed> {
    let all: Vec<State> = history.versions.iter().map(|version| version.state).collect();
    let (oldest, head) = (history.store.oldest(), history.store.head().txid);
    while history.store.thin(before, STEP_MS, pinned)? {}
    let exact_from = history.store.exact_from();
    equal("the oldest state after thinning", &history.store.oldest(), &oldest)?;
    ensure(&format!("all states are kept from {exact_from} on, which is not after {before}"), exact_from <= before.min(head).max(oldest))?;
    let left = kept(&*history.store)?;
    let mut stays = all.clone();
    stays.retain(|state| {
        let next = all.iter().find(|next| next.txid > state.txid);
        let is_last = next.is_none_or(|next| !same_step(state, next, STEP_MS));
        is_last || state.txid >= exact_from || state.txid == oldest || pinned.contains(&state.txid)
    });
    equal("the states left", &left, &stays)?;
    for state in all.iter().filter(|state| !left.contains(state)) {
        let thinned = StoreError::Thinned { asked: state.txid, exact_from };
        equal("a state thinned out", &history.store.state(state.txid), &Err(thinned.clone()))?;
        let mut image = vec![0; state.page_size.bytes()];
        equal("a page of it", &history.store.read_page(littoral_protocol::Pgno(1), state.txid, &mut image), &Err(thinned.clone()))?;
        equal("the log after it", &history.store.log_after(state.txid, 9), &Err(thinned))?;
        let before = left.iter().rev().find(|kept| kept.txid < state.txid).map(|kept| kept.txid);
        equal("what it resolves to", &history.store.resolve(state.txid).ok(), &before)?;
    }
    history.versions.retain(|version| left.contains(&version.state));
    Ok(())
}

/// Commits of a few pages, `per_step` in each step of time.
fn small_commits(history: &mut History, commits: u64, per_step: u64) -> Result<(), Failed> {
    for _ in 0..commits {
        let (txid, pages) = (history.store.head().txid.0, history.page_count().max(20));
        let grown = (history.page_count() + 1..=pages).map(|pgno| (pgno, Image::of(u64::from(pgno))));
        let changed = [1, 2 + (txid * 7 % 9) as u32, 12 + (txid % 7) as u32].map(|pgno| (pgno, Image::of(txid * 100 + u64::from(pgno))));
        let mut changes: Vec<_> =
            changed.into_iter().chain(grown.filter(|(grown, _)| changed.iter().all(|(pgno, _)| pgno != grown))).collect();
        changes.sort_by_key(|(pgno, _)| *pgno);
        history.commit_at(1_000_000 + txid * STEP_MS / per_step, pages, &changes)?;
    }
    Ok(())
}

pub(super) fn thinning_leaves_the_last_of_each_step(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(512));
    for (before, commits) in [(0, 30), (10, 0), (10, 30), (31, 1), (45, 0), (45, 40), (u64::MAX >> 11, 0), (u64::MAX >> 11, 10)] {
        small_commits(&mut history, commits, 7)?;
        thin(&mut history, Txid(before), &BTreeSet::new())?;
        history.check_and_reopen(open)?;
    }
    let states = kept(&*history.store)?.len();
    ensure(&format!("{states} states are one a step, and the exact ones"), states < 40)?;
    for before in [5, 20, 60, 111] {
        prune(&*history.store, Txid(before))?;
        history.forget_before(history.store.oldest());
        history.check_and_reopen(open)?;
    }
    let head = history.store.head().txid;
    equal("the oldest state, when all others are pruned", &prune(&*history.store, head)?, &head)?;
    small_commits(&mut history, 3, 7)?;
    history.forget_before(head);
    history.check_and_reopen(open)
}

pub(super) fn thinned_states_resolve(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(512));
    small_commits(&mut history, 70, 5)?;
    let times: Vec<State> = history.versions.iter().map(|version| version.state).collect();
    thin(&mut history, Txid(50), &BTreeSet::new())?;
    for _ in 0..2 {
        let store = open()?;
        for state in &times {
            let resolved = store.resolve(state.txid)?;
            ensure(&format!("{} resolves to {resolved}", state.txid), resolved <= state.txid)?;
            equal("the state at its time", &store.txid_at(state.time_ms)?, &resolved)?;
            let next = store.next_kept(resolved)?.map(|next| next.txid);
            ensure("no kept state lies between", next.is_none_or(|next| next > state.txid))?;
        }
        equal("the state at the beginning of time", &store.txid_at(0)?, &Txid::EMPTY)?;
        let exact_from = store.exact_from();
        ensure(&format!("most steps are thinned before {exact_from}"), exact_from >= Txid(45))?;
        let whole = store.log_after(exact_from, usize::MAX)?;
        equal("commits from there on", &(whole.len() as u64), &(70 - exact_from.0))?;
    }
    history.check_and_reopen(open)
}

pub(super) fn pinned_states_stay(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(512));
    small_commits(&mut history, 60, 6)?;
    let last_of_a_step =
        history.versions.windows(2).find(|pair| !same_step(&pair[0].state, &pair[1].state, STEP_MS) && pair[0].state.txid.0 > 20);
    let last_of_a_step = last_of_a_step.map_or(Txid::EMPTY, |pair| pair[0].state.txid);
    for pinned in [vec![Txid(15), Txid(16), Txid(40)], vec![Txid(40), last_of_a_step], vec![Txid(40)], vec![]] {
        thin(&mut history, Txid(50), &pinned.into_iter().collect())?;
        history.check_and_reopen(open)?;
    }
    prune(&*history.store, Txid(40))?;
    history.forget_before(history.store.oldest());
    history.check_and_reopen(open)
}

pub(super) fn wide_commits_are_thinned(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(512));
    for round in 0..40_u64 {
        // Wide commits that share a step, commits of one page, and a database that shrinks and grows again.
        let pages = [2_500, 300, 1_200, 80][round as usize / 3 % 4];
        let wide = round % 3 == 0;
        let grown = history.page_count() + 1..=pages;
        let changed = if wide { 1..=pages.min(1_200) } else { 1 + round as u32..=1 + round as u32 };
        let mut changes: Vec<u32> = changed.chain(grown).collect();
        changes.sort_unstable();
        changes.dedup();
        let changes: Vec<_> = changes.into_iter().map(|pgno| (pgno, Image::Text(round * 10_000 + u64::from(pgno)))).collect();
        history.commit_at(round * STEP_MS / 4, pages, &changes)?;
    }
    for before in [9, 17, 30, 40] {
        thin(&mut history, Txid(before), &BTreeSet::new())?;
        history.check_and_reopen(open)?;
    }
    for before in [6, 20, 33, 40] {
        prune(&*history.store, Txid(before))?;
        history.forget_before(history.store.oldest());
        history.check_and_reopen(open)?;
    }
    equal("bytes of the past when there is none", &history.store.history_bytes()?, &0)
}
