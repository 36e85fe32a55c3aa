//! One SQLite connection on a database file, configured as the VFS and D1 need it, running SQL texts.
//!
//! **Invariants**
//! 1. Statements of callers are compiled under the authorizer; only the constants in this folder are trusted. The two never share a
//!    prepared statement, since trusted texts begin with a mark.
//! 2. A connection that met a store error is not used again (the engine opens another).
//!
//! **Not here:** transactions around calls (`engine`).

use super::authorize::Authorizer;
use super::error::Error;
use super::limits::Limits;
use super::rows_written::RowsWritten;
use super::value::Value;
use super::{Meta, RowEncoder, Statement as Text};
use crate::vfs::ffi::counters::Counters;
use crate::vfs::{DatabaseFile, VFS_NAME};
use fallible_iterator::FallibleIterator;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, OpenFlags, Row, Statement, ffi};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Texts longer than this are not kept as prepared statements.
const CACHED_TEXT_BYTES: usize = 16_384;
/// What the engine's own statements begin with. A caller's text that begins so is compiled afresh, under the authorizer.
const TRUSTED: &str = "/*littoral*/";
/// How many objects have a name that is the platform's: the authorizer does not see what ALTER TABLE renames a table to.
const RESERVED_NAMES: &str = "/*littoral*/SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_cf\\_%' ESCAPE '\\'";
/// How often the run-time limit is checked, in instructions.
const PROGRESS_INSTRUCTIONS: i32 = 1_000;

thread_local! {
    /// The connections of this isolate: they share one heap.
    static OPEN: RefCell<Vec<Weak<Shared>>> = const { RefCell::new(Vec::new()) };
}

/// Lets every connection of the isolate give back the pages that it does not need at the moment.
pub(super) fn release_caches() {
    let open: Vec<_> = OPEN.with_borrow(|open| open.iter().filter_map(Weak::upgrade).collect());
    for connection in open.iter().filter(|connection| !connection.busy.get()) {
        // What cannot be released is kept; whoever needs memory will say so.
        let _ = connection.sqlite.release_memory();
    }
}

/// What `release_caches` may see of a connection.
struct Shared {
    sqlite: rusqlite::Connection,
    /// A call is running on it, whose stack may be waiting for a page.
    busy: Cell<bool>,
}

/// Marks a connection as busy for as long as it lives.
pub(super) struct Busy<'a>(&'a Cell<bool>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// An open connection. Fields are in the order in which they must be dropped.
pub(super) struct Connection {
    shared: Rc<Shared>,
    counters: Box<Counters>,
    file: DatabaseFile,
    authorizer: Authorizer,
    rows_written: RowsWritten,
    /// Thousands of instructions that the running call may still use.
    budget: Arc<AtomicU64>,
    limits: Limits,
    /// Bytes that the results of the running request may still have.
    result_bytes_left: Cell<usize>,
    size_after: Cell<Option<u64>>,
    /// A statement has changed the size and nobody has measured it since.
    size_outdated: Cell<bool>,
    /// Where in the text that ran last the statement begins that ran last.
    statement_offset: Cell<usize>,
}

/// What the connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Write,
    Read,
}

impl Connection {
    pub(super) fn open(file: DatabaseFile, access: Access, limits: &Limits) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
            | match access {
                Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
                Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            };
        let failed = |error: rusqlite::Error| describe(&error, &file);
        let mut sqlite = rusqlite::Connection::open_with_flags_and_vfs(file.name(), flags, VFS_NAME).map_err(failed)?;
        configure(&mut sqlite, access, limits).map_err(failed)?;
        let counters = Counters::attach(&sqlite);
        let authorizer = Authorizer::default();
        let decide = authorizer.clone();
        sqlite.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| decide.decide(&context))).map_err(failed)?;
        let budget = Arc::new(AtomicU64::new(0));
        let left = budget.clone();
        let spend = move || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err();
        sqlite.progress_handler(PROGRESS_INSTRUCTIONS, Some(spend)).map_err(failed)?;
        let shared = Rc::new(Shared { sqlite, busy: Cell::new(false) });
        OPEN.with_borrow_mut(|open| {
            open.retain(|connection| connection.strong_count() > 0);
            open.push(Rc::downgrade(&shared));
        });
        Ok(Connection {
            shared,
            counters,
            file,
            authorizer,
            rows_written: RowsWritten::default(),
            budget,
            limits: limits.clone(),
            result_bytes_left: Cell::new(limits.result_bytes),
            size_after: Cell::new(None),
            size_outdated: Cell::new(false),
            statement_offset: Cell::new(0),
        })
    }

    /// Marks the connection as busy: its memory is not released meanwhile.
    pub(super) fn occupy(&self) -> Busy<'_> {
        self.shared.busy.set(true);
        Busy(&self.shared.busy)
    }

    pub(super) fn file(&self) -> &DatabaseFile {
        &self.file
    }

    /// The byte of the text that ran last at which the statement begins that ran last: where an error happened.
    pub(super) fn statement_offset(&self) -> usize {
        self.statement_offset.get()
    }

    pub(super) fn in_transaction(&self) -> bool {
        !self.shared.sqlite.is_autocommit()
    }

    /// Whether the transaction could not be committed now, because of constraints that are checked at its end.
    pub(super) fn has_deferred_violations(&self) -> bool {
        crate::vfs::ffi::has_deferred_violations(&self.shared.sqlite)
    }

    /// Gives the next call a full budget of instructions.
    pub(super) fn refill_budget(&self) {
        self.budget.store(self.limits.run_kiloinstructions, Ordering::Relaxed);
    }

    /// Gives the next request room for results of the full size.
    pub(super) fn refill_results(&self) {
        self.result_bytes_left.set(self.limits.result_bytes);
    }

    /// Whether earlier results of the request have taken some of the room.
    pub(super) fn has_results(&self) -> bool {
        self.result_bytes_left.get() < self.limits.result_bytes
    }

    /// Runs one of the engine's own statements, which returns nothing.
    pub(super) fn control(&self, sql: &'static str) -> Result<(), Error> {
        debug_assert!(sql.starts_with(TRUSTED));
        let run = || self.shared.sqlite.prepare_cached(sql).and_then(|mut statement| statement.raw_execute());
        self.authorizer.trusted(run).map(drop).map_err(|error| self.describe(&error, 0))
    }

    /// One integer from one of the engine's own statements.
    fn control_int(&self, sql: &'static str) -> Result<i64, Error> {
        debug_assert!(sql.starts_with(TRUSTED));
        let run = || self.shared.sqlite.prepare_cached(sql).and_then(|mut statement| statement.query_row([], |row| row.get(0)));
        self.authorizer.trusted(run).map_err(|error| self.describe(&error, 0))
    }

    /// The first column of one of the engine's own statements, as text.
    pub(super) fn control_texts(&self, sql: &'static str) -> Result<Vec<String>, Error> {
        debug_assert!(sql.starts_with(TRUSTED));
        let text = |row: &Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        let run = || {
            self.shared
                .sqlite
                .prepare_cached(sql)
                .and_then(|mut statement| statement.query_map([], text)?.collect::<rusqlite::Result<Vec<_>>>())
        };
        let values = self.authorizer.trusted(run).map_err(|error| self.describe(&error, 0))?;
        let texts = values.into_iter().map(|value| match value {
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Integer(number) => number.to_string(),
            other => format!("{other:?}"),
        });
        Ok(texts.collect())
    }

    /// Runs an SQL text of a call, maybe its last. It may hold several statements: the parameters belong to the last and so does the result.
    pub(super) fn run<E: RowEncoder>(&self, text: &Text, last: bool, options: E::Options) -> Result<Ran<E>, Error> {
        let Text { sql, parameters } = text;
        self.statement_offset.set(0);
        let before = self.snapshot()?;
        self.counters.reset();
        let (encoder, read_only) = self.run_text::<E>(sql, parameters, options)?;
        if self.authorizer.take_altered() && self.control_int(RESERVED_NAMES)? > 0 {
            return Err(Error::not_authorized());
        }
        let meta = self.meta(sql, &before, read_only)?;
        let taken = encoder.bytes();
        self.result_bytes_left.set(self.result_bytes_left.get().saturating_sub(taken));
        Ok(Ran { encoder, meta, last })
    }

    /// Ends the results of a call whose transaction has been committed.
    pub(super) fn finish<E: RowEncoder>(&self, call: Vec<Ran<E>>) -> Vec<E::Output> {
        let (txid, pages_fetched) = (self.file.state().txid, self.file.pages_fetched());
        let finish = |Ran { encoder, mut meta, last }: Ran<E>| {
            (meta.txid, meta.pages_fetched) = (txid, pages_fetched);
            if last {
                meta.size_after = self.file.size_in_use();
                self.size_after.set(Some(meta.size_after));
            }
            encoder.finish(&meta)
        };
        call.into_iter().map(finish).collect()
    }

    fn run_text<E: RowEncoder>(&self, sql: &str, parameters: &[Value], options: E::Options) -> Result<(E, bool), Error> {
        if sql.contains('\0') {
            // SQLite would stop reading there and never say so.
            return Err(Error::NulInText);
        }
        if sql.len() > CACHED_TEXT_BYTES || sql.trim_start().starts_with(TRUSTED) {
            return self.run_batch(sql, parameters, options);
        }
        self.authorizer.take_updates();
        let trimmed = sql.len() - sql.trim_start().len();
        match self.shared.sqlite.prepare_cached(sql) {
            Ok(mut statement) => {
                self.rows_written.remember(sql, self.authorizer.take_updates());
                if is_empty(&statement) {
                    return Err(Error::NoStatement);
                }
                let read_only = statement.readonly();
                Ok((self.run_statement(&mut statement, parameters, options)?, read_only))
            }
            Err(rusqlite::Error::MultipleStatement) => self.run_batch(sql, parameters, options),
            // The error may be in a later statement, which needs the ones before it.
            Err(_) if has_several_statements(sql) => self.run_batch(sql, parameters, options),
            Err(error) => Err(self.describe(&error, trimmed)),
        }
    }

    /// Runs several statements, each compiled after the one before it ran.
    fn run_batch<E: RowEncoder>(&self, sql: &str, parameters: &[Value], options: E::Options) -> Result<(E, bool), Error> {
        let mut batch = Batch::new(&self.shared.sqlite, sql);
        let mut next = batch.next().map_err(|error| self.describe(&error, 0))?;
        let mut read_only = true;
        let mut end = 0;
        while let Some(mut statement) = next {
            read_only &= statement.readonly();
            // Without parameters this is the statement's own text, from where the one before it ended.
            let text = statement.expanded_sql().unwrap_or_default();
            let begin = end + sql[end..].find(&text).unwrap_or(0);
            self.statement_offset.set(begin);
            end = (begin + text.len()).min(sql.len());
            self.rows_written.remember(sql, self.authorizer.take_updates());
            // Compiling the next statement tells whether this is the last; it may need this one's effect, so it is tried twice.
            let peeked = batch.next();
            match peeked {
                Ok(None) => return Ok((self.run_statement(&mut statement, parameters, options)?, read_only)),
                Ok(Some(following)) => {
                    self.run_leading(&mut statement)?;
                    next = Some(following);
                }
                Err(_) => {
                    self.run_leading(&mut statement)?;
                    self.statement_offset.set(end);
                    let blank = sql[end..].len() - sql[end..].trim_start().len();
                    next = batch.next().map_err(|error| without_blank(self.describe(&error, 0), blank))?;
                    if next.is_none() {
                        return Err(Error::NoStatement);
                    }
                }
            }
        }
        Err(Error::NoStatement)
    }

    /// Runs a statement that is not the last of its text: it takes no parameters and its rows are dropped.
    fn run_leading(&self, statement: &mut Statement<'_>) -> Result<(), Error> {
        if statement.parameter_count() > 0 {
            return Err(Error::ParametersNotLast);
        }
        let run = |statement: &mut Statement<'_>| {
            let mut rows = statement.raw_query();
            while rows.next()?.is_some() {}
            Ok(())
        };
        self.counting(statement, run).map_err(|error| self.describe(&error, 0))
    }

    fn run_statement<E: RowEncoder>(&self, statement: &mut Statement<'_>, parameters: &[Value], options: E::Options) -> Result<E, Error> {
        if statement.parameter_count() != parameters.len() {
            return Err(Error::ParameterCount);
        }
        for (index, parameter) in parameters.iter().enumerate() {
            statement.raw_bind_parameter(index + 1, parameter).map_err(|error| self.describe(&error, 0))?;
        }
        self.counting(statement, |statement| self.encode_rows(statement, options))
    }

    fn encode_rows<E: RowEncoder>(&self, statement: &mut Statement<'_>, options: E::Options) -> Result<E, Error> {
        let mut rows = statement.raw_query();
        let mut encoder: Option<E> = None;
        while let Some(row) = rows.next().map_err(|error| self.describe(&error, 0))? {
            // Only now: SQLite compiles a statement anew at its first step if the schema changed, and it may get other columns.
            let columns = row.as_ref().column_count();
            let bytes = encoder.get_or_insert_with(|| start(row.as_ref(), options)).row(&RowValues { row, columns });
            if bytes > self.result_bytes_left.get() {
                return Err(Error::ResultTooLarge { limit: self.limits.result_bytes });
            }
        }
        drop(rows);
        Ok(encoder.unwrap_or_else(|| start(statement, options)))
    }

    /// Runs a statement while its rows read and written are counted.
    fn counting<'s, T>(&self, statement: &mut Statement<'s>, run: impl FnOnce(&mut Statement<'s>) -> T) -> T {
        let result =
            if statement.readonly() { run(statement) } else { self.counters.count_changes(&self.shared.sqlite, || run(statement)) };
        self.counters.collect(statement);
        result
    }

    fn snapshot(&self) -> Result<Before, Error> {
        let size = match self.size_after.get() {
            Some(size) => size,
            None => self.measure_size()?,
        };
        Ok(Before { changes: self.shared.sqlite.total_changes(), last_row_id: self.shared.sqlite.last_insert_rowid(), size })
    }

    /// The bytes of the pages in use as this connection sees them, in a transaction too. Free pages do not count: D1's file gives them back.
    fn measure_size(&self) -> Result<u64, Error> {
        let pages = self.control_int("/*littoral*/PRAGMA page_count")? - self.control_int("/*littoral*/PRAGMA freelist_count")?;
        let size = pages as u64 * self.file.page_size().bytes() as u64;
        self.size_after.set(Some(size));
        self.size_outdated.set(false);
        Ok(size)
    }

    /// Forgets the size measured in a savepoint that is no more.
    pub(super) fn forget_size(&self) {
        self.size_after.set(None);
    }

    /// Forgets what was measured in a transaction that is no more.
    pub(super) fn rolled_back(&self) {
        self.forget_size();
        self.file.discard_uncommitted();
    }

    fn meta(&self, sql: &str, before: &Before, read_only: bool) -> Result<Meta, Error> {
        let rows_read = self.counters.rows_read();
        let changes = self.shared.sqlite.total_changes() - before.changes;
        let last_row_id = self.shared.sqlite.last_insert_rowid();
        let rows_written = if read_only {
            0
        } else {
            let tables = self.counters.tables();
            let count = || self.rows_written.count(&self.shared.sqlite, sql, changes, &tables);
            self.authorizer.trusted(count).map_err(|error| self.describe(&error, 0))?
        };
        // Measuring costs as much as an insert. Statements that change rows get their size from the commit; others that do not change the
        // schema leave it. SQLite calls `PRAGMA optimize` read-only, which may ANALYZE.
        let same_size = if read_only { !super::mentions_pragma(sql) } else { changes > 0 || changes_rows(sql) };
        let size_after = if same_size { before.size } else { self.measure_size()? };
        Ok(Meta {
            changes,
            last_row_id,
            changed_db: changes != 0 || last_row_id != before.last_row_id || size_after != before.size,
            size_after,
            rows_read,
            rows_written,
            ..Meta::default()
        })
    }

    /// The engine's error for SQLite's, with offsets counted from `trimmed` bytes into the text.
    fn describe(&self, error: &rusqlite::Error, trimmed: usize) -> Error {
        if self.authorizer.take_refused_transaction() {
            return Error::TransactionStatement;
        }
        let interrupted = error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted);
        if interrupted && self.budget.load(Ordering::Relaxed) == 0 {
            return Error::RanTooLong;
        }
        match describe(error, &self.file) {
            Error::Sqlite { message, code, offset } => Error::Sqlite { message, code, offset: offset.map(|offset| offset + trimmed) },
            other => other,
        }
    }
}

/// A statement that ran, its result not ended yet.
pub(super) struct Ran<E> {
    encoder: E,
    meta: Meta,
    /// The last of its call: its size is that after the commit.
    last: bool,
}

struct Before {
    changes: u64,
    last_row_id: i64,
    size: u64,
}

/// One row of a result.
pub struct RowValues<'a> {
    row: &'a Row<'a>,
    columns: usize,
}

impl RowValues<'_> {
    /// The values, in the order of the columns.
    pub fn values(&self) -> impl Iterator<Item = ValueRef<'_>> {
        (0..self.columns).map(|column| self.row.get_ref(column).unwrap_or(ValueRef::Null))
    }
}

fn configure(sqlite: &mut rusqlite::Connection, access: Access, limits: &Limits) -> rusqlite::Result<()> {
    sqlite.set_prepared_statement_cache_capacity(limits.cached_statements);
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    let cache_kib = limits.cache_bytes / 1024;
    let locking = if access == Access::Write { "EXCLUSIVE" } else { "NORMAL" };
    // Order matters: the locking mode has to be set before the first access.
    sqlite.execute_batch(&format!(
        "PRAGMA locking_mode = {locking}; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY; \
         PRAGMA foreign_keys = ON; PRAGMA cache_size = -{cache_kib}; PRAGMA hard_heap_limit = {}",
        limits.heap_bytes
    ))?;
    limits.apply(sqlite)
}

fn start<E: RowEncoder>(statement: &Statement<'_>, options: E::Options) -> E {
    let names: Vec<&str> = (0..statement.column_count()).map(|column| statement.column_name(column).unwrap_or_default()).collect();
    E::start(&names, options)
}

/// D1 counts the offset in a later statement of a text from the statement's first character that is not blank.
fn without_blank(error: Error, blank: usize) -> Error {
    match error {
        Error::Sqlite { message, code, offset } => {
            Error::Sqlite { message, code, offset: offset.map(|offset| offset.saturating_sub(blank)) }
        }
        other => other,
    }
}

/// Whether a text begins as statements do that change rows and not the schema.
fn changes_rows(sql: &str) -> bool {
    let word = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let one_statement = !has_several_statements(sql);
    one_statement && ["INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"].iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Whether nothing was compiled: an empty text or a comment.
fn is_empty(statement: &Statement<'_>) -> bool {
    statement.readonly() && statement.column_count() == 0 && statement.expanded_sql().is_none()
}

/// Whether a `;` is followed by more text. It may be inside a string or a trigger: this only decides whether to look closer.
fn has_several_statements(sql: &str) -> bool {
    sql.trim_end().trim_end_matches(';').contains(';')
}

/// SQLite's error in the engine's terms; the store's where the store failed underneath.
pub(super) fn describe(error: &rusqlite::Error, file: &DatabaseFile) -> Error {
    let code = error.sqlite_extended_error_code().unwrap_or(ffi::SQLITE_ERROR);
    if let Some(error) = file.take_error() {
        return Error::Store { error, code };
    }
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            Error::Sqlite { message: msg.clone(), code, offset: usize::try_from(*offset).ok() }
        }
        rusqlite::Error::SqliteFailure(_, Some(message)) => Error::Sqlite { message: message.clone(), code, offset: None },
        other => Error::Sqlite { message: other.to_string(), code, offset: None },
    }
}
