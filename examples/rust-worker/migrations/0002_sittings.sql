-- Each time that somebody sat down to read. They go with their book.
CREATE TABLE sittings (
	id        INTEGER PRIMARY KEY,
	book_id   INTEGER NOT NULL REFERENCES books (id) ON DELETE CASCADE,
	from_page INTEGER NOT NULL,
	to_page   INTEGER NOT NULL CHECK (to_page > from_page),
	at        TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX sittings_by_book ON sittings (book_id);
