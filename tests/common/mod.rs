//! A database for tests, and short ways to ask it.
#![allow(dead_code, missing_docs)]

use littoral::engine::{Call, CallResult, Database, Limits, ResultSet, Statement, Value};
use littoral::store::durable::HostSql;
use littoral::store::{DurableStore, MemoryStore, PageStore};
use std::rc::Rc;

pub struct Fixture {
    pub database: Database,
}

impl Fixture {
    pub fn on(store: Rc<dyn PageStore>, limits: Limits) -> Fixture {
        Fixture { database: Database::open(store, limits, Rc::new(|| 1_700_000_000_000)) }
    }

    pub fn memory() -> Fixture {
        Fixture::on(Rc::new(MemoryStore::new()), Limits::default())
    }

    pub fn durable() -> Fixture {
        Fixture::on(Rc::new(DurableStore::open(HostSql::in_memory().unwrap()).unwrap()), Limits::default())
    }

    pub fn with_limits(change: impl FnOnce(&mut Limits)) -> Fixture {
        let mut limits = Limits::default();
        change(&mut limits);
        Fixture::on(Rc::new(MemoryStore::new()), limits)
    }

    pub fn run_calls(&mut self, calls: &[Call]) -> Vec<CallResult<ResultSet>> {
        self.database.run::<ResultSet>(calls)
    }

    pub fn run_call(&mut self, call: Call) -> CallResult<ResultSet> {
        self.run_calls(&[call]).remove(0)
    }
}

pub fn run(db: &mut Fixture, sql: &str, parameters: Vec<Value>) -> ResultSet {
    db.run_call(vec![Statement::new(sql, parameters)]).unwrap_or_else(|error| panic!("{sql}: {error}")).remove(0)
}

pub fn run_err(db: &mut Fixture, sql: &str) -> String {
    db.run_call(vec![Statement::new(sql, vec![])]).expect_err(sql).to_string()
}

pub fn values(db: &mut Fixture, sql: &str) -> Vec<Vec<Value>> {
    run(db, sql, vec![]).rows
}
