//! The binding of a Rust Worker that answers reads in its own isolate.
//!
//! ```no_run
//! # async fn handler(request: worker::Request, env: worker::Env) -> Result<(), littoral::client::Error> {
//! let db = littoral::edge::open(&env, &request, "main")?;
//! let session = db.with_session(None);
//! let artists = session.prepare("SELECT name FROM artists WHERE id = ?").bind((1,))?.all().await?;
//! # Ok(()) }
//! ```
//!
//! The Worker binds the Littoral Worker's two Durable Object namespaces, by default as `DATABASES` and `REPLICAS`:
//!
//! ```toml
//! [[durable_objects.bindings]]
//! name = "DATABASES"
//! class_name = "Database"
//! script_name = "littoral"
//!
//! [[durable_objects.bindings]]
//! name = "REPLICAS"
//! class_name = "Replica"
//! script_name = "littoral"
//! ```
//!
//! The variables `REPLICATION` and `LIMITS` are this Worker's own.

use super::isolate::KeptReplica;
use super::route::{Reply, Route};
use crate::client::{D1Result, Database, Error, Request, ServiceBinding, StatementNow, Transport, lost};
use crate::runtime::time::now_ms;
use js_sys::{Array, Reflect, Uint8Array};
use littoral_engine::answer::{self as engine, Form};
use littoral_engine::session::Freshness;
use littoral_protocol::Bookmark;
use littoral_protocol::d1::{BlobFormat, PointBody};
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use worker::Env;

/// The names under which a Worker binds the Littoral Worker's namespaces.
#[derive(Clone, Copy, Debug)]
pub struct Namespaces<'a> {
    /// Of the class `Database`.
    pub databases: &'a str,
    /// Of the class `Replica`; where it is not bound, isolates follow the primary itself.
    pub replicas: &'a str,
}

impl Default for Namespaces<'_> {
    fn default() -> Self {
        Namespaces { databases: "DATABASES", replicas: "REPLICAS" }
    }
}

/// The database `name`, for one request.
pub fn open(env: &Env, request: &worker::Request, name: &str) -> Result<Database, Error> {
    open_in(env, request, Namespaces::default(), name)
}

/// The database `name` in namespaces that are bound under other names.
pub fn open_in(env: &Env, request: &worker::Request, namespaces: Namespaces<'_>, name: &str) -> Result<Database, Error> {
    let cf = Reflect::get(request.inner(), &"cf".into()).unwrap_or_default();
    let names = (namespaces.databases, namespaces.replicas);
    let primary = Database::from_namespace(env, namespaces.databases, name)?;
    match Route::find(env, names, name, &cf).map_err(lost)? {
        None => Ok(primary),
        Some(route) => {
            let kept = route.kept();
            let primary = route.primary().map_err(lost)?.into();
            Ok(Database::new(EdgeBinding(Rc::new(Inner { route, kept, primary: ServiceBinding::new(primary), told: RefCell::default() }))))
        }
    }
}

struct EdgeBinding(Rc<Inner>);

struct Inner {
    route: Rc<Route>,
    kept: KeptReplica,
    primary: ServiceBinding,
    /// The bookmark that was told last, and its text: a session brings it back with its next statement.
    told: RefCell<Option<(Bookmark, Rc<str>)>>,
}

impl Inner {
    fn freshness(&self, token: Option<&str>) -> Option<Freshness> {
        match &*self.told.borrow() {
            Some((bookmark, text)) if token == Some(&**text) => Some(Freshness::AtLeast(*bookmark)),
            _ => Freshness::of(token),
        }
    }

    fn text(&self, bookmark: Bookmark) -> Rc<str> {
        let mut told = self.told.borrow_mut();
        match &*told {
            Some((known, text)) if *known == bookmark => text.clone(),
            _ => told.insert((bookmark, bookmark.to_string().into())).1.clone(),
        }
    }
}

impl Transport for EdgeBinding {
    fn query(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<String, Error>>>> {
        let inner = self.0.clone();
        Box::pin(async move {
            let form = Form::Calls { blobs: BlobFormat::default() };
            let session = request.session.as_deref().map(String::from);
            let until_ms = request.timeout_ms.map(|timeout_ms| now_ms().saturating_add(timeout_ms));
            let at = request.at.map(PointBody::from);
            let request = Rc::new(engine::Request::new(form, request.body, session, at).until(until_ms));
            let near = match inner.route.answer(request.clone()).map_err(lost)? {
                Reply::Now(answer) => return Ok(answer.body),
                Reply::Later(answer) => answer.await,
                Reply::Primary => None,
            };
            let answer = match near {
                Some(answer) => answer,
                None => inner.route.ask_primary(&request).await.map_err(lost)?,
            };
            body(&answer.unchecked_into())
        })
    }

    fn answer_now(&self, statement: &StatementNow<'_>) -> Option<Result<(D1Result, Rc<str>), Error>> {
        let Inner { route, kept, .. } = &*self.0;
        let freshness = self.0.freshness(statement.session)?;
        let answer = route.answer_statement(kept, statement, freshness)?;
        Some(match answer {
            Ok((result, bookmark)) => Ok((result, self.0.text(bookmark))),
            Err(failure) => Err(Error::Sql { message: failure.to_string(), code: Some(failure.error.code()), place: None }),
        })
    }

    fn dump(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>>>> {
        self.0.primary.dump()
    }
}

fn body(answer: &Array) -> Result<String, Error> {
    let body = answer.get(0);
    match body.dyn_ref::<Uint8Array>() {
        Some(utf8) => String::from_utf8(utf8.to_vec()).map_err(Error::answer),
        None => body.as_string().ok_or_else(|| Error::answer("it is no text")),
    }
}
