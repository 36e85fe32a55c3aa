-- Full-text search over sightings, kept up to date by triggers.
CREATE VIRTUAL TABLE sightings_text USING fts5 (shore, note, content = 'sightings', content_rowid = 'id');

CREATE TRIGGER sightings_inserted AFTER INSERT ON sightings BEGIN
	INSERT INTO sightings_text (rowid, shore, note) VALUES (new.id, new.shore, new.note);
END;

CREATE TRIGGER sightings_deleted AFTER DELETE ON sightings BEGIN
	INSERT INTO sightings_text (sightings_text, rowid, shore, note) VALUES ('delete', old.id, old.shore, old.note);
END;
