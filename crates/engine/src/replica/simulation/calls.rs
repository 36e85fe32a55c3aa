//! How the simulator's nodes ask and answer: what the owner of a follower does.
//!
//! **Not here:** what clients want (`clients`).

use super::truth::Check;
use super::world::{Event, Kind, OBJECTS, PRIMARY, Then, World, brief};
use crate::commit_log::{Body, Message};
use crate::replica::{Applied, Relayed, ReplicaError};
use crate::store::{INJECTED, StoreError};
use littoral_protocol::{Position, Txid};

impl World {
    /// A question arrives.
    pub(super) fn question(&mut self, from: usize, to: usize, call: u64, bytes: Vec<u8>) -> Check {
        if to != PRIMARY {
            return if self.node(to).up { self.relay(to, bytes, from, call, false) } else { Ok(()) };
        }
        if from <= OBJECTS
            && let Ok(Message { body: Body::Pull(pull), .. }) = Message::decode(&bytes)
        {
            self.primary.subscribe(from, pull.after.unwrap_or(self.primary.head().position()));
        }
        let answer = self.primary.answer(&bytes);
        self.note(|_| format!("primary to {from}: {}", Message::decode(&answer).map_or("?".into(), |message| brief(&message))));
        self.send(PRIMARY, from, answer, |bytes| Event::Answer { call, bytes });
        Ok(())
    }

    fn relay(&mut self, node: usize, bytes: Vec<u8>, from: usize, call: u64, final_try: bool) -> Check {
        let Ok(question) = Message::decode(&bytes) else { return Ok(()) };
        self.touched.insert(node);
        let now_ms = self.now_ms + self.node(node).clock_ms;
        let relayed = self.node(node).follower.borrow_mut().relay(&question, now_ms, final_try);
        let again = Then::Relay { question: bytes.clone(), from, call };
        match relayed {
            Ok(Relayed::Say(answer)) => {
                self.stats.relayed += 1;
                self.note(|_| format!("{node} to {from}: {}", brief(&answer)));
                self.send(node, from, answer.encode(), |bytes| Event::Answer { call, bytes });
            }
            Ok(Relayed::PullFirst | Relayed::FetchFirst(_)) if final_try => {
                return Err(format!("node {node} wants something before it answers, also after its last try: {}", brief(&question)));
            }
            Ok(Relayed::PullFirst) => self.pull(node, Txid::EMPTY, again),
            Ok(Relayed::FetchFirst(fetch)) => self.ask(node, PRIMARY, fetch.encode(), Kind::Pages, again),
            Ok(Relayed::PassOn) => self.ask(node, PRIMARY, bytes, Kind::Pass, Then::Pass { to: call }),
            Err(error) => return only_injected(&error),
        }
        Ok(())
    }

    /// A node asks for what is new.
    pub(super) fn pull(&mut self, node: usize, wanted: Txid, then: Then) {
        let images = self.rng.f64() < self.weather.images;
        let max_bytes = if self.rng.u32(0..4) == 0 { 800 } else { 1 << 20 };
        let (asked, question) =
            self.nodes[node - 1].follower.borrow().pull(self.now_ms + self.nodes[node - 1].clock_ms, wanted, images, max_bytes);
        let to = self.node(node).upstream;
        self.note(|_| format!("{node} asks {to}: {}", brief(&question)));
        self.ask(node, to, question.encode(), Kind::Pull(asked), then);
    }

    /// An answer arrives, or it is given up.
    pub(super) fn answered(&mut self, call: u64, bytes: Option<Vec<u8>>) -> Check {
        let Some(asked) = self.calls.get_mut(&call) else { return Ok(()) };
        let (node, kind, then) = (asked.node, asked.kind, asked.then.take());
        if asked.boot != self.nodes[node - 1].boot || !self.nodes[node - 1].up {
            return Ok(());
        }
        self.touched.insert(node);
        let message = bytes.as_ref().and_then(|bytes| Message::decode(bytes).ok());
        if let Some(Body::Refused(refusal)) = message.as_ref().map(|message| &message.body)
            && ["beyond", "more than", "damaged"].iter().any(|word| refusal.text.contains(word))
        {
            return Err(format!("node {node} asked for what cannot be: {}", refusal.text));
        }
        match (kind, message.clone()) {
            (Kind::Pull(asked), Some(message)) => {
                self.note(|_| format!("{node} hears {}", brief(&message)));
                let applied = self.node(node).follower.borrow_mut().answered(asked, message);
                self.applied(node, applied)?;
            }
            (Kind::Pages, Some(Message { database, body: Body::Pages(pages) })) if !matches!(then, Some(Then::Query { .. })) => {
                let fetched = self.node(node).follower.borrow_mut().fetched(database, &pages);
                fetched.or_else(|error| allowed(&error))?;
            }
            _ => {}
        }
        match then {
            None | Some(Then::Nothing) => Ok(()),
            Some(Then::Relay { question, from, call }) => self.relay(node, question, from, call, true),
            Some(Then::Decide { client, op }) => self.decide(client, op, true),
            Some(Then::Query { query, asked }) => self.page_came(query, &asked, message),
            Some(Then::Past { node, point }) => self.found(node, point, message),
            Some(Then::Pass { to }) => {
                let Some(bytes) = bytes else { return Ok(()) };
                let from = self.calls.get(&to).map_or(node, |call| call.node);
                self.send(node, from, bytes, |bytes| Event::Answer { call: to, bytes });
                Ok(())
            }
        }
    }

    fn applied(&mut self, node: usize, applied: Result<Applied, ReplicaError>) -> Check {
        match applied {
            Ok(Applied::Current) => {}
            Ok(Applied::Restarted) => self.stats.restarts += 1,
            Ok(Applied::Behind | Applied::Gap) => self.pull(node, Txid::EMPTY, Then::Nothing),
            Err(error) => allowed(&error)?,
        }
        Ok(())
    }

    /// News from the primary arrive.
    pub(super) fn pushed(&mut self, node: usize, push: u64, bytes: &[u8]) -> Check {
        let Ok(message) = Message::decode(bytes) else { return Ok(()) };
        if !self.node(node).up {
            return Ok(());
        }
        self.touched.insert(node);
        self.note(|_| format!("{node} is told {}", brief(&message)));
        let applied = self.node(node).follower.borrow_mut().told(message);
        self.applied(node, applied)?;
        let position = self.node(node).follower.borrow().state().map(|(_, state)| state.position());
        self.send(node, PRIMARY, Vec::new(), |_| Event::Pushed { node, push, position });
        Ok(())
    }

    pub(super) fn push_heard(&mut self, node: usize, push: u64, position: Option<Position>) -> Check {
        if let Some(subscriber) = self.primary.subscribers.get_mut(&node).filter(|subscriber| subscriber.push == Some(push)) {
            subscriber.push = None;
            match position {
                Some(position) => self.primary.subscribe(node, position),
                None => drop(self.primary.subscribers.remove(&node)),
            }
            self.push(node);
        }
        Ok(())
    }

    pub(super) fn poll(&mut self, node: usize) -> Check {
        if self.node(node).up {
            self.pull(node, Txid::EMPTY, Then::Nothing);
        }
        let every_ms = if self.healed { 40 } else { 150 };
        self.after(every_ms, Event::Poll { node });
        Ok(())
    }
}

/// Errors that an honest but unlucky world may show.
pub(super) fn allowed(error: &ReplicaError) -> Check {
    match error {
        ReplicaError::Refused(_) | ReplicaError::Unexpected => Ok(()),
        ReplicaError::Store(error) => only_injected(error),
        ReplicaError::Decode(_) | ReplicaError::Diverged { .. } => Err(error.to_string()),
    }
}

pub(super) fn only_injected(error: &StoreError) -> Check {
    if error.to_string().contains(INJECTED) { Ok(()) } else { Err(error.to_string()) }
}
