//! What is stored and part of no state: commits ahead of themselves, piece by piece, and temporary files.

use super::history::{Failed, History, Image, ensure, equal, verify};
use super::{Reopen, StoreError, page_size};
use crate::store::BLOCK_BYTES;
use littoral_protocol::{Checksum, Commit, InvalidCommit, PageSize, Pgno, State, Txid};
use std::collections::BTreeSet;

/// Stages a commit in pieces, the last first.
fn stage(history: &History, commit: &Commit, piece: usize) -> Result<(), Failed> {
    let (mut sum, mut staged) = (Checksum::EMPTY, Checksum::EMPTY);
    for frames in commit.frames.chunks(piece).rev() {
        frames.iter().for_each(|frame| sum ^= frame.checksum);
        staged = history.store.stage(frames)?;
    }
    equal("the checksum of what is staged", &staged, &sum)
}

pub(super) fn a_commit_is_staged(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, page_size(512));
    history.commit(3, &[(1, Image::Text(1)), (2, Image::Text(2)), (3, Image::Zeros)])?;
    for (round, count) in [(1, 5_000), (2, 40), (3, 2_500), (4, 3)] {
        // Something small before it, which is in the log.
        history.commit(history.page_count(), &[(2, Image::Text(round))])?;
        let changes: Vec<_> = (1..=count).filter(|pgno| pgno % 3 != 2 || *pgno > history.page_count()).collect();
        let changes: Vec<_> = changes.into_iter().map(|pgno| (pgno, Image::of(round * 10_000 + u64::from(pgno)))).collect();
        let commit = history.next(count, &changes);
        // Pages of another content, and some that are cut off.
        let other = history.next(count + 50, &[(1, Image::Text(99)), (count + 20, Image::Zeros)]);
        history.store.stage(&other.frames)?;
        history.store.cut_staged(count)?;
        stage(&history, &commit, 700)?;
        let pages = commit.frames.iter().map(|frame| frame.pgno).collect();
        equal("what is staged", &history.store.staged(), &pages)?;
        for frame in &commit.frames {
            let mut image = vec![0; 512];
            ensure("a staged page is read", history.store.read_staged(frame.pgno, &mut image)? && image[..] == frame.image[..])?;
        }
        history.append_staged(commit)?;
        ensure("nothing is staged any more", history.store.staged().is_empty())?;
    }
    history.check_and_reopen(open)
}

pub(super) fn what_is_staged_is_part_of_no_state(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let mut history = History::new(open()?, PageSize::DEFAULT);
    history.commit(3, &[(1, Image::Text(1)), (2, Image::Text(2)), (3, Image::Zeros)])?;
    let big: Vec<_> = (1..=100).map(|pgno| (pgno, Image::Text(u64::from(pgno)))).collect();
    for round in 0..4 {
        let commit = history.next(100, &big);
        stage(&history, &commit, 30)?;
        // What is staged survives the upkeep of the past.
        while history.store.thin(history.store.head().txid, 1_000_000, &BTreeSet::new())? || history.store.prune(Txid::EMPTY)? {}
        history.versions.retain(|version| history.store.resolve(version.state.txid) == Ok(version.state.txid));
        verify(&*history.store, &history.versions)?;
        refuse(&history, &commit.state)?;
        match round {
            0 => history.store.discard_staged(),
            1 => history.check_and_reopen(open)?,
            // Another commit takes its place.
            2 => drop(history.commit(4, &[(1, Image::Noise(7)), (4, Image::Text(8))])?),
            _ => history.append_staged(commit)?,
        }
        ensure("nothing is staged any more", history.store.staged().is_empty())?;
        ensure("a page is not staged", !history.store.read_staged(Pgno(1), &mut [0; 4096])?)?;
        // A fold over what was discarded and is still there.
        let wide: Vec<_> = (101..=200).map(|pgno| (pgno, Image::Text(round * 1_000 + u64::from(pgno)))).collect();
        let between: Vec<_> = (history.page_count() + 1..=100).map(|pgno| (pgno, Image::Text(u64::from(pgno)))).collect();
        history.commit(200, &[between, wide].concat())?;
        verify(&*history.store, &history.versions)?;
        // What was discarded is deleted in steps, with commits in between.
        history.store.prune(Txid::EMPTY)?;
        history.commit(history.page_count(), &[(2, Image::Text(50 + round))])?;
        verify(&*history.store, &history.versions)?;
    }
    while history.store.prune(Txid::EMPTY)? {}
    ensure("all room is given back", !history.store.has_discarded())?;
    history.check_and_reopen(open)
}

/// What does not fit is refused, and nothing that is staged is lost by it.
fn refuse(history: &History, state: &State) -> Result<(), Failed> {
    let store = &history.store;
    let head = store.head().txid;
    let gap = State { txid: Txid(head.0 + 2), ..*state };
    let refused: StoreError = InvalidCommit::Gap { head, got: gap.txid }.into();
    equal("a staged commit that does not follow", &store.append_staged(&gap), &Err(refused))?;
    let cut = State { page_count: 99, ..*state };
    let refused: StoreError = InvalidCommit::Frame { pgno: Pgno(100), page_count: 99 }.into();
    equal("a staged commit with a page beyond its last", &store.append_staged(&cut), &Err(refused))?;
    let other = State { page_size: page_size(8_192), ..*state };
    ensure("a staged commit of another page size", matches!(store.append_staged(&other), Err(StoreError::InvalidCommit(_))))?;
    let short = littoral_protocol::Frame::new(Pgno(1), vec![0; 512].into());
    ensure("a staged page of another size", matches!(store.stage(&[short]), Err(StoreError::InvalidCommit(_))))?;
    equal("what is staged after that", &store.staged().len(), &100)
}

pub(super) fn temporary_files(open: &mut Reopen<'_>) -> Result<(), Failed> {
    let block = |seed: u8| vec![seed; if seed == 99 { BLOCK_BYTES } else { 500 }];
    let mut history = History::new(open()?, PageSize::DEFAULT);
    history.commit(2, &[(1, Image::Text(1)), (2, Image::Zeros)])?;
    for round in 0..2 {
        let store = history.store.clone();
        let (one, two) = (store.new_scratch(), store.new_scratch());
        equal("a new file", &store.get_scratch(one, 0)?, &None)?;
        for number in 0..230 {
            store.put_scratch(one, number, &block(number as u8))?;
        }
        store.put_scratch(two, 0, &[1, 2, 3])?;
        store.put_scratch(one, 7, &block(99))?;
        equal("a block that was written again", &store.get_scratch(one, 7)?, &Some(block(99)))?;
        equal("a short block of another file", &store.get_scratch(two, 0)?, &Some(vec![1, 2, 3]))?;
        store.cut_scratch(one, 25)?;
        equal("a block that was cut off", &store.get_scratch(one, 25)?, &None)?;
        equal("the one before it", &store.get_scratch(one, 24)?, &Some(block(24)))?;
        history.check_and_reopen(open)?;
        let store = &history.store;
        if round == 1 {
            while store.prune(Txid::EMPTY)? {}
            ensure("all room is given back", !store.has_discarded())?;
        }
        equal("a file after opening again", &store.get_scratch(store.new_scratch(), 0)?, &None)?;
    }
    history.check_and_reopen(open)
}
