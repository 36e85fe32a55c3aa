//! The simulator's clients: they read and write in sessions, and hand their tokens around.
//!
//! A query reads page after page of the state that it has pinned, and everything else goes on in between.
//!
//! **Not here:** the decision who answers, which the node's driver makes.

use super::Bug;
use super::calls::Done;
use super::primary::Ask;
use super::truth::{Check, Mark};
use super::world::{Event, OBJECTS, PRIMARY, Then, World};
use crate::commit_log::{Body, Message};
use crate::replica::reader::AskedPages;
use crate::replica::{Pin, Pinned, ReplicaReader};
use crate::session::Freshness;
use crate::store::{PageReader, StoreError};
use littoral_protocol::{DatabaseId, Pgno, State, Txid};
use std::collections::VecDeque;
use std::rc::Rc;

/// The client that reads all pages at the end.
pub(super) const AUDITOR: usize = usize::MAX;
/// The client that reads the past, outside sessions.
pub(super) const HISTORIAN: usize = usize::MAX - 1;

#[derive(Default)]
pub(super) struct Client {
    token: Option<String>,
    /// What the token stands for.
    floor: Option<Mark>,
    op: u64,
    reading: Option<Reading>,
}

#[derive(Clone)]
struct Reading {
    freshness: Freshness,
    floor: Option<Mark>,
    head: Mark,
    node: usize,
    /// The newest write that had gone through the node.
    passed_on: Option<Mark>,
}

pub(super) struct Query {
    pub(super) node: usize,
    client: usize,
    op: u64,
    reader: Rc<ReplicaReader>,
    database: DatabaseId,
    pub(super) pin: Pin,
    pages: VecDeque<Pgno>,
    tries: u32,
}

impl World {
    /// A client gives up what it does, and does something.
    pub(super) fn act(&mut self, client: usize) -> Check {
        if self.healed {
            return Ok(());
        }
        self.after(60, Event::Client { client });
        let op = self.number();
        match self.rng.u32(0..20) {
            0 => {
                let other = self.rng.usize(0..self.clients.len());
                let (token, floor) = (self.clients[other].token.clone(), self.clients[other].floor);
                (self.clients[client].token, self.clients[client].floor) = (token, floor);
            }
            1 => {
                let token = *self.rng.choice(&[None, Some("first-primary"), Some("first-unconstrained")]).unwrap();
                (self.clients[client].token, self.clients[client].floor) = (token.map(Into::into), None);
            }
            2 => self.look_back(),
            3..6 => {
                self.clients[client].op = op;
                self.clients[client].reading = None;
                let through = self.rng.usize(OBJECTS + 1..=self.nodes.len());
                let request = Ask { client: Some(client), op, write: true, through };
                self.send(client + 1, PRIMARY, Vec::new(), |_| Event::AtPrimary { request });
            }
            _ => self.read(client, op)?,
        }
        Ok(())
    }

    /// A client reads at a node, which decides who answers.
    fn read(&mut self, client: usize, op: u64) -> Check {
        let mut freshness = Freshness::of(self.clients[client].token.as_deref()).ok_or("the token cannot be read")?;
        let (node, head, floor) = (self.rng.usize(1..=self.nodes.len()), self.primary.truth.head(), self.clients[client].floor);
        let passed_on = self.node(node).passed_on;
        self.clients[client].op = op;
        self.clients[client].reading = Some(Reading { freshness, floor, head, node, passed_on });
        if let (Some(Bug::AnswersEarly), Freshness::AtLeast(_), Some((database, txid @ 2..))) = (self.bug, freshness, floor) {
            freshness = Freshness::AtLeast(self.primary.truth.at((database, txid - 1)).state.bookmark());
        }
        let max_staleness_ms = self.weather.max_staleness_ms;
        self.spawn(node, |driver, link| async move {
            let pinned = driver.pin_present(freshness, max_staleness_ms, &*link).await;
            Done::Decided { client, op, pinned }
        });
        Ok(())
    }

    /// It is decided who answers a read: the node, from this state, or the primary.
    pub(super) fn decided(&mut self, node: usize, client: usize, op: u64, pinned: Option<Pinned>) -> Check {
        let Some(reading) = self.clients[client].reading.clone().filter(|_| self.clients[client].op == op) else { return Ok(()) };
        let Some((database, pin)) = pinned else {
            self.note(|_| format!("client {client} at {node} with {:?} goes to the primary", reading.freshness));
            self.go_to_primary(client, op);
            return Ok(());
        };
        let place = self.primary.truth.place_of(database, &pin.state())?;
        self.note(|_| format!("client {client} at {node} with {:?} reads {place:?}", reading.freshness));
        if let (Freshness::None, Some(max)) = (reading.freshness, self.weather.max_staleness_ms)
            && place < self.primary.truth.head_before(self.now_ms.saturating_sub(max))
        {
            return Err(format!("node {node} answers from {place:?}, which is older than {max} ms"));
        }
        self.read_pages(node, client, op, (database, pin), false);
        Ok(())
    }

    fn go_to_primary(&mut self, client: usize, op: u64) {
        let request = Ask { client: Some(client), op, write: false, through: PRIMARY };
        self.send(client + 1, PRIMARY, Vec::new(), |_| Event::AtPrimary { request });
    }

    /// The primary's answer arrives. The isolate that a write went through remembers it.
    pub(super) fn hears(&mut self, request: Ask, place: Mark, state: &State) -> Check {
        let Ask { client: Some(client), op, write, through } = request else { return Ok(()) };
        if write && self.node(through).up {
            self.node(through).driver.passed_on(state.bookmark());
            self.node(through).passed_on = self.node(through).passed_on.max(Some(place));
        }
        self.finish(client, op, place, state)
    }

    /// A client has its answer.
    pub(super) fn finish(&mut self, client: usize, op: u64, place: Mark, state: &State) -> Check {
        if matches!(client, AUDITOR | HISTORIAN) || self.clients[client].op != op {
            return Ok(());
        }
        self.note(|_| format!("client {client} has its answer from {place:?}"));
        let reading = self.clients[client].reading.take();
        if let Some(Reading { freshness, floor, head, node, passed_on }) = &reading {
            if passed_on.is_some_and(|passed_on| place < passed_on) {
                return Err(format!("{passed_on:?} was written by way of node {node}, which then answers from {place:?}"));
            }
            if floor.is_some_and(|floor| place < floor) {
                return Err(format!("client {client} has seen {floor:?} and is answered from {place:?}, by way of node {node}"));
            }
            let from_primary =
                *freshness == Freshness::Primary || (*freshness == Freshness::None && self.weather.max_staleness_ms.is_none());
            if from_primary && place < *head {
                return Err(format!("client {client} wants the primary's {head:?} and is answered from {place:?}"));
            }
        }
        let in_session = reading.is_none_or(|reading| reading.freshness != Freshness::None);
        if in_session {
            self.clients[client].token = Some(state.bookmark().to_string());
            self.clients[client].floor = Some(place);
        }
        self.clients[client].op = 0;
        Ok(())
    }

    /// Begins to read pages at a node, of its present state.
    pub(super) fn query(&mut self, node: usize, client: usize, op: u64, all: bool) -> Check {
        let Some(pinned) = self.pin(node) else { return Err(format!("node {node} has no state")) };
        self.read_pages(node, client, op, pinned, all);
        Ok(())
    }

    pub(super) fn read_pages(&mut self, node: usize, client: usize, op: u64, (database, pin): (DatabaseId, Pin), all: bool) {
        let page_count = pin.state().page_count;
        let mut pages: VecDeque<Pgno> = (1..=page_count).map(Pgno).collect();
        if !all && page_count > 0 {
            let first = self.rng.u32(1..=page_count);
            pages = (first..=page_count.min(first + 3)).map(Pgno).collect();
            pages.extend((0..self.rng.u32(1..6)).map(|_| Pgno(self.rng.u32(1..=page_count))));
            pages.push_front(Pgno::FIRST);
        }
        // A connection answers one query at a time.
        let readers = self.node(node).readers.clone();
        let free = readers.into_iter().find(|reader| self.queries.values().all(|query| !Rc::ptr_eq(&query.reader, reader)));
        let reader = free.unwrap_or_else(|| Rc::new(ReplicaReader::new(self.nodes[node - 1].driver.follower().clone())));
        reader.begin(database, pin.state(), None);
        let query = self.number();
        self.queries.insert(query, Query { node, client, op, reader, database, pin, pages, tries: 0 });
        self.after(1, Event::Query { query });
    }

    fn pin(&mut self, node: usize) -> Option<(DatabaseId, Pin)> {
        let follower = self.nodes[node - 1].driver.follower().borrow();
        Some((follower.database(), follower.pin()?))
    }

    /// A query reads a page.
    pub(super) fn step(&mut self, number: u64) -> Check {
        let Some(query) = self.queries.get_mut(&number) else { return Ok(()) };
        self.touched.insert(query.node);
        let state = query.pin.state();
        let Some(pgno) = query.pages.front().copied() else { return self.query_ends(number) };
        let mut image = vec![0; state.page_size.bytes()];
        match query.reader.read_page(pgno, state.txid, &mut image) {
            Ok(()) => {
                self.primary.truth.check_page(query.database, pgno, state.txid, &image)?;
                query.pages.pop_front();
                query.tries = 0;
                self.after(2, Event::Query { query: number });
                Ok(())
            }
            Err(StoreError::Missing(_)) => self.miss(number, pgno, state.txid),
            Err(error) => self.query_fails(number, &error),
        }
    }

    fn miss(&mut self, number: u64, pgno: Pgno, at: Txid) -> Check {
        let Some(query) = self.queries.get_mut(&number) else { return Ok(()) };
        query.tries += 1;
        if query.tries > 300 {
            return self.query_fails(number, &StoreError::Io(format!("{INJURED} page {pgno} does not come")));
        }
        let node = query.node;
        match query.reader.ask(pgno, at) {
            Ok(None) => self.after(4, Event::Query { query: number }),
            Ok(Some(asked)) => {
                let to = self.node(node).upstream;
                let question = asked.question.encode();
                self.ask(node, to, question, Then::Query { query: number, asked: Rc::new(asked) });
            }
            Err(error) => return self.query_fails(number, &error),
        }
        Ok(())
    }

    /// The answer to a query's question has come, or not.
    pub(super) fn page_came(&mut self, number: u64, asked: &AskedPages, answer: Option<Message>) -> Check {
        let Some(query) = self.queries.get_mut(&number) else { return Ok(()) };
        let is_refused = matches!(&answer, Some(Message { body: Body::Refused(_), .. }));
        match query.reader.answered(asked, answer.ok_or(StoreError::Io(format!("{INJURED} no answer")))) {
            Ok(image) => {
                let Some(pgno) = query.pages.pop_front() else { return Ok(()) };
                self.primary.truth.check_page(query.database, pgno, query.pin.state().txid, &image)?;
                self.step(number)
            }
            Err(error) if is_refused || error.to_string().contains(INJURED) => self.query_fails(number, &StoreError::Io(INJURED.into())),
            Err(error) => self.query_fails(number, &error),
        }
    }

    /// The primary answers instead.
    fn query_fails(&mut self, number: u64, error: &StoreError) -> Check {
        let Some(query) = self.queries.remove(&number) else { return Ok(()) };
        query.reader.end();
        self.stats.failed_reads += 1;
        self.note(|_| format!("a query at {} fails: {error}", query.node));
        let text = error.to_string();
        if !ALLOWED.iter().any(|allowed| text.contains(allowed)) {
            return Err(format!("a query at node {} fails: {text}", query.node));
        }
        if query.client == AUDITOR {
            // What was damaged before may be noticed only now.
            return if text.contains(ANEW) { Ok(()) } else { Err(format!("the audit of node {} fails: {text}", query.node)) };
        }
        if query.client != HISTORIAN {
            self.go_to_primary(query.client, query.op);
        }
        Ok(())
    }

    fn query_ends(&mut self, number: u64) -> Check {
        let Some(query) = self.queries.remove(&number) else { return Ok(()) };
        query.reader.end();
        if query.client == AUDITOR {
            self.unaudited.remove(&query.node);
        }
        let state = query.pin.state();
        let place = self.primary.truth.place_of(query.database, &state)?;
        self.stats.replica_reads += u64::from(query.node > OBJECTS) + u64::from(query.node <= OBJECTS);
        self.finish(query.client, query.op, place, &state)
    }
}

/// The world's fault, not the replica's.
const INJURED: &str = "unlucky:";
/// Errors that a query may end with.
const ALLOWED: [&str; 3] = [INJURED, crate::store::INJECTED, ANEW];
const ANEW: &str = "begun anew";
