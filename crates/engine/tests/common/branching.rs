//! Branches for tests: their pages come from the parent's store in the same process, and their calls run as an object runs them.

use super::Fixture;
use littoral_engine::branch::BranchStore;
use littoral_engine::commit_log::{Body, Message};
use littoral_engine::engine::{CallResult, Error, Invocation, ResultSet};
use littoral_engine::fetch::Fetcher;
use littoral_engine::replica::Source;
use littoral_engine::store::durable::{Base, HostSql, Sql};
use littoral_engine::store::{DurableStore, PageStore, StoreError};
use littoral_protocol::sql::Call;
use littoral_protocol::{DatabaseId, Txid};
use std::cell::Cell;
use std::rc::Rc;

/// The way to the parent, which may be taken or not.
#[derive(Clone)]
pub struct Parent {
    store: Rc<dyn PageStore>,
    pub can_wait: Rc<Cell<bool>>,
    /// Questions that were answered.
    pub asked: Rc<Cell<u32>>,
}

impl Parent {
    pub fn new(store: Rc<dyn PageStore>) -> Parent {
        Parent { store, can_wait: Rc::new(Cell::new(true)), asked: Rc::default() }
    }

    pub fn base(&self, txid: Txid) -> Base {
        Base { parent: self.store.id(), state: self.store.state(txid).unwrap() }
    }

    pub fn answer(&self, question: &Message) -> Message {
        self.asked.set(self.asked.get() + 1);
        Message::decode(&Source::new(&*self.store, self.store.id()).answer(&question.encode())).unwrap()
    }

    /// A branch on empty storage, or on its own.
    pub fn branch<Q: Sql + 'static>(&self, storage: Q, at: Txid) -> Rc<BranchStore<Q>> {
        self.branch_if(storage, at).unwrap_or_else(|_| panic!("it is no branch"))
    }

    /// The same; the error is a store that has all of its pages.
    pub fn branch_if<Q: Sql + 'static>(&self, storage: Q, at: Txid) -> Result<Rc<BranchStore<Q>>, Rc<DurableStore<Q>>> {
        let own = Rc::new(DurableStore::open_as(storage, DatabaseId(77 + self.store.id().0)).unwrap());
        if own.head().txid == Txid::EMPTY {
            own.begin_at(self.base(at)).unwrap();
        }
        BranchStore::new(own.clone(), Rc::new(self.clone())).map(Rc::new).ok_or(own)
    }
}

impl Fetcher for Parent {
    fn fetch(&self, question: &Message) -> Result<Message, StoreError> {
        match &question.body {
            Body::Fetch(fetch) if !self.can_wait.get() => Err(StoreError::Missing(fetch.pages[0])),
            _ => Ok(self.answer(question)),
        }
    }

    fn wait(&self) -> Result<bool, StoreError> {
        panic!("nobody else asks")
    }

    fn wake(&self) {}
}

/// Takes the next part of what is missing. Returns whether there was one.
pub fn fill<Q: Sql + 'static>(branch: &BranchStore<Q>, parent: &Parent) -> bool {
    let Some(question) = branch.ask_more().unwrap() else { return false };
    branch.take(&parent.answer(&question)).unwrap();
    true
}

/// Runs calls as an object does: briefly, where no page can be waited for, and what needs one by itself, where it can.
pub fn run_as_object(db: &mut Fixture, parent: &Parent, calls: &[Call]) -> Vec<CallResult<ResultSet>> {
    let mut results = Vec::new();
    while results.len() < calls.len() {
        parent.can_wait.set(false);
        let waiting: Vec<_> = calls[results.len()..].iter().map(|call| Invocation::new(call, ())).collect();
        results.extend(db.database.run_briefly::<ResultSet>(&waiting));
        parent.can_wait.set(true);
        let long = match results.last() {
            Some(Err(failure)) => failure.error.clone(),
            _ => continue,
        };
        let call = &calls[results.len() - 1];
        let result = match long {
            Error::LongRead => db.database.reader(None).unwrap().run::<ResultSet>(call),
            Error::LongWrite => {
                let lease = db.database.lease().unwrap();
                let result = lease.run::<ResultSet>(Invocation::new(call, ()), Rc::new(|| Ok(())));
                db.database.take_back(lease);
                result
            }
            _ => continue,
        };
        *results.last_mut().unwrap() = result;
    }
    results
}

/// Storage in memory.
pub fn storage() -> Rc<HostSql> {
    Rc::new(HostSql::in_memory().unwrap())
}

/// Brings the schema, which every connection reads before anything else.
pub fn bring_schema(store: Rc<dyn PageStore>, parent: &Parent) {
    parent.can_wait.set(true);
    littoral_engine::engine::bring_schema(store).unwrap();
}
