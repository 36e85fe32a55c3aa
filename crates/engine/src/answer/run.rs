//! Requests run and answered, whatever their protocol: from an [`Engine`] or, where they only read, from a [`Reader`].
//!
//! Requests that wait together are answered together: the engine lets their calls share a commit.
//!
//! **Invariants**
//! 1. Every request is answered with what its client understands, whatever came in.
//! 2. A bookmark answered names a state at least as new as everything in the answer.
//!
//! **Not here:** what a request asks for (`request`), and how an answer looks (`d1`, `rest`, `json`).

use super::json::{Format, JsonResult};
use super::request::{Exported, Form, Parsed, Request};
use super::{d1, rest};
use crate::branch::Promotion;
use crate::engine::{Bytes, CallResult, Engine, Error, Failure, GiveWay, Invocation, Lease, Reader, Snapshot};
use crate::fetch::Fetcher;
use crate::session::Freshness;
use crate::store::{PageStore, Rewrite, is_database_file};
use littoral_protocol::d1::responses;
use littoral_protocol::sql::{Code, Point, Served};
use std::cell::Cell;
use std::rc::Rc;

/// What a session's token is refused with that has no known form.
const INVALID_TOKEN: &str = "invalid bookmark or constraint: expected 8-8-8-32 hexadecimal digits, first-primary or first-unconstrained";

/// What is sent back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// JSON.
    pub body: String,
    /// The state that was read or made; `None` where nothing succeeded. Sessions get it in the header `x-cf-d1-session-commit-token`.
    pub bookmark: Option<String>,
}

impl Answer {
    /// The answer to a request of which nothing was done.
    pub fn refusing(request: &Request, message: &impl std::fmt::Display, code: Code) -> Answer {
        Answer { body: request.form().refuse(message, code), bookmark: None }
    }

    /// The answer to a request that nobody waits for any more, and of which nothing was done.
    pub fn timed_out(request: &Request) -> Answer {
        Answer::refusing(request, &Error::TimedOut, Error::TimedOut.code())
    }
}

/// What a request came to where others wait for it.
#[derive(Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It is answered.
    Answered(Answer),
    /// It reads for long, and nothing of it was done: [`reader_for`] and [`answer_long`] are to answer it.
    LongRead,
    /// It writes for long, and nothing of it was done: [`Engine::lease`] and [`answer_long_write`] are to answer it.
    LongWrite,
    /// It needs the write connection, which is leased, and nothing of it was done.
    HeldUp,
}

impl Attempt {
    /// The answer, if this is one.
    fn into_answer(self) -> Option<Answer> {
        if let Attempt::Answered(answer) = self { Some(answer) } else { None }
    }
}

/// Answers one request, however long it takes.
pub fn answer(database: &mut Engine, request: Request) -> Answer {
    match answer_together(database, std::slice::from_ref(&request)).pop() {
        Some(Attempt::Answered(answer)) => answer,
        Some(Attempt::LongRead) => match reader_for(database, &request) {
            Ok(reader) => answer_long(&request, &reader),
            Err(refused) => refused,
        },
        Some(Attempt::LongWrite) => match database.lease() {
            Ok(lease) => {
                let answer = answer_long_write(&request, &lease, database.now_ms(), Rc::new(|| Ok(())));
                database.take_back(lease);
                answer
            }
            Err(error) => Answer::refusing(&request, &error, error.code()),
        },
        Some(Attempt::HeldUp) => Answer::refusing(&request, &Error::HeldUp, Error::HeldUp.code()),
        None => Answer { body: String::new(), bookmark: None },
    }
}

/// Answers a request of many calls.
pub fn answer_calls(database: &mut Engine, body: &str) -> String {
    answer(database, Request::calls(body)).body
}

/// Answers requests that waited together, in order.
///
/// The answer to a request of many calls may hold fewer responses than it has calls, but at least one, if they would be too large
/// together, or if one of them reads for long: calls without a response have not run, and the client sends them again.
pub fn answer_together(database: &mut Engine, requests: &[Request]) -> Vec<Attempt> {
    let admitted: Vec<Result<&Parsed, Answer>> = requests.iter().map(|request| admit(request, database)).collect();
    let mut answers = Vec::with_capacity(requests.len());
    while answers.len() < requests.len() {
        let waiting = || requests.iter().zip(&admitted).skip(answers.len());
        let now_ms = database.now_ms();
        let calls: Vec<Invocation<'_, Format>> = waiting()
            .filter_map(|(request, asked)| Some((request, asked.as_ref().ok()?)))
            .flat_map(|(request, asked)| present_calls(asked, request.kiloinstructions(now_ms)))
            .collect();
        let mut results = database.run_briefly::<JsonResult>(&calls).into_iter();
        let bookmark = database.state().bookmark().to_string();
        let more: Vec<Attempt> = waiting()
            .map_while(|(request, asked)| match asked {
                Err(Answer { body, bookmark }) => Some(Attempt::Answered(Answer { body: body.clone(), bookmark: bookmark.clone() })),
                Ok(_) if matches!(request.form(), Form::Restore | Form::Import | Form::Promote) => Some(Attempt::LongWrite),
                Ok(Parsed { export: Some(_), .. } | Parsed { diff: Some(_), .. }) => Some(Attempt::LongRead),
                Ok(asked @ Parsed { point: Some(point), .. }) => Some(answer_past(database, request, asked, *point)),
                Ok(asked) => answer_with(request, asked, &mut results, &bookmark),
            })
            .collect();
        answers.extend(more);
    }
    answers
}

/// Refuses what cannot be understood, what nobody waits for any more, and a session that names no state of this database. The primary has
/// every state, so it only has to exist.
fn admit<'a>(request: &'a Request, database: &Engine) -> Result<&'a Parsed, Answer> {
    let parsed = request.parsed().map_err(|refused| Answer { body: refused.clone(), bookmark: None })?;
    match request.freshness() {
        _ if request.is_late(database.now_ms()) => Err(Answer::timed_out(request)),
        None => Err(Answer::refusing(request, &INVALID_TOKEN, Code::BookmarkInvalid)),
        Some(Freshness::AtLeast(bookmark)) if bookmark.txid > database.state().txid => {
            let error = Error::UnknownBookmark { bookmark, newest: database.state().bookmark() };
            Err(Answer::refusing(request, &error, error.code()))
        }
        Some(_) => Ok(parsed),
    }
}

/// The calls that run on the present state.
fn present_calls(asked: &Parsed, kiloinstructions: Option<u64>) -> impl Iterator<Item = Invocation<'_, Format>> {
    let is_present = asked.point.is_none() && asked.export.is_none();
    asked.calls.iter().filter(move |_| is_present).map(move |call| Invocation { call, options: asked.format, kiloinstructions })
}

/// Answers from a connection that only reads, or says why it cannot be: a statement writes, or fails. Whoever can write decides then.
pub fn answer_from(request: &Request, reader: &Reader, served: Served) -> Result<Answer, Failure> {
    let asked = request.parsed().map_err(|_| Error::NoStatement)?;
    if asked.export.is_some() || matches!(request.form(), Form::Restore | Form::Import | Form::Diff | Form::Promote) {
        return Err(Error::NoStatement.into());
    }
    let results = reader.run_with::<JsonResult>(&asked.calls, Format { served, ..asked.format });
    // The primary would stop a call that runs too long, too, and take as long for it.
    let is_for_primary = |failure: &&Failure| !matches!(failure.error, Error::RanTooLong { .. });
    if let Some(failed) = results.iter().filter_map(|result| result.as_ref().err()).find(is_for_primary) {
        return Err(failed.clone());
    }
    let bookmark = reader.state().bookmark().to_string();
    let answer = answer_with(request, asked, &mut results.into_iter(), &bookmark).and_then(Attempt::into_answer);
    answer.ok_or_else(|| Error::NoStatement.into())
}

/// A connection of its own for a request that reads for long. The error is an answer.
pub fn reader_for(database: &mut Engine, request: &Request) -> Result<Snapshot, Answer> {
    let (point, from) = request.parsed().map_or((None, None), |asked| (asked.point, asked.diff.as_ref().map(|(from, _)| *from)));
    let reader = database.reader(point).and_then(|reader| match from {
        Some(from) => database.reader(Some(from)).and_then(|before| reader.with_beside(before)),
        None => Ok(reader),
    });
    reader.map_err(|error| Answer::refusing(request, &error, error.code()))
}

/// Answers a request that reads for long, for as long as it takes, once others have had their turn. Of many calls the first has a response:
/// those after it may write.
pub fn answer_long(request: &Request, reader: &Snapshot) -> Answer {
    let asked = match request.parsed() {
        Ok(asked) => asked,
        Err(refused) => return Answer { body: refused.clone(), bookmark: None },
    };
    if let Err(error) = reader.give_way() {
        return Answer::refusing(request, &error, error.code());
    }
    if let Some((_, options)) = &asked.diff {
        return rest::diffed(reader, options);
    }
    let bookmark = reader.state().bookmark().to_string();
    let answer = match &asked.export {
        Some(Exported::Whole(options)) => d1::exported(request, reader, options, &bookmark),
        Some(Exported::Part(part)) => rest::exported(asked.point, reader, part),
        None => {
            let first = asked.calls.get(..1).unwrap_or_default();
            let mut results = reader.run_with::<JsonResult>(first, asked.format).into_iter();
            let answer = answer_with(request, asked, &mut results, &bookmark).and_then(Attempt::into_answer);
            answer.unwrap_or_else(|| no_statement(request))
        }
    };
    if request.form() == Form::Export { answer } else { outside_sessions(asked, answer) }
}

/// Answers a request that writes for long, for as long as it takes, while others have their turn again and again. Of many calls the first has a
/// response.
pub fn answer_long_write(request: &Request, lease: &Lease, now_ms: u64, give_way: GiveWay) -> Answer {
    let asked = match request.parsed() {
        Ok(asked) => asked,
        Err(refused) => return Answer { body: refused.clone(), bookmark: None },
    };
    if let (Form::Restore, Some(point)) = (request.form(), asked.point) {
        return rest::restored("restored", lease.restore(point, now_ms, &give_way));
    }
    let Some(call) = present_calls(asked, request.kiloinstructions(now_ms)).next() else {
        return no_statement(request);
    };
    let result = lease.run::<JsonResult>(call, give_way);
    let bookmark = lease.state().bookmark().to_string();
    let answer = answer_with(request, asked, &mut std::iter::once(result), &bookmark).and_then(Attempt::into_answer);
    answer.unwrap_or_else(|| no_statement(request))
}

/// Answers an import of SQL text or of a database file, for as long as it takes, while others have their turn again and again. `statements` counts.
pub fn answer_import(lease: &Lease, bytes: Bytes<'_>, now_ms: u64, give_way: GiveWay, statements: Rc<Cell<u64>>) -> Answer {
    let first = match bytes() {
        Ok(first) => first,
        Err(error) => return rest::imported(Err(error.into())),
    };
    let is_file = first.as_deref().is_some_and(is_database_file);
    let mut first = first;
    let mut all = || first.take().map_or_else(&mut *bytes, |first| Ok(Some(first)));
    if is_file {
        return rest::loaded(lease.load(&mut all, now_ms, &give_way), lease.state().size_bytes());
    }
    rest::imported(lease.import(&mut all, give_way, statements))
}

/// Answers a request to promote a branch, which `fetcher` leads to.
pub fn answer_promotion(request: &Request, lease: &Lease, fetcher: Rc<dyn Fetcher>, now_ms: u64, give_way: &GiveWay) -> Answer {
    let begin = |store: &Rc<dyn PageStore>| {
        let (base, branch) = request.promotion().ok_or(Error::NoStatement)?;
        let newest = store.head().bookmark();
        if newest != base {
            return Err(Error::Moved { base, newest });
        }
        Ok(Box::new(Promotion::new(store.clone(), fetcher, branch)?) as Box<dyn Rewrite>)
    };
    rest::restored("promoted", lease.rewrite(begin, now_ms, give_way))
}

fn no_statement(request: &Request) -> Answer {
    Answer::refusing(request, &Error::NoStatement, Error::NoStatement.code())
}

/// The answer, made of the next results. `None`: there were none left for it.
fn answer_with(
    request: &Request,
    asked: &Parsed,
    results: &mut impl Iterator<Item = CallResult<JsonResult>>,
    bookmark: &str,
) -> Option<Attempt> {
    let elsewhere = |result: &CallResult<JsonResult>| match result.as_ref().err()?.error {
        Error::LongRead => Some(Attempt::LongRead),
        Error::LongWrite => Some(Attempt::LongWrite),
        Error::HeldUp => Some(Attempt::HeldUp),
        _ => None,
    };
    let answered = |answers: &[String]| Attempt::Answered(Answer { body: responses(bookmark, answers), bookmark: Some(bookmark.into()) });
    match request.form() {
        form @ (Form::D1 { .. } | Form::Rest { .. }) => {
            let result = results.next()?;
            if let Some(attempt) = elsewhere(&result) {
                return Some(attempt);
            }
            let bookmark = result.is_ok().then(|| bookmark.into());
            let is_rest = matches!(form, Form::Rest { .. });
            let body = if is_rest { rest::results(result) } else { d1::results(result, asked.batches == [true]) };
            Some(Attempt::Answered(Answer { body, bookmark }))
        }
        Form::Calls { .. } => {
            let mut answers = Vec::with_capacity(asked.calls.len());
            for (batch, result) in asked.batches.iter().zip(results) {
                if let Some(attempt) = elsewhere(&result) {
                    // The client sends it again, with those after it.
                    return Some(if answers.is_empty() { attempt } else { answered(&answers) });
                }
                answers.push(d1::results(result, *batch));
            }
            (asked.calls.is_empty() || !answers.is_empty()).then(|| answered(&answers))
        }
        Form::Restore | Form::Export | Form::Import | Form::Diff | Form::Promote => None,
    }
}

fn answer_past(database: &mut Engine, request: &Request, asked: &Parsed, point: Point) -> Attempt {
    let snapshot = match database.at(point) {
        Ok(snapshot) => snapshot,
        Err(error) => return Attempt::Answered(Answer::refusing(request, &error, error.code())),
    };
    let mut results = snapshot.run_briefly::<JsonResult>(&asked.calls, asked.format).into_iter();
    let bookmark = snapshot.state().bookmark().to_string();
    match answer_with(request, asked, &mut results, &bookmark) {
        Some(Attempt::Answered(answer)) => Attempt::Answered(outside_sessions(asked, answer)),
        Some(elsewhere) => elsewhere,
        None => Attempt::Answered(Answer { body: String::new(), bookmark: None }),
    }
}

/// A session does not go on from the past.
fn outside_sessions(asked: &Parsed, answer: Answer) -> Answer {
    Answer { bookmark: answer.bookmark.filter(|_| asked.point.is_none()), ..answer }
}
