-- Books to read, and the page reached in each.
CREATE TABLE books (
	id          INTEGER PRIMARY KEY,
	title       TEXT NOT NULL CHECK (title <> ''),
	author      TEXT NOT NULL CHECK (author <> ''),
	pages       INTEGER NOT NULL CHECK (pages > 0),
	page        INTEGER NOT NULL DEFAULT 0 CHECK (page BETWEEN 0 AND pages),
	finished_at TEXT,
	UNIQUE (author, title)
);
