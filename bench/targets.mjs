// What the bench is to reach, each with what was measured: `{ target, measured, reached }`, reached undefined where it was not measured.

import { SYSTEMS } from "./systems.mjs";

/** What still counts as no slower: two runs of one system differ by as much. */
const NO_SLOWER = 0.95;

export function targets({ results, beside, storage, engine, operations, plan, failures }) {
  const find = (bench, system, megabytes, concurrency) =>
    results.find((r) => r.bench === bench && r.system === system && r.database_mb === megabytes && r.concurrency === concurrency);
  // The ratio of a figure of ours to D1's, for every size.
  const toD1 = (bench, system, concurrency, figure) => plan.sizes.map((megabytes) => {
    const [ours, d1] = [system, "d1"].map((name) => find(bench, name, megabytes, concurrency)?.[figure]);
    return ours === undefined || d1 === undefined ? undefined : ours / d1;
  });
  const atMost = (target, ratios, limit) => judged(target, ratios, (ratio) => ratio <= limit);
  const atLeast = (target, ratios, limit) => judged(target, ratios, (ratio) => ratio >= limit);

  const list = [
    atMost("point select, 1 at once: at most 0.5x D1's time", toD1("point-select", "littoral", 1, "p50_ms"), 0.5),
    atLeast("point select, 50 at once in one request: at least 3x D1's throughput", toD1("point-select", "littoral", 50, "ops_per_s"), 3),
    atLeast("point select, 50 requests at once: at least 3x D1's throughput", toD1("point-select-requests", "littoral", 50, "ops_per_s"), 3),
    atMost("point select straight to the object, 1 at once: at most 0.5x D1's time", toD1("point-select", "littoral-object", 1, "p50_ms"), 0.5),
    atLeast("point select straight to the object, 50 requests at once: at least 3x D1's throughput", toD1("point-select-requests", "littoral-object", 50, "ops_per_s"), 3),
    atMost("insert, 1 at once: at most 0.9x D1's time", toD1("insert", "littoral", 1, "p50_ms"), 0.9),
    atLeast("insert, 50 at once in one request: at least 1.5x D1's throughput", toD1("insert", "littoral", 50, "ops_per_s"), 1.5),
    atLeast("insert, 50 requests at once: at least 1.5x D1's throughput", toD1("insert-requests", "littoral", 50, "ops_per_s"), 1.5),
  ];
  for (const bench of ["point-select", "insert", "batch-insert", "update", "scan", "aggregate"]) {
    for (const [suffix, concurrency, words] of [["", 1, "1 at once"], ["", 50, "50 at once in one request"], ["-requests", 50, "50 requests at once"]]) {
      const ratios = toD1(bench + suffix, "littoral-d1class", concurrency, "ops_per_s");
      list.push(atLeast(`\`D1Database\` class, ${bench}, ${words}: no slower than D1 (throughput; from ${NO_SLOWER}x on)`, ratios, NO_SLOWER));
    }
  }
  const times = [1, 1_000].map((megabytes) => find("point-select", "littoral", megabytes, 1)?.p50_ms);
  list.push(atMost("point select in 1 GB: at most 1.3x the time of 1 MB", times.includes(undefined) ? [undefined] : [times[1] / times[0]], 1.3));
  for (const operation of ["point-select", "insert"]) {
    const p99 = (beside ?? []).filter((b) => b.operation === operation && b.system === "littoral-object").map((b) => b.p99_ms);
    list.push(judged(`${operation} beside a scan: p99 under 20 ms`, p99, (ms) => ms < 20, " ms"));
  }
  for (const { name, rows_per_insert } of (storage ?? []).filter(({ system }) => system === "littoral")) {
    list.push(judged(`storage rows written per single-row insert, ${name}: at most 2`, [rows_per_insert], (rows) => rows <= 2, ""));
  }
  for (const { name, ratio } of (engine ?? []).filter(({ isEngine }) => isEngine)) list.push(atMost(`engine, ${name}: at most 3x native SQLite in memory`, [ratio], 3));
  if (operations) list.push(...ofOperations(operations, find("point-select", "d1", 1, 1)?.p50_ms));
  const failed = failures.filter(({ what }) => SYSTEMS.some((system) => system.startsWith("littoral") && what.includes(system)));
  list.push({ target: "no bench fails on Littoral", measured: String(failed.length), reached: failed.length === 0 });
  return list.filter(({ reached }) => reached !== undefined);
}

/** `d1_ms`: a point select by Miniflare's binding of D1. */
function ofOperations({ megabytes, timed, query }, d1_ms) {
  const find = (begin) => timed.find(({ name }) => name.startsWith(begin));
  const ratio = (begin) => find(begin).ms / find(begin).native_ms;
  const whole = d1_ms === undefined ? undefined : query.rest_ms / (query.empty_ms + d1_ms);
  return [
    judged(`a SQLite file of ${megabytes} MB in: at most 2x native SQLite`, [ratio("a SQLite file in")], (x) => x <= 2),
    judged(`SQL text of ${megabytes} MB in: at most 3x native SQLite`, [ratio("SQL text in")], (x) => x <= 3),
    judged(`${megabytes} MB out, as a file: at most 2x native SQLite`, [ratio("the file out")], (x) => x <= 2),
    judged(`${megabytes} MB out, as SQL text: at most 3x native SQLite`, [ratio("SQL text out")], (x) => x <= 3),
    judged(`a branch of ${megabytes} MB, to the end of its first write: at most 100 ms`, [find("a branch").ms], (ms) => ms <= 100, " ms"),
    judged("a point query over REST: at most 1.3x an empty request and a point select by D1's binding", [whole], (x) => x <= 1.3),
  ];
}

export function judged(target, figures, good, unit = "x") {
  const known = figures.filter((figure) => figure !== undefined);
  return {
    target,
    measured: figures.map((figure) => (figure === undefined ? "?" : `${figure.toFixed(2)}${unit}`)).join(", "),
    reached: known.length === 0 ? undefined : known.every(good),
  };
}
