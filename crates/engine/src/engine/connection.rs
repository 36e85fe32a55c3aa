//! One SQLite connection on a database file, configured as the VFS and D1 need it, running SQL texts.
//!
//! **Invariants**
//! 1. Statements of callers are compiled under the authorizer; only the constants in this folder are trusted. The two never share a
//!    compiled statement: callers' are kept here, the engine's own by rusqlite.
//! 2. A connection that met a store error is not used again (the engine opens another).
//!
//! **Not here:** transactions around calls (`engine`).

use super::RowEncoder;
use super::authorize::Authorizer;
use super::budget::Budget;
use super::causes::describe;
use super::configuration::{FLAGS, NEW_SCHEMA, configure};
use super::error::Error;
use super::limits::Limits;
use super::migration::Migration;
use super::parameters::numbers;
use super::room::{BESIDE, Place};
use super::rows::{RowValues, start};
use super::rows_written::{Known, RowsWritten};
use super::setup::Setup;
use super::text::{changes_rows, mentions_pragma};
use super::value::to_sqlite;
use crate::sqlite::changes::{Watcher, Watchers};
use crate::sqlite::progress::Progress;
use crate::sqlite::stack::take_too_deep;
use crate::sqlite::statement::{SqlText, Statement};
use crate::sqlite::{count_visits, functions, hide_programs};
use crate::vfs::DatabaseFile;
use littoral_protocol::sql::{Meta, Statement as Text};
use lru::LruCache;
use rusqlite::{CachedStatement, OpenFlags};
use std::cell::{Cell, OnceCell, RefCell};
use std::iter;
use std::num::NonZeroUsize;
use std::rc::{Rc, Weak};

/// Texts longer than this are not kept as prepared statements.
const CACHED_TEXT_BYTES: usize = 16_384;
/// How many objects have a name that is the platform's: the authorizer does not see what ALTER TABLE renames a table to.
const RESERVED_NAMES: &str = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_cf\\_%' ESCAPE '\\'";

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

/// A caller's statement, and what compiling it has told.
type Compiled = (Statement, Box<Known>);

/// What `release_caches` may see of a connection.
struct Shared {
    sqlite: Rc<rusqlite::Connection>,
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

/// An open connection. Statements hold the connection that they are of; the file goes last.
pub(super) struct Connection {
    shared: Rc<Shared>,
    /// Statements of callers, compiled, by their texts. One that runs is not among them.
    statements: RefCell<LruCache<Box<str>, Compiled>>,
    /// Rows that the statements of the running text visited.
    rows_read: Cell<u64>,
    file: DatabaseFile,
    pub(super) authorizer: Authorizer,
    rows_written: Rc<RowsWritten>,
    pub(super) watchers: Watchers,
    pub(super) budget: Rc<Budget>,
    /// What the running call is.
    pub(super) migration: Cell<Migration>,
    _progress: Progress,
    pub(super) limits: Limits,
    /// Bytes that the results of the running request may still have.
    pub(super) result_bytes_left: Cell<usize>,
    /// Where reads in turns share room for large results.
    pub(super) place: OnceCell<Place>,
    size_after: Cell<Option<u64>>,
    /// A statement has changed the size and nobody has measured it since.
    size_outdated: Cell<bool>,
    /// Where in the text that ran last the statement begins that ran last.
    pub(super) statement_offset: Cell<usize>,
}

/// What the connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// The primary's connection.
    Write,
    /// Reads a state that the primary has.
    Read,
    /// Reads beside the primary's connection or on a replica, and answers only what every connection answers alike.
    Alike,
}

impl Connection {
    pub(super) fn open(file: DatabaseFile, access: Access, setup: &Setup) -> Result<Connection, Error> {
        let limits = &setup.limits;
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
            | match access {
                Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
                Access::Read | Access::Alike => OpenFlags::SQLITE_OPEN_READ_ONLY,
            };
        let failed = |error: rusqlite::Error| describe(&error, &file);
        let budget = Budget::of(file.name());
        let mut sqlite = rusqlite::Connection::open_with_flags_and_vfs(file.name(), flags, file.vfs_name()).map_err(failed)?;
        configure(&mut sqlite, access, setup, file.has_scratch()).map_err(failed)?;
        count_visits(&sqlite);
        hide_programs(&sqlite);
        functions::install(&sqlite).and_then(|()| setup.install(&sqlite)).map_err(failed)?;
        let authorizer = Authorizer::new(&setup.profile, access == Access::Alike);
        let decide = authorizer.clone();
        sqlite.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| decide.decide(&context))).map_err(failed)?;
        let shared = Rc::new(Shared { sqlite: Rc::new(sqlite), busy: Cell::new(false) });
        OPEN.with_borrow_mut(|open| {
            open.retain(|connection| connection.strong_count() > 0);
            open.push(Rc::downgrade(&shared));
        });
        let rows_written: Rc<RowsWritten> = Rc::default();
        let watchers = Watchers::new(iter::once(rows_written.clone() as Rc<dyn Watcher>).chain(setup.watchers()));
        Ok(Connection {
            statements: RefCell::new(LruCache::new(NonZeroUsize::new(limits.cached_statements).unwrap_or(NonZeroUsize::MIN))),
            rows_read: Cell::new(0),
            file,
            authorizer,
            rows_written,
            watchers,
            _progress: budget.watch(&shared.sqlite),
            shared,
            budget,
            migration: Cell::default(),
            limits: limits.clone(),
            result_bytes_left: Cell::new(limits.result_bytes),
            place: OnceCell::new(),
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

    pub(super) fn sqlite(&self) -> &Rc<rusqlite::Connection> {
        &self.shared.sqlite
    }

    /// The byte of the text that ran last at which the statement begins that ran last: where an error happened.
    pub(super) fn statement_offset(&self) -> usize {
        self.statement_offset.get()
    }

    /// The rows that the statements of the text visited that ran last.
    pub(super) fn rows_read(&self) -> u64 {
        self.rows_read.get()
    }

    pub(super) fn in_transaction(&self) -> bool {
        !self.shared.sqlite.is_autocommit()
    }

    /// Whether the transaction could not be committed now, because of constraints that are checked at its end.
    pub(super) fn has_deferred_violations(&self) -> bool {
        crate::sqlite::has_deferred_violations(&self.shared.sqlite)
    }

    /// Makes a new call find every flag as the first one did: what a PRAGMA sets holds to the end of its call.
    pub(super) fn restore_flags(&self) -> Result<(), Error> {
        if self.authorizer.has_set_flags() {
            FLAGS.iter().try_for_each(|(_, restore)| self.control(restore))?;
            self.authorizer.forget_set_flags();
        }
        Ok(())
    }

    /// Runs one of the engine's own statements, which returns nothing.
    pub(super) fn control(&self, sql: &'static str) -> Result<(), Error> {
        self.trusted(sql, |statement| statement.raw_execute()).map(drop)
    }

    /// Runs one of the engine's own statements.
    pub(super) fn trusted<T>(
        &self,
        sql: &'static str,
        run: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let run = || self.shared.sqlite.prepare_cached(sql).and_then(|mut statement| run(&mut statement));
        self.authorizer.trusted(run).map_err(|error| self.describe(&error))
    }

    /// Reads the schema, all of it.
    pub(super) fn read_schema(&self) -> Result<(), Error> {
        self.trusted_int("SELECT count(*) FROM sqlite_schema").map(drop)
    }

    fn trusted_int(&self, sql: &'static str) -> Result<i64, Error> {
        self.trusted(sql, |statement| statement.query_row([], |row| row.get(0)))
    }

    /// Runs an SQL text of a call, maybe its last. It may hold several statements: the parameters belong to the last and so does the result.
    pub(super) fn run<E: RowEncoder>(&self, text: &Text, last: bool, options: E::Options) -> Result<Ran<E>, Error> {
        self.statement_offset.set(0);
        self.measured(&text.sql, last, || self.run_text::<E>(text, options))
    }

    /// Runs what has one result, which comes with whether it wrote nothing, and measures what it does.
    pub(super) fn measured<E: RowEncoder>(
        &self,
        sql: &str,
        last: bool,
        run: impl FnOnce() -> Result<(E, bool), Error>,
    ) -> Result<Ran<E>, Error> {
        let before = self.snapshot()?;
        self.rows_written.reset();
        self.rows_read.set(0);
        self.authorizer.take_analyzed();
        take_too_deep();
        let (encoder, read_only) = run()?;
        if self.authorizer.take_altered() && self.trusted_int(RESERVED_NAMES)? > 0 {
            return Err(Error::not_authorized());
        }
        if self.authorizer.take_analyzed() && self.file.has_changes() {
            NEW_SCHEMA.iter().try_for_each(|sql| self.control(sql))?;
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

    fn run_text<E: RowEncoder>(&self, text: &Text, options: E::Options) -> Result<(E, bool), Error> {
        let sql = text.sql.as_str();
        if sql.contains('\0') {
            // SQLite would stop reading there and never say so.
            return Err(Error::NulInText);
        }
        if sql.len() > self.limits.statement_bytes.max(0) as usize {
            // SQLite looks at one statement at a time.
            return Err(Error::statement_too_long());
        }
        self.authorizer.take_writes();
        let kept = self.statements.borrow_mut().pop_entry(sql);
        match kept {
            Some((kept, statement)) => self.run_whole(kept, statement, text, options),
            None => self.run_source(text, options),
        }
    }

    /// Runs a statement that is all of its text, and keeps it compiled.
    pub(super) fn run_whole<E: RowEncoder>(
        &self,
        sql: Box<str>,
        (mut statement, mut known): Compiled,
        text: &Text,
        options: E::Options,
    ) -> Result<(E, bool), Error> {
        let read_only = statement.is_read_only();
        let result = self.run_statement((&mut statement, &mut *known), text, options);
        // That it analyzes is seen when it is compiled.
        let keep = sql.len() <= CACHED_TEXT_BYTES && !statement.is_explain() && !self.authorizer.has_analyzed();
        if keep && self.limits.cached_statements > 0 {
            self.statements.borrow_mut().put(sql, (statement, known));
        }
        Ok((result?, read_only))
    }

    /// Compiles the first statement of a text.
    pub(super) fn compile_first(&self, sql: &str) -> Result<Statement, Error> {
        let compiled = self.compile(&SqlText::new(sql), sql, 0).map_err(|error| self.describe_caller(error))?;
        compiled.0.ok_or(Error::NoStatement)
    }

    pub(super) fn run_statement<E: RowEncoder>(
        &self,
        (statement, known): (&mut Statement, &mut Known),
        text: &Text,
        options: E::Options,
    ) -> Result<E, Error> {
        let named = numbers(statement, text)?;
        let encoder = self.counting((statement, known), |statement| {
            let named = named.into_iter().zip(text.named.iter().map(|(_, value)| value));
            for (number, value) in (1..).zip(&text.parameters).chain(named) {
                statement.bind(number, to_sqlite(value)).map_err(|error| self.describe_caller(error))?;
            }
            self.encode_rows(statement, options)
        });
        let encoder = encoder.map_err(|error| self.how_far(error))?;
        self.ran_well()?;
        Ok(encoder)
    }

    /// Ends a statement that SQLite calls done.
    pub(super) fn ran_well(&self) -> Result<(), Error> {
        if self.migration.get() != Migration::None {
            self.honour_foreign_keys()?;
        }
        self.no_swallowed_error()
    }

    fn encode_rows<E: RowEncoder>(&self, statement: &mut Statement, options: E::Options) -> Result<E, Error> {
        let mut encoder: Option<E> = None;
        while statement.step().map_err(|error| self.describe_caller(error))? {
            // Only now: SQLite compiles a statement anew at its first step if the schema changed, and it may get other columns.
            let columns = statement.column_count();
            let encoder = encoder.get_or_insert_with(|| start(statement, options));
            let bytes = encoder.row(&RowValues::new(statement, columns));
            statement.check_values().map_err(|error| self.describe_caller(error))?;
            let limit = self.limits.result_bytes;
            match self.result_bytes_left.get().checked_sub(bytes) {
                None => return Err(Error::ResultTooLarge { limit }),
                Some(left) if limit - left > limit / BESIDE => self.wait_for_room()?,
                Some(_) => {}
            }
            if encoder.is_full() {
                break;
            }
        }
        Ok(encoder.unwrap_or_else(|| start(statement, options)))
    }

    /// Runs a statement while its rows read and written are counted, and ends it.
    pub(super) fn counting<T>(
        &self,
        (statement, known): (&mut Statement, &mut Known),
        run: impl FnOnce(&mut Statement) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let is_read_only = statement.is_read_only();
        if !is_read_only || self.authorizer.has_set_flags() {
            self.budget.bind();
        }
        let changes_before = self.shared.sqlite.total_changes();
        let run = || self.budget.running(|| run(statement));
        let result = if is_read_only { run() } else { self.watchers.running(&self.shared.sqlite, run) };
        statement.reset();
        let writes = self.authorizer.take_writes();
        let result = match result {
            Ok(result) if !is_read_only => {
                let changes = self.shared.sqlite.total_changes() - changes_before;
                let count = || self.rows_written.count(&self.shared.sqlite, (statement, known), writes, changes);
                self.authorizer.trusted(count).map_err(|error| self.describe(&error)).map(|()| result)
            }
            Err(error) if !is_read_only => {
                self.rows_written.failed((statement, known), writes);
                Err(error)
            }
            result => result,
        };
        self.rows_read.set(self.rows_read.get() + statement.take_rows_visited());
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
        let pages = self.trusted_int("PRAGMA page_count")? - self.trusted_int("PRAGMA freelist_count")?;
        let size = pages as u64 * self.file.page_size().bytes() as u64;
        self.size_after.set(Some(size));
        self.size_outdated.set(false);
        Ok(size)
    }

    /// Forgets the size, and what was read of the schema, in a savepoint that is no more.
    pub(super) fn forget_measured(&self) {
        self.size_after.set(None);
        self.rows_written.rolled_back();
    }

    /// Forgets what was measured in a transaction that is no more. An error: SQLite could not read what the pages were, tells nobody, and has
    /// to be opened anew.
    pub(super) fn rolled_back(&self) -> Result<(), Error> {
        self.forget_measured();
        self.file.discard_uncommitted();
        self.no_swallowed_error()
    }

    fn meta(&self, sql: &str, before: &Before, read_only: bool) -> Result<Meta, Error> {
        let rows_read = self.rows_read.get();
        let changes = self.shared.sqlite.total_changes() - before.changes;
        let last_row_id = self.shared.sqlite.last_insert_rowid();
        // Measuring costs as much as an insert. Statements that change rows get their size from the commit; others that do not change the
        // schema leave it. SQLite calls `PRAGMA optimize` read-only, which may ANALYZE.
        let same_size = if read_only { !mentions_pragma(sql) } else { changes > 0 || changes_rows(sql) };
        let size_after = if same_size { before.size } else { self.measure_size()? };
        Ok(Meta {
            changes,
            last_row_id,
            changed_db: changes != 0 || last_row_id != before.last_row_id || size_after != before.size,
            size_after,
            rows_read,
            rows_written: self.rows_written.total(),
            ..Meta::default()
        })
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
