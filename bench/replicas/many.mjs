// Many databases with replicas in one process: each is written at its primary, read through a replica object, and read in one isolate that
// keeps replicas of all of them. What three budgets have to hold against: more pages than the isolate's page cache may keep, more databases than
// connections may stay open, and all primaries and replica objects in one isolate, where production would spread them.

import { join } from "node:path";
import { rmSync } from "node:fs";
import { PLACES, start } from "./runtime.mjs";

/** Rows of each database: 0.2 MB, so that a thousand are six times what the page cache holds. */
const ROWS = 900;
const FILL = `INSERT INTO t WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < ${ROWS}) SELECT n, printf('Customer %08d', n), hex(randomblob(90)) FROM i`;
const READ = "SELECT count(*) AS id, max(name || substr(body, 1, 0)) AS name FROM t";
/** Production gives an isolate 128 MB. */
export const ISOLATE_MB = 128;

/** Answers `{ databases, steps: [{ when, resident_mb, littoral_mb, edge_mb }], tiers, at_once }`. */
export async function many({ persist, log }, { databases }) {
  const folder = join(persist, "many");
  rmSync(folder, { recursive: true, force: true });
  const runtime = await start({ databases: [], persist: folder, edges: 1 });
  const steps = [];
  const name = (i) => `many${i}`;
  const remember = async (when) => {
    const bytes = await runtime.object({ database: name(0), method: "memoryBytes" });
    const { answer } = await runtime.edge(0, "/memory-bytes");
    const step = { when, resident_mb: runtime.residentMegabytes(), littoral_mb: megabytes(bytes), edge_mb: megabytes(answer) };
    steps.push(step);
    log(`many: ${JSON.stringify(step)}`);
  };
  try {
    await runtime.ask({ do: "ready" });
    await remember("one database is open");
    const bookmarks = [];
    for (let i = 0; i < databases; i++) {
      bookmarks[i] = await runtime.ask({ do: "write", database: name(i), statements: ["CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, body TEXT)", FILL] });
    }
    await remember(`${databases} databases were written`);
    const read = async (i) => {
      const { answer } = await runtime.edge(0, "/edge", { database: name(i), sql: READ, times: 1, session: bookmarks[i] }, PLACES[i % PLACES.length].cf);
      if (answer.rows[0].id !== ROWS || !answer.rows[0].name.endsWith(String(ROWS))) throw new Error(`${name(i)}: ${JSON.stringify(answer.rows)}`);
      return answer;
    };
    const tiers = {};
    for (let i = 0; i < databases; i++) {
      const { tier } = await read(i);
      tiers[tier] = (tiers[tier] ?? 0) + 1;
      await read(i);
    }
    await remember("each was read twice in the isolate, through its replica object");
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < databases; i++) await read((i * 7_919) % databases);
    }
    await remember("and three times more, in another order");
    const last = await Promise.all(Array.from({ length: Math.min(50, databases) }, (_, i) => read(i)));
    await remember("50 of them at once");
    return { databases, steps, tiers, at_once: last.length };
  } finally {
    await runtime.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const megabytes = (bytes) => Math.round(bytes / 2 ** 20);
