//! A follower over a store, call by call. Faults, clocks and sessions are the simulator's (`simulation`).

use super::*;
use crate::commit_log::{Body, Changed, LoggedCommit, Message, Segment, StoredFrame};
use crate::fetch::{Fetcher, FetchingReader};
use crate::store::durable::Sql;
use crate::store::{Fault, FaultySql, HostSql, MemoryStore, PageReader, PageStore};
use littoral_protocol::{Checksum, Commit, DatabaseId, Frame, PageSize, Pgno, State, Txid};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const ID: DatabaseId = DatabaseId(7);

fn append(store: &MemoryStore, pages: &[(u32, u8)], page_count: u32) {
    let base = store.head();
    let frames: Vec<Frame> = pages.iter().map(|(pgno, fill)| Frame::new(Pgno(*pgno), vec![*fill; 512].into())).collect();
    let mut checksum = base.checksum;
    for frame in frames.iter().filter(|frame| frame.pgno.0 <= base.page_count) {
        checksum ^= store.page_checksum(frame.pgno, base.txid).unwrap();
    }
    for pgno in page_count + 1..=base.page_count {
        checksum ^= store.page_checksum(Pgno(pgno), base.txid).unwrap();
    }
    for frame in &frames {
        checksum ^= frame.checksum;
    }
    let state = State { txid: base.txid.next(), page_size: PageSize::new(512).unwrap(), page_count, time_ms: 1, checksum };
    store.append(&Commit { state, frames }).unwrap();
}

fn source() -> Rc<MemoryStore> {
    let store = MemoryStore::new();
    append(&store, &[(1, 1), (2, 2), (3, 3), (4, 4)], 4);
    append(&store, &[(2, 20)], 4);
    Rc::new(store)
}

fn follower() -> SharedFollower {
    Rc::new(RefCell::new(Follower::new(Rc::new(RefCell::new(PageCache::new(1 << 20))))))
}

fn pull(follower: &SharedFollower, store: &MemoryStore, images: bool) -> Result<Applied, ReplicaError> {
    let (asked, question) = follower.borrow().pull(0, Txid::EMPTY, images, 1 << 20);
    let answer = Source::new(store, ID).with_sizes(Sizes::TINY).answer(&question.encode());
    follower.borrow_mut().answered(asked, Message::decode(&answer).unwrap())
}

struct Direct {
    store: Rc<MemoryStore>,
    fetches: Cell<u32>,
}

impl Fetcher for Direct {
    fn fetch(&self, question: &Message) -> Result<Message, crate::store::StoreError> {
        self.fetches.set(self.fetches.get() + 1);
        Ok(Message::decode(&Source::new(&*self.store, ID).with_sizes(Sizes::TINY).answer(&question.encode())).unwrap())
    }

    fn wait(&self) -> Result<bool, crate::store::StoreError> {
        unreachable!("one thread, one query")
    }

    fn wake(&self) {}
}

/// A follower with a shelf in this storage.
fn with_shelf(sql: impl Sql + 'static) -> SharedFollower {
    let cache = Rc::new(RefCell::new(PageCache::new(1 << 20)));
    Rc::new(RefCell::new(
        Follower::with_shelf(cache, Box::new(HeldPages::open(sql, 1 << 20).unwrap().with_sizes(Sizes::TINY))).with_sizes(Sizes::TINY),
    ))
}

/// Reads pages through a follower, fetching what it lacks, and compares each with the store.
fn read_all(follower: &SharedFollower, store: &Rc<MemoryStore>) -> u32 {
    let direct = Rc::new(Direct { store: store.clone(), fetches: Cell::new(0) });
    let reader = FetchingReader::new(follower.clone());
    let pin = follower.borrow().pin().unwrap();
    reader.begin(ID, pin.state(), Some(direct.clone()));
    let at = pin.state().txid;
    for pgno in 1..=pin.state().page_count {
        let (mut image, mut expected) = ([0; 512], [0; 512]);
        reader.read_page(Pgno(pgno), at, &mut image).unwrap();
        store.read_page(Pgno(pgno), at, &mut expected).unwrap();
        assert_eq!(image, expected, "page {pgno} at {at}");
    }
    reader.end();
    direct.fetches.get()
}

#[test]
fn a_follower_starts_empty_serves_at_once_and_advances() {
    let store = source();
    let follower = follower();
    assert_eq!(pull(&follower, &store, true), Ok(Applied::Restarted));
    assert!(read_all(&follower, &store) > 0);
    assert_eq!(read_all(&follower, &store), 0, "all pages are held now");
    append(&store, &[(3, 30)], 4);
    assert_eq!(pull(&follower, &store, true), Ok(Applied::Current));
    assert_eq!(read_all(&follower, &store), 0, "the image came with the commit");
    append(&store, &[(3, 31)], 4);
    assert_eq!(pull(&follower, &store, false), Ok(Applied::Current));
    assert_eq!(read_all(&follower, &store), 1, "only the number came");
    append(&store, &[(1, 10)], 2);
    append(&store, &[(1, 11), (3, 33)], 3);
    assert_eq!(pull(&follower, &store, true), Ok(Applied::Current));
    assert_eq!(read_all(&follower, &store), 1, "page 3 was cut away and is another now");
}

#[test]
fn a_pinned_state_stays_readable_while_the_follower_moves() {
    let store = source();
    let follower = follower();
    pull(&follower, &store, true).unwrap();
    let pin = follower.borrow().pin().unwrap();
    read_all(&follower, &store);
    append(&store, &[(2, 99), (4, 99)], 4);
    pull(&follower, &store, true).unwrap();
    let old = follower.borrow_mut().read(Pgno(2), pin.state().txid).unwrap().unwrap();
    assert_eq!(old[0], 20);
    drop(pin);
    append(&store, &[(2, 100)], 4);
    pull(&follower, &store, true).unwrap();
    assert!(follower.borrow_mut().read(Pgno(2), Txid(2)).unwrap().is_none(), "nobody needs it any more");
}

#[test]
fn of_a_page_that_changes_again_and_again_the_last_image_comes() {
    let store = source();
    let (follower, sql) = (follower(), Rc::new(HostSql::in_memory().unwrap()));
    let on_shelf = with_shelf(sql.clone());
    for replica in [&follower, &on_shelf] {
        pull(replica, &store, true).unwrap();
        read_all(replica, &store);
    }
    let before = on_shelf.borrow().state().unwrap().1.position();
    for fill in 50..60 {
        append(&store, &[(2, fill), (3, fill % 4)], 4);
    }
    let news = Source::new(&*store, ID).news(before).unwrap().unwrap();
    let Body::Commits(segment) = &news.body else { panic!("{news:?}") };
    let images = |commits: &[LoggedCommit]| -> usize {
        commits
            .iter()
            .map(
                |commit| {
                    if let Changed::Images(frames) = &commit.pages { frames.iter().filter(|frame| frame.has_image()).count() } else { 0 }
                },
            )
            .sum()
    };
    assert_eq!((segment.commits.len(), images(&segment.commits)), (10, 2));
    for replica in [&follower, &on_shelf] {
        assert_eq!(replica.borrow_mut().told(news.clone()), Ok(Applied::Current));
        assert_eq!(read_all(replica, &store), 0, "all pages are still held");
    }
    on_shelf.borrow().flush().unwrap();
    assert_eq!(read_all(&with_shelf(sql), &store), 0, "on the shelf, too");

    // Behind a replica: the last image may be cut off with the commit that has it.
    let behind = self::follower();
    let behind_on_shelf = with_shelf(HostSql::in_memory().unwrap());
    for replica in [&behind, &behind_on_shelf] {
        pull(replica, &store, true).unwrap();
        read_all(replica, &store);
    }
    for half in 0..2 {
        for fill in 0..5 {
            append(&store, &[(2, 70 + 5 * half + fill), (4, fill)], 4);
        }
        let position = on_shelf.borrow().state().unwrap().1.position();
        let news = Source::new(&*store, ID).news(position).unwrap().unwrap();
        assert_eq!(on_shelf.borrow_mut().told(news), Ok(Applied::Current));
    }
    for replica in [&behind, &behind_on_shelf] {
        for (max_bytes, expected_images, fetched) in [(700, 0, 2), (1 << 20, 2, 0)] {
            let (asked, question) = replica.borrow().pull(0, Txid::EMPTY, true, max_bytes);
            let relayed = on_shelf.borrow_mut().relay(&question, 0, true).unwrap();
            let Relayed::Say(answer) = relayed else { panic!("{relayed:?}") };
            let Body::Commits(segment) = &answer.body else { panic!("{answer:?}") };
            assert!(segment.commits.len() < 10);
            assert_eq!(images(&segment.commits), expected_images);
            replica.borrow_mut().answered(asked, answer).unwrap();
            assert_eq!(read_all(replica, &store), fetched, "what did not come is dropped, and fetched");
            assert!(replica.borrow_mut().take_events().is_empty(), "nothing is taken for damage");
        }
    }
}

#[test]
fn another_checksum_at_the_same_txid_throws_the_pages_away() {
    let store = source();
    let follower = follower();
    pull(&follower, &store, true).unwrap();
    read_all(&follower, &store);
    let other = MemoryStore::new();
    append(&other, &[(1, 7)], 1);
    append(&other, &[(1, 8)], 1);
    assert_eq!(pull(&follower, &other, true), Ok(Applied::Restarted));
    assert!(follower.borrow_mut().take_events()[0].contains("another state at its position"));
    read_all(&follower, &Rc::new(other));
}

#[test]
fn doubled_and_late_commits_change_nothing_and_a_gap_is_noticed() {
    let store = source();
    let follower = follower();
    pull(&follower, &store, true).unwrap();
    let position = follower.borrow().state().unwrap().1.position();
    append(&store, &[(2, 21)], 4);
    let early = Source::new(&*store, ID).with_sizes(Sizes::TINY).news(position).unwrap().unwrap();
    append(&store, &[(2, 22)], 4);
    let middle = store.state(Txid(3)).unwrap().position();
    let late = Source::new(&*store, ID).with_sizes(Sizes::TINY).news(middle).unwrap().unwrap();
    assert_eq!(follower.borrow_mut().told(late.clone()), Ok(Applied::Gap));
    assert_eq!(follower.borrow_mut().told(early.clone()), Ok(Applied::Current));
    assert_eq!(follower.borrow_mut().told(late.clone()), Ok(Applied::Current));
    assert_eq!(follower.borrow_mut().told(late), Ok(Applied::Current));
    assert_eq!(follower.borrow_mut().told(early), Ok(Applied::Current));
    assert_eq!(follower.borrow().txid(), Txid(4));
    read_all(&follower, &store);
}

#[test]
fn a_forged_checksum_in_a_commit_is_noticed_where_all_its_pages_are_held() {
    let store = source();
    let follower = follower();
    pull(&follower, &store, true).unwrap();
    read_all(&follower, &store);
    append(&store, &[(2, 21)], 4);
    let position = follower.borrow().state().unwrap().1.position();
    let mut news = Source::new(&*store, ID).with_sizes(Sizes::TINY).news(position).unwrap().unwrap();
    if let Body::Commits(segment) = &mut news.body {
        segment.commits[0].state.checksum = Checksum(5);
    }
    assert!(matches!(follower.borrow_mut().told(news), Err(ReplicaError::Diverged { .. })));
    assert_eq!(follower.borrow().state(), None);
}

#[test]
fn a_shelf_survives_a_restart_and_notices_damage() {
    let store = source();
    let sql = Rc::new(HostSql::in_memory().unwrap());
    let open = || with_shelf(sql.clone());
    let follower = open();
    pull(&follower, &store, true).unwrap();
    read_all(&follower, &store);
    append(&store, &[(3, 30)], 4);
    pull(&follower, &store, true).unwrap();
    follower.borrow().flush().unwrap();
    append(&store, &[(3, 31)], 4);
    pull(&follower, &store, true).unwrap();
    let follower = open();
    assert_eq!(follower.borrow().txid(), Txid(3), "what was not written yet is lost");
    assert_eq!(pull(&follower, &store, true), Ok(Applied::Current));
    assert_eq!(read_all(&follower, &store), 0, "pages are on the shelf");
    follower.borrow().flush().unwrap();
    sql.connection().execute("UPDATE held SET image = zeroblob(512) WHERE pgno = 2", ()).unwrap();
    let follower = open();
    assert_eq!(follower.borrow_mut().read(Pgno(2), Txid(4)), Ok(None));
    assert!(follower.borrow_mut().take_events()[0].contains("is damaged"));
    assert_eq!(pull(&follower, &store, true), Ok(Applied::Restarted));
    read_all(&follower, &store);
}

#[test]
fn a_relay_that_has_not_heard_from_the_primary_passes_on_after_its_last_try() {
    let store = source();
    let sql = Rc::new(HostSql::in_memory().unwrap());
    let follower = with_shelf(sql.clone());
    pull(&follower, &store, true).unwrap();
    let (_, question) = follower.borrow().pull(0, Txid::EMPTY, true, 1 << 20);
    follower.borrow().flush().unwrap();
    let again = with_shelf(sql);
    assert_eq!(again.borrow_mut().relay(&question, 0, false), Ok(Relayed::PullFirst));
    assert_eq!(again.borrow_mut().relay(&question, 0, true), Ok(Relayed::PassOn));
}

#[test]
fn a_query_whose_database_was_replaced_gets_an_error_and_no_page_of_the_new_one() {
    let store = source();
    let follower = follower();
    pull(&follower, &store, true).unwrap();
    let direct = Rc::new(Direct { store: store.clone(), fetches: Cell::new(0) });
    let reader = FetchingReader::new(follower.clone());
    let pin = follower.borrow().pin().unwrap();
    reader.begin(ID, pin.state(), Some(direct));
    let other = MemoryStore::new();
    append(&other, &[(1, 7), (2, 8)], 2);
    append(&other, &[(1, 9)], 2);
    append(&other, &[(1, 10)], 2);
    let (asked, question) = follower.borrow().pull(0, Txid::EMPTY, true, 1 << 20);
    let answer = Source::new(&other, DatabaseId(8)).with_sizes(Sizes::TINY).answer(&question.encode());
    assert_eq!(follower.borrow_mut().answered(asked, Message::decode(&answer).unwrap()), Ok(Applied::Restarted));
    let error = reader.read_page(Pgno(1), Txid(2), &mut [0; 512]).unwrap_err();
    assert!(error.to_string().contains("begun anew"), "{error}");
    assert_eq!(follower.borrow_mut().read(Pgno(1), Txid(4)), Ok(None), "beyond its position it knows nothing");
}

#[test]
fn a_page_that_is_evicted_at_once_is_read_all_the_same() {
    let store = source();
    let follower = Rc::new(RefCell::new(Follower::new(Rc::new(RefCell::new(PageCache::new(600))))));
    pull(&follower, &store, true).unwrap();
    read_all(&follower, &store);
}

#[test]
fn storage_that_fails_never_leaves_the_shelf_ahead_of_the_position() {
    let store = source();
    let fault = Fault::default();
    let follower = with_shelf(FaultySql::new(Rc::new(HostSql::in_memory().unwrap()), fault.clone()));
    pull(&follower, &store, true).unwrap();
    let other = MemoryStore::new();
    append(&other, &[(1, 7), (2, 8)], 2);
    for operation in 1..8 {
        fault.stop_at(operation);
        let (asked, question) = follower.borrow().pull(0, Txid::EMPTY, true, 1 << 20);
        let answer = Source::new(&other, DatabaseId(8)).with_sizes(Sizes::TINY).answer(&question.encode());
        let restarted = follower.borrow_mut().answered(asked, Message::decode(&answer).unwrap());
        fault.clear();
        if restarted.is_ok() {
            break;
        }
        assert_eq!(follower.borrow().state(), None);
        assert_eq!(follower.borrow_mut().read(Pgno(1), Txid(1)), Ok(None));
        pull(&follower, &store, true).unwrap();
        read_all(&follower, &store);
    }
}

#[test]
fn a_restart_that_comes_late_does_not_take_the_position_back() {
    let store = source();
    let follower = follower();
    pull(&follower, &store, true).unwrap();
    append(&store, &[(2, 21)], 4);
    let late = follower.borrow().pull(0, Txid::EMPTY, true, 1 << 20);
    let position = follower.borrow().state().unwrap().1.position();
    store.prune(Txid(3)).unwrap();
    let restart = Message::decode(&Source::new(&*store, ID).with_sizes(Sizes::TINY).answer(&late.1.encode())).unwrap();
    assert!(matches!(restart.body, Body::Restart(_)));
    append(&store, &[(2, 22)], 4);
    let commits = [Txid(3), Txid(4)].map(|txid| {
        let frame = Frame::new(Pgno(2), vec![19 + txid.0 as u8 - 1; 512].into());
        LoggedCommit { state: store.state(txid).unwrap(), pages: Changed::Images(vec![StoredFrame::pack(&frame)]) }
    });
    let segment = Segment { head: store.head(), age_ms: 0, after: position, commits: commits.into() };
    let told = follower.borrow_mut().told(Message { database: ID, body: Body::Commits(segment) });
    assert_eq!(told, Ok(Applied::Current));
    assert_eq!(follower.borrow_mut().answered(late.0, restart), Ok(Applied::Behind));
    assert_eq!(follower.borrow().txid(), Txid(4));
    read_all(&follower, &store);
}

#[test]
fn a_commit_that_is_too_large_for_an_answer_comes_as_page_numbers() {
    let store = source();
    let follower = follower();
    pull(&follower, &store, true).unwrap();
    let noise: Vec<Frame> = (1..=40)
        .map(|pgno| {
            let image: Vec<u8> = (0..64).flat_map(|word| Checksum::of_page(Pgno(word), &[pgno as u8]).0.to_be_bytes()).collect();
            Frame::new(Pgno(pgno), image.into())
        })
        .collect();
    let checksum = noise.iter().fold(Checksum::EMPTY, |sum, frame| Checksum(sum.0 ^ frame.checksum.0));
    let state = State { txid: store.head().txid.next(), page_count: 40, checksum, ..store.head() };
    store.append(&Commit { state, frames: noise }).unwrap();
    let (_, question) = follower.borrow().pull(0, Txid::EMPTY, true, 1 << 20);
    let answer = Source::new(&*store, ID).with_sizes(Sizes::TINY).answer(&question.encode());
    assert!(answer.len() < 1_000, "{} bytes", answer.len());
    assert_eq!(pull(&follower, &store, true), Ok(Applied::Current));
    read_all(&follower, &store);
}

#[test]
fn an_age_that_does_not_fit_is_not_told_as_a_smaller_one() {
    let store = source();
    let follower = with_shelf(Rc::new(HostSql::in_memory().unwrap()));
    pull(&follower, &store, true).unwrap();
    let (_, question) = follower.borrow().pull(0, Txid::EMPTY, true, 1 << 20);
    let month = |months: u64| months * 30 * 24 * 60 * 60 * 1_000;
    assert!(matches!(follower.borrow_mut().relay(&question, month(1), true), Ok(Relayed::Say(_))));
    assert_eq!(follower.borrow_mut().relay(&question, month(2), true), Ok(Relayed::PassOn));
}

#[test]
fn a_follower_whose_database_is_no_more_writes_to_its_storage_no_more() {
    let store = source();
    let sql = Rc::new(HostSql::in_memory().unwrap());
    let follower = with_shelf(sql.clone());
    pull(&follower, &store, true).unwrap();
    read_all(&follower, &store);
    follower.borrow_mut().abandon().unwrap();
    sql.connection().execute_batch("DROP TABLE held; DROP TABLE replica").unwrap();
    // A reader that had waited goes on.
    assert_eq!(pull(&follower, &store, true), Ok(Applied::Restarted));
    read_all(&follower, &store);
    follower.borrow().flush().unwrap();
    assert_eq!(follower.borrow_mut().take_events(), Vec::<String>::new());
}
