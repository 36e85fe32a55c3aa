// Clients at many locations, with sessions and without, on one database of the real Worker: their history must be as promised, says the
// checker of tests/histories, which knows nothing of Littoral but the shape of bookmarks. Histories with false answers must not be.
//
// LITTORAL_SEED and LITTORAL_OPERATIONS choose another history than a random one of 2,000 operations; one with a wrong verdict is kept.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { start } from "./harness.mjs";
import { record } from "./history/record.mjs";

const SEED = Number(process.env.LITTORAL_SEED ?? Math.floor(Math.random() * 2 ** 32));
const OPERATIONS = Number(process.env.LITTORAL_OPERATIONS ?? 2_000);
/** Of the history through the runtime's own D1Database, and of each with pretended replicas, whose answers are to be the primary's past. */
const D1_OPERATIONS = 600;
const PRETENDED_OPERATIONS = 600;
const ONLY_PRIMARY = ["object"];
const CLIENTS = 14;
const DATABASES = ["history", "d1", "pretended", "forgets", "misnames"];
/** How clients reach the database (worker.mjs). */
const WAYS = ["service", "service", "replica", "object"];
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CHECK = ["test", "--quiet", "--test", "histories", "recorded", "--", "--ignored", "--nocapture"];

const folder = mkdtempSync(join(tmpdir(), "littoral-history-"));
let harness;
let wrong = false;
before(async () => {
  harness = await start({ entry: new URL("./history/worker.mjs", import.meta.url), databases: DATABASES });
});
after(async () => {
  await harness?.dispose();
  if (!wrong) rmSync(folder, { recursive: true });
});

/** Has the checkers look at a history: the findings of each, and what they said. */
async function check(name, history) {
  const file = join(folder, `${name}.jsonl`);
  writeFileSync(file, history);
  const child = spawn("cargo", CHECK, { cwd: ROOT, env: { ...process.env, LITTORAL_HISTORY: file, RUST_BACKTRACE: "0" } });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => output.push(chunk));
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  const text = Buffer.concat(output).toString();
  // What did not build, or found no test, is no verdict.
  const [, definitions] = text.match(/^definitions: (\d+) findings/m) ?? assert.fail(text);
  const [, adya] = text.match(/^adya: (\d+) findings/m) ?? assert.fail(text);
  const verdict = { definitions: Number(definitions), adya: Number(adya), text };
  assert.equal(code === 0, verdict.definitions + verdict.adya === 0, text);
  return verdict;
}

/**
 * Records and checks; `expected(verdict)` says whether the verdict is what it must be.
 * @param {import("node:test").TestContext} t
 * @param {string} name
 * @param {{ operations: number, ways: string[], pretended?: object }} workload
 * @param {(verdict: { definitions: number, adya: number, text: string }) => boolean} expected
 */
async function recordAndCheck(t, name, { operations, ways, pretended }, expected) {
  const history = await record(harness, { database: name, ways, seed: SEED, operations, clients: CLIENTS, pretended });
  const verdict = await check(name, history);
  wrong ||= !expected(verdict);
  assert.ok(expected(verdict), `LITTORAL_SEED=${SEED}, the history is kept in ${folder}\n${verdict.text}`);
  t.diagnostic(`LITTORAL_SEED=${SEED}`);
  for (const line of verdict.text.matchAll(/^(\d+ operations.*|definitions: .*|adya: .*)$/gm)) t.diagnostic(line[0]);
  return history;
}

/** Says for each tier how many of the reads it answered, and sees to it that these tiers answered a good part of them. */
function assertTiers(t, history, least) {
  const reads = history.trimEnd().split("\n").map((line) => JSON.parse(line));
  const good = reads.filter(({ outcome, steps, session }) => outcome === "ok" && session !== null && steps.every((step) => "read" in step));
  const share = (tier) => good.filter((read) => read.tier === tier).length / good.length;
  const shares = Object.fromEntries(["isolate", "replica", "primary"].map((tier) => [tier, share(tier)]));
  t.diagnostic(`reads of sessions, answered by: ${JSON.stringify(shares)}`);
  for (const [tier, part] of Object.entries(least)) assert.ok(shares[tier] >= part, `${tier} answered ${shares[tier]} of the reads`);
}

const isGood = ({ definitions, adya }) => definitions === 0 && adya === 0;

/** The history with one answer falsified: a read lacks its last element, whose append was acknowledged before it was asked for. */
function falsified(history) {
  const operations = history.trimEnd().split("\n").map((line) => JSON.parse(line));
  const acknowledged = new Map();
  for (const { outcome, steps, end } of operations) {
    for (const { append } of steps) if (outcome === "ok" && append !== undefined) acknowledged.set(append, end);
  }
  const stale = ({ start, tier, steps }) => tier === "primary" && steps.length === 1 && acknowledged.get(steps[0].read?.at(-1)) < start;
  const operation = operations.findLast(stale);
  operation.steps[0].read.pop();
  return { op: operation.op, history: operations.map((line) => `${JSON.stringify(line)}\n`).join("") };
}

test(`a history of ${OPERATIONS} operations is as promised`, { timeout: 600_000 }, async (t) => {
  const history = await recordAndCheck(t, "history", { operations: OPERATIONS, ways: WAYS }, isGood);
  assertTiers(t, history, { isolate: 0.25, replica: 0.1, primary: 0.1 });
  const { op, history: bad } = falsified(history);
  const { definitions, adya, text } = await check("falsified", bad);
  assert.ok(definitions > 0 && adya > 0 && text.includes(`    op ${op}, `), `a false answer of op ${op} was not noticed\n${text}`);
});

test("a history through the runtime's own D1Database is as promised", { timeout: 60_000 }, async (t) => {
  const history = await recordAndCheck(t, "d1", { operations: D1_OPERATIONS, ways: ["d1"] }, isGood);
  assertTiers(t, history, { isolate: 0.4 });
});

test("sessions are as promised where replicas lag, pretended by the primary's past", { timeout: 60_000 }, async (t) => {
  await recordAndCheck(t, "pretended", { operations: PRETENDED_OPERATIONS, ways: ONLY_PRIMARY, pretended: {} }, isGood);
});

test("replicas that forget sessions' bookmarks are found out by both checkers", { timeout: 60_000 }, async (t) => {
  const bad = ({ definitions, adya }) => definitions > 0 && adya > 0;
  await recordAndCheck(t, "forgets", { operations: PRETENDED_OPERATIONS, ways: ONLY_PRIMARY, pretended: { fault: "forgets" } }, bad);
});

test("replicas that misname their states are found out by the definitions", { timeout: 60_000 }, async (t) => {
  await recordAndCheck(t, "misnames", { operations: PRETENDED_OPERATIONS, ways: ONLY_PRIMARY, pretended: { fault: "misnames" } }, ({ definitions }) => definitions > 0);
});
