//! The Chinook sample database (15,607 rows), loaded through the engine, and queries of real shape compared with plain SQLite.
//!
//! **Invariants**
//! 1. Loaded as one text, statement by statement, and in one batch, it is the same database, and sound.
//! 2. Every query gives what plain SQLite gives, rows in order and columns by name, and so does a snapshot.
//! 3. Changes of real shape (upserts, cascades, triggers, generated columns, full-text search) leave the two equal.
//!
//! **Not here:** the same through the Worker. Without `../shared/data` this test says so and passes.

mod common;

use common::{Fixture, assert_sound, plain_values, run, values};
use littoral_engine::engine::{Limits, ResultSet};
use littoral_protocol::sql::{Statement, Value};
use rusqlite::Connection;

const TABLES: [(&str, i64); 11] = [
    ("Album", 347),
    ("Artist", 275),
    ("Customer", 59),
    ("Employee", 8),
    ("Genre", 25),
    ("Invoice", 412),
    ("InvoiceLine", 2_240),
    ("MediaType", 5),
    ("Playlist", 18),
    ("PlaylistTrack", 8_715),
    ("Track", 3_503),
];

const QUERIES: [&str; 30] = [
    "SELECT * FROM Artist ORDER BY Name COLLATE NOCASE LIMIT 20 OFFSET 40",
    "SELECT al.Title, ar.Name FROM Album AS al JOIN Artist AS ar USING (ArtistId) WHERE ar.Name LIKE '%black%' ORDER BY al.Title",
    "SELECT t.Name, g.Name AS Genre, m.Name AS Media, a.Title, r.Name AS Artist FROM Track t JOIN Genre g ON g.GenreId = t.GenreId \
     JOIN MediaType m ON m.MediaTypeId = t.MediaTypeId JOIN Album a ON a.AlbumId = t.AlbumId JOIN Artist r ON r.ArtistId = a.ArtistId \
     WHERE t.Milliseconds > 1000000 ORDER BY t.Milliseconds DESC, t.TrackId",
    "SELECT BillingCountry, count(*) AS n, round(sum(Total), 2) AS total, avg(Total) FROM Invoice GROUP BY BillingCountry HAVING n > 7 ORDER BY total DESC, 1",
    "SELECT g.Name, count(t.TrackId), sum(t.Bytes), max(t.Milliseconds) FROM Genre g LEFT JOIN Track t ON t.GenreId = g.GenreId GROUP BY g.GenreId ORDER BY 2 DESC, 1",
    "SELECT c.LastName, c.FirstName, round(sum(i.Total), 2) AS spent FROM Customer c JOIN Invoice i ON i.CustomerId = c.CustomerId GROUP BY c.CustomerId ORDER BY spent DESC, c.LastName LIMIT 10",
    "SELECT e.FirstName || ' ' || e.LastName AS employee, m.FirstName || ' ' || m.LastName AS manager FROM Employee e LEFT JOIN Employee m ON m.EmployeeId = e.ReportsTo ORDER BY e.EmployeeId",
    "WITH RECURSIVE chain (id, name, depth, path) AS (SELECT EmployeeId, LastName, 0, LastName FROM Employee WHERE ReportsTo IS NULL \
     UNION ALL SELECT e.EmployeeId, e.LastName, depth + 1, path || '/' || e.LastName FROM Employee e JOIN chain ON e.ReportsTo = chain.id) SELECT * FROM chain ORDER BY path",
    "WITH sales AS (SELECT strftime('%Y-%m', InvoiceDate) AS month, sum(Total) AS total FROM Invoice GROUP BY month) \
     SELECT month, total, sum(total) OVER (ORDER BY month), lag(total) OVER (ORDER BY month), avg(total) OVER (ORDER BY month ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM sales ORDER BY month",
    "SELECT * FROM (SELECT BillingCountry, InvoiceId, Total, rank() OVER (PARTITION BY BillingCountry ORDER BY Total DESC, InvoiceId) AS place FROM Invoice) WHERE place <= 2 ORDER BY 1, 4",
    "SELECT t.Name, ntile(4) OVER (ORDER BY Milliseconds, TrackId) AS quarter, percent_rank() OVER (ORDER BY Milliseconds) FROM Track t WHERE GenreId = 10 ORDER BY TrackId",
    "SELECT p.Name, count(*) AS tracks, group_concat(DISTINCT t.GenreId) FROM Playlist p JOIN PlaylistTrack pt USING (PlaylistId) JOIN Track t USING (TrackId) GROUP BY p.PlaylistId ORDER BY tracks DESC, p.PlaylistId",
    "SELECT p.PlaylistId, p.Name FROM Playlist p WHERE NOT EXISTS (SELECT 1 FROM PlaylistTrack pt WHERE pt.PlaylistId = p.PlaylistId) ORDER BY 1",
    "SELECT Name FROM Track WHERE TrackId NOT IN (SELECT TrackId FROM InvoiceLine) AND UnitPrice > 1 ORDER BY Name, TrackId LIMIT 30",
    "SELECT Country FROM Customer UNION SELECT BillingCountry FROM Invoice EXCEPT SELECT Country FROM Employee ORDER BY 1",
    "SELECT ArtistId FROM Album GROUP BY ArtistId HAVING count(*) > 5 INTERSECT SELECT ArtistId FROM Artist WHERE Name < 'M' ORDER BY 1",
    "SELECT a.Title, (SELECT count(*) FROM Track t WHERE t.AlbumId = a.AlbumId) AS n, (SELECT max(Milliseconds) FROM Track t WHERE t.AlbumId = a.AlbumId) FROM Album a ORDER BY n DESC, a.AlbumId LIMIT 15",
    "SELECT CASE WHEN Total < 2 THEN 'small' WHEN Total < 10 THEN 'medium' ELSE 'large' END AS size, count(*), min(Total), max(Total) FROM Invoice GROUP BY size ORDER BY size",
    "SELECT CustomerId, json_group_array(json_object('id', InvoiceId, 'total', Total)) FROM (SELECT * FROM Invoice ORDER BY InvoiceId) GROUP BY CustomerId ORDER BY CustomerId LIMIT 5",
    "SELECT key, value ->> 'n' FROM json_each((SELECT json_group_object(Name, json_object('n', GenreId)) FROM Genre)) ORDER BY key",
    "SELECT strftime('%Y', InvoiceDate) AS year, date(max(InvoiceDate), 'start of month'), julianday(min(InvoiceDate)), count(*) FROM Invoice GROUP BY year ORDER BY year",
    "SELECT upper(substr(Name, 1, 1)) AS letter, count(*) FILTER (WHERE length(Name) > 10), total(length(Name)) FROM Artist GROUP BY letter ORDER BY letter",
    "SELECT DISTINCT c.Country, e.LastName FROM Customer c JOIN Employee e ON e.EmployeeId = c.SupportRepId ORDER BY c.Country, e.LastName",
    "SELECT x.InvoiceId, y.InvoiceId FROM Invoice x JOIN Invoice y ON y.CustomerId = x.CustomerId AND y.InvoiceId > x.InvoiceId AND abs(y.Total - x.Total) < 0.01 ORDER BY 1, 2 LIMIT 40",
    "SELECT Composer, count(*) FROM Track WHERE Composer IS NOT NULL AND Composer GLOB '*[/,]*' GROUP BY Composer ORDER BY 2 DESC, 1 LIMIT 12",
    "SELECT round(avg(Milliseconds), 3), sqrt(avg(Milliseconds * 1.0 * Milliseconds) - avg(Milliseconds) * avg(Milliseconds)), typeof(sum(UnitPrice)), sum(UnitPrice) FROM Track",
    "SELECT TrackId, Name FROM Track WHERE (AlbumId, GenreId) IN (VALUES (1, 1), (4, 1), (73, 6)) ORDER BY TrackId",
    "SELECT i.InvoiceId, i.Total, sum(l.UnitPrice * l.Quantity) AS lines FROM Invoice i JOIN InvoiceLine l USING (InvoiceId) GROUP BY i.InvoiceId HAVING abs(lines - i.Total) > 0.001",
    "SELECT g.Name, first_value(t.Name) OVER w, row_number() OVER w FROM Track t JOIN Genre g USING (GenreId) WHERE t.UnitPrice > 1 WINDOW w AS (PARTITION BY g.GenreId ORDER BY t.Bytes DESC) ORDER BY g.GenreId, t.Bytes DESC LIMIT 50",
    "SELECT quote(Email), hex(substr(Phone, 1, 3)), instr(Email, '@'), printf('%08.2f', CustomerId / 7.0), unicode(LastName), coalesce(State, Company, '-') FROM Customer ORDER BY CustomerId",
];

/// What an application does to such a database.
const CHANGES: [&str; 17] = [
    "CREATE VIRTUAL TABLE TrackSearch USING fts5 (Name, Composer, content = 'Track', content_rowid = 'TrackId')",
    "INSERT INTO TrackSearch (TrackSearch) VALUES ('rebuild')",
    "CREATE TRIGGER TrackRenamed AFTER UPDATE OF Name ON Track BEGIN \
     INSERT INTO TrackSearch (TrackSearch, rowid, Name, Composer) VALUES ('delete', old.TrackId, old.Name, old.Composer); \
     INSERT INTO TrackSearch (rowid, Name, Composer) VALUES (new.TrackId, new.Name, new.Composer); END",
    "CREATE TRIGGER TrackGone AFTER DELETE ON Track BEGIN \
     INSERT INTO TrackSearch (TrackSearch, rowid, Name, Composer) VALUES ('delete', old.TrackId, old.Name, old.Composer); END",
    "UPDATE Track SET Name = 'Tidal ' || Name WHERE TrackId % 10 = 0",
    "ALTER TABLE Invoice ADD COLUMN Year GENERATED ALWAYS AS (CAST(strftime('%Y', InvoiceDate) AS INTEGER)) VIRTUAL",
    "CREATE INDEX InvoiceYear ON Invoice (Year, Total)",
    "CREATE VIEW Sales AS SELECT Year, BillingCountry, sum(Total) AS Total FROM Invoice GROUP BY Year, BillingCountry",
    "INSERT INTO Genre (GenreId, Name) SELECT GenreId, upper(Name) FROM Genre WHERE true ON CONFLICT (GenreId) DO UPDATE SET Name = excluded.Name || '!' WHERE GenreId % 2",
    "UPDATE Customer SET (City, State) = (SELECT BillingCity, BillingState FROM Invoice i WHERE i.CustomerId = Customer.CustomerId ORDER BY InvoiceId DESC LIMIT 1)",
    "UPDATE Track SET UnitPrice = UnitPrice * 1.1 FROM Genre WHERE Genre.GenreId = Track.GenreId AND Genre.Name LIKE '%!'",
    "DELETE FROM PlaylistTrack WHERE PlaylistId IN (SELECT PlaylistId FROM Playlist WHERE Name LIKE 'Music%') AND TrackId > 1000",
    "DELETE FROM InvoiceLine WHERE InvoiceLineId % 7 = 0 RETURNING InvoiceLineId, TrackId",
    "CREATE TABLE Played (TrackId INTEGER REFERENCES Track ON DELETE CASCADE, At REAL, PRIMARY KEY (TrackId, At)) WITHOUT ROWID",
    "INSERT INTO Played SELECT TrackId, TrackId / 3.0 FROM Track WHERE TrackId NOT IN (SELECT TrackId FROM InvoiceLine UNION SELECT TrackId FROM PlaylistTrack)",
    "DELETE FROM Track WHERE TrackId IN (SELECT TrackId FROM Played) AND TrackId % 2",
    "ALTER TABLE Employee RENAME COLUMN Title TO Position",
];

const QUERIES_AFTER: [&str; 6] = [
    "SELECT rowid, highlight(TrackSearch, 0, '<', '>'), bm25(TrackSearch) FROM TrackSearch WHERE TrackSearch MATCH 'tidal AND (love OR night*)' ORDER BY rank, rowid",
    "SELECT snippet(TrackSearch, 1, '[', ']', '...', 4) FROM TrackSearch WHERE TrackSearch MATCH 'composer : jagger' ORDER BY rowid LIMIT 10",
    "SELECT * FROM Sales ORDER BY Year, BillingCountry",
    "SELECT count(*), sum(At) FROM Played",
    "SELECT Position, count(*) FROM Employee GROUP BY Position ORDER BY 1",
    "SELECT GenreId, Name FROM Genre ORDER BY GenreId",
];

/// The statements of the script. Its strings hold no line that ends in a semicolon.
fn statements(script: &str) -> Vec<Statement> {
    let text = |lines: &str| Statement::new(lines.trim_end(), vec![]);
    script.split_inclusive(";\n").map(text).collect()
}

fn script() -> Option<String> {
    let script = std::fs::read_to_string(common::shared_data("chinook.sql")?).unwrap();
    Some(script.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
}

fn loaded(script: &str) -> (Fixture, Connection) {
    let mut db = Fixture::durable();
    run(&mut db, script, vec![]);
    let plain = Connection::open_in_memory().unwrap();
    plain.execute_batch(script).unwrap();
    (db, plain)
}

fn assert_equal(db: &mut Fixture, plain: &Connection, sql: &str) {
    let ours = run(db, sql, vec![]);
    assert_eq!(ours.rows, plain_values(plain, sql, &[]).unwrap(), "{sql}");
    let statement = plain.prepare(sql).unwrap();
    assert!(statement.column_names().eq(&ours.columns), "{sql}: {:?}", ours.columns);
    assert!(sql.contains("Played") || !ours.rows.is_empty() || sql.contains("HAVING abs"), "finds something: {sql}");
}

#[test]
fn it_is_the_same_database_however_it_is_loaded() {
    let Some(script) = script() else { return };
    let (mut whole, plain) = loaded(&script);
    let mut batch = Fixture::durable();
    batch.run_call(statements(&script)).unwrap();
    let mut single = Fixture::with_limits(|limits: &mut Limits| limits.cache_bytes = 64 << 10);
    for statement in statements(&script) {
        match single.run_call(vec![statement]) {
            Err(failure) if failure.to_string().contains("No SQL statements") => {}
            result => drop(result.unwrap()),
        }
    }
    for db in [&mut whole, &mut batch, &mut single] {
        let total: i64 = TABLES.iter().map(|(_, rows)| rows).sum();
        assert_eq!(total, 15_607);
        let dumped = assert_sound(&db.database);
        for (table, rows) in TABLES {
            assert_eq!(values(db, &format!("SELECT count(*) FROM {table}")), [[Value::Integer(rows)]], "{table}");
            let sql = format!("SELECT * FROM {table} ORDER BY 1, 2");
            assert_eq!(plain_values(&dumped, &sql, &[]).unwrap(), plain_values(&plain, &sql, &[]).unwrap(), "{table}");
        }
    }
}

#[test]
fn queries_of_real_shape_give_what_plain_sqlite_gives() {
    let Some(script) = script() else { return };
    let (mut db, plain) = loaded(&script);
    for sql in QUERIES {
        assert_equal(&mut db, &plain, sql);
    }
    let snapshot = db.database.snapshot(db.database.state().txid).unwrap();
    run(&mut db, "DELETE FROM InvoiceLine; DELETE FROM Invoice; DELETE FROM PlaylistTrack", vec![]);
    for sql in QUERIES {
        let ours = snapshot.run::<ResultSet>(&vec![Statement::new(sql, vec![])]).unwrap().remove(0);
        assert_eq!(ours.rows, plain_values(&plain, sql, &[]).unwrap(), "from a snapshot: {sql}");
    }
}

#[test]
fn changes_of_real_shape_leave_the_two_equal() {
    let Some(script) = script() else { return };
    let (mut db, plain) = loaded(&script);
    for sql in CHANGES {
        let before = plain.total_changes();
        let ours = run(&mut db, sql, vec![]);
        // A call is a transaction, and what FTS5 writes when it is committed counts for no statement.
        plain.execute_batch("BEGIN").unwrap();
        let rows = plain_values(&plain, sql, &[]).unwrap();
        assert_eq!((ours.rows, ours.meta.changes), (rows, plain.total_changes() - before), "{sql}");
        plain.execute_batch("COMMIT").unwrap();
    }
    for sql in QUERIES.iter().chain(&QUERIES_AFTER).filter(|sql| !sql.contains("abs(lines")) {
        assert_equal(&mut db, &plain, sql);
    }
    let dumped = assert_sound(&db.database);
    for sql in QUERIES_AFTER {
        assert_eq!(plain_values(&dumped, sql, &[]).unwrap(), plain_values(&plain, sql, &[]).unwrap(), "{sql}");
    }
}
