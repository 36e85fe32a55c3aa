//! The simulator's queries: each reads page after page of the state that it has pinned, and everything else goes on in between.
//!
//! **Not here:** which state that is (`clients`), how a stack waits for a page.

use super::event::{Event, Who};
use super::network::Network;
use super::nodes::{Came, Nodes, Then};
use super::truth::{Mark, Truth};
use crate::commit_log::{Body, Message};
use crate::fetch::FetchingReader;
use crate::replica::{Pin, Pinned};
use crate::store::{PageReader, StoreError};
use littoral_protocol::{DatabaseId, Pgno, State, Txid};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

struct Query {
    node: usize,
    who: Who,
    reader: Rc<FetchingReader>,
    database: DatabaseId,
    pin: Pin,
    pages: VecDeque<Pgno>,
    tries: u32,
}

/// A query has come to its end, with what it has read; `None`: it failed.
pub(super) struct Ended {
    pub(super) node: usize,
    pub(super) who: Who,
    pub(super) read: Option<(Mark, State)>,
}

/// A query goes on, or has ended.
type Step = Result<Option<Ended>, String>;

#[derive(Default)]
pub(super) struct Queries(BTreeMap<u64, Query>);

impl Queries {
    /// Begins to read some pages of a pinned state at a node; the auditor reads all.
    pub(super) fn begin(&mut self, net: &mut Network, nodes: &Nodes, node: usize, who: Who, (database, pin): Pinned) {
        let page_count = pin.state().page_count;
        let mut pages: VecDeque<Pgno> = (1..=page_count).map(Pgno).collect();
        if !matches!(who, Who::Auditor) && page_count > 0 {
            let first = net.rng.u32(1..=page_count);
            pages = (first..=page_count.min(first + 3)).map(Pgno).collect();
            pages.extend((0..net.rng.u32(1..6)).map(|_| Pgno(net.rng.u32(1..=page_count))));
            pages.push_front(Pgno::FIRST);
        }
        // A connection answers one query at a time.
        let node_there = nodes.node(node);
        let free = node_there.readers.iter().find(|reader| self.0.values().all(|query| !Rc::ptr_eq(&query.reader, reader)));
        let reader = free.cloned().unwrap_or_else(|| Rc::new(FetchingReader::new(node_there.driver.follower().clone())));
        reader.begin(database, pin.state(), None);
        let query = net.number();
        self.0.insert(query, Query { node, who, reader, database, pin, pages, tries: 0 });
        net.after(1, Event::Query { query });
    }

    /// The processes of these nodes have ended, and their queries with them.
    pub(super) fn forget(&mut self, gone: &[usize]) {
        self.0.retain(|_, query| !gone.contains(&query.node));
    }

    /// The node of one that has not ended.
    pub(super) fn any(&self) -> Option<usize> {
        self.0.values().next().map(|query| query.node)
    }

    /// A query reads a page.
    pub(super) fn step(&mut self, net: &mut Network, nodes: &mut Nodes, truth: &Truth, number: u64) -> Step {
        let Some(query) = self.0.get_mut(&number) else { return Ok(None) };
        nodes.touch(query.node);
        let state = query.pin.state();
        let Some(pgno) = query.pages.front().copied() else { return self.ends(net, truth, number) };
        let mut image = vec![0; state.page_size.bytes()];
        match query.reader.read_page(pgno, state.txid, &mut image) {
            Ok(()) => {
                truth.check_page(query.database, pgno, state.txid, &image)?;
                query.pages.pop_front();
                query.tries = 0;
                net.after(2, Event::Query { query: number });
                Ok(None)
            }
            Err(StoreError::Missing(_)) => self.miss(net, nodes, number, pgno, state.txid),
            Err(error) => self.fails(net, number, &error),
        }
    }

    fn miss(&mut self, net: &mut Network, nodes: &mut Nodes, number: u64, pgno: Pgno, at: Txid) -> Step {
        let Some(query) = self.0.get_mut(&number) else { return Ok(None) };
        query.tries += 1;
        if query.tries > 300 {
            return self.fails(net, number, &StoreError::Io(format!("{INJURED} page {pgno} does not come")));
        }
        match query.reader.ask(pgno, at) {
            Ok(None) => net.after(4, Event::Query { query: number }),
            Ok(Some(asked)) => {
                let question = asked.question.encode();
                nodes.ask(net, query.node, question, Then::Query { query: number, asked: Rc::new(asked) });
            }
            Err(error) => return self.fails(net, number, &error),
        }
        Ok(None)
    }

    /// The answer to a query's question has come, or not.
    pub(super) fn came(&mut self, net: &mut Network, nodes: &mut Nodes, truth: &Truth, came: Came) -> Step {
        let Came { query: number, asked, answer } = came;
        let Some(query) = self.0.get_mut(&number) else { return Ok(None) };
        let is_refused = matches!(&answer, Some(Message { body: Body::Refused(_), .. }));
        match query.reader.answered(&asked, answer.ok_or(StoreError::Io(format!("{INJURED} no answer")))) {
            Ok(image) => {
                let Some(pgno) = query.pages.pop_front() else { return Ok(None) };
                truth.check_page(query.database, pgno, query.pin.state().txid, &image)?;
                self.step(net, nodes, truth, number)
            }
            Err(_) if is_refused => self.fails(net, number, &StoreError::Io(INJURED.into())),
            Err(error) => self.fails(net, number, &error),
        }
    }

    fn fails(&mut self, net: &mut Network, number: u64, error: &StoreError) -> Step {
        let Some(Query { node, who, reader, .. }) = self.0.remove(&number) else { return Ok(None) };
        reader.end();
        net.stats.failed_reads += 1;
        net.note(|| format!("a query at {node} fails: {error}"));
        let text = error.to_string();
        // What was damaged before may be noticed only by the audit, here or where pages are asked for: who then begins anew owes an answer.
        let allowed: &[&str] = if matches!(who, Who::Auditor) { &[INJURED, ANEW] } else { &[INJURED, crate::store::INJECTED, ANEW] };
        if allowed.iter().any(|allowed| text.contains(allowed)) {
            return Ok(Some(Ended { node, who, read: None }));
        }
        Err(format!("a query of {who:?} at node {node} fails: {text}"))
    }

    fn ends(&mut self, net: &mut Network, truth: &Truth, number: u64) -> Step {
        let Some(Query { node, who, reader, database, pin, .. }) = self.0.remove(&number) else { return Ok(None) };
        reader.end();
        net.stats.replica_reads += 1;
        let state = pin.state();
        Ok(Some(Ended { node, who, read: Some((truth.place_of(database, &state)?, state)) }))
    }
}

/// The world's fault, not the replica's.
const INJURED: &str = "unlucky:";
const ANEW: &str = "begun anew";
