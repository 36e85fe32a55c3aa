// The shore log in the database. `db` is a D1Database or a session of one.
//
// Not here: HTTP.

import sample from "../sample.sql";

/** @typedef {Pick<import("littoral").D1Database, "prepare" | "batch">} Database */
/** @typedef {{ species_id: number, shore: string, note: string }} Sighting */

/**
 * Whether nothing was ever written to it.
 * @param {Database} db
 */
export async function isEmpty(db) {
  return (await db.prepare("SELECT NOT EXISTS (SELECT 1 FROM species) AS empty").first("empty")) === 1;
}

/**
 * Loads the sample rows, all or none; how many sightings there are then.
 * @param {Database} db
 */
export async function loadSample(db) {
  await db.prepare(sample).run();
  return db.prepare("SELECT count(*) AS n FROM sightings").first("n");
}

/**
 * All species, with how often they were seen.
 * @param {Database} db
 */
export async function species(db) {
  const { results } = await db
    .prepare(
      `SELECT species.id, name, scientific, count(sightings.id) AS seen FROM species
       LEFT JOIN sightings ON species_id = species.id GROUP BY species.id ORDER BY name`,
    )
    .all();
  return results;
}

/**
 * The newest sightings, of those that match where `search` has words; and what it took.
 * @param {Database} db
 * @param {string} search
 */
export async function sightings(db, search) {
  const words = quotedForSearch(search);
  const matching = words && "WHERE sightings.id IN (SELECT rowid FROM sightings_text WHERE sightings_text MATCH ?)";
  const statement = db.prepare(
    `SELECT sightings.id, name, shore, note, seen_at FROM sightings JOIN species ON species.id = species_id
     ${matching} ORDER BY seen_at DESC, sightings.id DESC LIMIT 50`,
  );
  const { results, meta } = await (words ? statement.bind(words) : statement).all();
  return { sightings: results, rows_read: meta.rows_read, size_after: meta.size_after };
}

/**
 * Each word as a quoted prefix: what people type is no FTS5 expression.
 * @param {string} text
 */
function quotedForSearch(text) {
  const words = text.split(/\s+/).filter((word) => word !== "");
  return words.map((word) => `"${word.replaceAll('"', '""')}"*`).join(" ");
}

/**
 * What a caller sent, if it is a sighting. Whether there is such a species and a shore, the database knows.
 * @param {unknown} wanted
 * @returns {Sighting}
 */
export function checked(wanted) {
  const { species_id, shore, note = "" } = /** @type {{ species_id?: unknown, shore?: unknown, note?: unknown }} */ (wanted ?? {});
  if (typeof species_id !== "number" || !Number.isSafeInteger(species_id) || typeof shore !== "string" || typeof note !== "string") {
    throw new TypeError('a sighting is {"species_id": 1, "shore": "...", "note": "..."}; the note may be left out');
  }
  return { species_id, shore: shore.trim(), note: note.trim() };
}

/**
 * Adds a sighting; its id.
 * @param {Database} db
 * @param {Sighting} sighting
 */
export async function add(db, { species_id, shore, note }) {
  const insert = db.prepare("INSERT INTO sightings (species_id, shore, note) VALUES (?, ?, ?)");
  const { meta } = await insert.bind(species_id, shore, note).run();
  return meta.last_row_id;
}

/**
 * Removes a sighting; how many there were of that id: one or none. `meta.changes` would count what the triggers change, too.
 * @param {Database} db
 * @param {number} id
 */
export async function remove(db, id) {
  const { results } = await db.prepare("DELETE FROM sightings WHERE id = ? RETURNING id").bind(id).all();
  return results.length;
}
