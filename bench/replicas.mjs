// The benches of replicas: runs those that are asked for, and keeps the figures of each until it is run again.
//
// Not here: what each measures (replicas/), how it is told (replicas/report.mjs).

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { catchUp } from "./replicas/catch_up.mjs";
import { cold } from "./replicas/cold.mjs";
import { many } from "./replicas/many.mjs";
import { report } from "./replicas/report.mjs";
import { warm } from "./replicas/warm.mjs";
import { writes } from "./replicas/writes.mjs";

const BENCHES = { "replica-warm": warm, "replica-cold": cold, "replica-catch-up": catchUp, "replica-writes": writes, "replica-many": many };
export const REPLICA_BENCHES = Object.keys(BENCHES);

/**
 * Runs benches by name on databases in the folder `databases`, and writes all figures to REPLICAS.md and replicas.json in `folder`. Answers
 * the text, and whether a bench failed: then its old figures are gone, too.
 */
export async function replicas(names, plan, { databases, folder, log }) {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "replicas.json");
  const found = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
  let failed = false;
  for (const name of names) {
    log(name);
    const date = new Date().toISOString().slice(0, 10);
    try {
      found[name] = { date, figures: await BENCHES[name]({ persist: databases, log }, plan) };
    } catch (error) {
      failed = true;
      found[name] = { date, failure: error.message.split("\n")[0] };
      log(`${name} failed: ${error.stack}`);
    }
  }
  const sorted = Object.fromEntries(REPLICA_BENCHES.filter((name) => name in found).map((name) => [name, found[name]]));
  const text = report(sorted);
  writeFileSync(path, `${JSON.stringify(sorted, undefined, 1)}\n`);
  writeFileSync(join(folder, "REPLICAS.md"), text);
  return { text, failed };
}
