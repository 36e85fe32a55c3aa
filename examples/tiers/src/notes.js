// The notes in the database. `db` is a D1Database or a session of one. Each function answers with `meta` too: it says who answered.
//
// Not here: HTTP, and which copy is asked.

/** @typedef {Pick<import("littoral").D1Database, "prepare" | "batch">} Database */

/** Characters of a note. */
export const LONGEST = 60;
/** Older notes go when new ones come. */
const KEPT = 100;

/**
 * Whether that may be the text of a note.
 * @param {unknown} text
 * @returns {text is string}
 */
export function isText(text) {
  return typeof text === "string" && text.trim() !== "" && text.length <= LONGEST;
}

/**
 * The newest notes, newest first.
 * @param {Database} db
 */
export async function newest(db) {
  const { results, meta } = await db.prepare("SELECT id, text, place, written_at FROM notes ORDER BY id DESC LIMIT 6").run();
  return { notes: results, meta };
}

/**
 * Writes a note and drops the oldest, in one transaction.
 * @param {Database} db
 * @param {string} text
 * @param {string} place
 */
export async function write(db, text, place) {
  const [{ results, meta }] = await db.batch([
    db.prepare("INSERT INTO notes (text, place) VALUES (?, ?) RETURNING id, text, place, written_at").bind(text, place),
    db.prepare("DELETE FROM notes WHERE id <= (SELECT max(id) FROM notes) - ?").bind(KEPT),
  ]);
  return { notes: results, meta };
}
