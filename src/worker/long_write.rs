//! A write that takes long, on a stack of its own, which is put aside again and again so that the object answers others in between.
//!
//! **Invariants**
//! 1. The engine is not borrowed while one is under way: it has the write connection in its hand.
//! 2. A ticket says that it runs only while it does: what is not committed is not lost when another loses the instance, but done again.
//!
//! **Not here:** who waits for its end (`littoral_engine::primary`).

use super::database::deliver;
use super::host::{Host, Ticket};
use super::long_read::in_turns;
use super::upload::Upload;
use crate::runtime::jspi::{Lost, suspendable};
use crate::runtime::time::now_ms;
use js_sys::futures::spawn_local;
use littoral_engine::answer::{Answer, Request, answer_import, answer_long_write, answer_promotion};
use littoral_engine::engine::Lease;
use littoral_engine::fetch::Fetcher;
use littoral_protocol::sql::Code;
use std::cell::RefCell;
use std::rc::Rc;

/// Where a lease is left that has come to its end.
pub(super) type Ended = Rc<RefCell<Option<Lease>>>;

/// What is written.
pub(super) enum Written {
    /// What the request says.
    Request,
    /// An upload.
    Upload(Upload),
    /// What a branch changed, which this leads to.
    Branch(Rc<dyn Fetcher>),
}

/// Begins to write; the answer is delivered, the lease left, and the host told, when it is there.
pub(super) fn begin(host: Host, ticket: Ticket, request: Request, lease: Lease, ended: Ended, what: Written) {
    spawn_local(async move {
        let before = lease.before();
        let turns = in_turns(ticket.clone(), before.position(), request.until_ms());
        let written = suspendable(move || {
            let answer = match what {
                Written::Upload(upload) => answer_import(&lease, &mut || upload.piece(), now_ms(), turns, upload.statements.clone()),
                Written::Branch(fetcher) => answer_promotion(&request, &lease, fetcher, now_ms(), &turns),
                Written::Request => answer_long_write(&request, &lease, now_ms(), turns),
            };
            (answer, lease)
        });
        let (answer, wrote) = match written.await {
            Ok((answer, lease)) => {
                let wrote = lease.state().txid != before.txid;
                ended.replace(Some(lease));
                (answer, wrote)
            }
            // The next instance is handed the ticket.
            Err(Lost::Trap(_)) => return,
            Err(lost @ Lost::Unsupported(_)) => (Answer::refusing(&ticket.request().read(), &lost, Code::StoreFailed), false),
        };
        deliver(&ticket, answer, wrote);
        host.write_ended();
    });
}
