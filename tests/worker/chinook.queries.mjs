// Queries over the Chinook database of the kinds that applications send: `{ name, sql, params, writes }`, run in order.
//
// Each is run on Littoral and on native SQLite; those that write change both in the same way. A query that does not say in which
// order its rows come has an ORDER BY that leaves no choice.

export const queries = [
  { name: "one row by its key", sql: "SELECT * FROM Track WHERE TrackId = ?", params: [1337] },
  { name: "no row", sql: "SELECT * FROM Customer WHERE CustomerId = ?", params: [-1] },
  { name: "a page of a list", sql: "SELECT ArtistId, Name FROM Artist ORDER BY Name COLLATE NOCASE, ArtistId LIMIT ? OFFSET ?", params: [25, 100] },
  {
    name: "a page after a key",
    sql: "SELECT InvoiceId, InvoiceDate, Total FROM Invoice WHERE (InvoiceDate, InvoiceId) < (?, ?) ORDER BY InvoiceDate DESC, InvoiceId DESC LIMIT 20",
    params: ["2012-01-01 00:00:00", 300],
  },
  {
    name: "a join over four tables",
    sql: `SELECT t.Name AS track, al.Title AS album, ar.Name AS artist, g.Name AS genre
          FROM Track t JOIN Album al USING (AlbumId) JOIN Artist ar USING (ArtistId) LEFT JOIN Genre g USING (GenreId)
          WHERE ar.Name = ? ORDER BY al.Title, t.TrackId`,
    params: ["Iron Maiden"],
  },
  {
    name: "what a customer bought",
    sql: `SELECT i.InvoiceId, i.InvoiceDate, t.Name, il.UnitPrice, il.Quantity, il.UnitPrice * il.Quantity AS amount
          FROM Invoice i JOIN InvoiceLine il USING (InvoiceId) JOIN Track t USING (TrackId)
          WHERE i.CustomerId = ? ORDER BY i.InvoiceId, il.InvoiceLineId`,
    params: [17],
  },
  {
    name: "sales by country",
    sql: `SELECT BillingCountry, count(*) AS invoices, round(sum(Total), 2) AS total, round(avg(Total), 4) AS average, min(Total), max(Total)
          FROM Invoice GROUP BY BillingCountry HAVING count(*) > 7 ORDER BY total DESC, BillingCountry`,
  },
  {
    name: "the best sold artists",
    sql: `SELECT ar.Name, sum(il.Quantity) AS sold, round(sum(il.UnitPrice * il.Quantity), 2) AS revenue
          FROM InvoiceLine il JOIN Track t USING (TrackId) JOIN Album al USING (AlbumId) JOIN Artist ar USING (ArtistId)
          GROUP BY ar.ArtistId ORDER BY revenue DESC, ar.Name LIMIT 10`,
  },
  {
    name: "artists without an album",
    sql: "SELECT a.Name FROM Artist a LEFT JOIN Album b USING (ArtistId) WHERE b.AlbumId IS NULL ORDER BY a.ArtistId",
  },
  {
    name: "tracks never sold, by a correlated subquery",
    sql: "SELECT count(*) FROM Track t WHERE NOT EXISTS (SELECT 1 FROM InvoiceLine il WHERE il.TrackId = t.TrackId)",
  },
  {
    name: "a list of values",
    sql: "SELECT FirstName || ' ' || LastName AS name, Country FROM Customer WHERE Country IN (?, ?, ?) ORDER BY Country, LastName",
    params: ["France", "Brazil", "Norway"],
  },
  {
    name: "a list of values as JSON",
    sql: "SELECT Name, Milliseconds FROM Track WHERE TrackId IN (SELECT value FROM json_each(?)) ORDER BY TrackId",
    params: ["[1, 5, 3503, 9999, 42]"],
  },
  { name: "LIKE with an index", sql: "SELECT Title FROM Album WHERE Title LIKE ? ORDER BY AlbumId", params: ["The %"] },
  { name: "texts beyond ASCII", sql: "SELECT Name, length(Name), upper(Name), hex(Name) FROM Artist WHERE Name GLOB '*[^ -~]*' ORDER BY ArtistId" },
  {
    name: "a running total by a window",
    sql: `SELECT InvoiceId, Total, round(sum(Total) OVER (ORDER BY InvoiceId), 2) AS running,
            row_number() OVER (PARTITION BY BillingCountry ORDER BY InvoiceId) AS nth, lag(Total, 1, 0) OVER (ORDER BY InvoiceId) AS before
          FROM Invoice WHERE InvoiceId <= 100 ORDER BY InvoiceId`,
  },
  {
    name: "the three longest tracks of each genre",
    sql: `WITH ranked AS (SELECT g.Name AS genre, t.Name AS track, t.Milliseconds AS ms,
            dense_rank() OVER (PARTITION BY g.GenreId ORDER BY t.Milliseconds DESC, t.TrackId) AS place FROM Track t JOIN Genre g USING (GenreId))
          SELECT * FROM ranked WHERE place <= 3 ORDER BY genre, place`,
  },
  {
    name: "a hierarchy by a recursive CTE",
    sql: `WITH RECURSIVE chain(id, name, depth, path) AS (
            SELECT EmployeeId, FirstName || ' ' || LastName, 0, '/' || EmployeeId FROM Employee WHERE ReportsTo IS NULL
            UNION ALL SELECT e.EmployeeId, e.FirstName || ' ' || e.LastName, depth + 1, path || '/' || e.EmployeeId
            FROM Employee e JOIN chain ON e.ReportsTo = chain.id)
          SELECT depth, name, path FROM chain ORDER BY path`,
  },
  {
    name: "months, with those without sales",
    sql: `WITH RECURSIVE months(m) AS (SELECT '2009-01' UNION ALL SELECT strftime('%Y-%m', m || '-01', '+1 month') FROM months WHERE m < '2010-12')
          SELECT m, count(i.InvoiceId) AS invoices, coalesce(round(sum(i.Total), 2), 0.0) AS total
          FROM months LEFT JOIN Invoice i ON strftime('%Y-%m', i.InvoiceDate) = m GROUP BY m ORDER BY m`,
  },
  {
    name: "dates",
    sql: `SELECT strftime('%Y', BirthDate) AS born, CAST(julianday(HireDate) - julianday(BirthDate) AS INTEGER) AS days, date(HireDate, 'start of month', '+1 month', '-1 day')
          FROM Employee ORDER BY EmployeeId`,
  },
  {
    name: "a nested document by JSON functions",
    sql: `SELECT json_object('artist', ar.Name, 'albums', (SELECT json_group_array(json_object('title', Title, 'tracks',
            (SELECT count(*) FROM Track t WHERE t.AlbumId = al.AlbumId))) FROM (SELECT * FROM Album WHERE ArtistId = ar.ArtistId ORDER BY AlbumId) al)) AS document
          FROM Artist ar WHERE ArtistId IN (1, 22, 90) ORDER BY ArtistId`,
  },
  {
    name: "group_concat in order",
    sql: "SELECT PlaylistId, group_concat(Name, ', ' ORDER BY Name) FROM Playlist GROUP BY PlaylistId % 3 ORDER BY PlaylistId",
  },
  {
    name: "columns from rows by CASE and FILTER",
    sql: `SELECT g.Name, count(*) FILTER (WHERE m.Name LIKE 'MPEG%') AS mpeg, sum(CASE WHEN m.Name LIKE '%AAC%' THEN 1 ELSE 0 END) AS aac
          FROM Track t JOIN Genre g USING (GenreId) JOIN MediaType m USING (MediaTypeId) GROUP BY g.GenreId ORDER BY g.Name`,
  },
  {
    name: "a compound SELECT",
    sql: `SELECT Country FROM Customer UNION SELECT BillingCountry FROM Invoice EXCEPT SELECT 'USA' INTERSECT SELECT Country FROM Customer ORDER BY 1`,
  },
  {
    name: "playlists that share tracks",
    sql: `SELECT a.PlaylistId AS one, b.PlaylistId AS other, count(*) AS shared FROM PlaylistTrack a JOIN PlaylistTrack b USING (TrackId)
          WHERE a.PlaylistId < b.PlaylistId GROUP BY 1, 2 ORDER BY shared DESC, 1, 2`,
  },
  {
    name: "NULLs, sorted and compared",
    sql: "SELECT Composer, count(*), Composer IS NULL AS unknown FROM Track GROUP BY Composer ORDER BY Composer NULLS LAST LIMIT 40 OFFSET 830",
  },
  { name: "every track", sql: "SELECT * FROM Track ORDER BY TrackId" },
  { name: "an upsert", sql: "INSERT INTO Genre (GenreId, Name) VALUES (1, ?), (26, ?) ON CONFLICT (GenreId) DO UPDATE SET Name = excluded.Name RETURNING *", params: ["Rock!", "Surf"], writes: true },
  {
    name: "an update from a join, returning rows",
    sql: `UPDATE Invoice SET Total = round(Total + s.extra, 2) FROM (SELECT InvoiceId AS id, count(*) * 0.25 AS extra FROM InvoiceLine GROUP BY 1) s
          WHERE Invoice.InvoiceId = s.id AND Invoice.BillingCountry = ? RETURNING InvoiceId, Total`,
    params: ["Germany"],
    writes: true,
  },
  { name: "a view", sql: "CREATE VIEW AlbumLength AS SELECT AlbumId, sum(Milliseconds) / 1000 AS seconds FROM Track GROUP BY AlbumId", writes: true },
  { name: "a query of the view", sql: "SELECT Title, seconds FROM Album JOIN AlbumLength USING (AlbumId) ORDER BY seconds DESC, AlbumId LIMIT 5" },
  { name: "a full-text index", sql: "CREATE VIRTUAL TABLE TrackText USING fts5(Name, Composer, content='Track', content_rowid='TrackId')", writes: true },
  { name: "its content", sql: "INSERT INTO TrackText (TrackText) VALUES ('rebuild')", writes: true },
  {
    name: "a full-text search with rank and marks",
    sql: "SELECT rowid, highlight(TrackText, 0, '[', ']') AS marked, round(bm25(TrackText), 6) AS score FROM TrackText WHERE TrackText MATCH ? ORDER BY score, rowid LIMIT 20",
    params: ["love OR (rain NEAR down)"],
  },
  {
    name: "a delete with a cascade by hand",
    sql: "DELETE FROM PlaylistTrack WHERE PlaylistId IN (SELECT PlaylistId FROM Playlist WHERE Name = ?) RETURNING count(*) OVER () IS NULL",
    params: ["Grunge"],
    fails: true,
  },
  { name: "a delete by a subquery", sql: "DELETE FROM PlaylistTrack WHERE PlaylistId IN (SELECT PlaylistId FROM Playlist WHERE Name = ?)", params: ["Grunge"], writes: true },
  { name: "a foreign key that holds", sql: "DELETE FROM Artist WHERE ArtistId = 1", fails: true },
  { name: "what is left", sql: "SELECT (SELECT count(*) FROM PlaylistTrack), (SELECT count(*) FROM Artist), (SELECT round(sum(Total), 2) FROM Invoice)" },
];
