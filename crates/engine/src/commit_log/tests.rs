//! Messages survive the wire; what is no message is refused; the format does not change unnoticed.

use super::*;
use proptest::prelude::*;

fn state(txid: u64, page_count: u32) -> State {
    State { txid: Txid(txid), page_size: PageSize::new(512).unwrap(), page_count, time_ms: 1_000 + txid, checksum: Checksum(txid * 7) }
}

fn frame(pgno: u32, fill: u8) -> StoredFrame {
    StoredFrame::pack(&Frame::new(Pgno(pgno), vec![fill; 512].into()))
}

/// One message of every kind.
fn examples() -> Vec<Message> {
    let images = LoggedCommit { state: state(8, 3), pages: Changed::Images(vec![frame(1, 8), frame(3, 9)]) };
    let numbers = LoggedCommit { state: state(9, 3), pages: Changed::Numbers(vec![Pgno(2), Pgno(3)]) };
    let restart = Restart { reason: RestartReason::Pruned, state: state(9, 3), age_ms: 0, pages: vec![frame(1, 8)] };
    let bodies = [
        Body::Pull(Pull { after: Some(state(7, 3).position()), images: true, wanted: Txid(9), max_bytes: 1 << 20 }),
        Body::Pull(Pull { after: None, images: false, wanted: Txid(0), max_bytes: 0 }),
        Body::Commits(Segment { head: state(9, 3), age_ms: 20, after: state(7, 3).position(), commits: vec![images, numbers] }),
        Body::Restart(restart),
        Body::Fetch(Fetch { at: state(9, 3).position(), pages: vec![Pgno(2)] }),
        Body::Pages(Pages { state: state(9, 3), frames: vec![frame(2, 1), frame(3, 9)] }),
        Body::Find(Sought::Time(1_009)),
        Body::Find(Sought::At(state(9, 3).position())),
        Body::Found(state(9, 3)),
        Body::Refused(Refusal::new(RefusalReason::Unknown, "no such state")),
    ];
    bodies.into_iter().map(|body| Message { database: DatabaseId(0x0123_4567_89ab_cdef), body }).collect()
}

#[test]
fn messages_survive_the_wire() {
    for message in examples() {
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}

/// The bytes of `examples`, one line of hexadecimal digits each. A change here is a new version of the format.
#[test]
fn the_format_is_what_it_was() {
    let golden: Vec<&str> = include_str!("golden.hex").lines().collect();
    let hex = |message: Message| message.encode().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let now: Vec<String> = examples().into_iter().map(hex).collect();
    assert_eq!(now, golden, "the format has changed; these are the new lines:\n{}", now.join("\n"));
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    for message in examples() {
        let bytes = message.encode();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(Message::decode(&damaged).is_err(), "byte {at} of {message:?}");
            assert!(Message::decode(&bytes[..at]).is_err(), "cut at {at}: {message:?}");
        }
    }
}

/// A message whose seal is right although its content is not: what a hostile sender would make.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 8;
    let seal = xxhash_rust::xxh64::xxh64(&bytes[..end], 0);
    bytes[end..].copy_from_slice(&seal.to_be_bytes());
    bytes
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn no_forged_message_makes_it_panic(example in 0..10usize, edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in 0..8usize) {
        let mut bytes = examples()[example].encode();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut);
        if let Ok(message) = Message::decode(&sealed(bytes)) {
            // What is understood can be said again.
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn images_survive(image in proptest::collection::vec(0..4u8, 512), pgno in 1..100u32) {
        let frame = Frame::new(Pgno(pgno), image.clone().into());
        prop_assert_eq!(StoredFrame::pack(&frame).expand(PageSize::new(512).unwrap()), Ok(image.into()));
    }
}

#[test]
fn a_huge_count_is_refused_before_room_is_made() {
    let message = Message { database: DatabaseId(1), body: Body::Fetch(Fetch { at: state(1, 1).position(), pages: vec![Pgno(1)] }) };
    let mut bytes = message.encode();
    let count_at = 14 + 16;
    bytes[count_at..count_at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(Message::decode(&sealed(bytes)), Err(DecodeError::Length("the page numbers")));
}

/// The fuzzer's: the commit after the last possible one.
#[test]
fn a_txid_that_no_commit_has_is_refused() {
    for txid in [Txid(u64::MAX), Txid(Txid::MAX.0 + 1)] {
        let after = Position { txid, checksum: Checksum(1) };
        let commit = LoggedCommit { state: state(8, 3), pages: Changed::Numbers(Vec::new()) };
        for body in [
            Body::Commits(Segment { head: state(9, 3), age_ms: 0, after, commits: vec![commit] }),
            Body::Pull(Pull { after: None, images: true, wanted: txid, max_bytes: 0 }),
            Body::Found(State { txid, ..state(9, 3) }),
        ] {
            let bytes = Message { database: DatabaseId(1), body }.encode();
            assert_eq!(Message::decode(&bytes), Err(DecodeError::Value("txid")));
        }
    }
}

#[test]
fn a_damaged_image_is_not_expanded() {
    let mut damaged = frame(1, 7);
    damaged.checksum = Checksum(5);
    assert!(matches!(damaged.expand(PageSize::new(512).unwrap()), Err(DecodeError::Image { .. })));
}
