// What replicas are to reach, each with what was measured: `{ target, measured, reached }`, as in ../targets.mjs.

import { judged } from "../targets.mjs";
import { ISOLATE_MB } from "./many.mjs";

export function targets(found) {
  const figures = (name) => found[name]?.figures;
  const list = [
    ...(figures("replica-warm") ? ofWarm(figures("replica-warm")) : []),
    ...(figures("replica-cold") ? ofCold(figures("replica-cold")) : []),
    ...(figures("replica-catch-up") ? ofCatchUp(figures("replica-catch-up")) : []),
    ...(figures("replica-writes") ?? []).flatMap(ofWrites),
    ...(figures("replica-many") ? ofMany(figures("replica-many")) : []),
  ];
  const failed = Object.values(found).filter(({ failure }) => failure).length;
  return [...list, { target: "no bench of replicas fails", measured: String(failed), reached: failed === 0 }];
}

const atMost = (target, measured, limit, unit) => judged(target, measured, (value) => value <= limit, unit);
const atLeast = (target, measured, limit, unit) => judged(target, measured, (value) => value >= limit, unit);

function ofWarm(results) {
  const sizes = [...new Set(results.map(({ database_mb }) => database_mb))];
  const p50 = (system, megabytes) => results.find((r) => r.system === system && r.database_mb === megabytes).p50_us;
  const ratios = (system, other) => sizes.map((megabytes) => p50(system, megabytes) / p50(other, megabytes));
  const of = sizes.map((megabytes) => `${megabytes} MB`).join(", ");
  return [
    atLeast(`warm point read in a Rust Worker (${of}): at least 100x D1's throughput`, ratios("edge", "d1").map((ratio) => 1 / ratio), 100),
    atMost("warm point read in a Rust Worker: p50 under 20 µs", sizes.map((megabytes) => p50("edge", megabytes)), 20, " µs"),
    atMost("warm point read in a Rust Worker: within 3x of SQLite in memory", ratios("edge", "memory"), 3),
    atMost("warm point read from a JavaScript Worker in a session: at most 0.5x D1's time", ratios("littoral-session", "d1"), 0.5),
  ];
}

function ofWrites({ concurrency, alone_us, followed_us, elsewhere_us }) {
  const target = `writes on the primary, ${concurrency} at once, with 10 followers: at most 1.1x the time with none`;
  return [
    atMost(`${target} (followers elsewhere)`, [elsewhere_us / alone_us], 1.1),
    atMost(`${target} (followers in the same thread)`, [followed_us / alone_us], 1.1),
  ];
}

function ofCold(results) {
  const of = (target, figure) => results.filter((r) => r.target === target && r.window === "default").map((r) => r[figure]);
  return [
    atMost("first point query on 1 GB: at most 12 pages", of("point", "pages"), 12, ""),
    atMost("first point query on 1 GB: at most 4 round trips", of("point", "trips"), 4, ""),
    atMost("first index range of 1,000 rows (all in the index, or with rows of the table, neighbours or scattered; the replica object cold, warm): at most 8 round trips", of("range", "trips"), 8, ""),
  ];
}

function ofCatchUp({ commits, page_bytes, told_bytes, behind }) {
  const words = commits.toLocaleString("en");
  return [
    atMost("bytes per commit to a follower: at most 1.2x those of the changed pages, compressed", [told_bytes / page_bytes, ...behind.map(({ bytes }) => bytes / page_bytes)], 1.2),
    atMost(`${words} small commits: caught up in 2 s`, behind.map(({ ms }) => ms / 1_000), 2, " s"),
  ];
}

function ofMany({ databases, steps, tiers }) {
  const most = (name) => Math.max(...steps.map((step) => step[name]));
  const words = databases.toLocaleString("en");
  return [
    atMost(`${words} databases with replicas: the isolate with replicas has at most ${ISOLATE_MB} MB`, [most("edge_mb")], ISOLATE_MB, " MB"),
    atMost(`${words} databases: their primaries and replica objects have at most ${ISOLATE_MB} MB, in one isolate`, [most("littoral_mb")], ISOLATE_MB, " MB"),
    atLeast(`${words} databases with replicas: all first reads are answered in the isolate`, [(tiers.isolate ?? 0) / databases], 1),
  ];
}
