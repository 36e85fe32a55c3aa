// Warm point reads: in a Rust Worker with `edge`, from a JavaScript Worker in a session, and what they are to be compared with: the same
// SQLite in the memory of that Rust Worker without Littoral, D1, and a plain object behind RPC.
//
// A request makes as many reads as take a while, one after the other, each checked; its time is taken outside. Rounds of the systems alternate.

import { build, databaseOf } from "../build.mjs";
import { rounded } from "../rounds.mjs";
import { median } from "../stats.mjs";
import { FILL, SCHEMA, rowsOf } from "../workload.mjs";
import { PLACES, start } from "./runtime.mjs";

const SQL = "SELECT id, name FROM t WHERE id = ?";
const CF = PLACES[0].cf;

/** name -> how a request with `times` reads is made. */
const SYSTEMS = {
  "edge": (runtime, { index, database, modulus }, part) => runtime.edge(index, "/edge", { database, sql: SQL, modulus, ...part }),
  "memory": (runtime, { index, modulus }, part) => runtime.edge(index, "/memory", { sql: SQL, modulus, setup: setup(modulus), ...part }),
  "littoral-session": points("littoral-session"),
  "littoral": points("littoral"),
  "d1": points("d1"),
  "do-sql": points("do-sql"),
};

function points(system) {
  return async (runtime, { database, modulus }, part) => {
    const began = performance.now();
    const answer = await runtime.ask({ do: "points", system, database, sql: SQL, modulus, cf: CF, ...part });
    return { answer, ms: performance.now() - began };
  };
}

/** Fills the database in memory as the others are. */
function setup(rows) {
  let bound = 0;
  return `${SCHEMA[0]}; ${FILL.replaceAll("?", () => [1, rows + 1][bound++])}`;
}

/** Answers `{ system, database_mb, p50_us, worst_us, ops_per_s, reads_per_round }` for each system and size. */
export async function warm({ persist, log }, { warm_sizes, rounds, round_ms }) {
  const runtime = await start({ databases: warm_sizes.map(databaseOf), persist, edges: warm_sizes.length });
  const results = [];
  try {
    for (const [index, megabytes] of warm_sizes.entries()) {
      const place = { index, database: databaseOf(megabytes), modulus: rowsOf(megabytes) };
      for (const system of ["littoral", "d1", "do-sql"]) await build(runtime, system, megabytes, log);
      results.push(...await ofSize(runtime, place, { megabytes, rounds, round_ms }));
      log(`warm, ${megabytes} MB: ${results.filter((r) => r.database_mb === megabytes).map((r) => `${r.system} ${r.p50_us} us`).join(", ")}`);
    }
  } finally {
    await runtime.stop();
  }
  return results;
}

async function ofSize(runtime, place, { megabytes, rounds, round_ms }) {
  const subjects = Object.entries(SYSTEMS).map(([system, run]) => ({ system, run, times: 0, each_us: /** @type {number[]} */ ([]) }));
  for (const subject of subjects) {
    // Every page once, wherever there is a cache; then how many reads take a round's time.
    if (["edge", "memory"].includes(subject.system)) await subject.run(runtime, place, { from: 0, times: place.modulus });
    if (subject.system === "littoral-session") await runtime.ask({ do: "warm", database: place.database, rows: place.modulus, cf: CF });
    await subject.run(runtime, place, { from: 0, times: 200 });
    const { ms } = await subject.run(runtime, place, { from: 0, times: 400 });
    subject.times = Math.max(20, Math.min(200_000, Math.round(400 * round_ms / ms)));
    if (["edge", "memory"].includes(subject.system)) {
      const again = await subject.run(runtime, place, { from: 0, times: subject.times });
      subject.times = Math.min(400_000, Math.round(subject.times * round_ms / again.ms));
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < subjects.length; i++) {
      const subject = subjects[(i + round) % subjects.length];
      const { answer, ms } = await subject.run(runtime, place, { from: round * 1_000, times: subject.times });
      if (subject.system === "edge" && (answer.tier !== "isolate" || answer.pages_fetched !== 0)) throw new Error(`not warm: ${JSON.stringify(answer)}`);
      if (subject.system === "littoral-session" && answer.join() !== "isolate") throw new Error(`not the isolate: ${answer}`);
      subject.each_us.push(ms * 1_000 / subject.times);
    }
  }
  return subjects.map(({ system, each_us, times }) => {
    const p50_us = rounded(median(each_us));
    return { system, database_mb: megabytes, p50_us, worst_us: rounded(Math.max(...each_us)), ops_per_s: rounded(1_000_000 / p50_us), reads_per_round: times };
  });
}
