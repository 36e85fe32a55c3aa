//! The simulator's clients: they read and write in sessions, and hand their tokens around.
//!
//! A query reads page after page of the state that it has pinned, and everything else goes on in between.
//!
//! **Not here:** the decision who answers (`session`).

use super::truth::{Check, Place};
use super::world::{Event, Kind, OBJECTS, PRIMARY, Then, World};
use crate::commit_log::{Body, Message};
use crate::replica::reader::AskedPages;
use crate::replica::{Pin, ReplicaReader};
use crate::session::{Decision, Freshness, View, decide};
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
    floor: Option<Place>,
    op: u64,
    reading: Option<Reading>,
}

#[derive(Clone)]
struct Reading {
    freshness: Freshness,
    floor: Option<Place>,
    head: Place,
    node: usize,
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
        let head = self.primary.truth.head();
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
                self.send(client + 1, PRIMARY, Vec::new(), |_| Event::AtPrimary { client, op, write: true });
            }
            _ => {
                let freshness = Freshness::of(self.clients[client].token.as_deref()).ok_or("the token cannot be read")?;
                let node = self.rng.usize(1..=self.nodes.len());
                self.clients[client].op = op;
                self.clients[client].reading = Some(Reading { freshness, floor: self.clients[client].floor, head, node });
                self.decide(client, op, false)?;
            }
        }
        Ok(())
    }

    /// A node decides who answers a read.
    pub(super) fn decide(&mut self, client: usize, op: u64, pulled: bool) -> Check {
        let Some(reading) = self.clients[client].reading.clone().filter(|_| self.clients[client].op == op) else { return Ok(()) };
        let Reading { freshness, node, .. } = reading;
        if !self.node(node).up {
            return Ok(());
        }
        let (known, staleness_ms) = {
            let follower = self.nodes[node - 1].follower.borrow();
            (follower.state(), follower.staleness_ms(self.now_ms + self.nodes[node - 1].clock_ms))
        };
        let max_staleness_ms = self.weather.max_staleness_ms;
        let view = View { state: known.map(|(_, state)| state), staleness_ms, pulled, passed_on: None };
        let decision = decide(freshness, max_staleness_ms, view);
        self.note(|_| format!("client {client} at {node} with {freshness:?}: {decision:?}"));
        match decision {
            Decision::Primary => self.go_to_primary(client, op),
            Decision::Pull if pulled => return Err("a replica is asked to pull twice".into()),
            Decision::Pull => {
                let wanted = if let Freshness::AtLeast(bookmark) = freshness { bookmark.txid } else { Txid::EMPTY };
                self.pull(node, wanted, Then::Decide { client, op });
            }
            Decision::Answer => {
                let (database, state) = known.ok_or("a replica without a state was to answer")?;
                let place = self.primary.truth.place_of(database, &state)?;
                if let (Freshness::None, Some(max)) = (freshness, max_staleness_ms)
                    && place < self.primary.truth.head_before(self.now_ms.saturating_sub(max))
                {
                    return Err(format!("node {node} answers from {place:?}, which is older than {max} ms"));
                }
                self.query(node, client, op, false)?;
            }
        }
        Ok(())
    }

    fn go_to_primary(&mut self, client: usize, op: u64) {
        self.send(client + 1, PRIMARY, Vec::new(), |_| Event::AtPrimary { client, op, write: false });
    }

    pub(super) fn at_primary(&mut self, client: usize, op: u64, write: bool) -> Check {
        let (place, state) = if write { self.commit()? } else { (self.primary.truth.head(), self.primary.head()) };
        self.stats.primary_reads += u64::from(!write);
        self.send(PRIMARY, client + 1, Vec::new(), |_| Event::Done { client, op, place, state });
        Ok(())
    }

    /// A client has its answer.
    pub(super) fn finish(&mut self, client: usize, op: u64, place: Place, state: &State) -> Check {
        if matches!(client, AUDITOR | HISTORIAN) || self.clients[client].op != op {
            return Ok(());
        }
        self.note(|_| format!("client {client} has its answer from {place:?}"));
        let reading = self.clients[client].reading.take();
        if let Some(Reading { freshness, floor, head, node }) = &reading {
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
        let reader = free.unwrap_or_else(|| Rc::new(ReplicaReader::new(self.nodes[node - 1].follower.clone())));
        reader.begin(database, pin.state(), None);
        let query = self.number();
        self.queries.insert(query, Query { node, client, op, reader, database, pin, pages, tries: 0 });
        self.after(1, Event::Query { query });
    }

    fn pin(&mut self, node: usize) -> Option<(DatabaseId, Pin)> {
        let follower = self.nodes[node - 1].follower.borrow();
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
                self.ask(node, to, question, Kind::Pages, Then::Query { query: number, asked: Rc::new(asked) });
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
