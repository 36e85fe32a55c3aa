//! Messages to bytes. The format is in the module above.

use super::{
    Body, Changed, LoggedCommit, MAGIC, Message, Pages, Pull, Refusal, RefusalReason, Restart, RestartReason, Segment, Sought, StoredFrame,
    VERSION,
};
use bytes::BufMut;
use littoral_protocol::{Pgno, Position, State};
use xxhash_rust::xxh64::xxh64;

impl Message {
    /// The message as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_u8(kind(&self.body));
        out.put_u64(self.database.0);
        put_body(&mut out, &self.body);
        let seal = xxh64(&out, 0);
        out.put_u64(seal);
        out
    }
}

fn kind(body: &Body) -> u8 {
    match body {
        Body::Pull(_) => 1,
        Body::Commits(_) => 2,
        Body::Restart(_) => 3,
        Body::Fetch(_) => 4,
        Body::Pages(_) => 5,
        Body::Find(_) => 6,
        Body::Found(_) => 7,
        Body::Refused(_) => 8,
    }
}

fn put_body(out: &mut Vec<u8>, body: &Body) {
    match body {
        Body::Pull(pull) => put_pull(out, pull),
        Body::Commits(segment) => put_segment(out, segment),
        Body::Restart(Restart { reason, state, age_ms, pages }) => {
            out.put_u8(restart_code(*reason));
            put_state(out, state);
            out.put_u32(*age_ms);
            put_frames(out, pages);
        }
        Body::Fetch(fetch) => {
            put_position(out, &fetch.at);
            put_numbers(out, &fetch.pages);
        }
        Body::Pages(Pages { state, frames }) => {
            put_state(out, state);
            put_frames(out, frames);
        }
        Body::Find(Sought::Time(time_ms)) => {
            out.put_u8(0);
            out.put_u64(*time_ms);
        }
        Body::Find(Sought::At(position)) => {
            out.put_u8(1);
            put_position(out, position);
        }
        Body::Found(state) => put_state(out, state),
        Body::Refused(Refusal { reason, text }) => {
            out.put_u8(refusal_code(*reason));
            out.put_slice(text.as_bytes());
        }
    }
}

fn put_pull(out: &mut Vec<u8>, pull: &Pull) {
    put_position(out, &pull.after.unwrap_or(State::EMPTY.position()));
    out.put_u8(u8::from(pull.after.is_some()) | u8::from(pull.images) << 1);
    out.put_u64(pull.wanted.0);
    out.put_u32(pull.max_bytes);
}

fn put_segment(out: &mut Vec<u8>, segment: &Segment) {
    put_state(out, &segment.head);
    out.put_u32(segment.age_ms);
    put_position(out, &segment.after);
    out.put_u32(segment.commits.len() as u32);
    for LoggedCommit { state, pages } in &segment.commits {
        put_state(out, state);
        match pages {
            Changed::Images(frames) => {
                out.put_u8(0);
                put_frames(out, frames);
            }
            Changed::Numbers(pgnos) => {
                out.put_u8(1);
                put_numbers(out, pgnos);
            }
        }
    }
}

fn put_position(out: &mut Vec<u8>, position: &Position) {
    out.put_u64(position.txid.0);
    out.put_u64(position.checksum.0);
}

fn put_state(out: &mut Vec<u8>, state: &State) {
    out.put_u64(state.txid.0);
    out.put_u32(state.page_size.as_u32());
    out.put_u32(state.page_count);
    out.put_u64(state.time_ms);
    out.put_u64(state.checksum.0);
}

fn put_numbers(out: &mut Vec<u8>, pgnos: &[Pgno]) {
    out.put_u32(pgnos.len() as u32);
    for pgno in pgnos {
        out.put_u32(pgno.0);
    }
}

fn put_frames(out: &mut Vec<u8>, frames: &[StoredFrame]) {
    out.put_u32(frames.len() as u32);
    for frame in frames {
        out.put_u32(frame.pgno.0);
        out.put_u64(frame.checksum.0);
        out.put_u32(frame.stored.len() as u32);
        out.put_slice(&frame.stored);
    }
}

fn restart_code(reason: RestartReason) -> u8 {
    match reason {
        RestartReason::First => 0,
        RestartReason::Pruned => 1,
        RestartReason::Diverged => 2,
        RestartReason::Foreign => 3,
        RestartReason::Ahead => 4,
    }
}

fn refusal_code(reason: RefusalReason) -> u8 {
    match reason {
        RefusalReason::Malformed => 0,
        RefusalReason::Foreign => 1,
        RefusalReason::Unknown => 2,
        RefusalReason::Pruned => 3,
        RefusalReason::Failed => 4,
    }
}
