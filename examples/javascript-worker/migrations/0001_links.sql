-- A short name for an address, and how often it was followed.
CREATE TABLE links (
	id      INTEGER PRIMARY KEY,
	slug    TEXT NOT NULL UNIQUE,
	url     TEXT NOT NULL,
	visits  INTEGER NOT NULL DEFAULT 0,
	made_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX links_by_visits ON links (visits DESC, slug);
