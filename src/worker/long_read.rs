//! A read that takes long, on a stack of its own, which is put aside again and again so that the object answers others in between.
//!
//! **Invariants**
//! 1. The engine is not borrowed while one is under way: it has its own connection.
//! 2. A ticket says that it runs only while it does: one that waits for its turn has lost nothing when another loses the instance.
//!
//! **Not here:** how many there are (`littoral_engine::primary`).

use super::database::deliver;
use super::host::{Host, Ticket};
use crate::runtime::jspi::{Lost, suspendable};
use crate::runtime::turns::give_way;
use js_sys::Uint8Array;
use js_sys::futures::spawn_local;
use littoral_engine::answer::{Answer, Request, answer_long};
use littoral_engine::engine::{GiveWay, Snapshot};
use littoral_protocol::Position;
use littoral_protocol::sql::Code;
use std::rc::Rc;

/// Begins to read; the answer is delivered, and the host told, when it is there.
pub(super) fn begin(host: Host, ticket: Ticket, request: Request, reader: Snapshot) {
    spawn_local(async move {
        let turns = in_turns(ticket.clone(), reader.state().position(), request.until_ms());
        let answer = match suspendable(move || answer_long(&request, &reader.in_turns(turns))).await {
            Ok(answer) => answer,
            // The next instance is handed the ticket.
            Err(Lost::Trap(_)) => return,
            Err(lost @ Lost::Unsupported(_)) => Answer::refusing(&ticket.request().read(), &lost, Code::StoreFailed),
        };
        deliver(&ticket, answer, false);
        host.read_ended();
    });
}

/// Lets others have their turn, while the ticket says that it waits.
pub(super) fn in_turns(ticket: Ticket, position: Position, until_ms: Option<u64>) -> GiveWay {
    let position = Uint8Array::from(&position.to_bytes()[..]);
    Rc::new(move || {
        ticket.waits();
        let waited = give_way(until_ms);
        ticket.runs(&position, true);
        waited
    })
}
