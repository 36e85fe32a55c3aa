//! The tables of the durable store, and the check that storage holds them and nothing else.
//!
//! **Invariant:** storage that this version cannot use is refused before anything is written to it.
//!
//! **Not here:** what the columns mean (`durable`).

use super::index::{decode_entries, encode_pages};
use super::row::{RowReader, read_state};
use super::sql::{Param, Sql, StoredValue};
use super::{LISTS_AT_ONCE, STATE_COLUMNS};
use crate::store::StoreError;
use littoral_protocol::{DatabaseId, PageSet};

/// The version of the tables. A change to a table is a new version, and code here that brings the old one forward.
const SCHEMA: u64 = 4;

/// What the names of tables begin with that SQLite, the runtime and its local simulator keep beside ours.
const PLATFORM: [&str; 3] = ["sqlite_", "_cf_", "__miniflare_"];

const FOLDS: &str = "CREATE TABLE folds (txid INTEGER PRIMARY KEY, number INTEGER NOT NULL, bytes INTEGER NOT NULL)";
const GARBAGE: &str = "CREATE TABLE garbage (number INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, \
                       pages TEXT NOT NULL, stage INTEGER)";
const SCRATCH: &str = "CREATE TABLE scratch (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)";
const FOLD_0: &str = "INSERT INTO folds (txid, number, bytes) VALUES (0, 0, 0)";

const NEW: [&str; 9] = [
    "CREATE TABLE littoral (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE commits (txid INTEGER PRIMARY KEY, page_size INTEGER NOT NULL, page_count INTEGER NOT NULL, \
     time_ms INTEGER NOT NULL, checksum BLOB NOT NULL, pages BLOB NOT NULL, frames BLOB)",
    "CREATE TABLE pages (id INTEGER PRIMARY KEY, pgno INTEGER NOT NULL, txid INTEGER NOT NULL, checksum BLOB NOT NULL, \
     image BLOB NOT NULL, delta INTEGER)",
    FOLDS,
    GARBAGE,
    SCRATCH,
    FOLD_0,
    "INSERT INTO littoral (key, value) VALUES ('oldest', 0), ('exact_from', 0), ('shrunk', 0)",
    "INSERT INTO littoral (key, value) VALUES ('schema', 4)",
];

/// From version 1: its log was whole from the oldest state on, and began with commit 1 until it was pruned.
const FROM_1: [&str; 10] = [
    "ALTER TABLE pages ADD COLUMN delta INTEGER",
    "ALTER TABLE folds RENAME TO folds_1",
    FOLDS,
    GARBAGE,
    SCRATCH,
    FOLD_0,
    "INSERT INTO folds (txid, number, bytes) SELECT txid, number, log_bytes FROM folds_1",
    "DROP TABLE folds_1",
    "INSERT INTO littoral (key, value) SELECT column1, (SELECT coalesce(min(txid) * (min(txid) > 1), 0) FROM commits) \
     FROM (VALUES ('oldest'), ('exact_from'), ('shrunk'))",
    "DELETE FROM folds WHERE txid < (SELECT value FROM littoral WHERE key = 'oldest')",
];

/// From version 2: nothing was staged, and there were no temporary files.
const FROM_2: [&str; 2] = ["ALTER TABLE garbage ADD COLUMN stage INTEGER", SCRATCH];

/// Creates the tables in empty storage; refuses storage of another version or of somebody else. Returns the database's id: a new one has
/// `given`, or one at random.
pub(super) fn open(sql: &impl Sql, given: DatabaseId) -> Result<DatabaseId, StoreError> {
    open_tables(sql)?;
    if let Some(id) = read_id(sql)? {
        return Ok(id);
    }
    if given == DatabaseId::NONE {
        sql.run("INSERT INTO littoral (key, value) VALUES ('id', lower(hex(randomblob(8))))", &[])?;
    } else {
        sql.run("INSERT INTO littoral (key, value) VALUES ('id', ?)", &[Param::Text(&given.to_string())])?;
    }
    read_id(sql)?.ok_or_else(|| StoreError::Corrupt { what: "the database's id cannot be read".into() })
}

fn read_id(sql: &impl Sql) -> Result<Option<DatabaseId>, StoreError> {
    let id = sql.rows("SELECT value FROM littoral WHERE key = 'id'", &[])?.into_iter().flatten().next().and_then(text);
    Ok(id.and_then(|id| u64::from_str_radix(&id, 16).ok()).map(DatabaseId))
}

fn open_tables(sql: &impl Sql) -> Result<(), StoreError> {
    let names = sql.rows("SELECT name FROM sqlite_schema WHERE type = 'table'", &[])?.into_iter().flatten().filter_map(text);
    let tables: Vec<String> = names.filter(|name| !PLATFORM.iter().any(|prefix| name.starts_with(prefix))).collect();
    if tables.is_empty() {
        return sql.transaction(&mut || run(sql, &NEW));
    }
    if !tables.iter().any(|name| name == "littoral") {
        let message = format!("it has tables that are not Littoral's ({}); nothing was changed", tables.join(", "));
        return Err(StoreError::Schema(message));
    }
    let version = sql.rows("SELECT value FROM littoral WHERE key = 'schema'", &[])?.into_iter().flatten().next();
    match version {
        Some(StoredValue::Int(SCHEMA)) => Ok(()),
        Some(StoredValue::Int(1)) => bring_forward(sql, || run(sql, &FROM_1).and_then(|()| name_pages_only(sql))),
        Some(StoredValue::Int(2)) => bring_forward(sql, || run(sql, &FROM_2).and_then(|()| name_pages_only(sql))),
        // Version 3 had no deltas in its log.
        Some(StoredValue::Int(3)) => bring_forward(sql, || Ok(())),
        Some(StoredValue::Int(newer)) if newer > SCHEMA => Err(StoreError::Schema(format!(
            "its schema is version {newer} and this Littoral knows versions up to {SCHEMA}: deploy a newer Littoral; nothing was changed"
        ))),
        other => Err(StoreError::Schema(format!("its schema version is unreadable ({other:?}); nothing was changed"))),
    }
}

/// Brings an older version forward, in one transaction.
fn bring_forward(sql: &impl Sql, change: impl Fn() -> Result<(), StoreError>) -> Result<(), StoreError> {
    sql.transaction(&mut || {
        change()?;
        sql.rows("UPDATE littoral SET value = ?1 WHERE key = 'schema'", &[Param::Int(SCHEMA)])?;
        Ok(())
    })
}

fn run(sql: &impl Sql, statements: &[&str]) -> Result<(), StoreError> {
    statements.iter().try_for_each(|statement| sql.run(statement, &[]).map_err(StoreError::from))
}

/// Lists of wide commits had an entry for each page, as those of the log have. A damaged one stays as it is: the state is lost either way,
/// and the others are not.
fn name_pages_only(sql: &impl Sql) -> Result<(), StoreError> {
    let lists =
        format!("SELECT txid, {STATE_COLUMNS}, pages FROM commits WHERE frames IS NULL AND txid > ?1 ORDER BY txid LIMIT {LISTS_AT_ONCE}");
    let mut last = 0;
    loop {
        let rows = sql.rows(&lists, &[Param::Int(last)])?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            let mut row = RowReader::new(row);
            last = row.int()?;
            let Ok(state) = read_state(&mut row) else { continue };
            let Ok(entries) = decode_entries(&state, &row.blob()?) else { continue };
            let pages: PageSet = entries.into_iter().map(|(pgno, _)| pgno).collect();
            let list = encode_pages(&state, &pages)?;
            sql.rows("UPDATE commits SET pages = ?2 WHERE txid = ?1", &[Param::Int(last), Param::Blob(&list)])?;
        }
    }
}

fn text(cell: StoredValue) -> Option<String> {
    match cell {
        StoredValue::Text(text) => Some(text),
        StoredValue::Null | StoredValue::Int(_) | StoredValue::Blob(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::durable::index::{encode_entry, seal};
    use crate::store::durable::{DurableStore, HostSql};
    use crate::store::{MemoryStore, PageStore};
    use littoral_protocol::{Checksum, Commit, Frame, PageSize, Pgno, State, Txid};
    use std::rc::Rc;

    /// Commits of one page and of a hundred, half of which are settled; the same in memory.
    fn stores() -> (Rc<HostSql>, MemoryStore) {
        let sql = Rc::new(HostSql::in_memory().unwrap());
        let (store, memory) = (DurableStore::open(sql.clone()).unwrap().with_step(1_000), MemoryStore::new());
        let mut sums = [Checksum::EMPTY; 101];
        for txid in 1..=30u32 {
            let written = if txid % 4 == 1 { 1..=100 } else { txid..=txid };
            let frame = |pgno: u32| Frame::new(Pgno(pgno), format!("{pgno} of {txid}").repeat(300).as_bytes()[..512].into());
            let frames: Vec<Frame> = written.map(frame).collect();
            frames.iter().for_each(|frame| sums[frame.pgno.0 as usize] = frame.checksum);
            let mut checksum = Checksum::EMPTY;
            sums.iter().for_each(|sum| checksum ^= *sum);
            let page_size = PageSize::new(512).unwrap();
            let state = State { txid: Txid(txid.into()), page_size, page_count: 100, time_ms: u64::from(txid) * 500, checksum };
            let commit = Commit { state, frames };
            store.append(&commit).unwrap();
            memory.append(&commit).unwrap();
        }
        while store.thin(Txid(15), 1_000, &[].into()).unwrap() {}
        (sql, memory)
    }

    /// Writes the lists of wide commits as versions 1 and 2 had them.
    fn with_entries_for_all(sql: &HostSql) {
        let rows = format!("SELECT txid, {STATE_COLUMNS}, pages FROM commits WHERE frames IS NULL");
        for row in sql.rows(&rows, &[]).unwrap() {
            let mut row = RowReader::new(row);
            let (txid, state, list) = (row.int().unwrap(), read_state(&mut row).unwrap(), row.blob().unwrap());
            let mut entries = Vec::new();
            for pgno in crate::store::durable::index::decode_pages(&state, &list).unwrap().iter() {
                // Neither the length nor the checksum is used any more.
                encode_entry(&mut entries, pgno, 100, false, Checksum(7));
            }
            seal(&mut entries, &state);
            sql.rows("UPDATE commits SET pages = ?2 WHERE txid = ?1", &[Param::Int(txid), Param::Blob(&entries)]).unwrap();
        }
    }

    const TO_2: &str = "DROP TABLE scratch; ALTER TABLE garbage DROP COLUMN stage; UPDATE littoral SET value = 2 WHERE key = 'schema'";
    const TO_1: &str = "CREATE TABLE folds_1 (number INTEGER PRIMARY KEY, txid INTEGER NOT NULL, log_bytes INTEGER NOT NULL); \
                        INSERT INTO folds_1 SELECT number, txid, bytes FROM folds WHERE number > 0; DROP TABLE folds; \
                        ALTER TABLE folds_1 RENAME TO folds; DROP TABLE garbage; DROP TABLE scratch; DELETE FROM littoral WHERE key NOT IN ('schema', 'id'); \
                        UPDATE littoral SET value = 1 WHERE key = 'schema'";

    fn assert_equal(store: &dyn PageStore, memory: &MemoryStore, from: u64) {
        assert_eq!(store.head(), memory.head());
        let (mut found, mut expected) = ([0; 512], [0; 512]);
        for txid in (from..=30).map(Txid).filter(|txid| store.resolve(*txid) == Ok(*txid)) {
            for pgno in (1..=100).map(Pgno) {
                store.read_page(pgno, txid, &mut found).unwrap();
                memory.read_page(pgno, txid, &mut expected).unwrap();
                assert!(found == expected, "page {pgno} at {txid}");
            }
        }
        let whole = store.exact_from();
        assert_eq!(store.log_after(whole, usize::MAX), memory.log_after(whole, usize::MAX));
        let from = whole.max(Txid(20));
        assert_eq!(store.written_between(from, Txid(30)), memory.written_between(from, Txid(30)));
    }

    #[test]
    fn version_3_is_brought_forward() {
        let (sql, memory) = stores();
        sql.connection().execute_batch("UPDATE littoral SET value = 3 WHERE key = 'schema'").unwrap();
        assert_equal(&DurableStore::open(sql.clone()).unwrap(), &memory, 1);
        assert_eq!(sql.rows("SELECT value FROM littoral WHERE key = 'schema'", &[]), Ok(vec![vec![StoredValue::Int(SCHEMA)]]));
    }

    #[test]
    fn version_2_is_brought_forward() {
        let (sql, memory) = stores();
        with_entries_for_all(&sql);
        sql.connection().execute_batch(TO_2).unwrap();
        let store = DurableStore::open(sql.clone()).unwrap();
        assert_equal(&store, &memory, 1);
        // What was settled is thinned and pruned as ever.
        while store.thin(Txid(25), 5_000, &[].into()).unwrap() || store.prune(Txid(12)).unwrap() {}
        assert_equal(&store, &memory, 12);
        assert_equal(&DurableStore::open(sql).unwrap(), &memory, 12);
    }

    #[test]
    fn version_1_is_brought_forward() {
        let (sql, memory) = stores();
        // It had no settled states: those before the exact ones are pruned.
        let store = DurableStore::open(sql.clone()).unwrap();
        let exact = store.exact_from();
        while store.prune(exact).unwrap() {}
        with_entries_for_all(&sql);
        sql.connection().execute_batch(TO_1).unwrap();
        sql.connection().execute_batch("ALTER TABLE pages DROP COLUMN delta").unwrap();
        let store = DurableStore::open(sql).unwrap();
        assert_eq!((store.oldest(), store.exact_from()), (exact, exact));
        assert_equal(&store, &memory, exact.0);
    }

    #[test]
    fn a_damaged_list_of_version_2_stays_damaged_and_the_rest_is_brought_forward() {
        let (sql, memory) = stores();
        with_entries_for_all(&sql);
        sql.connection().execute_batch(TO_2).unwrap();
        let wide = "(SELECT max(txid) FROM commits WHERE frames IS NULL AND txid < 28)";
        sql.connection().execute_batch(&format!("UPDATE commits SET pages = CAST(x'00' || pages AS BLOB) WHERE txid = {wide}")).unwrap();
        let store = DurableStore::open(sql).unwrap();
        assert_eq!(store.head(), memory.head());
        assert!(matches!(store.written_between(Txid(20), Txid(30)), Err(StoreError::Corrupt { .. })));
        assert_eq!(store.written_between(Txid(28), Txid(30)), memory.written_between(Txid(28), Txid(30)));
    }
}
