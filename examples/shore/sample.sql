-- What POST /setup loads into an empty database.
INSERT INTO species (id, name, scientific) VALUES
	(1, 'Common limpet', 'Patella vulgata'),
	(2, 'Beadlet anemone', 'Actinia equina'),
	(3, 'Shore crab', 'Carcinus maenas'),
	(4, 'Dog whelk', 'Nucella lapillus'),
	(5, 'Oystercatcher', 'Haematopus ostralegus'),
	(6, 'Bladderwrack', 'Fucus vesiculosus');

INSERT INTO sightings (species_id, shore, note, seen_at) VALUES
	(1, 'Robin Hood''s Bay', 'Dozens on the scar, some with barnacles', '2026-05-02T07:40:00Z'),
	(2, 'Robin Hood''s Bay', 'Red ones under the overhang', '2026-05-02T07:55:00Z'),
	(3, 'Roscoff', 'Soft-shelled, hiding in the weed', '2026-06-14T16:05:00Z'),
	(5, 'Texel', 'A pair with two chicks', '2026-06-20T05:20:00Z'),
	(4, 'Roscoff', 'Egg capsules in a crevice', '2026-06-14T16:30:00Z'),
	(6, 'Galway Bay', 'Thick belt in the middle shore', '2026-08-01T11:10:00Z'),
	(3, 'Galway Bay', 'Large male, green', '2026-08-01T11:25:00Z'),
	(5, 'Galway Bay', 'Calling at dusk', '2026-08-01T20:45:00Z');
