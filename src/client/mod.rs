//! The binding for Rust request handlers: [`Database`] with the shape and names of `worker::D1Database`.
//!
//! Parameters and rows go through serde. Rust's types say what they are, so integers bind as INTEGER here, where JavaScript's numbers
//! bind as REAL.
//!
//! ```no_run
//! # async fn handler(transport: impl littoral::client::Transport + 'static) -> Result<(), littoral::client::Error> {
//! use littoral::client::Database;
//! # #[derive(serde::Deserialize)] struct Artist { id: i64, name: String }
//! // In a Worker: let db = Database::from_env(&env, "DB")?;
//! # let db = Database::new(transport);
//! let artists: Vec<Artist> = db.prepare("SELECT id, name FROM artists WHERE name LIKE ?").bind(("A%",))?.all().await?.results()?;
//! db.batch(vec![
//!     db.prepare("INSERT INTO artists (name) VALUES (?)").bind(("Nina Simone",))?,
//!     db.prepare("INSERT INTO artists (name) VALUES (?)").bind(("Bill Evans",))?,
//! ]).await?;
//! # Ok(()) }
//! ```
//!
//! **Invariants**
//! 1. The session's bookmark only grows.
//!
//! **Not here:** SQLite. This module needs no C compiler.

mod error;
mod parameter;
mod result;
#[cfg(target_arch = "wasm32")]
mod service;
mod session;
mod value;

pub use error::Error;
pub use littoral_protocol::d1::D1Meta;
pub use littoral_protocol::sql::{Code, Place, Point, Tier, Value};
pub use result::{D1ExecResult, D1Result};
#[cfg(target_arch = "wasm32")]
pub use service::ServiceBinding;
#[cfg(all(feature = "edge", target_arch = "wasm32"))]
pub(crate) use service::lost;
pub use session::{RequestSession, SessionOptions};

use littoral_protocol::d1::{CallRef, CallsRequest, Response, StatementRef};
use parameter::parameters;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

/// A request of many calls.
#[derive(Clone, Debug)]
pub struct Request {
    /// The calls, as JSON (`littoral_protocol::d1`).
    pub body: String,
    /// The session's bookmark or constraint.
    pub session: Option<Rc<str>>,
    /// The point of the past to read, instead of the present.
    pub at: Option<Point>,
    /// Milliseconds after which its caller no longer waits.
    pub timeout_ms: Option<u64>,
}

/// What carries a request to the database and its answer, a JSON text, back.
pub trait Transport {
    /// Sends a request of many calls.
    fn query(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<String, Error>>>>;
    /// Answers one statement, if that needs no waiting, with its result and the bookmark of the state that was read. An error is final.
    fn answer_now(&self, _statement: &StatementNow<'_>) -> Option<Result<(D1Result, Rc<str>), Error>> {
        None
    }
    /// Asks for the database file.
    fn dump(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>>>>;
}

/// A statement for whoever may answer at once.
#[derive(Clone, Copy, Debug)]
pub struct StatementNow<'a> {
    /// Its text.
    pub sql: &'a str,
    /// Its parameters.
    pub params: &'a [Value],
    /// The session's bookmark or constraint.
    pub session: Option<&'a str>,
}

/// A database, as a request handler sees it. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    transport: Rc<dyn Transport>,
    timeout: Option<Duration>,
}

/// Where a session may begin, if not at a bookmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionConstraint {
    /// The first query goes to the primary.
    FirstPrimary,
    /// The first query goes to any instance.
    FirstUnconstrained,
}

impl SessionConstraint {
    /// D1's name for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            SessionConstraint::FirstPrimary => "first-primary",
            SessionConstraint::FirstUnconstrained => "first-unconstrained",
        }
    }
}

impl Database {
    /// A database behind `transport`.
    pub fn new(transport: impl Transport + 'static) -> Database {
        Database { transport: Rc::new(transport), timeout: None }
    }

    /// The same database, each of whose calls ends after this time at the latest, with [`Code::TimedOut`], and has changed nothing then.
    ///
    /// A call that writes is measured by what it computes, since no clock goes on meanwhile; a call that waits for nothing but the network is ended
    /// by the network.
    ///
    /// ```no_run
    /// # async fn handler(db: littoral::client::Database) -> Result<(), littoral::client::Error> {
    /// let impatient = db.with_timeout(std::time::Duration::from_millis(500));
    /// let report = impatient.prepare("SELECT region, sum(total) FROM orders GROUP BY region").all().await;
    /// # Ok(()) }
    /// ```
    pub fn with_timeout(&self, timeout: Duration) -> Database {
        Database { transport: self.transport.clone(), timeout: Some(timeout) }
    }

    /// Prepares a statement. Nothing is sent or checked yet.
    pub fn prepare(&self, sql: impl Into<String>) -> D1PreparedStatement {
        self.on(Session::none()).prepare(sql)
    }

    /// Runs statements in order as one transaction: all of them take effect, or none.
    pub async fn batch(&self, statements: Vec<D1PreparedStatement>) -> Result<Vec<D1Result>, Error> {
        self.on(Session::none()).batch(statements).await
    }

    /// Runs each line of `sql` as a statement, as D1's `exec` does.
    pub async fn exec(&self, sql: &str) -> Result<D1ExecResult, Error> {
        let session = self.on(Session::none());
        let lines = sql.trim().split('\n').map(|line| session.prepare(line)).collect();
        let results = session.batch(lines).await?;
        Ok(D1ExecResult { count: results.len(), duration: results.iter().map(|result| result.meta().duration).sum() })
    }

    /// The database file, as plain SQLite opens it.
    pub async fn dump(&self) -> Result<Vec<u8>, Error> {
        self.transport.dump().await
    }

    /// A session that begins at a bookmark or a constraint (by D1's names); `None` is `first-unconstrained`.
    pub fn with_session(&self, constraint_or_bookmark: Option<&str>) -> D1DatabaseSession {
        let start = constraint_or_bookmark.map(str::trim).filter(|text| !text.is_empty());
        self.on(Session::starting(start.unwrap_or(SessionConstraint::FirstUnconstrained.as_str())))
    }

    /// A session that begins at a constraint.
    pub fn with_session_constraint(&self, constraint: SessionConstraint) -> D1DatabaseSession {
        self.with_session(Some(constraint.as_str()))
    }

    /// A read-only session at a point of the past, as long as that state is kept.
    pub fn at(&self, point: Point) -> D1DatabaseSession {
        self.on(Session(Some(Rc::new(RefCell::new(SessionState { start: Start::Past(point), bookmark: None })))))
    }

    fn on(&self, session: Session) -> D1DatabaseSession {
        D1DatabaseSession { transport: self.transport.clone(), session, timeout: self.timeout }
    }
}

/// The bookmark or constraint that a session's next call carries; `None` outside sessions.
#[derive(Clone, Default)]
struct Session(Option<Rc<RefCell<SessionState>>>);

struct SessionState {
    start: Start,
    bookmark: Option<Rc<str>>,
}

enum Start {
    /// A bookmark or a constraint.
    Token(Rc<str>),
    Past(Point),
}

impl Session {
    fn none() -> Session {
        Session(None)
    }

    fn starting(start: &str) -> Session {
        Session(Some(Rc::new(RefCell::new(SessionState { start: Start::Token(start.into()), bookmark: None }))))
    }

    /// What the next call carries: the newest bookmark or the constraint, or else the point of the past.
    fn token(&self) -> (Option<Rc<str>>, Option<Point>) {
        let Some(state) = &self.0 else { return (None, None) };
        let state = state.borrow();
        match (&state.start, &state.bookmark) {
            (Start::Past(point), _) => (None, Some(*point)),
            (Start::Token(_), Some(bookmark)) => (Some(bookmark.clone()), None),
            (Start::Token(start), None) => (Some(start.clone()), None),
        }
    }

    fn advance(&self, bookmark: Rc<str>) {
        let Some(state) = &self.0 else { return };
        let mut state = state.borrow_mut();
        if state.bookmark.as_ref().is_none_or(|known| *known < bookmark) {
            state.bookmark = Some(bookmark);
        }
    }
}

/// A session: what it reads is never older than what it has seen.
#[derive(Clone)]
pub struct D1DatabaseSession {
    transport: Rc<dyn Transport>,
    session: Session,
    timeout: Option<Duration>,
}

impl D1DatabaseSession {
    /// Prepares a statement of this session.
    pub fn prepare(&self, sql: impl Into<String>) -> D1PreparedStatement {
        D1PreparedStatement { database: self.clone(), sql: sql.into(), params: Rc::default() }
    }

    /// Runs statements in order as one transaction.
    pub async fn batch(&self, statements: Vec<D1PreparedStatement>) -> Result<Vec<D1Result>, Error> {
        if statements.is_empty() {
            return Err(Error::Sql { message: "No SQL statements detected.".into(), code: Some(Code::NoStatement), place: None });
        }
        let call: Vec<_> = statements.iter().map(D1PreparedStatement::body).collect();
        result::batch(self.send(CallRef::Batch(&call)).await?)
    }

    /// The newest bookmark this session has seen; `None` before its first answer.
    pub fn get_bookmark(&self) -> Option<String> {
        self.session.0.as_ref().and_then(|state| state.borrow().bookmark.as_deref().map(String::from))
    }

    async fn send(&self, call: CallRef<'_>) -> Result<Response, Error> {
        let (session, at) = self.session.token();
        let body = serde_json::to_string(&CallsRequest { calls: [call] }).map_err(Error::encoding)?;
        let timeout_ms = self.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        let (bookmark, response) = result::parse(&self.transport.query(Request { body, session, at, timeout_ms }).await?)?;
        self.session.advance(bookmark.into());
        Ok(response)
    }
}

/// A statement with its parameters. Immutable: `bind` makes another.
#[derive(Clone)]
pub struct D1PreparedStatement {
    database: D1DatabaseSession,
    sql: String,
    params: Rc<[Value]>,
}

impl D1PreparedStatement {
    /// Binds all parameters, in order: a tuple, an array, a slice or a `Vec` of what serde can serialize.
    ///
    /// Integers bind as INTEGER, floats as REAL (not finite: NULL), booleans as 1 or 0, strings as TEXT, sequences of bytes as BLOB,
    /// `None` as NULL.
    pub fn bind(&self, params: impl Serialize) -> Result<D1PreparedStatement, Error> {
        Ok(D1PreparedStatement { params: parameters(params)?.into(), ..self.clone() })
    }

    /// The first row, or with `column` that column of it; `None` if there is no row.
    ///
    /// A `column` that the result does not have is [`Error::ColumnNotFound`].
    pub async fn first<T: DeserializeOwned>(&self, column: Option<&str>) -> Result<Option<T>, Error> {
        self.all().await?.first(column)
    }

    /// Runs the statement; its rows are in the result.
    pub async fn all(&self) -> Result<D1Result, Error> {
        if let Some(result) = self.answer_now() {
            return result;
        }
        result::single(self.database.send(CallRef::Statement(self.body())).await?)
    }

    fn answer_now(&self) -> Option<Result<D1Result, Error>> {
        let D1DatabaseSession { transport, session, .. } = &self.database;
        let (token, past) = session.token();
        if past.is_some() {
            return None;
        }
        let statement = StatementNow { sql: &self.sql, params: &self.params, session: token.as_deref() };
        Some(transport.answer_now(&statement)?.map(|(result, bookmark)| {
            session.advance(bookmark);
            result
        }))
    }

    /// Runs the statement. The same as [`D1PreparedStatement::all`], as in D1.
    pub async fn run(&self) -> Result<D1Result, Error> {
        self.all().await
    }

    /// The rows as sequences of columns, which keeps columns of one name apart.
    pub async fn raw<T: DeserializeOwned>(&self) -> Result<Vec<Vec<T>>, Error> {
        self.all().await?.raw()
    }

    fn body(&self) -> StatementRef<'_> {
        StatementRef { sql: &self.sql, params: &self.params }
    }
}
