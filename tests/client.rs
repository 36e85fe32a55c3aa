//! The Rust binding and migrations, over the engine itself: the same texts cross here that cross to a Durable Object.

#[path = "../crates/engine/tests/common/mod.rs"]
mod common;

use common::Fixture;
use littoral::client::{Code, Database, Error, Point, Request, SessionOptions, Transport};
use littoral::migrate::{MigrateError, Migration, apply};
use littoral_engine::answer::{self, Form};
use littoral_protocol::d1::{BlobFormat, PointBody};
use pollster::block_on;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::future::{Future, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

#[derive(Clone)]
struct Local(Rc<RefCell<Fixture>>);

impl Transport for Local {
    fn query(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<String, Error>>>> {
        let form = Form::Calls { blobs: BlobFormat::default() };
        let session = request.session.as_deref().map(String::from);
        let database = &mut self.0.borrow_mut().database;
        let until_ms = request.timeout_ms.map(|timeout_ms| database.now_ms() + timeout_ms);
        let request = answer::Request::new(form, request.body, session, request.at.map(PointBody::from)).until(until_ms);
        Box::pin(ready(Ok(answer::answer(database, request).body)))
    }

    fn dump(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>>>> {
        Box::pin(ready(Ok(self.0.borrow().database.dump().unwrap())))
    }
}

fn local() -> Local {
    Local(Rc::new(RefCell::new(Fixture::durable())))
}

fn database() -> Database {
    Database::new(local())
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Track {
    id: i64,
    title: String,
    seconds: f64,
    cover: Option<Vec<u8>>,
}

async fn with_tracks() -> Result<Database, Error> {
    let db = database();
    db.exec("CREATE TABLE tracks (id INTEGER PRIMARY KEY, title TEXT, seconds REAL, cover BLOB)").await?;
    let insert = db.prepare("INSERT INTO tracks VALUES (?, ?, ?, ?)");
    db.batch(vec![insert.bind((1, "Naima", 264.0, [1u8, 2, 255]))?, insert.bind((i64::MAX, "Ruby", 455.5, None::<Vec<u8>>))?]).await?;
    Ok(db)
}

#[test]
fn rows_are_rust_values_both_ways() {
    block_on(async {
        let db = with_tracks().await?;
        let tracks: Vec<Track> = db.prepare("SELECT * FROM tracks ORDER BY id").all().await?.results()?;
        let naima = Track { id: 1, title: "Naima".into(), seconds: 264.0, cover: Some(vec![1, 2, 255]) };
        let ruby = Track { id: i64::MAX, title: "Ruby".into(), seconds: 455.5, cover: None };
        assert_eq!(tracks, [naima, ruby]);
        let kinds: Vec<Vec<String>> = db.prepare("SELECT typeof(?), typeof(?), typeof(?)").bind((1, 1.0, true))?.raw().await?;
        assert_eq!(kinds, [["integer", "real", "integer"]]);
        Ok::<_, Error>(())
    })
    .unwrap();
}

#[test]
fn first_answers_a_row_a_column_or_nothing() {
    block_on(async {
        let db = with_tracks().await?;
        let by_id = db.prepare("SELECT title, cover FROM tracks WHERE id = ?");
        assert_eq!(by_id.bind((1,))?.first::<String>(Some("title")).await?, Some("Naima".into()));
        assert_eq!(by_id.bind((2,))?.first::<String>(Some("title")).await?, None);
        assert_eq!(by_id.bind((i64::MAX,))?.first::<Vec<u8>>(Some("cover")).await?, None);
        let missing = by_id.bind((1,))?.first::<String>(Some("nope")).await.unwrap_err();
        assert_eq!(missing.to_string(), "D1_COLUMN_NOTFOUND: Column not found (nope)");
        Ok::<_, Error>(())
    })
    .unwrap();
}

#[test]
fn a_batch_that_fails_says_where_and_leaves_nothing() {
    block_on(async {
        let db = with_tracks().await?;
        let statements =
            ["INSERT INTO tracks (id) VALUES (5)", "SELECT 1;\n INSERT INTO tracks (id) VALUES (1)"].map(|sql| db.prepare(sql));
        let error = db.batch(statements.into()).await.unwrap_err();
        let Error::Sql { message, place, .. } = &error else { panic!("{error}") };
        assert!(message.starts_with("UNIQUE constraint failed: tracks.id"), "{message}");
        assert_eq!(place.map(|place| (place.text, place.offset)), Some((1, 9)));
        assert_eq!(db.prepare("SELECT count(*) AS n FROM tracks").first::<i64>(Some("n")).await?, Some(2));
        Ok::<_, Error>(())
    })
    .unwrap();
}

#[test]
fn a_session_carries_its_newest_bookmark() {
    block_on(async {
        let session = with_tracks().await?.with_session(Some("first-primary"));
        assert_eq!(session.get_bookmark(), None);
        session.prepare("SELECT 1").run().await?;
        let first = session.get_bookmark();
        session.prepare("DELETE FROM tracks").run().await?;
        assert!(first < session.get_bookmark());
        let forged = "ffffffff-ffffffff-00000000-00000000000000000000000000000000";
        let error = database().with_session(Some(forged)).prepare("SELECT 1").run().await.unwrap_err();
        assert!(error.to_string().contains("not of this database"), "{error}");
        Ok::<_, Error>(())
    })
    .unwrap();
}

#[test]
fn a_session_goes_on_from_request_to_request() {
    block_on(async {
        let db = with_tracks().await?;
        let open = |cookie: &str| db.open_session_with(|name| (name == "cookie").then(|| cookie.to_owned()), SessionOptions::default());
        let first = open("d1-bookmark=first-primary");
        assert_eq!(first.headers(), [], "no bookmark yet");
        first.prepare("DELETE FROM tracks WHERE id = 1").run().await?;
        let [("x-d1-bookmark", bookmark), ("set-cookie", cookie)] = &first.headers()[..] else { panic!("{:?}", first.headers()) };
        assert_eq!(Some(bookmark), first.get_bookmark().as_ref());
        let second = open(cookie.split(';').next().unwrap());
        second.prepare("SELECT 1").run().await?;
        assert_eq!(second.headers(), [], "the client has it");
        second.prepare("DELETE FROM tracks").run().await?;
        assert!(second.headers()[0].1 > *bookmark);

        let foreign = open("d1-bookmark=ffffffff-ffffffff-00000000-00000000000000000000000000000000");
        assert!(foreign.prepare("SELECT 1").run().await.unwrap_err().is_bookmark());
        let forget = "d1-bookmark=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(foreign.headers_to_forget(), [("set-cookie", forget.into())]);
        assert_eq!(foreign.headers(), []);
        Ok::<_, Error>(())
    })
    .unwrap();
}

#[test]
fn reals_are_the_same_to_the_last_bit_and_booleans_come_back() {
    block_on(async {
        let db = database();
        let values = db.prepare("SELECT ?, ?");
        for real in [-1.1201070866198575e247, 1.1148977208740333e-9, 0.1 + 0.2, f64::MAX, f64::MIN_POSITIVE, 5e-324] {
            let (back, truth): (f64, bool) = values.bind((real, real > 0.0))?.first(None).await?.unwrap();
            assert_eq!((back.to_bits(), truth), (real.to_bits(), real > 0.0));
        }
        Ok::<_, Error>(())
    })
    .unwrap();
}

#[test]
fn the_past_is_read_as_it_was_and_cannot_be_written() {
    block_on(async {
        let db = with_tracks().await?;
        let session = db.with_session(None);
        session.prepare("SELECT 1").run().await?;
        let before = session.get_bookmark().unwrap();
        db.prepare("DELETE FROM tracks").run().await?;
        let past = db.at(Point::Bookmark(before.parse().unwrap()));
        let count = "SELECT count(*) AS n FROM tracks";
        for _ in 0..2 {
            assert_eq!(past.prepare(count).first::<i64>(Some("n")).await?, Some(2));
            assert_eq!(db.prepare(count).first::<i64>(Some("n")).await?, Some(0));
        }
        assert_eq!(past.get_bookmark(), Some(before.clone()));
        let error = past.prepare("DELETE FROM tracks").run().await.unwrap_err();
        assert_eq!(error.to_string(), "D1_ERROR: attempt to write a readonly database: SQLITE_READONLY");
        let foreign = before.replace(&before[27..43], "0123456789abcdef");
        let error = db.at(Point::Bookmark(foreign.parse().unwrap())).prepare(count).run().await.unwrap_err();
        assert!(error.to_string().contains("is not of this database"), "{error}");
        Ok::<_, Error>(())
    })
    .unwrap();
}

const FIRST: Migration<'static> = Migration { name: "0001_a.sql", sql: "CREATE TABLE a (id);\nCREATE TABLE b (id);" };
const SECOND: Migration<'static> = Migration { name: "0002_b.sql", sql: "INSERT INTO a VALUES (1); -- done" };

#[test]
fn migrations_are_applied_once_and_in_order() {
    let db = database();
    assert_eq!(block_on(apply(&db, &[SECOND, FIRST])).unwrap(), ["0001_a.sql", "0002_b.sql"]);
    assert_eq!(block_on(apply(&db, &[FIRST, SECOND])).unwrap(), [""; 0]);
    let comment = Migration { name: "0010_c.sql", sql: "-- nothing yet" };
    assert_eq!(block_on(apply(&db, &[FIRST, SECOND, comment])).unwrap(), ["0010_c.sql"]);
}

#[test]
fn of_two_who_apply_the_same_file_one_does_and_none_fails() {
    // Both have read the list of applied files before either applies one.
    let local = local();
    let db = Database::new(local.clone());
    let late = Database::new(Late { local, reads: Cell::new(0) });
    assert_eq!(block_on(apply(&late, &[FIRST, SECOND])).unwrap(), [""; 0]);
    let names = block_on(db.prepare("SELECT count(*) AS n FROM d1_migrations").first::<i64>(Some("n"))).unwrap();
    assert_eq!(names, Some(2));
}

/// Applies the migrations itself right after the list of applied ones was read for the first time.
struct Late {
    local: Local,
    reads: Cell<u32>,
}

impl Transport for Late {
    fn query(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<String, Error>>>> {
        let local = self.local.clone();
        let first_read = request.body.contains("SELECT m.name") && self.reads.replace(self.reads.get() + 1) == 0;
        Box::pin(async move {
            let answer = local.query(request).await;
            if first_read {
                assert_eq!(apply(&Database::new(local), &[FIRST, SECOND]).await.unwrap().len(), 2);
            }
            answer
        })
    }

    fn dump(&self) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>>>> {
        unreachable!("no test dumps through it")
    }
}

#[test]
fn errors_say_what_kind_they_are() {
    block_on(async {
        let db = with_tracks().await?;
        let twice = db.prepare("INSERT INTO tracks (id) VALUES (1)").run().await.unwrap_err();
        assert!(twice.is_constraint() && twice.is_unique_violation() && !twice.is_bookmark());
        let syntax = db.prepare("SELEC 1").run().await.unwrap_err();
        assert!(!syntax.is_constraint());
        let bookmark = db.with_session(Some("nonsense")).prepare("SELECT 1").run().await.unwrap_err();
        assert!(bookmark.is_bookmark(), "{bookmark}");
        Ok::<_, Error>(())
    })
    .unwrap();
}

#[test]
fn changed_missing_late_and_double_migrations_are_reported() {
    let db = database();
    block_on(apply(&db, &[FIRST, SECOND])).unwrap();
    let fails = |files: &[Migration<'_>]| block_on(apply(&db, files)).unwrap_err();
    let changed = Migration { sql: "SELECT 1", ..FIRST };
    assert_eq!(fails(&[changed, SECOND]), MigrateError::Changed { name: "0001_a.sql".into() });
    assert_eq!(fails(&[SECOND]), MigrateError::Missing { name: "0001_a.sql".into() });
    let late = Migration { name: "0001_b.sql", sql: "SELECT 1" };
    assert_eq!(fails(&[FIRST, late, SECOND]), MigrateError::Late { name: "0001_b.sql".into(), after: "0002_b.sql".into() });
    assert_eq!(fails(&[FIRST, FIRST]), MigrateError::Duplicate { name: "0001_a.sql".into() });
}

#[test]
fn a_failing_migration_is_rolled_back_whole_and_named_with_its_line() {
    let db = database();
    let bad = Migration {
        name: "0003_bad.sql",
        sql: "CREATE TABLE c (id);\n\n-- a comment; with a semicolon\nINSERT INTO nope VALUES (1);\nSELECT 1;",
    };
    let error = block_on(apply(&db, &[FIRST, bad])).unwrap_err();
    let MigrateError::Failed { name, line, sql, .. } = &error else { panic!("{error}") };
    assert_eq!((name.as_str(), *line), ("0003_bad.sql", Some(4)));
    assert!(sql.starts_with("INSERT INTO nope"), "{sql}");
    assert!(error.to_string().contains("no such table: nope"), "{error}");
    let left = block_on(db.prepare("SELECT group_concat(name) AS names FROM d1_migrations").first::<String>(Some("names"))).unwrap();
    assert_eq!(left, Some("0001_a.sql".into()));
    assert_eq!(block_on(db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'c'").first::<i64>(Some("n"))).unwrap(), Some(0));
}

#[test]
fn a_migration_that_makes_a_table_anew_keeps_what_refers_to_it() {
    let db = database();
    let tables = Migration {
        name: "0001_tables.sql",
        sql: "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p ON DELETE CASCADE); \
            INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1), (2);",
    };
    let rebuild = |condition: &str| {
        format!(
            "PRAGMA foreign_keys=OFF; CREATE TABLE n (id INTEGER PRIMARY KEY, x); INSERT INTO n (id) SELECT id FROM p {condition}; \
            DROP TABLE p; ALTER TABLE n RENAME TO p; PRAGMA foreign_keys=ON;"
        )
    };
    let (kept, lost) = (rebuild(""), rebuild("WHERE id = 1"));
    let (kept, lost) = (Migration { name: "0002_kept.sql", sql: &kept }, Migration { name: "0003_lost.sql", sql: &lost });
    let children = || block_on(db.prepare("SELECT count(*) AS n FROM c").first::<i64>(Some("n"))).unwrap();
    block_on(apply(&db, &[tables, kept])).unwrap();
    assert_eq!(children(), Some(2));
    let error = block_on(apply(&db, &[tables, kept, lost])).unwrap_err();
    assert!(matches!(&error, MigrateError::Failed { line: None, .. }), "{error:?}");
    assert!(error.to_string().contains("rows refer to rows that do not exist: c (rowid 2) to p"), "{error}");
    assert_eq!(children(), Some(2));
}

#[test]
fn a_call_ends_in_time_and_says_so() {
    let db = database();
    let hasty = db.with_timeout(Duration::from_millis(20));
    block_on(hasty.exec("CREATE TABLE t (a)")).unwrap();
    let endless = "INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT x FROM c";
    let error = block_on(hasty.prepare(endless).run()).unwrap_err();
    assert_eq!(error.code(), Some(Code::TimedOut), "{error}");
    let error =
        block_on(hasty.with_session(None).batch(vec![hasty.prepare("INSERT INTO t VALUES (1)"), hasty.prepare(endless)])).unwrap_err();
    assert_eq!(error.code(), Some(Code::TimedOut), "{error}");
    assert_eq!(block_on(db.prepare("SELECT count(*) AS n FROM t").first::<i64>(Some("n"))).unwrap(), Some(0));
}
