//! How the simulator's nodes ask and answer: drivers run, and the world carries their questions.
//!
//! **Not here:** what clients want (`clients`).

use super::link::{NodeLink, Wanted};
use super::truth::Check;
use super::world::{Event, OBJECTS, PRIMARY, Then, World, brief};
use crate::commit_log::{Body, Message};
use crate::replica::{Driver, LinkError, Pinned};
use crate::store::INJECTED;
use littoral_protocol::sql::Point;
use littoral_protocol::{Position, Txid};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What a future has come to.
pub(super) enum Done {
    Nothing,
    /// A question of a node behind is answered.
    Relayed {
        from: usize,
        call: u64,
        answer: Result<Vec<u8>, LinkError>,
    },
    /// Where a client's read is answered; `None`: by the primary.
    Decided {
        client: usize,
        op: u64,
        pinned: Option<Pinned>,
    },
    /// A state of the past.
    Found {
        node: usize,
        point: Point,
        pinned: Option<Pinned>,
    },
}

/// Work of a node that waits for something now and then.
pub(super) struct Task {
    node: usize,
    boot: u64,
    work: Pin<Box<dyn Future<Output = Done>>>,
}

impl World {
    /// Begins work at a node, with its driver and a link of its own.
    pub(super) fn spawn<F: Future<Output = Done> + 'static>(&mut self, node: usize, work: impl FnOnce(Driver, Rc<NodeLink>) -> F) {
        let Some(driver) = self.node(node).up.then(|| self.nodes[node - 1].driver.clone()) else { return };
        let link = Rc::new(NodeLink { shared: self.shared.clone(), node, clock_ms: self.nodes[node - 1].clock_ms });
        let boot = self.node(node).boot;
        self.tasks.push(Task { node, boot, work: Box::pin(work(driver, link)) });
        self.woken.insert(node);
    }

    /// Lets the work of all nodes go on that something has happened to, until all of it waits.
    pub(super) fn go_on(&mut self) -> Check {
        while let Some(node) = self.woken.pop_first() {
            self.touched.insert(node);
            let (up, boot) = (self.node(node).up, self.node(node).boot);
            self.tasks.retain(|task| task.node != node || up && task.boot == boot);
            let before = self.before_bug(node);
            let mut waiting = Vec::new();
            let mut done = Vec::new();
            for mut task in std::mem::take(&mut self.tasks) {
                match (task.node == node).then(|| task.work.as_mut().poll(&mut Context::from_waker(Waker::noop()))) {
                    Some(Poll::Ready(what)) => done.push(what),
                    Some(Poll::Pending) | None => waiting.push(task),
                }
            }
            self.tasks.append(&mut waiting);
            self.after_bug(node, before);
            self.carry()?;
            for what in done {
                self.woken.insert(node);
                self.is_done(node, what)?;
            }
        }
        Ok(())
    }

    /// Sends what drivers ask, and looks at what they say.
    fn carry(&mut self) -> Check {
        for (node, wanted) in self.shared.outbox.take() {
            match wanted {
                Wanted::Time { in_ms } => self.at_last(in_ms, Event::Woken { node }),
                Wanted::Answer { question, slot } => {
                    let to = self.node(node).upstream;
                    self.note(|_| {
                        format!("{node} asks {to}: {}", Message::decode(&question).map_or("?".into(), |message| brief(&message)))
                    });
                    self.ask(node, to, question, Then::Slot(slot));
                }
            }
        }
        for (node, line) in self.shared.log.take() {
            self.note(|_| format!("{node} says: {line}"));
            self.stats.restarts += u64::from(line.contains("begins anew"));
            let is_of_damage = self.weather.storage_fails && line.contains(DAMAGED);
            if !is_of_damage && !ALLOWED.iter().any(|allowed| line.contains(allowed)) {
                return Err(format!("node {node} says: {line}"));
            }
        }
        Ok(())
    }

    fn is_done(&mut self, node: usize, what: Done) -> Check {
        match what {
            Done::Nothing => Ok(()),
            Done::Relayed { from, call, answer: Ok(answer) } => {
                self.stats.relayed += 1;
                self.note(|_| format!("{node} to {from}: {}", Message::decode(&answer).map_or("?".into(), |message| brief(&message))));
                self.send(node, from, answer, |bytes| Event::Answer { call, bytes });
                Ok(())
            }
            Done::Relayed { answer: Err(LinkError(error)), .. } if ALLOWED.iter().any(|allowed| error.contains(allowed)) => Ok(()),
            Done::Relayed { answer: Err(error), .. } => Err(format!("node {node} cannot answer: {error}")),
            Done::Decided { client, op, pinned } => self.decided(node, client, op, pinned),
            Done::Found { node, point, pinned } => self.found(node, point, pinned),
        }
    }

    /// A question arrives.
    pub(super) fn question(&mut self, from: usize, to: usize, call: u64, bytes: Vec<u8>) -> Check {
        if to == PRIMARY {
            return self.ask_primary(from, call, &bytes);
        }
        self.spawn(to, |driver, link| async move {
            let answer = driver.follow(&bytes, &*link).await;
            Done::Relayed { from, call, answer }
        });
        Ok(())
    }

    /// An answer arrives, or it is given up.
    pub(super) fn answered(&mut self, call: u64, bytes: Option<Vec<u8>>) -> Check {
        let Some(asked) = self.calls.get_mut(&call) else { return Ok(()) };
        let (node, then) = (asked.node, asked.then.take());
        if asked.boot != self.nodes[node - 1].boot || !self.nodes[node - 1].up {
            return Ok(());
        }
        let Some(then) = then else { return Ok(()) };
        self.woken.insert(node);
        let message = bytes.as_ref().and_then(|bytes| Message::decode(bytes).ok());
        if let Some(message) = &message {
            self.note(|_| format!("{node} hears {}", brief(message)));
            if let Body::Refused(refusal) = &message.body
                && ["beyond", "more than", "damaged"].iter().any(|word| refusal.text.contains(word))
            {
                return Err(format!("node {node} asked for what cannot be: {}", refusal.text));
            }
        }
        match then {
            // What was cut on the way is not what somebody said.
            Then::Slot(slot) => {
                slot.replace(Some(message.and(bytes).ok_or_else(|| LinkError(NO_ANSWER.into()))));
                Ok(())
            }
            Then::Query { query, asked } => self.page_came(query, &asked, message),
        }
    }

    /// News from the primary arrive.
    pub(super) fn pushed(&mut self, node: usize, push: u64, bytes: &[u8]) -> Check {
        if !self.node(node).up {
            return Ok(());
        }
        self.woken.insert(node);
        self.note(|_| format!("{node} is told {}", Message::decode(bytes).map_or("?".into(), |message| brief(&message))));
        let before = self.before_bug(node);
        let position = self.node(node).driver.told(bytes);
        self.after_bug(node, before);
        self.send(node, PRIMARY, Vec::new(), |_| Event::Pushed { node, push, position });
        Ok(())
    }

    pub(super) fn poll(&mut self, node: usize) -> Check {
        self.spawn(node, |driver, link| async move {
            driver.pull(&*link, Txid::EMPTY).await;
            Done::Nothing
        });
        let every_ms = if self.healed { 40 } else { 150 };
        self.after(every_ms, Event::Poll { node });
        Ok(())
    }

    /// The primary hears what has become of news.
    pub(super) fn push_heard(&mut self, node: usize, push: u64, position: Option<Position>) -> Check {
        if self.primary.pushes.get(&node) != Some(&push) {
            return Ok(());
        }
        self.primary.pushes.remove(&node);
        self.at_primary(crate::primary::Event::Told { region: super::primary::region(node), position })
    }

    fn ask_primary(&mut self, from: usize, call: u64, bytes: &[u8]) -> Check {
        let (answer, reaches) = self.primary.answer(bytes);
        self.note(|_| format!("primary to {from}: {}", Message::decode(&answer).map_or("?".into(), |message| brief(&message))));
        self.send(PRIMARY, from, answer, |bytes| Event::Answer { call, bytes });
        if from <= OBJECTS {
            return self.at_primary(crate::primary::Event::Asked { region: super::primary::region(from), reaches });
        }
        Ok(())
    }
}

/// What a driver says of a question that nobody answered.
const NO_ANSWER: &str = "unlucky: no answer";
/// What one says of a shelf that was damaged.
const DAMAGED: &str = "the stored image of page";
/// What an honest driver says in an unlucky world.
const ALLOWED: [&str; 6] =
    [NO_ANSWER, INJECTED, "the source refused", "answered something else", "begins anew at commit", "the stored position is damaged"];
