//! What the runtime is in the simulated world: a node's way to its source, the clock, and futures that are polled when something happens.
//!
//! A future that asks puts its question into the outbox, from which it is sent (`nodes`); the answer, or that there is none, comes into its slot.
//!
//! **Invariant:** a future goes on only while its node is the process that began it.

use crate::commit_log::Message;
use crate::fetch::Fetcher;
use crate::replica::{Later, Link, LinkError};
use crate::store::StoreError;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

/// How long the question of another is waited for, in milliseconds.
const OTHERS_MS: u64 = 80;

/// Where an answer comes: what was answered, or that nothing was.
pub(super) type Slot = Rc<RefCell<Option<Result<Vec<u8>, LinkError>>>>;

/// What a future wants.
pub(super) enum Wanted {
    Answer {
        question: Vec<u8>,
        slot: Slot,
    },
    /// To be polled in so many milliseconds.
    Time {
        in_ms: u64,
    },
}

/// What the futures of all nodes share.
pub(super) struct Shared {
    now_ms: Rc<Cell<u64>>,
    pub(super) outbox: RefCell<Vec<(usize, Wanted)>>,
    /// Those that wait for another's question, by node.
    waiting: RefCell<BTreeMap<usize, Vec<Rc<Cell<bool>>>>>,
    pub(super) log: RefCell<Vec<(usize, String)>>,
}

impl Shared {
    /// Beside a clock.
    pub(super) fn new(now_ms: Rc<Cell<u64>>) -> Rc<Shared> {
        Rc::new(Shared { now_ms, outbox: RefCell::default(), waiting: RefCell::default(), log: RefCell::default() })
    }
}

pub(super) struct NodeLink {
    pub(super) shared: Rc<Shared>,
    pub(super) node: usize,
    /// How far the node's clock is ahead.
    pub(super) clock_ms: u64,
}

impl NodeLink {
    fn want(&self, wanted: Wanted) {
        self.shared.outbox.borrow_mut().push((self.node, wanted));
    }
}

impl Link for NodeLink {
    fn ask(&self, question: Vec<u8>) -> Later<Result<Vec<u8>, LinkError>> {
        let slot = Slot::default();
        self.want(Wanted::Answer { question, slot: slot.clone() });
        Box::pin(poll_fn(move |_| slot.take().map_or(Poll::Pending, Poll::Ready)))
    }

    fn run_waiting(&self, _job: Box<dyn FnOnce()>) -> Later<Result<(), LinkError>> {
        Box::pin(std::future::ready(Err(LinkError("queries are stepped page by page".into()))))
    }

    fn fetcher(&self) -> Rc<dyn Fetcher> {
        Rc::new(None)
    }

    fn wait(&self) -> Later<()> {
        let woken = Rc::new(Cell::new(false));
        self.shared.waiting.borrow_mut().entry(self.node).or_default().push(woken.clone());
        self.want(Wanted::Time { in_ms: OTHERS_MS });
        let (shared, until_ms) = (self.shared.clone(), self.shared.now_ms.get() + OTHERS_MS);
        Box::pin(poll_fn(move |_| if woken.get() || shared.now_ms.get() >= until_ms { Poll::Ready(()) } else { Poll::Pending }))
    }

    fn wake(&self) {
        for woken in self.shared.waiting.borrow_mut().remove(&self.node).unwrap_or_default() {
            woken.set(true);
        }
    }

    fn turn(&self, _longest_ms: u64) -> (Box<dyn FnOnce()>, Later<()>) {
        (Box::new(|| {}), Box::pin(std::future::ready(())))
    }

    fn now_ms(&self) -> u64 {
        self.shared.now_ms.get() + self.clock_ms
    }

    fn log(&self, line: &str) {
        self.shared.log.borrow_mut().push((self.node, line.into()));
    }
}

/// No pages are fetched through a link here: queries are stepped, and their questions sent, from outside (`queries`).
impl Fetcher for Option<()> {
    fn fetch(&self, _question: &Message) -> Result<Message, StoreError> {
        Err(StoreError::Io("queries are stepped page by page".into()))
    }

    fn wait(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn wake(&self) {}
}
