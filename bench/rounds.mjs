// Measures one bench: short rounds, the systems one after another and in turn the first, medians over the rounds.
//
// Not here: what an operation is (workload.mjs), how it is timed (worker.mjs).

import { databaseOf } from "./build.mjs";
import { median, medianLatency, percentile } from "./stats.mjs";
import { SYSTEMS } from "./systems.mjs";
import { EMPTY_W, SCHEMA, rowsOf } from "./workload.mjs";

/** How many calls are made at once, and whether each loop of calls is a request of its own (which is part of the bench's name). */
export const SHAPES = [
  { concurrency: 1, shape: "loops", suffix: "" },
  { concurrency: 50, shape: "loops", suffix: "" },
  { concurrency: 50, shape: "requests", suffix: "-requests" },
];

const MOST_OPERATIONS = 20_000;

/**
 * Runs a bench in one shape on every system and size; answers a result, or `{ failure }`, for each.
 * `round_ms` is how long a round should take, `rounds` how many there are; with no `round_ms` each loop does one operation.
 */
export async function measure(runtime, bench, { concurrency, shape, suffix }, { sizes, rounds, round_ms }) {
  const subjects = sizes.flatMap((megabytes) => SYSTEMS.map((system) => ({ megabytes, system, lanes: [], rates: [] })));
  const run = async (subject, operations, seed) => {
    const { megabytes, system } = subject;
    const database = databaseOf(megabytes);
    if (bench.includes("insert")) await emptyInserts(runtime, system, database);
    // Each system has numbers of its own: some share a database, and none is to find what another has just read.
    const own = seed * SYSTEMS.length + SYSTEMS.indexOf(system);
    const task = { do: "round", system, database, bench, shape, concurrency, operations, rows: rowsOf(megabytes), seed: own };
    return runtime.ask(task);
  };
  const attempt = async (subject, body) => {
    if (subject.failure) return;
    try {
      await body();
    } catch (error) {
      subject.failure = error.message.split("\n")[0];
    }
  };

  for (const subject of subjects) {
    subject.operations = concurrency;
    if (round_ms === undefined) continue;
    await attempt(subject, async () => {
      // Once to warm up, once to see how many operations make a round.
      await run(subject, concurrency, 1);
      const { ms, lanes } = await run(subject, concurrency * 2, 2);
      const rate = lanes.flat().length / Math.max(ms, 1);
      const each = Math.floor(Math.min(rate * round_ms, MOST_OPERATIONS) / concurrency);
      subject.operations = Math.max(1, each) * concurrency;
    });
  }
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < subjects.length; i++) {
      const subject = subjects[(i + round) % subjects.length];
      await attempt(subject, async () => {
        const { ms, lanes } = await run(subject, subject.operations, 10 + round);
        subject.lanes.push(...lanes);
        subject.rates.push(lanes.flat().length / Math.max(ms, 1) * 1_000);
      });
    }
  }
  return subjects.map(({ megabytes, system, lanes, rates, failure }) => {
    const what = { bench: bench + suffix, system, database_mb: megabytes, concurrency };
    if (failure) return { ...what, failure };
    return { ...what, p50_ms: rounded(medianLatency(lanes)), p99_ms: rounded(percentile(lanes.flat(), 0.99)), ops_per_s: rounded(median(rates)) };
  });
}

/** The table of inserts is emptied before each round, so that databases keep their size. */
async function emptyInserts(runtime, system, database) {
  await runtime.query(system, database, EMPTY_W);
  for (const sql of SCHEMA) await runtime.query(system, database, sql);
}

/** Four significant digits. */
export const rounded = (value) => Number(value.toPrecision(4));
