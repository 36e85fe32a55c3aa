// The links in the database. `db` is a D1Database or a session of one.
//
// Not here: HTTP.

/** @typedef {Pick<import("littoral").D1Database, "prepare" | "batch">} Database */
/** @typedef {{ slug: string, url: string }} Link */
/** @typedef {Link & { visits: number }} Visited */

const SLUG = /^[a-z0-9-]{1,32}$/;
const LONGEST_URL = 2000;
/** These would hide behind the paths of the Worker itself. */
const TAKEN = ["links", "migrate"];

/**
 * What a caller sent as `{ slug, url }`, or null where it is no link.
 * @param {unknown} wanted
 * @returns {Link | null}
 */
export function checked(wanted) {
  const { url, slug = randomSlug() } = /** @type {{ url?: unknown, slug?: unknown }} */ (wanted ?? {});
  if (typeof url !== "string" || url.length > LONGEST_URL || !/^https?:$/.test(URL.parse(url)?.protocol ?? "")) return null;
  return typeof slug === "string" && SLUG.test(slug) && !TAKEN.includes(slug) ? { slug, url } : null;
}

function randomSlug() {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789"; // 32 of them, none that looks like another
  return Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => letters[byte % letters.length]).join("");
}

/**
 * Adds links in one transaction; null, and none of them added, where a slug is taken.
 * @param {Database} db
 * @param {Link[]} links
 */
export async function add(db, links) {
  const insert = db.prepare("INSERT INTO links (slug, url) VALUES (?, ?) RETURNING slug, url");
  try {
    /** @type {{ results: Link[] }[]} */
    const added = await db.batch(links.map(({ slug, url }) => insert.bind(slug, url)));
    return added.map(({ results: [link] }) => link);
  } catch (error) {
    if (String(error).includes("UNIQUE constraint failed: links.slug")) return null;
    throw error;
  }
}

/**
 * The hundred most visited, and how many there are.
 * @param {Database} db
 */
export async function mostVisited(db) {
  const [links, counts] = await db.batch([
    db.prepare("SELECT slug, url, visits FROM links ORDER BY visits DESC, slug LIMIT 100"),
    db.prepare("SELECT count(*) AS total FROM links"),
  ]);
  const [{ total }] = /** @type {{ total: number }[]} */ (counts.results);
  return { links: /** @type {Visited[]} */ (links.results), total };
}

/**
 * A link with its visits by day, or null.
 * @param {Database} db
 * @param {string} slug
 */
export async function find(db, slug) {
  /** @type {Visited & { id: number, made_at: string } | null} */
  const link = await db.prepare("SELECT id, slug, url, visits, made_at FROM links WHERE slug = ?").bind(slug).first();
  if (link === null) return null;
  const { id, ...rest } = link;
  const { results } = await db.prepare("SELECT day, visits FROM visits_by_day WHERE link_id = ? ORDER BY day").bind(id).all();
  return { ...rest, days: results };
}

/**
 * Whether there was such a link.
 * @param {Database} db
 * @param {string} slug
 */
export async function remove(db, slug) {
  const { meta } = await db.prepare("DELETE FROM links WHERE slug = ?").bind(slug).run();
  return meta.changes > 0;
}

/**
 * The address behind a slug, or null. Counts the visit, in total and by day, in one transaction.
 * @param {Database} db
 * @param {string} slug
 */
export async function follow(db, slug) {
  /** @type {{ results: Link[] }[]} */
  const [{ results: [link] }] = await db.batch([
    db.prepare("UPDATE links SET visits = visits + 1 WHERE slug = ? RETURNING url").bind(slug),
    db
      .prepare("INSERT INTO visits_by_day (link_id) SELECT id FROM links WHERE slug = ? ON CONFLICT DO UPDATE SET visits = visits + 1")
      .bind(slug),
  ]);
  return link?.url ?? null;
}
