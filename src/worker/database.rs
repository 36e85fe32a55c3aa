//! The Durable Object of one database: its storage below, requests above, the primary's policy (`littoral_engine::primary`) in between.
//!
//! `database.mjs` calls its methods, and carries out what it asks of the [`Host`]. They are synchronous: one runs from beginning to end before
//! the next. The runtime holds an answer back until everything written before it is durable.
//!
//! **Invariants**
//! 1. Nothing in memory is needed after a restart or a trap: the database is opened again from storage, and JavaScript keeps the requests that
//!    have no answer (`tickets.mjs`).
//! 2. A request that the instance was lost with is run again only if nothing of it was written, and then by itself.
//!
//! **Not here:** which callers may reach which database (`entry.mjs`).

use super::branch::lent_states;
use super::host::{Host, Ticket};
use super::identity::Identity;
use super::long_write::Written;
use super::upload::{Upload, key};
use super::{long_read, long_write};
use crate::edge::isolate::limits;
use crate::runtime::js::error_text;
use crate::runtime::request::body_to_js;
use crate::runtime::storage::{ObjectSql, ObjectStorage};
use crate::runtime::time::now_ms;
use js_sys::{Array, Uint8Array};
use littoral_engine::answer::{Answer, Attempt, Form, Request, answer_together, reader_for};
use littoral_engine::branch::BranchStore;
use littoral_engine::engine::Engine;
use littoral_engine::primary::{Action, Event, Primary, Waits};
use littoral_engine::replica::Source;
use littoral_engine::settings::region::Region;
use littoral_engine::store::{DurableStore, StoreError};
use littoral_protocol::Position;
use littoral_protocol::sql::Code;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use worker::console_error;

/// What an answer says where the instance was lost. Nobody can tell: the commit may have been made.
const UNKNOWN: &str =
    "the Worker's instance was lost while this ran: whether it was written is not known; look, and ask again: LITTORAL_OUTCOME_UNKNOWN";

/// The key under which a primary keeps the regions that ever had a replica of it: an array of location hints.
const REGIONS: &str = "regions";

/// The Durable Object class's Rust half.
#[wasm_bindgen]
pub struct DatabaseObject {
    host: Host,
    pub(super) storage: ObjectStorage,
    pub(super) env: JsValue,
    pub(super) identity: Identity,
    engine: RefCell<Option<Engine>>,
    /// The engine's store, if pages of it were missing when it was opened.
    pub(super) branch: RefCell<Option<Rc<BranchStore<ObjectSql>>>>,
    primary: RefCell<Primary<Ticket>>,
    /// What a long write had that has ended.
    lease: long_write::Ended,
    /// Statements of the import that is under way.
    imported: Rc<Cell<u64>>,
    /// The position that tickets were given last, which most requests leave as it is.
    shown: RefCell<Option<(Position, Uint8Array)>>,
}

#[wasm_bindgen]
impl DatabaseObject {
    /// A database on the storage of its object.
    #[wasm_bindgen(constructor)]
    pub fn new(host: Host, storage: ObjectStorage, env: JsValue) -> DatabaseObject {
        let (engine, branch, primary, lease, imported, shown) = Default::default();
        let identity = Identity::new(storage.clone(), &env);
        DatabaseObject { host, storage, env, identity, engine, branch, primary, lease, imported, shown }
    }

    /// Whether there is nothing to ask the catalogue: it has said which database this is, or there is none.
    #[wasm_bindgen(js_name = isKnown)]
    pub fn is_known(&self) -> bool {
        self.identity.is_known()
    }

    /// The catalogue has said which database this is: an entry of it as JSON.
    pub fn becomes(&self, entry: &str) {
        self.identity.becomes(entry);
    }

    /// An error, if this is not the database with this id.
    #[wasm_bindgen(js_name = checkIs)]
    pub fn check_is(&self, id: Option<String>) -> Result<(), JsError> {
        if self.identity.is(id.as_deref()) { Ok(()) } else { Err(js_error(StoreError::NoDatabase)) }
    }

    /// Keeps a piece of an upload.
    #[wasm_bindgen(js_name = keepPiece)]
    pub fn keep_piece(&self, name: &str, number: u32, piece: &Uint8Array) -> Result<(), JsError> {
        self.identity.check().map_err(js_error)?;
        self.storage.kv().put(&key(name, number), piece);
        Ok(())
    }

    /// Drops an upload.
    #[wasm_bindgen(js_name = dropUpload)]
    pub fn drop_upload(&self, name: &str) {
        let kv = self.storage.kv();
        (0..).map(|number| key(name, number)).take_while(|key| !kv.get(key).is_undefined()).for_each(|key| kv.delete(&key));
    }

    /// How many statements of an import have run.
    #[wasm_bindgen(js_name = importedStatements)]
    pub fn imported_statements(&self) -> f64 {
        self.imported.get() as f64
    }

    /// Takes a request. It is delivered at once, or when those before it are durable.
    pub fn submit(&self, ticket: Ticket) {
        if !self.identity.is(ticket.request().database_id().as_deref()) {
            let error = StoreError::NoDatabase;
            return deliver(&ticket, Answer::refusing(&ticket.request().read(), &error, code_of(&error)), false);
        }
        let _ = self.happened(Event::Arrived(ticket));
    }

    /// What was written is durable, or never will be.
    pub fn synced(&self) {
        let _ = self.happened(Event::Synced);
    }

    /// A long read has ended.
    #[wasm_bindgen(js_name = readEnded)]
    pub fn read_ended(&self) {
        let _ = self.happened(Event::ReadEnded);
    }

    /// A long write has ended.
    #[wasm_bindgen(js_name = writeEnded)]
    pub fn write_ended(&self) {
        let lease = self.lease.take();
        let ended = self.with_engine(|engine| {
            let wrote = lease.is_some_and(|lease| engine.take_back(lease));
            (wrote.then(|| engine.state().position()), engine.store().has_discarded())
        });
        let (wrote, discarded) = ended.unwrap_or_default();
        if discarded {
            let _ = self.happened(Event::Discarded);
        }
        let _ = self.happened(Event::Written { wrote });
    }

    /// A replica object has answered news with its position, or not.
    pub fn told(&self, region: &str, position: JsValue) {
        let position = position.dyn_ref::<Uint8Array>().and_then(|bytes| bytes.to_vec().try_into().ok()).map(Position::from_bytes);
        if let Some(region) = Region::from_hint(region) {
            let _ = self.happened(Event::Told { region, position });
        }
    }

    /// The time has come that was asked for.
    pub fn woken(&self) {
        let _ = self.happened(Event::Woken);
    }

    /// The alarm has gone off. Returns whether there is more to do once everything is durable (`maintain`).
    pub fn alarm(&self) -> Result<bool, JsError> {
        self.happened(Event::Alarm).map_err(js_error)
    }

    /// The alarm is set to this time, or not at all. Returns as `alarm`.
    #[wasm_bindgen(js_name = alarmIs)]
    pub fn alarm_is(&self, at_ms: Option<f64>) -> Result<bool, JsError> {
        self.happened(Event::AlarmIs(at_ms.map(|at_ms| at_ms as u64))).map_err(js_error)
    }

    /// Does a small step of what keeps the past within its limits. Returns as `alarm`.
    pub fn maintain(&self) -> Result<bool, JsError> {
        self.carry_out(vec![Action::Maintain { synced: false }]).map_err(js_error)
    }

    /// Takes over the requests that an instance had which was lost.
    pub fn recover(&self, tickets: Vec<Ticket>) {
        let now = self.position().ok();
        let (open, lost): (Vec<_>, Vec<_>) = tickets.into_iter().partition(|ticket| may_run_again(ticket, now));
        for ticket in lost {
            deliver(&ticket, Answer::refusing(&ticket.request().read(), &UNKNOWN, Code::OutcomeUnknown), false);
        }
        // What is lost once more is not to take others with it: those have not run.
        open.iter().for_each(|ticket| ticket.waits());
        for ticket in open {
            let _ = self.carry_out(vec![Action::Run(vec![ticket])]);
        }
    }

    /// Answers a question of the commit log, whatever it is, with bytes or a promise of them. A replica object gives its region.
    pub fn follow(&self, question: Vec<u8>, region: Option<String>) -> Result<JsValue, JsError> {
        let (answer, reaches) = self.answer_follower(question)?;
        if let Some(region) = region.as_deref().and_then(Region::from_hint) {
            self.remember(region);
            let _ = self.happened(Event::Asked { region, reaches });
        }
        Ok(answer)
    }

    /// The regions that ever had a replica.
    pub fn regions(&self) -> Array {
        self.storage.kv().get(REGIONS).dyn_into().unwrap_or_default()
    }

    /// The database is to be deleted: no request has an answer from it any more.
    pub fn ends(&self) {
        self.identity.ends();
    }

    /// The database is no more: what is known of it is of no use to the next one of the name.
    pub fn forget(&self) {
        self.engine.take();
        self.branch.take();
        let _ = self.happened(Event::Deleted);
    }
}

fn code_of(error: &StoreError) -> Code {
    if *error == StoreError::NoDatabase { Code::NoDatabase } else { Code::StoreFailed }
}

pub(super) fn js_error(error: StoreError) -> JsError {
    JsError::new(&error.to_string())
}

/// Whether a request may run now, although the instance was lost that had it: it had not begun, or nothing was written since.
fn may_run_again(ticket: &Ticket, now: Option<Position>) -> bool {
    let Some(before) = ticket.before() else { return true };
    !ticket.alone() && now.is_some_and(|now| now.to_bytes()[..] == before.to_vec())
}

impl Waits for Ticket {
    fn until_ms(&self) -> Option<u64> {
        self.request().until_ms()
    }
}

/// A ticket that has no answer yet, and nothing was done of it.
fn waiting(ticket: Ticket) -> Ticket {
    ticket.waits();
    ticket
}

pub(super) fn deliver(ticket: &Ticket, Answer { body, bookmark }: Answer, wrote: bool) {
    let bookmark = bookmark.map_or(JsValue::NULL, JsValue::from);
    ticket.deliver(&Array::of3(&body_to_js(body), &bookmark, &wrote.into()));
}

impl DatabaseObject {
    /// Something has happened: does what is to be done now. Returns whether there is more to do for the past once everything is durable; the
    /// error is that of a step of it.
    fn happened(&self, event: Event<Ticket>) -> Result<bool, StoreError> {
        let actions = self.primary.borrow_mut().on(event, now_ms());
        self.carry_out(actions)
    }

    fn carry_out(&self, actions: Vec<Action<Ticket>>) -> Result<bool, StoreError> {
        let mut actions = VecDeque::from(actions);
        let mut goes_on = Ok(false);
        while let Some(action) = actions.pop_front() {
            let events = match action {
                Action::Run(tickets) => self.run(tickets),
                Action::Read(ticket) => self.read(ticket),
                Action::Write(ticket) => self.write(ticket),
                Action::Late(ticket) => {
                    deliver(&ticket, Answer::timed_out(&ticket.request().read()), false);
                    Vec::new()
                }
                Action::Tell { regions, after } => self.tell(regions, after),
                Action::Maintain { synced: false } => {
                    let done = self.with_engine(|engine| engine.maintain(now_ms())).and_then(|due_ms| due_ms);
                    let event = done.as_ref().map_or(Event::NotMaintained, |due_ms| Event::Maintained { due_ms: *due_ms });
                    goes_on = done.map(|_| false);
                    vec![event]
                }
                Action::Maintain { synced: true } => {
                    goes_on = Ok(true);
                    Vec::new()
                }
                Action::Sync => {
                    self.host.sync();
                    Vec::new()
                }
                Action::Wake { in_ms } => {
                    self.host.wake(in_ms as f64);
                    Vec::new()
                }
                Action::LookForAlarm => {
                    self.host.look_for_alarm();
                    Vec::new()
                }
                Action::SetAlarm { at_ms } => {
                    self.host.set_alarm(at_ms as f64);
                    Vec::new()
                }
            };
            actions.extend(events.into_iter().flat_map(|event| self.primary.borrow_mut().on(event, now_ms())));
        }
        goes_on
    }

    fn run(&self, tickets: Vec<Ticket>) -> Vec<Event<Ticket>> {
        let requests: Vec<Request> = tickets.iter().map(|ticket| ticket.request().read()).collect();
        let ran = self.with_engine(|engine| {
            let before = engine.state();
            let position = self.shown(before.position());
            tickets.iter().for_each(|ticket| ticket.runs(&position, tickets.len() == 1));
            let attempts = answer_together(engine, &requests);
            let after = engine.state();
            ((after.txid != before.txid).then(|| after.position()), attempts, engine.store().has_discarded())
        });
        let (wrote, attempts, discarded) = ran.unwrap_or_else(|error| {
            let refuse = |request| Attempt::Answered(Answer::refusing(request, &error, code_of(&error)));
            (None, requests.iter().map(refuse).collect(), false)
        });
        let mut events = Vec::new();
        for (ticket, attempt) in tickets.into_iter().zip(attempts) {
            match attempt {
                Attempt::Answered(answer) => deliver(&ticket, answer, wrote.is_some()),
                Attempt::LongRead => events.push(Event::LongRead(waiting(ticket))),
                Attempt::LongWrite => events.push(Event::LongWrite(waiting(ticket))),
                Attempt::HeldUp => events.push(Event::HeldUp(waiting(ticket))),
            }
        }
        events.push(Event::Ran { wrote });
        events.extend(discarded.then_some(Event::Discarded));
        events
    }

    fn read(&self, ticket: Ticket) -> Vec<Event<Ticket>> {
        let request = ticket.request().read();
        let reader = self.with_engine(|engine| reader_for(engine, &request));
        match reader.unwrap_or_else(|error| Err(Answer::refusing(&request, &error, code_of(&error)))) {
            Ok(reader) => {
                long_read::begin(self.host.clone(), ticket, request, reader);
                Vec::new()
            }
            Err(refused) => {
                deliver(&ticket, refused, false);
                vec![Event::ReadEnded]
            }
        }
    }

    fn write(&self, ticket: Ticket) -> Vec<Event<Ticket>> {
        let request = ticket.request().read();
        let lease = self.with_engine(Engine::lease);
        let refused = match lease {
            Ok(Ok(lease)) => {
                let what = match request.form() {
                    Form::Import => Written::Upload(Upload::new(self.storage(), request.body(), self.imported.clone())),
                    Form::Promote => Written::Branch(self.way_to_branch(&request)),
                    _ => Written::Request,
                };
                long_write::begin(self.host.clone(), ticket, request, lease, self.lease.clone(), what);
                return Vec::new();
            }
            Ok(Err(error)) => Answer::refusing(&request, &error, error.code()),
            Err(error) => Answer::refusing(&request, &error, code_of(&error)),
        };
        deliver(&ticket, refused, false);
        vec![Event::Written { wrote: None }]
    }

    /// Sends news. Returns what has become of it, if that is known at once.
    fn tell(&self, regions: Vec<Region>, after: Position) -> Vec<Event<Ticket>> {
        let news = self.with_engine(|engine| source(engine).news(after)).and_then(|news| news);
        let Ok(Some(news)) = news else { return regions.into_iter().map(|region| Event::Told { region, position: None }).collect() };
        let news = Uint8Array::from(&*news.encode());
        regions.into_iter().for_each(|region| self.host.tell(region.hint(), &news));
        Vec::new()
    }

    fn remember(&self, region: Region) {
        let known = self.regions();
        let hint = JsValue::from(region.hint());
        if !known.includes(&hint, 0) {
            known.push(&hint);
            self.storage.kv().put(REGIONS, &known);
        }
    }

    /// A position for tickets.
    fn shown(&self, position: Position) -> Uint8Array {
        let mut shown = self.shown.borrow_mut();
        if let Some((_, bytes)) = shown.as_ref().filter(|(known, _)| *known == position) {
            return bytes.clone();
        }
        shown.insert((position, Uint8Array::from(&position.to_bytes()[..]))).1.clone()
    }

    fn position(&self) -> Result<Position, StoreError> {
        self.with_engine(|engine| engine.state().position())
    }

    /// The object's storage.
    pub(super) fn storage(&self) -> ObjectStorage {
        self.storage.clone()
    }

    pub(super) fn with_engine<T>(&self, ask: impl FnOnce(&mut Engine) -> T) -> Result<T, StoreError> {
        self.identity.check()?;
        let mut engine = self.engine.borrow_mut();
        if engine.is_none() {
            let limits = limits(&self.env).map_err(|error| StoreError::Schema(error_text(&error)))?;
            let store = DurableStore::open_as(ObjectSql::new(self.storage()), self.identity.database())?.with_step(limits.history_step_ms);
            let opened = engine.insert(Engine::open(self.with_parent(store), limits, Rc::new(now_ms)));
            opened.keep_states(lent_states(&self.storage));
        }
        let answer = engine.as_mut().map(ask);
        if engine.as_ref().is_some_and(Engine::memory_damaged) {
            console_error!("a page in the cache was changed by something else than SQLite");
            // A trap is the way to leave the memory behind that all databases of this isolate share: `instance.mjs` does the rest.
            std::arch::wasm32::unreachable();
        }
        engine.take_if(|engine| engine.store_failed());
        answer.ok_or_else(|| StoreError::Io("the database is not open".into()))
    }
}

/// What followers ask.
pub(super) fn source(engine: &Engine) -> Source<'_> {
    Source::new(&**engine.store(), engine.store().id())
}
