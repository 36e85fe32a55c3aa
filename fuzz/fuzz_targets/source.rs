//! The primary answers any question with a message, and nothing changes by it.
#![no_main]

use littoral_engine::commit_log::Message;
use littoral_engine::replica::Source;
use littoral_engine::store::{MemoryStore, PageStore};
use std::rc::Rc;

thread_local! {
    static PRIMARY: Rc<MemoryStore> = littoral_fuzz::primary();
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| PRIMARY.with(|primary| {
    let head = primary.head();
    for question in [bytes.to_vec(), littoral_fuzz::sealed(bytes)] {
        let answer = Source::new(&**primary, littoral_fuzz::ID).answer(&question);
        Message::decode(&answer).expect("the answer is a message");
    }
    assert_eq!(primary.head(), head);
}));
