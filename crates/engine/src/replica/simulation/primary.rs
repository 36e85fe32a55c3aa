//! The primary of the simulator: makes commits, keeps some of the past, answers and pushes news, as its policy wants (`primary::Primary`).
//!
//! **Invariant:** what it acknowledged it keeps, but for the deletion of the whole database.
//!
//! **Not here:** what followers are answered (`Source`), how messages travel (`network`).

use super::event::{self, Ask, OBJECTS, PRIMARY};
use super::long_reads::{LongRead, LongReads};
use super::network::{Network, brief_bytes};
use super::truth::{Check, Mark, Moment, Page, Truth};
use crate::primary::{Action, Event, Primary as Policy};
use crate::replica::{Sizes, Source};
use crate::settings::region::Region;
use crate::store::{MemoryStore, PageStore};
use fastrand::Rng;
use littoral_protocol::{Checksum, Commit, DatabaseId, Frame, PageSize, Pgno, Position, State, Txid};
use std::collections::{BTreeMap, VecDeque};

const FIRST_PAGES: std::ops::Range<usize> = 2..14;
const MOST_PAGES: usize = 30;
const LONGEST_WRITE_MS: u64 = 30;
const LONGEST_WAIT_MS: u64 = 200;

/// The region of a replica object.
fn region(object: usize) -> Region {
    Region::ALL[object - 1]
}

fn object(region: Region) -> usize {
    (1..=OBJECTS).find(|object| self::region(*object) == region).unwrap_or(1)
}

pub(super) struct Primary {
    store: MemoryStore,
    pub(super) database: DatabaseId,
    truth: Truth,
    policy: Policy<Ask>,
    /// Counts restarts.
    life: u64,
    /// News under way, by replica object.
    pushes: BTreeMap<usize, u64>,
    /// Answers that leave when what was written is durable.
    held_back: Vec<(Ask, Mark, State)>,
    long_reads: LongReads,
    /// The long write that has the write connection.
    writing: Option<Ask>,
    /// Writes that have come and have no answer.
    open_writes: usize,
    /// Writes that are being made durable.
    syncing: u32,
    /// The new database has the same beginning as the one before it.
    mirror: u64,
    writes: u64,
}

impl Primary {
    pub(super) fn new(rng: &mut Rng) -> Primary {
        let mut primary = Primary {
            store: MemoryStore::new(),
            database: DatabaseId(rng.u64(1..)),
            truth: Truth::default(),
            policy: Policy::default(),
            life: 0,
            pushes: BTreeMap::new(),
            held_back: Vec::new(),
            long_reads: LongReads::default(),
            writing: None,
            open_writes: 0,
            syncing: 0,
            mirror: 0,
            writes: 0,
        };
        primary.truth.begin(primary.database, 0);
        primary
    }

    fn source(&self) -> Source<'_> {
        Source::new(&self.store, self.database).with_sizes(Sizes::TINY)
    }

    /// All that it ever was.
    pub(super) fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Answers that wait for a write to be durable.
    pub(super) fn holds_back(&self) -> usize {
        self.held_back.len()
    }

    /// Nothing in memory stays.
    pub(super) fn restart(&mut self) {
        self.policy = Policy::default();
        self.life += 1;
        self.pushes.clear();
        self.held_back.clear();
        self.long_reads = LongReads::default();
        (self.writing, self.open_writes) = (None, 0);
        self.syncing = 0;
    }

    fn head(&self) -> State {
        self.store.head()
    }

    /// The database is deleted, and another gets its name.
    pub(super) fn replace(&mut self, rng: &mut Rng, now_ms: u64) {
        self.store = MemoryStore::new();
        self.database = DatabaseId(rng.u64(1..));
        self.mirror = if rng.bool() { rng.u64(0..6) } else { 0 };
        self.truth.begin(self.database, now_ms);
        self.policy.on(Event::Deleted, now_ms);
        self.pushes.clear();
    }

    /// Forgets the oldest states, or some of those that are not the last of their step of time.
    pub(super) fn forget(&self, rng: &mut Rng) {
        let before = Txid(self.head().txid.0.saturating_sub(rng.u64(0..12)));
        let step_ms = *rng.choice(&[10, 40, 200]).unwrap();
        let pinned = self.long_reads.pinned();
        let oldest = pinned.first().map_or(before, |oldest| before.min(*oldest));
        let _ = if rng.bool() { self.store.prune(oldest) } else { self.store.thin(before, step_ms, &pinned) };
    }

    /// Whether a state after `after`, up to `until`, is kept.
    pub(super) fn keeps_between(&self, after: Txid, until: Txid) -> bool {
        self.store.resolve(until.min(self.head().txid)).is_ok_and(|kept| kept > after)
    }

    /// Commits something.
    fn commit(&mut self, rng: &mut Rng, now_ms: u64) -> State {
        self.writes += 1;
        let (database, txid) = self.truth.head();
        let before = self.truth.at((database, txid));
        let (mut page_size, mut pages) = (before.state.page_size, before.pages.clone());
        if pages.is_empty() {
            page_size = size(rng);
        }
        let kind = rng.u32(0..100);
        if txid < self.mirror && self.truth.place(self.truth.id(database - 1), Txid(txid + 1)).is_ok() {
            let old = self.truth.at((database - 1, txid + 1));
            (page_size, pages) = (old.state.page_size, old.pages.clone());
        } else if kind < 3 && txid > 0 {
            let old = self.truth.at((database, rng.u64(1..=txid)));
            (page_size, pages) = (old.state.page_size, old.pages.clone());
        } else if kind < 6 && txid > 0 {
            page_size = size(rng);
            let count = rng.usize(1..=pages.len());
            pages = (1..=count).map(|pgno| self.page(rng, pgno, page_size, count)).collect();
        } else {
            self.change(rng, page_size, &mut pages);
        }
        self.append(rng, page_size, pages, now_ms)
    }

    fn change(&self, rng: &mut Rng, page_size: PageSize, pages: &mut Vec<Page>) {
        let count = match (pages.len(), rng.u32(0..10)) {
            (0, _) => rng.usize(FIRST_PAGES),
            (count, 0) => rng.usize(1..=count),
            (count, 1..4) => (count + rng.usize(1..5)).min(MOST_PAGES),
            (count, _) => count,
        };
        pages.truncate(count);
        let mut changed: Vec<usize> = (0..rng.usize(0..4)).map(|_| rng.usize(1..=count)).collect();
        if rng.u32(0..4) > 0 {
            changed.push(1);
        }
        for pgno in changed.into_iter().filter(|pgno| *pgno <= pages.len()).collect::<Vec<_>>() {
            pages[pgno - 1] = self.page(rng, pgno, page_size, count);
        }
        while pages.len() < count {
            pages.push(self.page(rng, pages.len() + 1, page_size, count));
        }
    }

    fn append(&mut self, rng: &mut Rng, page_size: PageSize, pages: Vec<Page>, now_ms: u64) -> State {
        let before = self.truth.at(self.truth.head());
        let mut checksum = Checksum::EMPTY;
        let mut frames = Vec::new();
        for (index, page) in pages.iter().enumerate() {
            checksum ^= page.checksum;
            let same = before.state.page_size == page_size && before.pages.get(index).is_some_and(|old| old == page);
            if !same || rng.u32(0..40) == 0 {
                frames.push(Frame { pgno: Pgno(index as u32 + 1), image: (*page.image).into(), checksum: page.checksum });
            }
        }
        let txid = before.state.txid.next();
        let state = State { txid, page_size, page_count: pages.len() as u32, time_ms: 1_000_000 + now_ms, checksum };
        self.store.append(&Commit { state, frames }).unwrap();
        self.truth.commit(Moment { state, pages }, now_ms);
        state
    }

    /// A page that is signed with the commit; some look like interior pages of a b-tree, with children right and wrong.
    fn page(&self, rng: &mut Rng, pgno: usize, page_size: PageSize, count: usize) -> Page {
        let mut image = vec![0; page_size.bytes()];
        if rng.u32(0..4) == 0 {
            rng.fill(&mut image[200..]);
        }
        let start = if pgno == 1 { 100 } else { 0 };
        if rng.u32(0..3) == 0 {
            let cells = rng.usize(0..5);
            image[start] = if rng.bool() { 2 } else { 5 };
            image[start + 4] = cells as u8;
            let mut put = |at: usize, child: u32| image[at..at + 4].copy_from_slice(&child.to_be_bytes());
            put(start + 8, rng.u32(0..=count as u32 + 2));
            let first = rng.usize(1..=count);
            for cell in 0..cells {
                put(200 + 4 * cell, (first + cell) as u32);
            }
            for cell in 0..cells {
                image[start + 13 + 2 * cell] = (200 + 4 * cell) as u8;
            }
        }
        let end = image.len();
        image[end - 8..].copy_from_slice(&self.writes.to_be_bytes());
        Page::new(pgno as u32, image)
    }
}

impl Primary {
    /// Something has happened: does what the policy wants done.
    pub(super) fn on(&mut self, net: &mut Network, mut event: Event<Ask>) {
        if let Event::Arrived(request) = &mut event {
            self.open_writes += usize::from(request.write);
            request.until_ms = (net.rng.u32(0..3) == 0).then(|| net.now_ms() + net.rng.u64(0..LONGEST_WAIT_MS));
        }
        let mut actions = VecDeque::from(self.policy.on(event, net.now_ms()));
        while let Some(action) = actions.pop_front() {
            let events = match action {
                Action::Run(requests) => self.run(net, requests),
                Action::Read(request) => {
                    let read = LongRead { request, place: self.truth.head(), state: self.head() };
                    self.long_reads.begin(net, self.life, read);
                    Vec::new()
                }
                Action::Write(request) => {
                    assert!(self.writing.is_none(), "two long writes at once");
                    self.writing = Some(request);
                    net.after(LONGEST_WRITE_MS, event::Event::Written { life: self.life });
                    Vec::new()
                }
                Action::Late(request) => {
                    assert!(request.until_ms.is_some_and(|until_ms| until_ms <= net.now_ms()), "{request:?} is not late");
                    if request.write {
                        self.open_writes -= 1
                    } else {
                        self.long_reads.gives_up()
                    }
                    net.stats.late += 1;
                    Vec::new()
                }
                Action::Sync => {
                    self.syncing += 1;
                    self.waits(net, net.weather.sync_ms, Event::Synced)
                }
                Action::Tell { regions, after } => regions.into_iter().filter_map(|region| self.tell(net, region, after)).collect(),
                Action::Wake { in_ms } => self.waits(net, in_ms, Event::Woken),
                Action::LookForAlarm => self.waits(net, 1, Event::AlarmIs(None)),
                Action::SetAlarm { at_ms } => self.waits(net, at_ms.saturating_sub(net.now_ms()), Event::Alarm),
                Action::Maintain { .. } => {
                    self.forget(&mut net.rng);
                    let due_ms = (net.rng.u32(0..4) > 0).then(|| net.now_ms() + net.rng.u64(0..100));
                    self.waits(net, 1, Event::Maintained { due_ms })
                }
            };
            actions.extend(events.into_iter().flat_map(|event| self.policy.on(event, net.now_ms())));
        }
        self.let_out(net);
    }

    /// What it waited for has come, unless it has started again since.
    pub(super) fn hears(&mut self, net: &mut Network, life: u64, event: Event<Ask>) {
        if life != self.life {
            return;
        }
        if event == Event::Synced {
            self.syncing -= 1;
        }
        self.on(net, event);
    }

    /// A follower asks a question.
    pub(super) fn asked(&mut self, net: &mut Network, from: usize, call: u64, question: &[u8]) {
        let (answer, reaches) = self.source().answer_follower(question);
        net.note(|| format!("primary to {from}: {}", brief_bytes(&answer)));
        net.send(PRIMARY, from, answer, |bytes| event::Event::Answer { call, bytes });
        if from <= OBJECTS {
            self.on(net, Event::Asked { region: region(from), reaches });
        }
    }

    /// It hears what has become of news.
    pub(super) fn told(&mut self, net: &mut Network, node: usize, push: u64, position: Option<Position>) {
        if self.pushes.get(&node) == Some(&push) {
            self.pushes.remove(&node);
            self.on(net, Event::Told { region: region(node), position });
        }
    }

    /// Something happens later; nothing does now.
    fn waits(&self, net: &mut Network, in_ms: u64, event: Event<Ask>) -> Vec<Event<Ask>> {
        net.at_last(in_ms, event::Event::Primary { life: self.life, event });
        Vec::new()
    }

    fn run(&mut self, net: &mut Network, requests: Vec<Ask>) -> Vec<Event<Ask>> {
        let (requests, long) = self.long_reads.put_aside(net, requests);
        let (requests, later) = self.put_writes_aside(net, requests);
        let writes = requests.iter().filter(|request| request.write).count();
        self.open_writes -= writes;
        // Those that run together share a commit.
        if writes > 0 {
            let now_ms = net.now_ms();
            let state = self.commit(&mut net.rng, now_ms);
            net.stats.commits += 1;
            net.note(|| format!("commit {:?} with {} pages for {writes}", self.truth.head(), state.page_count));
        }
        let (head, place) = (self.head(), self.truth.head());
        self.held_back.extend(requests.into_iter().map(|request| (request, place, head)));
        let ran = Event::Ran { wrote: (writes > 0).then(|| head.position()) };
        long.into_iter().map(Event::LongRead).chain(later).chain([ran]).collect()
    }

    /// Those of these requests that run now; the others have to wait.
    fn put_writes_aside(&mut self, net: &mut Network, requests: Vec<Ask>) -> (Vec<Ask>, Vec<Event<Ask>>) {
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for request in requests {
            match request.write {
                true if self.writing.is_some() => later.push(Event::HeldUp(request)),
                true if net.rng.f64() < net.weather.long_writes => later.push(Event::LongWrite(request)),
                _ => now.push(request),
            }
        }
        (now, later)
    }

    /// A long write has come to its end, unless the primary has started again since.
    pub(super) fn has_written(&mut self, net: &mut Network, life: u64) {
        let Some(request) = self.writing.take_if(|_| life == self.life) else { return };
        let now_ms = net.now_ms();
        // It may fail: of those whose answer nobody listens to.
        let wrote = request.client.is_some() || net.rng.bool();
        self.open_writes -= 1;
        if wrote {
            let state = self.commit(&mut net.rng, now_ms);
            net.stats.long_writes += 1;
            net.note(|| format!("long commit {:?} with {} pages", self.truth.head(), state.page_count));
        }
        self.held_back.push((request, self.truth.head(), self.head()));
        self.on(net, Event::Written { wrote: wrote.then(|| self.head().position()) });
    }

    /// A long read has come to its end, unless the primary has started again since.
    pub(super) fn has_read(&mut self, net: &mut Network, life: u64, number: u64) -> Check {
        if life != self.life {
            return Ok(());
        }
        let read = self.long_reads.end(net, number, (self.database, &self.store), &self.truth)?;
        self.held_back.extend(read.map(|LongRead { request, place, state }| (request, place, state)));
        self.on(net, Event::ReadEnded);
        Ok(())
    }

    /// No read is left without an answer, and no write.
    pub(super) fn has_answered_all(&self) -> Check {
        if self.open_writes > 0 {
            return Err(format!("{} writes wait for ever", self.open_writes));
        }
        self.long_reads.open()
    }

    /// Answers leave, unless a write before them is not durable.
    fn let_out(&mut self, net: &mut Network) {
        if self.syncing > 0 {
            return;
        }
        for (request, place, state) in std::mem::take(&mut self.held_back) {
            let Some(client) = request.client else { continue };
            net.stats.primary_reads += u64::from(!request.write);
            net.send(PRIMARY, client + 1, Vec::new(), |_| event::Event::Done { request, place, state });
        }
    }

    fn tell(&mut self, net: &mut Network, region: Region, after: Position) -> Option<Event<Ask>> {
        let object = object(region);
        let news = self.source().news(after).ok().flatten();
        let Some(news) = news else { return Some(Event::Told { region, position: None }) };
        let push = net.number();
        self.pushes.insert(object, push);
        net.at_last(8 * net.weather.delay_ms, event::Event::PushTimeout { node: object, push });
        net.send(PRIMARY, object, news.encode(), |bytes| event::Event::Push { to: object, push, bytes });
        None
    }
}

fn size(rng: &mut Rng) -> PageSize {
    PageSize::new(if rng.u32(0..3) == 0 { 1024 } else { 512 }).unwrap()
}
