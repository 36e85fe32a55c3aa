//! A follower takes anything for an answer or for news without a panic, and follows the primary afterwards.
//!
//! The input is a run of messages: a byte that says whether it answers a question, a length of two bytes, kind and body.
#![no_main]

use littoral_engine::commit_log::Message;
use littoral_engine::replica::{Applied, Follower, PageCache, Source};
use littoral_engine::store::{MemoryStore, PageStore};
use littoral_protocol::Txid;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    static PRIMARY: Rc<MemoryStore> = littoral_fuzz::primary();
}

fn follow(follower: &mut Follower, primary: &MemoryStore) {
    for _ in 0..4 {
        let (asked, question) = follower.pull(1, Txid::EMPTY, true, 1 << 20);
        let answer = Message::decode(&Source::new(primary, littoral_fuzz::ID).answer(&question.encode())).expect("a message");
        if matches!(follower.answered(asked, answer), Ok(Applied::Current)) {
            return;
        }
    }
    panic!("it does not come to the head");
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| PRIMARY.with(|primary| {
    let mut follower = Follower::new(Rc::new(RefCell::new(PageCache::new(1 << 16))));
    follow(&mut follower, primary);
    let mut rest = bytes;
    while let [answers, high, low, following @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(following.len());
        let (message, following) = following.split_at(length);
        rest = following;
        let Ok(message) = Message::decode(&littoral_fuzz::sealed(message)) else { continue };
        if answers & 1 == 1 {
            let (asked, _) = follower.pull(1, Txid::EMPTY, answers & 2 == 2, 1 << 20);
            let _ = follower.answered(asked, message);
        } else {
            let _ = follower.told(message);
        }
    }
    follow(&mut follower, primary);
    assert_eq!(follower.txid(), primary.head().txid);
}));
