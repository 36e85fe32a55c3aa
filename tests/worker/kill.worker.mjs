// The Worker of the kill test: writes under numbers that the test gives, and tells what is there.

import { serve } from "./user.mjs";

const TABLE = "CREATE TABLE IF NOT EXISTS writes (write_id INTEGER, part INTEGER, parts INTEGER, filler TEXT, PRIMARY KEY (write_id, part))";
const INSERT = "INSERT INTO writes (write_id, part, parts, filler) VALUES (?, ?, ?, ?)";

export default serve({
  async create({ db }) {
    await db.prepare(TABLE).run();
    await db.prepare("CREATE INDEX IF NOT EXISTS fillers ON writes (filler)").run();
  },

  /** One write of `parts` rows, a single statement or a batch, in a session of its own. Answers with the session's bookmark. */
  async write({ db, body: { id, parts } }) {
    const session = db.withSession("first-primary");
    const insert = (part) => session.prepare(INSERT).bind(id, part, parts, `filler ${id * 7919 % 1_000_003} `.repeat(1 + id % 20));
    if (parts === 1) await insert(0).run();
    else await session.batch(Array.from({ length: parts }, (_, part) => insert(part)));
    return session.getBookmark();
  },

  /** The rows of a write that a session finds which goes on from that bookmark. */
  async inSession({ db, body: { id, bookmark } }) {
    return await db.withSession(bookmark).prepare("SELECT count(*) AS n FROM writes WHERE write_id = ?").bind(id).first("n");
  },

  /** The writes that are there, `[id, rows, parts]`, and what SQLite says of the file. */
  async found({ db }) {
    const writes = await db.prepare("SELECT write_id, count(*), max(parts) FROM writes NOT INDEXED GROUP BY write_id ORDER BY write_id").raw();
    const { results: check } = await db.prepare("PRAGMA quick_check").all();
    const indexed = await db.prepare("SELECT count(*) AS n FROM writes INDEXED BY fillers WHERE filler > ''").first("n");
    return { writes, check: check.map((row) => Object.values(row)[0]), indexed };
  },
});
