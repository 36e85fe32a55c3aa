//! The seam with another holder than a replica's follower: one of a single state of a parent, as a branch has before it changes anything. SQLite
//! reads through it, and every wrong answer leaves it as it was.
//!
//! **Not here:** followers (`replica::tests`, `replica::simulation`), stacks that wait (`tests/worker/waiting.test.mjs`).

use super::*;
use crate::commit_log::Body;
use crate::engine::{Engine, Limits, Reader, ResultSet, Setup};
use crate::replica::Source;
use crate::store::{DurableStore, HostSql, MemoryStore, PageReader, PageStore};
use littoral_protocol::State;
use littoral_protocol::sql::{Statement, Value};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// Pages of one state of a parent, which never changes.
struct OneState {
    parent: DatabaseId,
    state: State,
    pages: RefCell<HashMap<Pgno, Rc<[u8]>>>,
    claims: Claims,
}

impl Holder for OneState {
    fn epoch(&self, database: DatabaseId) -> Option<u64> {
        (database == self.parent).then_some(0)
    }

    fn read(&self, pgno: Pgno, at: Txid) -> Result<Option<Rc<[u8]>>, StoreError> {
        Ok(self.pages.borrow().get(&pgno).filter(|_| at == self.state.txid).cloned())
    }

    fn holds(&self, pgno: Pgno, at: Txid) -> bool {
        at == self.state.txid && self.pages.borrow().contains_key(&pgno)
    }

    fn keep(&self, pages: &Pages) -> Result<(), StoreError> {
        let expand = |frame: &crate::commit_log::StoredFrame| Ok((frame.pgno, frame.expand(self.state.page_size)?.into()));
        let images: Result<Vec<_>, crate::commit_log::DecodeError> = pages.frames.iter().map(expand).collect();
        self.pages.borrow_mut().extend(images.map_err(|error| StoreError::Io(error.to_string()))?);
        Ok(())
    }

    fn claims(&self) -> Claims {
        self.claims.clone()
    }
}

/// What is done to an answer on its way.
type Spoil = dyn Fn(&mut Message);

/// The way to a parent.
struct Way {
    parent: Rc<dyn PageStore>,
    asked: RefCell<Vec<Pgno>>,
    woken: Cell<u32>,
    spoil: RefCell<Option<Box<Spoil>>>,
    /// What others do while a query waits, and whether it has waited long enough.
    while_waiting: RefCell<Box<dyn FnMut() -> bool>>,
}

impl Fetcher for Way {
    fn fetch(&self, question: &Message) -> Result<Message, StoreError> {
        if let Body::Fetch(fetch) = &question.body {
            self.asked.borrow_mut().extend(&fetch.pages);
        }
        let answer = Source::new(&*self.parent, self.parent.id()).answer(&question.encode());
        let mut answer = Message::decode(&answer).map_err(|error| StoreError::Io(error.to_string()))?;
        if let Some(spoil) = &*self.spoil.borrow() {
            spoil(&mut answer);
        }
        Ok(answer)
    }

    fn wait(&self) -> Result<bool, StoreError> {
        Ok(self.while_waiting.borrow_mut()())
    }

    fn wake(&self) {
        self.woken.set(self.woken.get() + 1);
    }
}

/// A parent at some state, and nothing of it yet here.
struct Branch {
    parent: Engine,
    holder: Rc<OneState>,
    way: Rc<Way>,
}

const FILL: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, long BLOB); CREATE INDEX i ON t (name); \
                    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) \
                    INSERT INTO t SELECT i, 'name ' || i % 97, CASE WHEN i % 5000 = 0 THEN zeroblob(20000) ELSE i END FROM n";
const CHANGE: &str = "UPDATE t SET name = 'changed'; DELETE FROM t WHERE id > 7000; CREATE TABLE later (a)";
const QUERIES: [&str; 5] = [
    "SELECT count(*), sum(length(long)) FROM t",
    "SELECT id, name FROM t WHERE name = 'name 13' ORDER BY id",
    "SELECT * FROM t WHERE id = 1500",
    "PRAGMA quick_check",
    "SELECT name FROM sqlite_schema",
];

impl Branch {
    /// Of the parent as it was before its last changes.
    fn of(store: Rc<dyn PageStore>) -> Branch {
        let mut parent = Engine::open(store.clone(), Limits::default(), Rc::new(|| 1));
        run(&mut parent, FILL);
        let (id, state) = (store.id(), parent.state());
        let claims = Claims::default();
        let holder = Rc::new(OneState { parent: id, state, pages: RefCell::default(), claims });
        let (asked, woken, spoil) = (RefCell::default(), Cell::new(0), RefCell::new(None));
        let while_waiting: Box<dyn FnMut() -> bool> = Box::new(|| unreachable!("nobody else is at it"));
        let way = Rc::new(Way { parent: store, asked, woken, spoil, while_waiting: RefCell::new(while_waiting) });
        Branch { parent, holder, way }
    }

    fn pages(&self) -> Rc<FetchingReader> {
        let reader = FetchingReader::new(self.holder.clone());
        reader.begin(self.holder.parent, self.holder.state, Some(self.way.clone()));
        Rc::new(reader)
    }

    fn connect(&self) -> Result<Reader, String> {
        Reader::open(self.pages(), self.holder.state, &Setup::default()).map_err(|error| error.to_string())
    }

    fn connection(&self) -> Reader {
        self.connect().unwrap()
    }

    /// What a wrong answer ends in. The holder is as it was, and an honest answer does.
    fn error_with(&self, spoil: impl Fn(&mut Message) + 'static) -> String {
        let (before, woken) = (self.holder.pages.borrow().len(), self.way.woken.get());
        self.way.spoil.replace(Some(Box::new(spoil)));
        let error = self.connect().and_then(|connection| query(&connection, QUERIES[0])).unwrap_err();
        assert_eq!(self.holder.pages.borrow().len(), before, "nothing is kept: {error}");
        assert!(self.holder.claims.are_none(), "nothing is claimed: {error}");
        assert_eq!(self.way.woken.get(), woken + 1, "those who wait are woken: {error}");
        self.way.spoil.replace(None);
        error
    }
}

fn run(database: &mut Engine, sql: &str) {
    database.run::<ResultSet>(&[vec![Statement::new(sql, vec![])]]).remove(0).unwrap();
}

fn query(reader: &Reader, sql: &str) -> Result<(Vec<Vec<Value>>, u64), String> {
    let answer = reader.run::<ResultSet>(&vec![Statement::new(sql, vec![])]);
    answer
        .map(|mut results| results.remove(0))
        .map(|result| (result.rows, result.meta.pages_fetched))
        .map_err(|failure| failure.error.to_string())
}

fn image(pages: &FetchingReader, pgno: u32, state: &State) -> Result<Vec<u8>, StoreError> {
    let mut image = vec![0; state.page_size.bytes()];
    pages.read_page(Pgno(pgno), state.txid, &mut image).map(|()| image)
}

#[test]
fn sqlite_reads_a_parents_past_through_what_was_fetched_of_it() {
    let stores: [Rc<dyn PageStore>; 2] = [Rc::new(MemoryStore::new()), Rc::new(DurableStore::open(HostSql::in_memory().unwrap()).unwrap())];
    for store in stores {
        let mut branch = Branch::of(store);
        let parent = branch.parent.snapshot(branch.holder.state.txid).unwrap();
        let answers = QUERIES.map(|sql| query(&parent, sql).unwrap().0);
        run(&mut branch.parent, CHANGE);
        let connection = branch.connection();
        query(&connection, QUERIES[0]).unwrap();
        let (questions, pages) = (branch.way.woken.get(), branch.way.asked.borrow().len());
        assert!(4 * (questions as usize) < pages, "a scan asks for what is next: {questions} questions for {pages} pages");
        for (sql, answer) in QUERIES.iter().zip(&answers) {
            assert_eq!(&query(&connection, sql).unwrap().0, answer, "{sql}");
        }
        let mut asked = branch.way.asked.take();
        assert_eq!(branch.holder.pages.borrow().len(), branch.holder.state.page_count as usize, "quick_check reads them all");
        asked.sort();
        assert!(asked.windows(2).all(|two| two[0] != two[1]), "a page is fetched once");
        let (other, questions) = (branch.connection(), branch.way.woken.get());
        for (sql, answer) in QUERIES.iter().zip(&answers) {
            assert_eq!(query(&other, sql), Ok((answer.clone(), 0)), "all is here: {sql}");
        }
        assert_eq!(branch.way.woken.get(), questions);
    }
}

#[test]
fn a_wrong_answer_is_an_error_and_leaves_the_holder_as_it_was() {
    let mut branch = Branch::of(Rc::new(MemoryStore::new()));
    let pages = |message: &mut Message, change: fn(&mut Pages)| {
        if let Body::Pages(pages) = &mut message.body {
            change(pages);
        }
    };
    let spoiled = |change: fn(&mut Pages)| move |message: &mut Message| pages(message, change);
    let wrong: [(&str, Box<Spoil>); 6] = [
        ("image of page 1", Box::new(spoiled(|pages| pages.frames[0].stored = vec![7; 8192].into()))),
        ("image of page 1", Box::new(spoiled(|pages| pages.frames[0].checksum.0 ^= 1))),
        ("does not hold page 1", Box::new(spoiled(|pages| pages.frames.clear()))),
        ("does not hold page 1 as of", Box::new(spoiled(|pages| pages.state.checksum.0 ^= 1))),
        ("does not hold page 1 as of", Box::new(|message| message.database.0 ^= 1)),
        ("does not hold page 1 as of", Box::new(|message| message.body = Body::Find(crate::commit_log::Sought::Time(1)))),
    ];
    for (expected, spoil) in wrong {
        let error = branch.error_with(spoil);
        assert!(error.contains(expected), "{error}");
    }
    let came = Rc::new(RefCell::new(Vec::new()));
    let with_damage = came.clone();
    branch.way.spoil.replace(Some(Box::new(move |message| {
        if let Body::Pages(Pages { frames, .. }) = &mut message.body
            && frames.len() > 1
        {
            with_damage.replace(frames.iter().map(|frame| frame.pgno).collect());
            frames.last_mut().unwrap().checksum.0 ^= 1;
        }
    })));
    let error = query(&branch.connection(), QUERIES[0]).unwrap_err();
    assert!(error.contains(&format!("image of page {}", came.borrow().last().unwrap())), "{error}");
    assert!(came.borrow().iter().all(|pgno| !branch.holder.pages.borrow().contains_key(pgno)), "all or none is kept");
    branch.way.spoil.replace(None);

    let size = branch.holder.state.page_size.bytes();
    branch.holder.pages.borrow_mut().insert(Pgno::FIRST, vec![0; 2 * size].into());
    let error = branch.connect().err().unwrap();
    assert!(error.contains("another page size"), "{error}");
    branch.holder.pages.borrow_mut().clear();

    let parent = branch.parent.snapshot(branch.holder.state.txid).unwrap();
    let answer = query(&parent, QUERIES[0]).unwrap().0;
    assert_eq!(query(&branch.connection(), QUERIES[0]).unwrap().0, answer, "an honest answer does");
    branch.holder.pages.borrow_mut().retain(|pgno, _| pgno.0 < 4);
    run(&mut branch.parent, CHANGE);
    while branch.way.parent.prune(branch.parent.state().txid).unwrap() {}
    let error = branch.error_with(|_| {});
    assert!(error.contains("was refused") && error.contains("no longer kept"), "{error}");
}

#[test]
fn a_page_that_is_being_fetched_is_waited_for() {
    let branch = Branch::of(Rc::new(MemoryStore::new()));
    let (first, second, state) = (branch.pages(), branch.pages(), branch.holder.state);
    let asked = first.ask(Pgno(3), state.txid).unwrap().unwrap();
    let answer = branch.way.fetch(&asked.question).unwrap();
    let (waits, ends) = (Rc::new(Cell::new(0)), first.clone());
    let waited = waits.clone();
    *branch.way.while_waiting.borrow_mut() = Box::new(move || {
        waited.set(waited.get() + 1);
        if waited.get() == 3 {
            ends.answered(&asked, Ok(answer.clone())).unwrap();
        }
        true
    });
    let mut expected = vec![0; state.page_size.bytes()];
    branch.way.parent.read_page(Pgno(3), state.txid, &mut expected).unwrap();
    assert_eq!(image(&second, 3, &state), Ok(expected.clone()));
    assert_eq!((waits.get(), &*branch.way.asked.borrow()), (3, &vec![Pgno(3)]), "it came with the other's answer");

    branch.holder.pages.borrow_mut().clear();
    let gone = first.ask(Pgno(3), state.txid).unwrap();
    assert!(gone.is_some() && second.ask(Pgno(3), state.txid).unwrap().is_none(), "it is claimed");
    *branch.way.while_waiting.borrow_mut() = Box::new(|| false);
    assert_eq!(image(&second, 3, &state), Ok(expected), "who has it may be gone, and another asks");
    assert!(branch.holder.claims.are_none());

    *branch.way.while_waiting.borrow_mut() = Box::new(|| true);
    let _never_answered = first.ask(Pgno(5), state.txid).unwrap();
    let error = image(&second, 5, &state).unwrap_err().to_string();
    assert!(error.contains("again and again"), "{error}");
}

#[test]
fn no_more_is_asked_for_at_once_than_is_allowed() {
    let branch = Branch::of(Rc::new(MemoryStore::new()));
    branch.holder.claims.at_most(2);
    let connection = branch.connection();
    query(&connection, QUERIES[0]).unwrap();
    let (asked, questions) = (branch.way.asked.borrow().len(), branch.way.woken.get() as usize);
    assert!(asked > 50 && asked <= 2 * questions, "{asked} pages, {questions} questions");
}

/// Rows wherever they lie, two to a page: the index names them in an order of its own, and the way to one has three pages of the table.
const SCATTER: &str = "CREATE TABLE s (id INTEGER PRIMARY KEY, key INT, filler TEXT); CREATE INDEX k ON s (key); \
                       WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000) \
                       INSERT INTO s SELECT i, i * 7919 % 8009, printf('%.1900c', 'x') FROM n";

/// Questions and pages that a query takes of a new connection that knows the schema and nothing of the rows.
fn cost(branch: &Branch, sql: &str) -> (u32, usize) {
    branch.holder.pages.borrow_mut().clear();
    let connection = branch.connection();
    query(&connection, "SELECT count(*) FROM sqlite_schema").unwrap();
    let before = (branch.way.woken.get(), branch.way.asked.borrow().len());
    let (rows, _) = query(&connection, sql).unwrap();
    assert!(!rows.is_empty(), "{sql}");
    (branch.way.woken.get() - before.0, branch.way.asked.borrow().len() - before.1)
}

#[test]
fn rows_that_an_index_leads_to_are_fetched_together() {
    let mut branch = Branch::of(Rc::new(MemoryStore::new()));
    run(&mut branch.parent, SCATTER);
    let state = branch.parent.state();
    branch.holder = Rc::new(OneState { parent: branch.holder.parent, state, pages: RefCell::default(), claims: Claims::default() });
    for order in ["", "DESC"] {
        let rows = format!("SELECT key, length(filler) FROM s WHERE key BETWEEN 3000 AND 3999 ORDER BY key {order}");
        let (questions, pages) = cost(&branch, &rows);
        assert!(questions <= 9 && pages > 600, "{order}: {questions} questions for {pages} pages");
        let (questions, pages) = cost(&branch, &format!("{rows} LIMIT 2"));
        assert!(questions <= 8 && pages <= 50, "a short scan {order}: {questions} questions for {pages} pages");
    }
    let (questions, pages) = cost(&branch, "SELECT length(filler) FROM s WHERE key = 7000");
    assert_eq!(questions as usize, pages, "a single row brings no others");
}

#[test]
fn without_a_way_a_page_is_missing_and_another_database_is_not_read() {
    let branch = Branch::of(Rc::new(MemoryStore::new()));
    let (pages, state) = (branch.pages(), branch.holder.state);
    pages.end();
    assert_eq!(image(&pages, 2, &state), Err(StoreError::Missing(Pgno(2))));
    pages.begin(DatabaseId(branch.holder.parent.0 ^ 1), state, Some(branch.way.clone()));
    let error = image(&pages, 2, &state).unwrap_err().to_string();
    assert!(error.contains("begun anew"), "{error}");
    assert!(branch.way.asked.borrow().is_empty() && branch.holder.claims.are_none());
}
