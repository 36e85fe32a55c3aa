// Catching up: how many bytes a commit takes on the way to a follower, and how long a follower takes that is many commits behind.
//
// Three followers of one primary see the same single-row inserts, each its own commit. A replica object is told of all of them with their
// pages. Another one is deaf meanwhile, and an isolate that follows the primary itself is not asked: both have to catch up when a session
// that has seen the last commit asks. What the changed pages take compressed is read from the primary's own log, after the runtime has stopped.

import { globSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SCHEMA } from "../workload.mjs";
import { PLACES, start } from "./runtime.mjs";

const DATABASE = "catchup";
const [TOLD, DEAF] = PLACES;
const COUNT = "SELECT count(*) AS id, max(name) AS name FROM w";
/** A replica object that is not read for half a minute is told no more. */
const ROWS_AT_ONCE = 2_000;

/** Answers `{ commits, page_bytes, told_bytes, told, behind: [{ who, ms, bytes, trips }] }`. */
export async function catchUp({ persist, log }, { commits }) {
  const folder = join(persist, "catch-up");
  const runtime = await start({ databases: [DATABASE], persist: folder, edges: 4, direct: [2] });
  let found;
  try {
    found = await follow(runtime, commits);
  } finally {
    await runtime.stop();
  }
  const page_bytes = loggedBytes(folder, found.first, found.last);
  const result = { ...found, page_bytes };
  log(`catch-up: ${JSON.stringify(result)}`);
  return result;
}

async function follow(runtime, commits) {
  await runtime.ask({ do: "write", database: DATABASE, statements: ["DROP TABLE IF EXISTS w", SCHEMA[1]] });
  const begin = await runtime.ask({ do: "inserts", database: DATABASE, rows: 200, from: 0, concurrency: 1 });
  const read = (index, cf, session) => runtime.edge(index, "/edge", { database: DATABASE, sql: COUNT, times: 1, session }, cf);
  const expect = ({ answer }, rows) => {
    if (answer.rows[0].id !== rows || answer.tier !== "isolate") throw new Error(`${JSON.stringify(answer)} instead of ${rows} rows`);
  };
  // All three know the state before: the told one by isolate 0, the deaf one by 1, and isolate 2 follows the primary.
  for (const { index, cf } of [{ index: 0, cf: TOLD.cf }, { index: 1, cf: DEAF.cf }, { index: 2, cf: TOLD.cf }]) expect(await read(index, cf, begin), 200);
  const object = (region, method, args) => runtime.object({ database: DATABASE, region, method, args });
  await object(DEAF.region, "setDeaf", [true]);
  for (const region of [TOLD.region, DEAF.region, undefined]) await object(region, "takeCounts");
  let head = begin;
  const began = performance.now();
  for (let from = 200; from < 200 + commits; from += ROWS_AT_ONCE) {
    const rows = Math.min(ROWS_AT_ONCE, 200 + commits - from);
    head = await runtime.ask({ do: "inserts", database: DATABASE, rows, from, concurrency: 1 });
    // Isolate 3 keeps the told object subscribed.
    await read(3, TOLD.cf, head);
  }
  const written_ms = Math.round(performance.now() - began);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const { told, told_bytes } = await object(TOLD.region, "takeCounts");
  await object(DEAF.region, "setDeaf", [false]);
  const behind = [];
  for (const [index, cf, region, who] of [[2, TOLD.cf, undefined, "an isolate that follows the primary"], [1, DEAF.cf, DEAF.region, "a replica object, and an isolate behind it"]]) {
    await object(undefined, "takeCounts");
    const asked = await read(index, cf, head);
    expect(asked, 200 + commits);
    const near = region && await object(region, "takeCounts");
    const far = await object(undefined, "takeCounts");
    const bytesOf = (counts) => counts.question_bytes + counts.answer_bytes;
    behind.push({ who, ms: Math.round(asked.ms), trips: far.asked, bytes: bytesOf(far), ...(near ? { trips_near: near.asked, bytes_near: bytesOf(near) } : {}) });
  }
  const txid = (bookmark) => parseInt(bookmark.slice(0, 8) + bookmark.slice(9, 17), 16);
  return { commits: txid(head) - txid(begin), first: txid(begin) + 1, last: txid(head), written_ms, told, told_bytes, behind };
}

/** Bytes of the images that these commits have in the primary's log. */
function loggedBytes(folder, first, last) {
  for (const file of globSync(join(folder, "do/littoral-Database/*.sqlite")).filter((name) => !name.endsWith("metadata.sqlite"))) {
    const db = new DatabaseSync(file);
    const sums = db.prepare("SELECT count(frames) AS n, sum(length(frames)) AS bytes FROM commits WHERE txid BETWEEN ? AND ?").get(first, last);
    const { n, bytes } = /** @type {{ n: number, bytes: number }} */ (sums);
    db.close();
    if (n !== last - first + 1) throw new Error(`${n} commits have their pages in the log, not ${last - first + 1}`);
    return bytes;
  }
  throw new Error(`there is no database in ${folder}`);
}
