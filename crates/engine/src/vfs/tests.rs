//! SQLite on the VFS without the engine: what the engine does not let callers do, and what no caller should notice.
//!
//! Every test runs the same SQL on two database files of the VFS and on plain SQLite in memory, with a page cache of a few pages, so that
//! SQLite spills. One file keeps all of a transaction in memory; the other little, so that it stages what is more. The engine denies `VACUUM`, page sizes, auto-vacuum and savepoints; here they are all used.
//!
//! **Invariants**
//! 1. The pages of the newest state form a file that plain SQLite finds sound and equal to its own database.
//! 2. The state's page size and page count are those of the header in page 1, and its checksum is that of its pages.
//! 3. Rolled-back transactions leave no commit.
//! 4. Both files have the same states.
//!
//! **Not here:** limits and D1's behaviour (`engine`), faults of the storage (`tests/crash.rs`).

use super::DatabaseFile;
use crate::sqlite::file::VFS_NAME;
use crate::store::durable::HostSql;
use crate::store::{DurableStore, PageStore};
use littoral_protocol::{Checksum, Pgno};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use std::rc::Rc;

/// A database file of the VFS.
struct Ours {
    sqlite: Connection,
    file: DatabaseFile,
    store: Rc<dyn PageStore>,
}

/// The same SQL on the VFS and on plain SQLite.
struct Pair {
    roomy: Ours,
    tight: Ours,
    plain: Connection,
}

impl std::ops::Deref for Pair {
    type Target = Ours;

    fn deref(&self) -> &Ours {
        &self.roomy
    }
}

/// Bytes of uncommitted pages that stay in memory.
const ROOM: usize = 1 << 30;
const LITTLE: usize = 20_000;

const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_CREATE);
const PRAGMAS: &str = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = 10";
const CONTENT: &str = "SELECT * FROM t ORDER BY 1, 2";

impl Pair {
    fn new() -> Pair {
        Pair::with("")
    }

    /// `first` are PRAGMAs that an empty database takes.
    fn with(first: &str) -> Pair {
        Pair::with_budgets(first, [ROOM, LITTLE])
    }

    fn with_budgets(first: &str, budgets: [usize; 2]) -> Pair {
        let [roomy, tight] = budgets.map(Ours::new);
        let pair = Pair { roomy, tight, plain: Connection::open_in_memory().unwrap() };
        pair.both(first);
        pair
    }

    /// Runs a script on all; they succeed or fail alike.
    fn both(&self, sql: &str) {
        let plain = self.plain.execute_batch(sql);
        for Ours { sqlite, file, .. } in [&self.roomy, &self.tight] {
            let ours = sqlite.execute_batch(sql);
            assert_eq!(ours.as_ref().map_err(ToString::to_string), plain.as_ref().map_err(ToString::to_string), "{sql}");
            if sqlite.is_autocommit() {
                file.discard_uncommitted();
            }
        }
    }

    /// A table of `rows` rows, with an index: two pages or more for each ten rows.
    fn fill(&self, rows: u32) {
        self.both("CREATE TABLE t (id INTEGER PRIMARY KEY, v, w UNIQUE)");
        self.both(&format!(
            "WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < {rows}) \
             INSERT INTO t SELECT x, printf('%0500d', x * 7), printf('%080d', x * x % 1000003 * 10000 + x) FROM c"
        ));
    }

    fn pragma(&self, name: &str) -> Value {
        self.sqlite.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap()
    }

    /// Both connections see what plain SQLite does, in a transaction too.
    fn assert_seen(&self) {
        for ours in [&self.roomy, &self.tight] {
            assert_eq!(rows(&ours.sqlite), rows(&self.plain));
        }
    }

    /// Checks the invariants; returns the txid.
    fn assert_sound(&self) -> u64 {
        assert_eq!(self.tight.store.head(), self.roomy.store.head());
        self.tight.assert_sound(&self.plain);
        self.roomy.assert_sound(&self.plain)
    }
}

impl Ours {
    /// Uncommitted pages of so many bytes stay in memory.
    fn new(budget: usize) -> Ours {
        let store: Rc<dyn PageStore> = Rc::new(DurableStore::open(HostSql::in_memory().unwrap()).unwrap());
        let file = DatabaseFile::writer(store.clone(), Rc::new(|| 1), budget);
        let sqlite = Connection::open_with_flags_and_vfs(file.name(), FLAGS, VFS_NAME).unwrap();
        sqlite.execute_batch(PRAGMAS).unwrap();
        Ours { sqlite, file, store }
    }

    fn assert_sound(&self, plain: &Connection) -> u64 {
        assert_eq!(rows(&self.sqlite), rows(plain), "as this connection sees it");
        let state = self.store.head();
        let mut file = vec![0; state.size_bytes() as usize];
        let mut sum = Checksum::EMPTY;
        for (index, page) in file.chunks_exact_mut(state.page_size.bytes()).enumerate() {
            self.store.read_page(Pgno(index as u32 + 1), state.txid, page).unwrap();
            sum ^= Checksum::of_page(Pgno(index as u32 + 1), page);
        }
        assert_eq!(sum, state.checksum);
        if state.page_count > 0 {
            let word = |at: usize| u32::from_be_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]);
            let page_size = match word(16) >> 16 {
                1 => 65_536,
                bytes => bytes,
            };
            assert_eq!((page_size, word(28)), (state.page_size.as_u32(), state.page_count), "the header");
        }
        let reader = DatabaseFile::reader(Rc::new(self.store.clone()), state);
        let stored = Connection::open_with_flags_and_vfs(reader.name(), OpenFlags::SQLITE_OPEN_READ_ONLY, VFS_NAME).unwrap();
        assert_eq!(rows(&stored), rows(plain), "as a new connection sees it");
        let check: String = stored.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        let opened = plain_sqlite(&file);
        assert_eq!(rows(&opened), rows(plain), "as plain SQLite sees it");
        state.txid.0
    }
}

fn plain_sqlite(file: &[u8]) -> Connection {
    let mut opened = Connection::open_in_memory().unwrap();
    opened.deserialize_read_exact("main", file, file.len(), false).unwrap();
    opened
}

fn rows(connection: &Connection) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(CONTENT).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

const PAGE_SIZES: [u32; 8] = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

#[test]
fn every_page_size_works() {
    for bytes in PAGE_SIZES {
        let pair = Pair::with(&format!("PRAGMA page_size = {bytes}"));
        pair.fill(400);
        pair.both("UPDATE t SET v = v || 'x' WHERE id % 3 = 0; DELETE FROM t WHERE id % 5 = 0");
        pair.assert_sound();
        assert_eq!(pair.store.head().page_size.as_u32(), bytes);
    }
}

#[test]
fn vacuum_leaves_fewer_pages_and_the_same_rows() {
    for bytes in [512, 4096, 65_536] {
        let pair = Pair::with(&format!("PRAGMA page_size = {bytes}"));
        pair.fill(2_000);
        pair.both("DELETE FROM t WHERE id % 4 <> 0");
        let before = pair.store.head();
        pair.both("VACUUM");
        assert_eq!(pair.assert_sound(), before.txid.0 + 1);
        assert!(pair.store.head().page_count < before.page_count);
        pair.both("INSERT INTO t (v) VALUES ('after')");
        pair.assert_sound();
    }
}

#[test]
fn vacuum_changes_the_page_size() {
    for (from, to) in [(4096, 512), (512, 4096), (1024, 65_536), (65_536, 1024), (4096, 8192), (8192, 512)] {
        println!("{from} -> {to}");
        let pair = Pair::with_budgets(&format!("PRAGMA page_size = {from}"), [ROOM, ROOM]);
        pair.fill(333);
        pair.both(&format!("PRAGMA page_size = {to}; VACUUM"));
        pair.assert_sound();
        assert_eq!(pair.store.head().page_size.as_u32(), to);
        pair.both("INSERT INTO t (v) VALUES ('after'); UPDATE t SET v = v || 'y' WHERE id < 100");
        pair.assert_sound();
        pair.both(&format!("PRAGMA page_size = {from}; VACUUM; DELETE FROM t WHERE id < 50"));
        pair.assert_sound();
    }
}

#[test]
fn a_failed_vacuum_changes_nothing() {
    let pair = Pair::new();
    pair.fill(500);
    let before = pair.assert_sound();
    pair.both("BEGIN");
    for ours in [&pair.roomy, &pair.tight] {
        assert!(ours.sqlite.execute_batch("VACUUM").is_err());
    }
    pair.both("ROLLBACK");
    assert_eq!(pair.assert_sound(), before);
}

#[test]
fn auto_vacuum_cuts_the_file_at_each_commit() {
    for mode in ["FULL", "INCREMENTAL"] {
        let pair = Pair::with(&format!("PRAGMA auto_vacuum = {mode}"));
        pair.fill(1_000);
        let full = pair.store.head().page_count;
        pair.both("DELETE FROM t WHERE id > 200");
        pair.assert_sound();
        // One page a step.
        for connection in [&pair.sqlite, &pair.tight.sqlite, &pair.plain] {
            let mut vacuum = connection.prepare("PRAGMA incremental_vacuum").unwrap();
            let mut steps = vacuum.raw_query();
            while steps.next().unwrap().is_some() {}
        }
        pair.assert_sound();
        assert!(pair.store.head().page_count < full / 2, "{mode}");
        pair.both("BEGIN; DELETE FROM t WHERE id > 10");
        pair.both("ROLLBACK");
        pair.assert_sound();
        pair.both("PRAGMA auto_vacuum = NONE; VACUUM; INSERT INTO t (v) VALUES ('after')");
        pair.assert_sound();
    }
}

#[test]
fn a_rollback_after_a_spill_leaves_no_trace() {
    let pair = Pair::new();
    pair.fill(800);
    let before = pair.assert_sound();
    for body in ["UPDATE t SET v = 'gone' || v", "DELETE FROM t", "INSERT INTO t (v, w) SELECT v, w || 'b' FROM t", "DROP TABLE t"] {
        pair.both(&format!("BEGIN; {body}"));
        pair.both("ROLLBACK");
        assert_eq!(pair.assert_sound(), before, "{body}");
    }
    pair.both("UPDATE t SET v = 'kept' WHERE id % 2");
    assert_eq!(pair.assert_sound(), before + 1);
}

#[test]
fn savepoints_roll_back_after_a_spill() {
    let pair = Pair::new();
    pair.fill(800);
    let before = pair.assert_sound();
    pair.both("BEGIN; UPDATE t SET v = 'outer' || id; SAVEPOINT a; UPDATE t SET v = 'inner' || v; DELETE FROM t WHERE id % 2");
    pair.both("SAVEPOINT b; INSERT INTO t (v, w) SELECT v, w || 'b' FROM t");
    pair.assert_seen();
    pair.both("ROLLBACK TO b");
    pair.assert_seen();
    pair.both("ROLLBACK TO a; INSERT INTO t (v) VALUES ('after a'); RELEASE a");
    pair.both("COMMIT");
    assert_eq!(pair.assert_sound(), before + 1);
    pair.both("SAVEPOINT alone; DELETE FROM t; ROLLBACK TO alone; RELEASE alone");
    pair.assert_sound();
}

#[test]
fn a_statement_that_fails_after_a_spill_is_undone_alone() {
    let pair = Pair::new();
    pair.fill(800);
    let before = pair.assert_sound();
    // The last row violates the constraint, when most pages have been written already.
    let fails = "UPDATE t SET v = 'undone' || v, w = CASE WHEN id = 800 THEN (SELECT w FROM t WHERE id = 1) ELSE w || 'u' END";
    pair.both("BEGIN; UPDATE t SET v = 'kept' || v WHERE id % 3 = 0");
    pair.both(fails);
    pair.assert_seen();
    pair.both("COMMIT");
    assert_eq!(pair.assert_sound(), before + 1);
    pair.both(fails);
    assert_eq!(pair.assert_sound(), before + 1);
}

#[test]
fn readers_keep_their_state_while_the_writer_spills_and_commits() {
    let pair = Pair::with_budgets("", [LITTLE, ROOM]);
    pair.fill(500);
    let reader = DatabaseFile::reader(Rc::new(pair.store.clone()), pair.store.head());
    let connection = Connection::open_with_flags_and_vfs(reader.name(), OpenFlags::SQLITE_OPEN_READ_ONLY, VFS_NAME).unwrap();
    connection.execute_batch("PRAGMA cache_size = 1").unwrap();
    let expected = rows(&connection);
    pair.both("BEGIN; UPDATE t SET v = 'new' || v");
    assert_eq!(rows(&connection), expected);
    pair.both("COMMIT; VACUUM; DELETE FROM t WHERE id > 20");
    assert_eq!(rows(&connection), expected);
    assert_eq!(pair.sqlite.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 20);
}

#[test]
fn two_writers_of_two_stores_do_not_meet() {
    let (one, two) = (Pair::new(), Pair::with("PRAGMA page_size = 1024"));
    one.fill(100);
    two.fill(50);
    one.both("BEGIN; DELETE FROM t WHERE id > 10");
    two.both("UPDATE t SET v = 'two'");
    one.both("COMMIT");
    one.assert_sound();
    two.assert_sound();
    assert_eq!(one.pragma("page_size"), Value::Integer(4096));
}

#[test]
fn a_database_that_was_staged_keeps_its_page_size() {
    let ours = Ours::new(LITTLE);
    ours.sqlite.execute_batch("CREATE TABLE t (v, w); INSERT INTO t VALUES (zeroblob(100000), 1)").unwrap();
    let before = ours.store.head();
    assert!(ours.sqlite.execute_batch("PRAGMA page_size = 1024; VACUUM").is_err());
    ours.file.discard_uncommitted();
    let error = ours.file.take_error().unwrap().to_string();
    assert!(error.contains("keeps its page size"), "{error}");
    assert_eq!(ours.store.head(), before);
    assert!(ours.store.staged().is_empty());
}
