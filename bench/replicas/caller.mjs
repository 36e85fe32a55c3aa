// The user's JavaScript Worker of these benches: that of the others, and what only replicas need.
//
// Not here: time. These calls are timed outside, as those of the Rust Worker have to be.

import { bind } from "../../js/src/index.js";
import { connect } from "../systems.mjs";
import { rowIn } from "./workload.mjs";
import Bench from "../worker.mjs";

export { PlainObject } from "../object.mjs";

/** As in bench/edge-worker. */
const STRIDE = 7_919;

export default class extends Bench {
  /** `times` point reads one after the other, each checked, of the ids that the Rust Worker reads. Answers the tiers that answered. */
  async points({ system, database, sql, modulus, from, times, cf }) {
    const all = this.#reader(system, database, cf);
    const tiers = new Set();
    for (let k = from; k < from + times; k++) {
      const id = (k * STRIDE) % modulus + 1;
      const { rows, tier } = await all(sql, [id]);
      if (rows.length !== 1 || rows[0].id !== id || !rows[0].name.endsWith(String(id))) throw new Error(`${JSON.stringify(rows)} for ${id}`);
      tiers.add(tier);
    }
    return [...tiers];
  }

  #reader(system, database, cf) {
    if (system !== "littoral-session") {
      const db = connect(system, this.env, database);
      return async (sql, params) => ({ rows: await db.query(sql, params) });
    }
    const session = bind(this.env[`LITTORAL_${database}`], { cf }).withSession();
    return async (sql, params) => {
      const { results, meta } = await session.prepare(sql).bind(...params).all();
      return { rows: results, tier: meta.served_by_tier };
    };
  }

  /** Reads all of `t` in a session, in pieces that an isolate fetches without giving up. */
  async warm({ database, rows, cf }) {
    const session = bind(this.env[`LITTORAL_${database}`], { cf }).withSession();
    for (let from = 1; from <= rows; from += 5_000) {
      await session.prepare("SELECT count(body) FROM t WHERE id BETWEEN ? AND ?").bind(from, from + 4_999).run();
    }
  }

  /** Single-row inserts into `w` straight to the primary, in `concurrency` loops; answers their number and the newest bookmark. */
  async inserts({ database, rows, from, concurrency }) {
    const session = bind(this.env.DATABASES, { database }).withSession("first-primary");
    let next = from;
    const lane = async () => {
      while (next < from + rows) {
        const { meta } = await session.prepare("INSERT INTO w (name, email, score, body) VALUES (?, ?, ?, ?)").bind(...rowIn(next++)).run();
        if (meta.changes !== 1) throw new Error(`an insert changed ${meta.changes} rows`);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, lane));
    return session.getBookmark();
  }

  /** Statements straight to the primary, in one batch; answers the newest bookmark. */
  async write({ database, statements }) {
    const session = bind(this.env.DATABASES, { database }).withSession("first-primary");
    await session.batch(statements.map((sql) => session.prepare(sql)));
    return session.getBookmark();
  }

  /** A method of the primary's object, or of a replica object's. */
  async object({ database, region, method, args = [] }) {
    const stub = region === undefined ? this.env.DATABASES.getByName(database) : this.env.REPLICAS.getByName(`${region}/${database}`);
    return (await stub[method](...args)) ?? null;
  }
}
