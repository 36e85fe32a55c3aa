//! Random transactions: the engine over the durable store and plain SQLite in memory are told the same, and must not differ.
//!
//! **Invariants** after every call: the same rows, the same count of changes and size, or the same error; after every run:
//! 1. The pages form a file that plain SQLite opens, finds sound, and that has equal content; the checksum is that of the pages.
//! 2. States remembered on the way are still read as they were, however often the log was folded, the store pruned or opened again.
//!
//! `PROPTEST_CASES=5000 cargo test --test model` runs more of them. The page cache has two pages, so that almost every transaction spills, or all
//! that the database has, so that what is read again was in it. Calls arrive alone or together.
//!
//! **Not here:** what SQLite answers by itself (`sqllogictest.rs`), `VACUUM` and page sizes, which the engine denies (`vfs::tests`).

mod common;

use common::branching::{Parent, bring_schema, fill, run_as_object, storage};
use common::{Fixture, assert_sound, noise, plain_message, plain_values, prune};
use littoral_engine::branch::BranchStore;
use littoral_engine::engine::{CallResult, Error, Limits, ResultSet};
use littoral_engine::store::DurableStore;
use littoral_engine::store::durable::HostSql;
use littoral_protocol::Txid;
use littoral_protocol::sql::{Call, Statement, Value};
use proptest::prelude::*;
use rusqlite::Connection;
use std::rc::Rc;

/// Something done to both.
#[derive(Clone, Debug)]
enum Step {
    Calls(Vec<Call>),
    Reopen,
    Prune,
    /// From now on it is a branch of what it was.
    Branch,
    /// A part of what a branch lacks comes in the background.
    Fill,
}

fn table() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["t0", "t1", "t2", "t3"])
}

fn column() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["k", "a", "b", "c"])
}

fn conflict() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["ABORT", "ABORT", "ABORT", "FAIL", "IGNORE", "REPLACE", "ROLLBACK"])
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        3 => (-5_i64..60).prop_map(Value::Integer),
        1 => (-5_i64..60).prop_map(|value| Value::Real(value as f64 / 4.0)),
        2 => (0_usize..600, 0_u8..9).prop_map(|(length, digit)| Value::Text(digit.to_string().repeat(length))),
        2 => (any::<u64>(), 0_usize..20_000).prop_map(|(seed, length)| Value::Blob(noise(seed, length))),
    ]
}

fn definition() -> impl Strategy<Value = String> {
    let kinds = vec![
        "(k INTEGER PRIMARY KEY, a, b TEXT, c BLOB)",
        "(k TEXT PRIMARY KEY, a, b, c) WITHOUT ROWID",
        "(k, a, b, c)",
        "(k INTEGER PRIMARY KEY AUTOINCREMENT, a UNIQUE, b NOT NULL DEFAULT 'b', c CHECK (length(c) < 9000))",
        "(k INTEGER PRIMARY KEY, a REFERENCES t0 (k) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, b, c)",
    ];
    prop_oneof![
        8 => (table(), prop::sample::select(kinds)).prop_map(|(table, kind)| format!("CREATE TABLE {table} {kind}")),
        1 => Just("CREATE VIRTUAL TABLE IF NOT EXISTS f USING fts5 (a, b)".into()),
        1 => Just("CREATE VIRTUAL TABLE IF NOT EXISTS r USING rtree (k, low, high)".into()),
        1 => table().prop_map(|table| format!("DROP TABLE {table}")),
        1 => (table(), column()).prop_map(|(table, column)| format!("ALTER TABLE {table} DROP COLUMN {column}")),
        1 => (table(), 0..3).prop_map(|(table, n)| format!("ALTER TABLE {table} ADD COLUMN x{n} DEFAULT 'added'")),
        1 => (table(), column(), column()).prop_map(|(table, from, to)| format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}")),
        1 => (table(), table()).prop_map(|(from, to)| format!("ALTER TABLE {from} RENAME TO {to}")),
        3 => (0..4, table(), column(), column()).prop_map(|(n, table, one, two)| format!("CREATE INDEX i{n} ON {table} ({one}, length({two}))")),
        2 => (0..4, table(), column()).prop_map(|(n, table, one)| format!("CREATE UNIQUE INDEX i{n} ON {table} ({one}) WHERE {one} > 3")),
        1 => (0..4).prop_map(|n| format!("DROP INDEX i{n}")),
        1 => (table(), table()).prop_map(|(on, to)| {
            format!("CREATE TRIGGER IF NOT EXISTS g AFTER DELETE ON {on} BEGIN INSERT INTO {to} (k, a) VALUES (old.k + 100, 'log'); END")
        }),
        1 => Just("DROP TRIGGER IF EXISTS g".into()),
        1 => table().prop_map(|table| format!("CREATE VIEW IF NOT EXISTS v AS SELECT a, count(*) AS n FROM {table} GROUP BY a")),
        1 => prop::sample::select(vec!["ANALYZE", "REINDEX", "PRAGMA optimize"]).prop_map(String::from),
    ]
}

fn change() -> impl Strategy<Value = Statement> {
    let plain = |sql: String| Statement::new(sql, vec![]);
    prop_oneof![
        5 => (table(), conflict(), prop::collection::vec(value(), 4)).prop_map(|(table, conflict, values)| {
            Statement::new(format!("INSERT OR {conflict} INTO {table} (k, a, b, c) VALUES (?, ?, ?, ?)"), values)
        }),
        // Many rows; some of them violate constraints after others went in.
        5 => (table(), conflict(), 0..50, 1..80, 1..7, 0..1_500).prop_map(move |(table, conflict, from, rows, step, width)| plain(format!(
            "WITH RECURSIVE g (x) AS (VALUES ({from}) UNION ALL SELECT x + 1 FROM g WHERE x < {from} + {rows}) INSERT OR {conflict} \
             INTO {table} (k, a, b, c) SELECT x * {step} % 211, x, printf('%0{width}d', x), zeroblob(x * 97 % 4000) FROM g"
        ))),
        4 => (table(), conflict(), column(), column(), 1..6).prop_map(move |(table, conflict, set, from, modulus)| {
            plain(format!("UPDATE OR {conflict} {table} SET {set} = {from} || '.' WHERE k % {modulus} = 0"))
        }),
        2 => (table(), conflict(), 1..9).prop_map(move |(table, conflict, by)| plain(format!("UPDATE OR {conflict} {table} SET k = k + {by}"))),
        2 => (table(), column(), value()).prop_map(|(table, set, value)| Statement::new(format!("UPDATE {table} SET {set} = ? WHERE k < 9"), vec![value])),
        2 => (table(), 1..5, 0..5).prop_map(move |(table, modulus, rest)| plain(format!("DELETE FROM {table} WHERE k % {modulus} = {rest}"))),
        1 => table().prop_map(move |table| plain(format!("DELETE FROM {table}"))),
        1 => (1..50).prop_map(move |n| plain(format!(
            "WITH RECURSIVE g (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM g WHERE x < {n}) \
             INSERT INTO f (a, b) SELECT 'word' || (x % 7), 'many words here ' || x || ' tide' FROM g"
        ))),
        1 => (0..9).prop_map(move |n| plain(format!("DELETE FROM f WHERE f MATCH 'word{n}'"))),
        1 => (0..60, -3..9).prop_map(move |(k, width)| plain(format!("INSERT OR REPLACE INTO r VALUES ({k}, {k}, {k} + {width})"))),
        1 => (table(), table()).prop_map(move |(to, from)| plain(format!("DELETE FROM {to}; INSERT INTO {to} (k, a, b) SELECT k, a, b FROM {from}"))),
    ]
}

fn question() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => table().prop_map(|table| format!("SELECT count(*), sum(k), total(length(b)), group_concat(a), max(hex(c)) FROM {table}")),
        2 => (table(), column()).prop_map(|(table, column)| format!("SELECT * FROM {table} ORDER BY {column} DESC, 1 LIMIT 20")),
        2 => (table(), table()).prop_map(|(one, two)| format!("SELECT x.k, y.b FROM {one} AS x JOIN {two} AS y ON x.a = y.k ORDER BY 1, 2 LIMIT 50")),
        1 => Just("SELECT rowid, highlight(f, 1, '[', ']') FROM f WHERE f MATCH 'tide OR word1' ORDER BY rank, rowid LIMIT 10".into()),
        1 => Just("SELECT k, low, high FROM r WHERE low > 3 AND high < 40 ORDER BY k".into()),
        1 => Just("SELECT * FROM v ORDER BY 1".into()),
        1 => Just("PRAGMA quick_check".into()),
        1 => Just("PRAGMA foreign_key_check".into()),
        1 => Just("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name".into()),
        1 => prop::sample::select(vec!["SELEC 1", "SELECT * FROM nowhere", "SELECT abs(-9223372036854775808)"]).prop_map(String::from),
    ]
}

fn statement() -> impl Strategy<Value = Statement> {
    prop_oneof![
        3 => definition().prop_map(|sql| Statement::new(sql, vec![])),
        6 => change(),
        3 => question().prop_map(|sql| Statement::new(sql, vec![])),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let call = || prop::collection::vec(statement(), 1..5);
    prop_oneof![
        12 => call().prop_map(|call| Step::Calls(vec![call])),
        4 => prop::collection::vec(call(), 2..5).prop_map(Step::Calls),
        1 => Just(Step::Reopen),
        1 => Just(Step::Prune),
        2 => Just(Step::Branch),
        1 => Just(Step::Fill),
    ]
}

/// What a statement answers: rows, rows changed, and, for the last of a call, bytes of the pages in use.
type Answer = (Vec<Vec<Value>>, u64, u64);

fn plain_statement(plain: &Connection, statement: &Statement) -> rusqlite::Result<Answer> {
    let before = plain.total_changes();
    let rows = plain_values(plain, &statement.sql, &statement.parameters)?;
    let pragma = |name: &str| plain.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    Ok((rows, plain.total_changes() - before, ((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?) as u64))
}

/// Only the last statement's size is told: measuring it takes time.
fn last_size_only(mut answers: Vec<Answer>) -> Vec<Answer> {
    let last = answers.len() - 1;
    answers[..last].iter_mut().for_each(|answer| answer.2 = 0);
    answers
}

fn plain_call(plain: &Connection, call: &Call) -> Result<Vec<Answer>, String> {
    plain.execute_batch("BEGIN").unwrap();
    let answers: rusqlite::Result<_> = call.iter().map(|statement| plain_statement(plain, statement)).collect();
    let result = answers.and_then(|answers| plain.execute_batch("COMMIT").map(|()| last_size_only(answers)));
    if result.is_err() && !plain.is_autocommit() {
        plain.execute_batch("ROLLBACK").unwrap();
    }
    result.map_err(plain_message)
}

fn our_answer(result: CallResult<ResultSet>) -> Result<Vec<Answer>, String> {
    match result.map_err(|failure| failure.error) {
        Ok(sets) => Ok(last_size_only(sets.into_iter().map(|set| (set.rows, set.meta.changes, set.meta.size_after)).collect())),
        Err(Error::Sqlite { message, .. }) => Err(message),
        Err(other) => panic!("{other}"),
    }
}

/// Enough of an answer to see what differs.
fn brief(answer: &Result<Vec<Answer>, String>) -> String {
    format!("{answer:?}").chars().take(2_000).collect()
}

/// Every row of every table, each table's rows sorted. Without what SQLite keeps for itself: the statistics of `ANALYZE` are in the order of
/// a hash table, and FTS5 cuts its index as calls share commits or do not.
fn content(ask: &mut dyn FnMut(&str) -> Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    let mut all = ask("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name");
    let own = |name: &str| name != "sqlite_stat1" && !name.starts_with("f_") && !name.starts_with("r_");
    for row in all.clone() {
        if let [Value::Text(kind), Value::Text(name), ..] = &row[..]
            && kind == "table"
            && own(name)
        {
            let mut rows = ask(&format!("SELECT * FROM \"{name}\""));
            rows.sort_by_cached_key(|row| format!("{row:?}"));
            all.extend(rows);
        }
    }
    all
}

fn run_both(steps: &[Step], cache_bytes: usize) {
    let limits = Limits { cache_bytes, ..Limits::default() };
    let mut place = Place::new();
    let mut db = place.open(&limits);
    let plain = Connection::open_in_memory().unwrap();
    let mut remembered = Vec::new();
    let has_fts5 = format!("{steps:?}").contains("fts5");
    let mut has_shared = false;
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Calls(calls) => {
                let ours = place.run(&mut db, calls);
                has_shared |= calls.len() > 1;
                for (index, (call, ours)) in calls.iter().zip(ours).enumerate() {
                    let (mut ours, mut expected) = (our_answer(ours), plain_call(&plain, call));
                    if index + 1 < calls.len() {
                        // Calls that share a commit share the size after it.
                        for (_, _, size) in ours.iter_mut().chain(&mut expected).flatten() {
                            *size = 0;
                        }
                    }
                    if has_fts5 {
                        forget_fts5(&mut ours, has_shared);
                        forget_fts5(&mut expected, has_shared);
                    }
                    assert!(ours == expected, "step {number}: {call:?}\n{}\n{}", brief(&ours), brief(&expected));
                }
                for table in ["t0", "t1", "t2"] {
                    let call = vec![Statement::new(format!("SELECT * FROM {table}"), vec![])];
                    let rows = |answer: Result<Vec<Answer>, String>| answer.map(|mut answers| answers.remove(0).0);
                    assert_eq!(
                        rows(our_answer(place.run(&mut db, std::slice::from_ref(&call)).remove(0))),
                        rows(plain_call(&plain, &call)),
                        "{table} after step {number}"
                    );
                }
            }
            Step::Reopen => db = place.open(&limits),
            Step::Branch => {
                // The states before are the parent's.
                remembered.retain(|(txid, _)| *txid == db.database.state().txid);
                place.branch(&db);
                db = place.open(&limits);
            }
            Step::Fill => place.fill(),
            Step::Prune => {
                let oldest = prune(&**db.database.store(), db.database.state().txid);
                remembered.retain(|(txid, _)| *txid >= oldest);
            }
        }
        if number % 5 == 0 {
            let now = content(&mut |sql| plain_values(&plain, sql, &[]).unwrap());
            remembered.push((db.database.state().txid, now));
        }
    }
    let dumped = assert_sound(&db.database);
    let expected = content(&mut |sql| plain_values(&plain, sql, &[]).unwrap());
    assert_eq!(content(&mut |sql| plain_values(&dumped, sql, &[]).unwrap()), expected, "the dump");
    for (txid, expected) in remembered {
        let snapshot = db.database.snapshot(txid).unwrap();
        let mut ask = |sql: &str| snapshot.run::<ResultSet>(&vec![Statement::new(sql, vec![])]).unwrap().remove(0).rows;
        assert_eq!(content(&mut ask), expected, "the state at {txid}");
    }
}

/// FTS5 writes its pending rows when a savepoint begins, and SQLite counts them for the statement that is running. The engine's hooks and
/// savepoints make that another statement. What it wrote at the savepoints of calls that shared a commit are segments of its index, of which there
/// are more or fewer from then on.
fn forget_fts5(answer: &mut Result<Vec<Answer>, String>, has_shared: bool) {
    for (_, changes, size) in answer.iter_mut().flatten() {
        *changes = 0;
        if has_shared {
            *size = 0;
        }
    }
}

/// Where the database is.
struct Place {
    storage: Rc<HostSql>,
    /// What it is a branch of, or was, and from where.
    parent: Option<(Parent, Txid)>,
    branch: Option<Rc<BranchStore<Rc<HostSql>>>>,
}

impl Place {
    fn new() -> Place {
        Place { storage: storage(), parent: None, branch: None }
    }

    fn open(&mut self, limits: &Limits) -> Fixture {
        self.branch = None;
        let Some((parent, at)) = &self.parent else {
            return Fixture::on(Rc::new(DurableStore::open(self.storage.clone()).unwrap()), limits.clone());
        };
        match parent.branch_if(self.storage.clone(), *at) {
            Ok(branch) => {
                bring_schema(branch.clone(), parent);
                self.branch = Some(branch.clone());
                Fixture::on(branch, limits.clone())
            }
            Err(whole) => Fixture::on(whole, limits.clone()),
        }
    }

    fn branch(&mut self, db: &Fixture) {
        self.parent = Some((Parent::new(db.database.store().clone()), db.database.state().txid));
        self.storage = storage();
    }

    fn fill(&self) {
        if let (Some(branch), Some((parent, _))) = (&self.branch, &self.parent) {
            fill(branch, parent);
        }
    }

    fn run(&self, db: &mut Fixture, calls: &[Call]) -> Vec<CallResult<ResultSet>> {
        if let Some((parent, _)) = &self.parent {
            return run_as_object(db, parent, calls);
        }
        let mut answers = db.run_calls(calls);
        while answers.len() < calls.len() {
            answers.extend(db.run_calls(&calls[answers.len()..]));
        }
        answers
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_and_plain_sqlite_do_not_differ(steps in prop::collection::vec(step(), 1..40), is_small in any::<bool>()) {
        // Most random statements need tables to be of use.
        let setup = ["t0 (k INTEGER PRIMARY KEY, a, b TEXT, c BLOB)", "t1 (k TEXT PRIMARY KEY, a UNIQUE, b, c) WITHOUT ROWID", "t2 (k, a, b, c)"];
        let setup = setup.map(|table| Step::Calls(vec![vec![Statement::new(format!("CREATE TABLE {table}"), vec![])]]));
        run_both(&[&setup[..], &steps].concat(), if is_small { 8 << 10 } else { 16 << 20 });
    }
}

#[test]
fn long_runs_fold_the_log_many_times() {
    let mut steps =
        vec![Step::Calls(vec![vec![Statement::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE INDEX tv ON t (v)", vec![])]])];
    for round in 0..1_200_i64 {
        let insert = Statement::new(
            "INSERT OR REPLACE INTO t VALUES (?, ?)",
            vec![Value::Integer(round * 31 % 400), Value::Blob(noise(round as u64, 900))],
        );
        let spread = Statement::new(format!("UPDATE t SET v = v || 'x' WHERE id % 97 = {}", round % 97), vec![]);
        steps.push(Step::Calls(vec![vec![insert, spread]]));
        match round {
            300 | 900 => steps.push(Step::Reopen),
            700 => steps.push(Step::Prune),
            _ => {}
        }
    }
    // One remembered state in five is too many here.
    let few: Vec<Step> = steps.chunks(100).flat_map(|chunk| merge(chunk.to_vec())).collect();
    run_both(&few, 8 << 10);
    run_both(&few, 16 << 20);
}

/// Puts most steps into calls that arrive together, twenty at a time.
fn merge(steps: Vec<Step>) -> Vec<Step> {
    let mut merged: Vec<Step> = Vec::new();
    for step in steps {
        match (merged.last_mut(), step) {
            (Some(Step::Calls(calls)), Step::Calls(more)) if calls.len() < 2 => calls.extend(more),
            (_, step) => merged.push(step),
        }
    }
    merged
}
