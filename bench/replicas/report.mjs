// bench/REPLICAS.md: the figures of replicas as tables, and their targets with what was measured.

import { availableParallelism, totalmem } from "node:os";
import { table } from "../report.mjs";
import { ISOLATE_MB } from "./many.mjs";
import { targets } from "./targets.mjs";

const number = (value) => (value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));

export function report(found) {
  const figures = (name) => found[name]?.figures;
  const parts = [
    "# Results of the bench: replicas",
    `Made by \`make bench\`, or by \`node bench/run.mjs --only replicas\`, on a machine with ${availableParallelism()} cores and ${Math.round(totalmem() / 2 ** 30)} GB, in Cloudflare's runtime as ` +
      "it runs locally (workerd through Miniflare). Other work ran on the machine; rounds of the systems alternate, so **ratios within a table mean something, " +
      "absolute figures little**. Everything is in one process: a round trip costs a fraction of a millisecond here and more where there is a network, so " +
      "round trips and bytes are counted, in the objects themselves.",
    "## Targets",
    table(["", "target", "measured"], targets(found).map(({ target, measured, reached }) => [reached ? "reached" : "**missed**", target, measured])),
  ];
  /** @type {[string, (figures: any) => string[]][]} */
  const sections = [["replica-warm", warm], ["replica-cold", cold], ["replica-catch-up", catchUp], ["replica-writes", writes], ["replica-many", many]];
  for (const [name, section] of sections) {
    if (figures(name)) parts.push(...section(figures(name)));
  }
  parts.push("## When", table(["bench", "ran on"], Object.entries(found).map(([name, { date, failure }]) => [name, failure ? `${date}: failed: ${failure}` : date])));
  return `${parts.join("\n\n")}\n`;
}

const SYSTEMS = {
  edge: "a Rust Worker with `edge`",
  memory: "the same Worker, SQLite in memory without Littoral",
  "littoral-session": "a JavaScript Worker over the service binding, in a session",
  littoral: "the same without a session: the primary answers",
  d1: "D1",
  "do-sql": "a Durable Object that passes SQL to its own storage",
};

function warm(results) {
  const rows = results.map(({ system, database_mb, p50_us, worst_us, ops_per_s }) => {
    const to = (other) => p50_us / results.find((r) => r.system === other && r.database_mb === database_mb).p50_us;
    return [database_mb, SYSTEMS[system], number(p50_us), number(worst_us), number(ops_per_s), `${number(1 / to("d1"))}x`, `${number(to("memory"))}x`];
  });
  return [
    "## Warm point reads",
    "`SELECT id, name FROM t WHERE id = ?` at ids far from one another, one read after the other in one request, each row checked. Times are taken outside of the " +
      "Worker: a round's time through its number of reads; p50 is the median over the rounds, worst the slowest round.",
    table(["MB", "where", "p50 µs", "worst µs", "reads/s", "D1's throughput", "time of SQLite in memory"], rows),
  ];
}

const kilobytes = (bytes) => (bytes / 1_000).toFixed(1);

function cold(results) {
  const lines = (of) => results.filter(of).map((r) => [r.name, r.tier, r.pages, r.trips, kilobytes(r.bytes), r.trips_behind, kilobytes(r.bytes_behind), r.ms]);
  const heads = ["first query", "answered in", "pages", "round trips", "kB", "of the object to the primary", "kB", "ms"];
  const pairs = results.filter((r) => r.window === "default" && r.object === "warm").map((r) => {
    const without = results.find((other) => other.window === 1 && other.object === "warm" && other.name === r.name);
    const [more, fewer] = [r.bytes / without.bytes, r.trips / without.trips];
    return [r.name, `${without.tier}, ${without.trips} / ${without.pages} / ${kilobytes(without.bytes)}`, `${r.tier}, ${r.trips} / ${r.pages} / ${kilobytes(r.bytes)}`, `${number(fewer)}x`, `${number(more)}x`];
  });
  return [
    "## The first query on a database of 1 GB",
    "A Rust Worker's isolate that knows nothing asks the replica object of its region. Round trips are questions of the isolate, among them the one for the position; pages are " +
      "those that came to it, bytes all questions and answers. First where the object has what an isolate asked for before:",
    table(heads, lines((r) => r.window === "default" && r.object === "warm")),
    "Where the object knows nothing either, and has to ask the primary in its turn. Each question of the isolate leads to one of the object's; its own first question, for the position, goes " +
      "out beside the first one that it passes on:",
    table(heads, lines((r) => r.window === "default" && r.object === "cold")),
    "## Prefetch",
    "The same queries with `prefetch_pages` 1, where only what is missing is fetched (and what the source sends of its own accord), against the default. An isolate that would have to ask " +
      "more than 16 times leaves the query to the replica object, whose questions are not counted here.",
    table(["first query", "without: tier, round trips / pages / kB", "with", "round trips", "bytes"], pairs),
  ];
}

function catchUp({ commits, page_bytes, told, told_bytes, written_ms, behind }) {
  const rows = behind.map((b) => [b.who, b.ms, b.trips, kilobytes(b.bytes), Math.round(b.bytes / commits), b.trips_near ?? "", b.bytes_near === undefined ? "" : kilobytes(b.bytes_near)]);
  return [
    "## Catching up",
    `${commits.toLocaleString("en")} single-row inserts, each its own commit, in ${number(written_ms / 1_000)} s. Their changed pages take ${kilobytes(page_bytes)} kB compressed, ` +
      `${Math.round(page_bytes / commits)} bytes a commit. A replica object that was told of all of them got ${told.toLocaleString("en")} messages of ${kilobytes(told_bytes)} kB together: ` +
      `${Math.round(told_bytes / commits)} bytes a commit, ${(told_bytes / page_bytes).toFixed(3)}x. Who has heard of none of them asks when a session that has seen the last one reads, ` +
      "and gets page numbers instead of pages after the first megabyte; the time is that of the read:",
    table(["who is behind", "ms", "questions to the primary", "kB", "bytes a commit", "questions to the object", "kB"], rows),
  ];
}

function writes(results) {
  const rows = results.map((r) => [r.concurrency, number(r.alone_us), ...[r.elsewhere_us, r.followed_us].map((us) => `${number(us)} (${(us / r.alone_us).toFixed(2)}x)`), number(r.messages), number(r.bytes_per_insert)]);
  return [
    "## Writes with ten followers",
    "Single-row inserts straight to the primary; with followers, a replica object in each of ten regions is told of every commit. All objects of a local runtime share one thread, so what " +
      "followers do counts, too, unless they do nothing with the news (\"elsewhere\"): then what is left is the primary's own work, and ten RPC calls for each message.",
    table(["at once", "µs an insert, no follower", "ten followers elsewhere", "ten followers in the same thread", "messages to each in a round", "bytes an insert and follower"], rows),
  ];
}

function many({ databases, steps, tiers }) {
  return [
    `## ${databases.toLocaleString("en")} databases in one process`,
    "Each of 0.2 MB, with a primary, a replica object, and a replica in one isolate, whose page cache keeps 32 MB and which has 16 idle connections. Locally all primaries and replica objects " +
      `share one isolate; production gives an isolate ${ISOLATE_MB} MB. First reads were answered in: ${Object.entries(tiers).map(([tier, n]) => `${tier} ${n}`).join(", ")}.`,
    table(["when", "workerd MB resident", "Rust memory of the isolate of primaries and replica objects MB", "of the isolate with replicas MB"],
      steps.map((s) => [s.when, s.resident_mb ?? "?", s.littoral_mb, s.edge_mb])),
  ];
}
