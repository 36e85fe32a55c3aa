-- Visits of each day. They go with their link.
CREATE TABLE visits_by_day (
	link_id INTEGER NOT NULL REFERENCES links (id) ON DELETE CASCADE,
	day     TEXT NOT NULL DEFAULT CURRENT_DATE,
	visits  INTEGER NOT NULL DEFAULT 1,
	PRIMARY KEY (link_id, day)
) WITHOUT ROWID;
