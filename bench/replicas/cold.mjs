// The first query of an isolate that knows nothing, on a large database: pages, round trips and bytes, counted where they pass.
//
// Each query has a Rust Worker of its own, hence a cold isolate, and is asked twice: when the region's replica object knows nothing
// either, and by another cold isolate when that object has what the first one fetched. Then all of it once more without the window of
// what a scan wants next.

import { FILL_ORDERS, DAY_ROWS, ORDERS, byCustomer, nameOf, ordersOf } from "./workload.mjs";
import { PLACES, start } from "./runtime.mjs";

const CHUNK_ROWS = DAY_ROWS;
const { region, cf } = PLACES[0];

/** Queries around the order `id`, each with the ids of the rows that it has to find. */
function queries(id) {
  const ids = (count) => Array.from({ length: count }, (_, i) => id + i);
  const day = Math.floor(id / DAY_ROWS);
  const names = (count) => `name BETWEEN '${nameOf(id)}' AND '${nameOf(id + count - 1)}'`;
  return [
    { name: "one row by its key", target: "point", sql: `SELECT id, name FROM orders WHERE id = ${id}`, ids: ids(1) },
    { name: "one row by an index", sql: `SELECT id, name, body FROM orders WHERE name = '${nameOf(id)}'`, ids: ids(1) },
    { name: "1,000 rows, all in the index", target: "range", sql: `SELECT id, name FROM orders WHERE ${names(1_000)}`, ids: ids(1_000) },
    { name: "1,000 rows by an index, neighbours in the table", target: "range", sql: `SELECT id, name, body FROM orders WHERE ${names(1_000)}`, ids: ids(1_000) },
    {
      name: "1,000 rows by an index, scattered over 20,000", target: "range", ids: byCustomer(day, 1_000),
      sql: `SELECT id, name FROM orders WHERE day = ${day} ORDER BY customer LIMIT 1000`,
    },
    { name: "5,000 rows of the table, a scan", sql: `SELECT id, name FROM orders WHERE id BETWEEN ${id} AND ${id + 4_999}`, ids: ids(5_000) },
  ];
}

/** Answers `{ name, target, window, object, tier, ms, pages, trips, bytes, trips_behind, bytes_behind }` for each query and way. */
export async function cold({ persist, log }, { cold_megabytes }) {
  const database = `orders${cold_megabytes}`;
  const rows = await buildOrders({ persist, log }, database, cold_megabytes);
  const found = [];
  for (const window of [undefined, 1]) {
    const asked = queries(Math.floor(rows / 2 / DAY_ROWS) * DAY_ROWS + 1);
    const replication = window === undefined ? {} : { prefetch_pages: window };
    const runtime = await start({ databases: [database], persist, edges: 2 * asked.length, replication });
    try {
      for (const [index, query] of asked.entries()) {
        await runtime.object({ database, region, method: "forget" });
        for (const [i, object] of ["cold", "warm"].entries()) {
          const result = await askOnce(runtime, 2 * index + i, { database, query });
          found.push({ name: query.name, target: query.target, window: window ?? "default", object, ...result });
          const { tier, ms, pages, trips, bytes, trips_behind, bytes_behind } = result;
          log(`cold, ${query.name}, window ${window ?? "default"}, object ${object}: ${tier}, ${pages} pages, ${trips} + ${trips_behind} trips, ${bytes} + ${bytes_behind} bytes, ${ms} ms`);
        }
      }
    } finally {
      await runtime.stop();
    }
  }
  return found;
}

async function askOnce(runtime, index, { database, query }) {
  const take = (at) => runtime.object({ database, region: at, method: "takeCounts" });
  await Promise.all([take(region), take()]);
  const { answer, ms } = await runtime.edge(index, "/edge", { database, sql: query.sql, times: 1 }, cf);
  const ids = answer.rows.map(({ id }) => id);
  if (ids.join() !== query.ids.join()) throw new Error(`${query.name}: ${ids.length} rows, not the ${query.ids.length} that it has`);
  const wrong = answer.rows.find(({ id, name }) => name !== nameOf(id));
  if (wrong) throw new Error(`${query.name}: ${JSON.stringify(wrong)}`);
  const [near, behind] = [await take(region), await take()];
  return {
    tier: answer.tier, ms: Math.round(ms), pages: near.pages, trips: near.asked, bytes: near.question_bytes + near.answer_bytes,
    trips_behind: behind.asked, bytes_behind: behind.question_bytes + behind.answer_bytes,
  };
}

/** Fills the database, or goes on where that was interrupted; answers how many rows it has. */
async function buildOrders({ persist, log }, database, megabytes) {
  const rows = ordersOf(megabytes);
  const runtime = await start({ databases: [database], persist });
  try {
    for (const sql of ORDERS) await runtime.query("littoral-object", database, sql);
    const [{ last }] = await runtime.query("littoral-object", database, "SELECT coalesce(max(id), 0) AS last FROM orders");
    let shown = Date.now();
    for (let from = last + 1; from <= rows; from += CHUNK_ROWS) {
      await runtime.query("littoral-object", database, FILL_ORDERS, [from, Math.min(from + CHUNK_ROWS, rows + 1)]);
      if (Date.now() - shown > 10_000) {
        shown = Date.now();
        log(`building ${megabytes} MB of orders: ${Math.round(from * 100 / rows)} %`);
      }
    }
  } finally {
    await runtime.stop();
  }
  return rows;
}
