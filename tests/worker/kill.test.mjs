// Kills workerd in the middle of writes and starts it again on the same files, twenty times: every write that was acknowledged is
// there, each batch is there whole or not at all, nothing is there that was not asked for, and the database is sound.
//
// What was acknowledged is kept here, outside of workerd. Both of Littoral's bindings, single inserts and batches.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { start } from "./harness.mjs";

const KILLS = 20;
const BINDINGS = ["LITTORAL", "DB"];
const DATABASE = "killed";
/** Writers on each binding, by the rows that each of their writes has. */
const WRITERS = [1, 1, 1, 1, 20, 300];
/** Writes acknowledged before each kill, and how long they may take. */
const SOME = 10;
const LONGEST_MS = 5_000;

const folder = mkdtempSync(join(tmpdir(), "littoral-kill-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** By binding: id -> rows, of every write asked for, and the ids of those acknowledged. */
const asked = Object.fromEntries(BINDINGS.map((binding) => [binding, new Map()]));
const acknowledged = Object.fromEntries(BINDINGS.map((binding) => [binding, new Set()]));
/** By binding: the last write acknowledged, and its session's bookmark. */
const last = {};
let nextId = 1;

test(`${KILLS} kills under write load lose nothing that was acknowledged`, { timeout: 120_000, skip: skipped() }, async (t) => {
  for (let kill = 1; kill <= KILLS; kill++) {
    const harness = await startHere();
    await checkAll(harness);
    await loadAndKill(harness, kill * 37 % 150);
  }
  const harness = await startHere();
  await checkAll(harness);
  await harness.dispose();
  t.diagnostic(`${countAcknowledged()} of ${nextId - 1} writes were acknowledged and found`);
});

function skipped() {
  return process.platform === "linux" ? false : "needs /proc to find workerd";
}

const countAcknowledged = () => BINDINGS.reduce((sum, binding) => sum + acknowledged[binding].size, 0);

/** Starts workerd on the folder of this test; the answer knows its process. */
async function startHere() {
  const others = childrenNamed("workerd");
  const harness = await start({ entry: new URL("./kill.worker.mjs", import.meta.url), databases: [DATABASE], persist: folder });
  const [pid, ...more] = childrenNamed("workerd").filter((child) => !others.includes(child));
  assert.ok(pid && more.length === 0, "workerd is one child of this process");
  for (const binding of BINDINGS) await harness.run("create", { binding, database: DATABASE });
  return Object.assign(harness, { pid });
}

/** Process ids of the children of this process that run a program of that name. */
function childrenNamed(name) {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  return children.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, "utf8").trim() === name;
    } catch {
      return false; // it has ended meanwhile
    }
  });
}

/** Writes until workerd is killed in the middle of it: `delay_ms` after some writes have been acknowledged. */
async function loadAndKill(harness, delay_ms) {
  const before = countAcknowledged();
  let killed = false;
  const lane = async (binding, parts) => {
    while (!killed) {
      const id = nextId++;
      asked[binding].set(id, parts);
      try {
        const bookmark = await harness.run("write", { binding, database: DATABASE, body: { id, parts } });
        last[binding] = { id, bookmark };
      } catch (error) {
        // In flight when workerd died. Anything else is a fault.
        if (!killed) throw error;
        return;
      }
      acknowledged[binding].add(id);
    }
  };
  const kill = async () => {
    for (let waited_ms = 0; countAcknowledged() < before + SOME && waited_ms < LONGEST_MS; waited_ms += 5) await sleep(5);
    await sleep(delay_ms);
    assert.ok(countAcknowledged() > before, "no write was acknowledged, which would prove nothing");
    if (killed) return;
    killed = true;
    process.kill(harness.pid, "SIGKILL");
  };
  const lanes = BINDINGS.flatMap((binding) => WRITERS.map((parts) => lane(binding, parts)));
  try {
    await Promise.all([kill(), ...lanes]);
  } finally {
    killed = true;
    await harness.dispose().catch(() => {});
  }
}

async function checkAll(harness) {
  for (const binding of BINDINGS) {
    if (last[binding] !== undefined) {
      // The session goes on where it was, whoever answers, as the first request after the kill.
      const rows = await harness.run("inSession", { binding, database: DATABASE, body: last[binding] });
      assert.equal(rows, asked[binding].get(last[binding].id), `${binding}: a session does not find what it wrote`);
    }
    const { writes, check, indexed } = await harness.run("found", { binding, database: DATABASE });
    assert.deepEqual(check, ["ok"], binding);
    let rows = 0;
    for (const [id, count, parts] of writes) {
      assert.equal(asked[binding].get(id), parts, `${binding}: write ${id} was never asked for`);
      assert.equal(count, parts, `${binding}: write ${id} is there in part`);
      rows += count;
    }
    assert.equal(indexed, rows, `${binding}: the index has other rows than the table`);
    const there = new Set(writes.map(([id]) => id));
    const lost = [...acknowledged[binding]].filter((id) => !there.has(id));
    assert.deepEqual(lost, [], `${binding}: ${lost.length} acknowledged writes are lost`);
  }
}
