-- The example application: what was seen on which shore.
CREATE TABLE species (
	id         INTEGER PRIMARY KEY,
	name       TEXT NOT NULL UNIQUE,
	scientific TEXT NOT NULL UNIQUE
);

CREATE TABLE sightings (
	id         INTEGER PRIMARY KEY,
	species_id INTEGER NOT NULL REFERENCES species (id),
	shore      TEXT NOT NULL CHECK (length(shore) BETWEEN 1 AND 100),
	note       TEXT NOT NULL DEFAULT '' CHECK (length(note) <= 1000),
	seen_at    TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);

CREATE INDEX sightings_by_species ON sightings (species_id, seen_at);
