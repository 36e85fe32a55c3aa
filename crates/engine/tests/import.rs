//! SQL files as people have them, of any length and cut anywhere, become the database that native SQLite makes of them, or leave it as it was.
#![allow(missing_docs)]

mod common;

use common::{Fixture, assert_sound, counting_turns, plain_values, run, values};
use littoral_engine::engine::{Error, Failure, Imported};
use littoral_protocol::sql::Value;
use proptest::prelude::*;
use rusqlite::Connection;
use std::rc::Rc;

/// Imports a text in pieces of some bytes.
fn import(db: &mut Fixture, text: &[u8], piece: usize) -> Result<Imported, Failure> {
    let lease = db.database.lease().unwrap();
    let mut pieces = text.chunks(piece).map(<[u8]>::to_vec);
    let imported = lease.import(&mut || Ok(pieces.next()), Rc::new(|| Ok(())), Rc::default());
    db.database.take_back(lease);
    imported.map(|(imported, _)| imported)
}

fn native(text: &str) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(text).unwrap();
    connection
}

/// Everything that a database holds, in the order of its schema.
fn content(mut rows_of: impl FnMut(&str) -> Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    let mut all = rows_of("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' ORDER BY type, name");
    let tables = rows_of("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    for table in tables.into_iter().flatten() {
        let Value::Text(table) = table else { panic!("{table:?}") };
        all.extend(rows_of(&format!("SELECT * FROM \"{table}\" ORDER BY 1")));
    }
    all
}

const DUMP: &str = "\u{feff}PRAGMA foreign_keys=OFF;\r\nBEGIN TRANSACTION;\r\nPRAGMA journal_mode = WAL;\n-- children come first; and so on\n\
    CREATE TABLE child (id INTEGER PRIMARY KEY AUTOINCREMENT, of INT REFERENCES parent(id), note TEXT);\n\
    INSERT INTO child VALUES(1,7,'a;b'),(2,NULL,'-- é日本 ''quoted''');\n/* INSERT INTO nowhere; */ ;;\n\
    CREATE TABLE parent (id INTEGER PRIMARY KEY, b BLOB);\nINSERT INTO parent VALUES(7,x'00ff3b');\n\
    CREATE TRIGGER t AFTER INSERT ON child BEGIN UPDATE child SET note = CASE WHEN new.note IS NULL THEN ';' ELSE new.note END; END;\n\
    CREATE INDEX c ON child (of);\nDELETE FROM sqlite_sequence;\nINSERT INTO sqlite_sequence VALUES('child',9);\nCOMMIT;\n-- end";

#[test]
fn a_dump_becomes_the_database_wherever_it_is_cut() {
    let expected = native(DUMP.trim_start_matches('\u{feff}'));
    let expected = content(|sql| plain_values(&expected, sql, &[]).unwrap());
    for piece in (1..60).chain([97, 250, 1_000, 100_000]) {
        let mut db = Fixture::memory();
        let imported = import(&mut db, DUMP.as_bytes(), piece).unwrap_or_else(|error| panic!("{piece}: {error}"));
        assert_eq!(imported.statements, 9, "{piece}");
        assert_eq!(content(|sql| values(&mut db, sql)), expected, "{piece}");
        assert_sound(&db.database);
        // Foreign keys hold again.
        assert!(common::run_err(&mut db, "INSERT INTO child (of) VALUES (99)").contains("FOREIGN KEY"));
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_nothing_is_kept() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (id INTEGER PRIMARY KEY, p REFERENCES t); INSERT INTO t VALUES (1, NULL)", vec![]);
    let head = db.database.state();
    let lines = "INSERT INTO t (p) VALUES (1);\n".repeat(500);
    for (text, words) in [
        (format!("{lines}INSERT INTO t VALUES (1, 1);{lines}"), "UNIQUE constraint failed: t.id"),
        (format!("{lines}SELEC 1;{lines}"), "near \"SELEC\": syntax error"),
        (format!("{lines}INSERT INTO t (p) VALUES (7777);"), "rows refer to rows that do not exist"),
        (format!("{lines}INSERT INTO t (p) VALUES ('open"), "unrecognized token"),
        (format!("{lines}ROLLBACK;"), "To execute a transaction"),
        (format!("{lines}SAVEPOINT a;"), "To execute a transaction"),
        (format!("{lines}UPDATE sqlite_schema SET sql = NULL;"), "sqlite_master may not be modified"),
        (format!("{lines}ATTACH 'x' AS y;"), "not authorized"),
        (format!("{lines}INSERT INTO t (p) VALUES (?);"), "Wrong number of parameter bindings"),
        (format!("{lines}SELECT 1;\0"), "it holds a NUL"),
    ] {
        for piece in [1 << 20, 1_000] {
            let failed = import(&mut db, text.as_bytes(), piece).expect_err(words);
            assert!(failed.to_string().contains(words), "{words}: {failed}");
            assert!(failed.place.is_none_or(|place| place.offset >= lines.len() - 1), "{words}: {:?}", failed.place);
            assert_eq!(db.database.state(), head, "{words}");
            assert_eq!(values(&mut db, "SELECT count(*) FROM t"), [[Value::Integer(1)]], "{words}");
        }
    }
    let failed = import(&mut db, b"SELECT 1; SELECT '\xff';", 4).unwrap_err();
    assert!(
        failed.to_string().contains("it is no UTF-8") && failed.place.is_some_and(|place| place.offset == 18),
        "{failed} {:?}",
        failed.place
    );
    assert_eq!(import(&mut db, b"", 1).unwrap().statements, 0);
    assert_eq!(import(&mut db, b" -- nothing\n;;", 3).unwrap().statements, 0);
    assert!(
        common::run_err(&mut db, "INSERT INTO t (p) VALUES (99)").contains("FOREIGN KEY"),
        "they hold again, with no PRAGMA in the text either"
    );
}

#[test]
fn a_text_that_is_larger_than_memory_is_one_transaction() {
    let mut db = Fixture::durable_with_limits(|limits| (limits.uncommitted_bytes, limits.run_kiloinstructions) = (1 << 20, 200));
    let ((give_way, turns), rows) = (counting_turns(), 40_000);
    let lease = db.database.lease().unwrap();
    let mut next = -1;
    let mut bytes = || {
        next += 1;
        Ok(match next {
            0 => Some(b"CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);".to_vec()),
            piece if piece <= rows / 1_000 => {
                let from = (piece - 1) * 1_000;
                Some((from..from + 1_000).flat_map(|id| format!("INSERT INTO t VALUES ({id}, '{:0200}');\n", id).into_bytes()).collect())
            }
            _ => None,
        })
    };
    let (imported, bookmark) = lease.import(&mut bytes, give_way, Rc::default()).unwrap();
    assert!(db.database.take_back(lease));
    assert_eq!((imported.statements, bookmark), (rows as u64 + 1, db.database.state().bookmark()));
    assert_eq!(db.database.state().txid.0, 1);
    assert!(turns.get() > 20, "others had {} turns", turns.get());
    // In parts, since what a query may run is little here.
    for from in (0..rows).step_by(1_000) {
        let sql = format!("SELECT count(*), sum(id), min(length(v)) FROM t WHERE id >= {from} AND id < {from} + 1000");
        assert_eq!(values(&mut db, &sql), [[1_000, 1_000 * from + 499_500, 200].map(Value::Integer)]);
    }
    let endless = b"INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (-1) UNION ALL SELECT x - 1 FROM c) SELECT x, '' FROM c;";
    let stopped = import(&mut db, endless, 1_000).unwrap_err();
    assert!(matches!(stopped.error, Error::RanTooLong { .. }), "{stopped}");
    assert_sound(&db.database);
}

#[test]
fn a_source_that_fails_leaves_nothing() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (v)", vec![]);
    let head = db.database.state();
    let lease = db.database.lease().unwrap();
    let mut pieces = 0;
    let failed = lease.import(
        &mut || {
            pieces += 1;
            if pieces < 5 { Ok(Some(b"INSERT INTO t VALUES (1);".to_vec())) } else { Err(Error::TimedOut) }
        },
        Rc::new(|| Ok(())),
        Rc::default(),
    );
    db.database.take_back(lease);
    assert_eq!(failed.unwrap_err().error, Error::TimedOut);
    assert_eq!((db.database.state(), values(&mut db, "SELECT count(*) FROM t")), (head, vec![vec![Value::Integer(0)]]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// What the export writes is read back, wherever it is cut.
    #[test]
    fn an_export_is_imported(rows in prop::collection::vec((any::<i64>(), ".{0,20}", prop::collection::vec(any::<u8>(), 0..30)), 1..20), piece in 1..400_usize) {
        let mut db = Fixture::memory();
        run(&mut db, "CREATE TABLE t (a, b, c); CREATE INDEX tb ON t (b)", vec![]);
        for (a, b, c) in rows {
            run(&mut db, "INSERT INTO t VALUES (?, ?, ?)", vec![Value::Integer(a), Value::Text(b), Value::Blob(c)]);
        }
        let newest = db.database.state().txid;
        let text = db.database.snapshot(newest).unwrap().export(&Default::default()).unwrap().join("\n");
        let mut copy = Fixture::memory();
        import(&mut copy, text.as_bytes(), piece).unwrap();
        prop_assert_eq!(content(|sql| values(&mut copy, sql)), content(|sql| values(&mut db, sql)));
    }
}

#[test]
fn a_database_file_becomes_the_database_and_its_schema_is_another_one() {
    let mut source = Fixture::memory();
    run(&mut source, "CREATE TABLE t (a, b); CREATE VIRTUAL TABLE f USING fts5 (words); INSERT INTO f VALUES ('high tide')", vec![]);
    run(&mut source, "INSERT INTO t VALUES (1, zeroblob(9000))", vec![]);
    let file = source.database.dump().unwrap();
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (x)", vec![]);
    run(&mut db, "INSERT INTO t VALUES (7)", vec![]);
    assert_eq!(values(&mut db, "SELECT * FROM t"), [[Value::Integer(7)]]);
    let load = |db: &mut Fixture, file: &[u8]| {
        let lease = db.database.lease().unwrap();
        let mut pieces = file.chunks(1_000).map(<[u8]>::to_vec);
        let loaded = lease.load(&mut || Ok(pieces.next()), 0, &(Rc::new(|| Ok(())) as _));
        db.database.take_back(lease);
        loaded
    };
    let before = db.database.state();
    let utf16 = [&file[..56], &[0, 0, 0, 2], &file[60..]].concat();
    for wrong in [&file[..file.len() - 1], &file[..50], &utf16] {
        let error = load(&mut db, wrong).unwrap_err();
        assert!(error.to_string().contains("no SQLite database that can be loaded"), "{error}");
        assert_eq!(db.database.state(), before);
        assert!(!db.database.store_failed());
    }
    let loaded = load(&mut db, &file).unwrap();
    assert_eq!(loaded.previous, before.bookmark());
    assert_eq!(values(&mut db, "SELECT a, length(b) FROM t"), [[Value::Integer(1), Value::Integer(9_000)]]);
    assert_eq!(values(&mut db, "SELECT count(*) FROM f WHERE f MATCH 'tide'"), [[Value::Integer(1)]]);
    assert_sound(&db.database);
    run(&mut db, "INSERT INTO t VALUES (2, 3)", vec![]);
    let lease = db.database.lease().unwrap();
    lease.restore(littoral_protocol::sql::Point::Bookmark(before.bookmark()), 0, &(Rc::new(|| Ok(())) as _)).unwrap();
    db.database.take_back(lease);
    assert_eq!(values(&mut db, "SELECT * FROM t"), [[Value::Integer(7)]]);
}

const VIRTUAL: [&str; 9] = [
    "CREATE TABLE doc (id INTEGER PRIMARY KEY, body TEXT)",
    "INSERT INTO doc VALUES (1, 'high tide'), (2, 'low tide; it''s late')",
    "CREATE VIRTUAL TABLE f USING fts5 (body, content='doc', content_rowid='id')",
    "INSERT INTO f (rowid, body) SELECT id, body FROM doc",
    "CREATE VIRTUAL TABLE \"odd name\" USING fts5 (a, b, prefix='2 3')",
    "INSERT INTO \"odd name\" VALUES ('one two', 'x'), ('two three', 'y')",
    "CREATE VIRTUAL TABLE r USING rtree (id, low, high)",
    "INSERT INTO r VALUES (1, 2, 3), (2, 5, 9)",
    "CREATE VIEW v AS SELECT count(*) AS n FROM f WHERE f MATCH 'tide'",
];

const LOOKS: [&str; 5] = [
    "SELECT rowid, highlight(f, 0, '[', ']') FROM f WHERE f MATCH 'tide' ORDER BY rowid",
    "SELECT a, b FROM \"odd name\" WHERE \"odd name\" MATCH 'tw*' ORDER BY b",
    "SELECT id FROM r WHERE low > 1 AND high < 4",
    "SELECT n FROM v",
    "SELECT name, rootpage FROM sqlite_schema WHERE rootpage = 0 ORDER BY name",
];

#[test]
fn virtual_tables_are_exported_and_imported_here_and_by_native_sqlite() {
    let mut db = Fixture::memory();
    VIRTUAL.iter().for_each(|sql| drop(run(&mut db, sql, vec![])));
    run(&mut db, "CREATE TABLE f_notes (a); INSERT INTO f_notes VALUES (1)", vec![]);
    let expected = LOOKS.map(|sql| values(&mut db, sql));
    let reader = db.database.reader(None).unwrap();
    let text = reader.export(&Default::default()).unwrap().join("\n");
    let native = native(&text);
    let mut copy = Fixture::durable();
    for piece in [7, 1_000, 1_000_000] {
        copy = Fixture::durable();
        import(&mut copy, text.as_bytes(), piece).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
    for (sql, expected) in LOOKS.iter().zip(expected) {
        assert_eq!(plain_values(&native, sql, &[]).unwrap(), expected, "{sql}");
        assert_eq!(values(&mut copy, sql), expected, "{sql}");
    }
    for sql in ["DELETE FROM f_config", "DELETE FROM sqlite_schema"] {
        assert!(common::run_err(&mut copy, sql).contains("may not be modified"), "the schema is defended again: {sql}");
    }
    run(&mut copy, "INSERT INTO f (f) VALUES ('integrity-check')", vec![]);
    run(&mut copy, "INSERT INTO \"odd name\" VALUES ('two more', 'z')", vec![]);
    assert_eq!(values(&mut copy, "SELECT count(*) FROM \"odd name\" WHERE \"odd name\" MATCH 'two'"), [[Value::Integer(3)]]);
    assert_sound(&copy.database);
    let again = copy.database.reader(None).unwrap().export(&Default::default()).unwrap().join("\n");
    assert_eq!(again.matches("CREATE VIRTUAL TABLE").count(), 3);
    let one = ["f".to_owned()].to_vec();
    let options = littoral_engine::engine::ExportOptions { tables: one, ..Default::default() };
    let part = db.database.reader(None).unwrap().export(&options).unwrap().join("\n");
    assert!(
        part.contains("'f_data'") && part.contains("VALUES('table','f','f',0,") && !part.contains("odd name") && !part.contains("f_notes"),
        "{part}"
    );
}

/// As the shell of SQLite 3.45 writes it: the schema's row comes before the tables below.
#[test]
fn a_dump_of_sqlites_shell_with_virtual_tables_is_imported() {
    let mut source = Fixture::memory();
    VIRTUAL.iter().for_each(|sql| drop(run(&mut source, sql, vec![])));
    let text = source.database.reader(None).unwrap().export(&Default::default()).unwrap();
    let is_of_schema = |line: &&String| line.contains("INSERT INTO sqlite_schema") || line.contains("writable_schema");
    let (schema, rest): (Vec<_>, Vec<_>) = text.iter().partition(is_of_schema);
    let lines = |lines: &[&String]| {
        lines.iter().map(|line| line.replace("writable_schema=RESET", "writable_schema=OFF")).collect::<Vec<_>>().join("\n")
    };
    let dump = format!("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n{}\n{}\nCOMMIT;", lines(&schema), lines(&rest));
    let mut db = Fixture::durable();
    import(&mut db, dump.as_bytes(), 4_096).unwrap();
    for sql in LOOKS {
        assert_eq!(values(&mut db, sql), values(&mut source, sql), "{sql}");
    }
}

#[test]
fn nothing_but_virtual_tables_is_put_into_the_schema() {
    let mut db = Fixture::durable();
    run(&mut db, "CREATE TABLE t (a); INSERT INTO t VALUES (1)", vec![]);
    let before = db.database.state();
    let put = |row: &str| {
        format!(
            "PRAGMA writable_schema=ON;\nCREATE TABLE f_data (x);\nINSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES{row};"
        )
    };
    for (row, why) in [
        ("('table','x','x',2,'CREATE TABLE x (a)')", "only virtual tables"),
        ("('table','x','x',0,'CREATE TABLE x (a)')", "only virtual tables"),
        ("('trigger','x','t',0,'CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END')", "only virtual tables"),
        ("('table','f','g',0,'CREATE VIRTUAL TABLE f USING fts5 (a)')", "only virtual tables"),
        ("('table','f','f',0,'CREATE VIRTUAL TABLE g USING fts5 (a)')", "only virtual tables"),
        ("('table','f','f',0,'CREATE VIRTUAL TABLE f USING dbstat')", "not authorized"),
        ("('table','_cf_f','_cf_f',0,'CREATE VIRTUAL TABLE _cf_f USING fts5 (a)')", "not authorized"),
        ("('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts5 (a); DROP TABLE t')", ""),
        ("('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts5 (a)')", "f"),
        ("((SELECT 'table'),'f','f',0,1)", "only virtual tables"),
        ("('table')", "only virtual tables"),
    ] {
        let error = import(&mut db, put(row).as_bytes(), 100_000).expect_err(row);
        assert!(error.to_string().contains(why), "{row}: {error}");
        assert_eq!(db.database.state(), before, "{row}");
        assert_eq!(values(&mut db, "SELECT a FROM t"), [[Value::Integer(1)]]);
    }
    let later = format!("{}\nCREATE TABLE f (a);", put("('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts5 (a)')"));
    assert!(import(&mut db, later.as_bytes(), 100_000).unwrap_err().to_string().contains("table f already exists"));
    assert_eq!(db.database.state(), before);
    for sql in ["UPDATE sqlite_schema SET sql = 'x'", "DELETE FROM sqlite_schema", "INSERT INTO sqlite_schema SELECT * FROM sqlite_schema"]
    {
        import(&mut db, format!("PRAGMA writable_schema=ON;{sql};").as_bytes(), 100_000).expect_err(sql);
        assert_eq!(db.database.state(), before, "{sql}");
    }
}
