// Starts `wrangler dev` on examples/shore and the Littoral Worker, prepares the database, says what to try, and stays until
// wrangler ends or this is told to (Ctrl-C). Wrangler runs in a process group of its own, so that ending it ends
// workerd and everything else that it started.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { devToken, writeVariables } from "./dev_access.mjs";

const host = "127.0.0.1";
const port = Number(process.env.PORT ?? 8787);
const base = `http://${host}:${port}`;
const startLimitMs = 90_000;
const stopLimitMs = 5_000;
/** The first answers requests; the second is bound to it. */
const configurations = ["examples/shore/wrangler.jsonc", "wrangler.toml"];

/** The example applies the migrations in its bundle, loads sample rows where there are none, and says what it did. */
async function prepareDatabase() {
  const response = await fetch(`${base}/setup`, { method: "POST" });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST /setup answered ${response.status}: ${text}`);
  const { migrations, sightings_loaded: loaded } = parse(text);
  console.log(migrations.length ? `migrations applied: ${migrations.join(", ")}` : "migrations: all were applied before");
  console.log(loaded ? `sample rows loaded: ${loaded} sightings` : "sample rows: the database has rows already");
}

/** @param {string} json */
function parse(json) {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new Error(`POST /setup answered no JSON: ${json.slice(0, 200)}`, { cause });
  }
}

/** @param {string} token */
function sayWhatToTry(token) {
  const { file, variables } = writeVariables(base, token);
  const lines = Object.entries(variables).map(([name, value]) => `     ${name}=${value}`);
  console.log(`
Three things to try:
  1. open ${base}/
  2. curl '${base}/api/sightings?q=galway'
  3. curl ${base}/api/sightings -d '{"species_id": 1, "shore": "Bay of Skaill", "note": "under a rock"}'

D1's REST API is here, too. In a second terminal:
  source ${file} && npx wrangler d1 list
which sets
${lines.join("\n")}

An edit in src/ or examples/shore rebuilds the Worker there. Ctrl-C ends both; the database stays in .wrangler/state, to remove for a fresh start.
`);
}

/** Rejects where something else listens there already: wrangler would take another port without a word. */
function portIsFree() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (/** @type {NodeJS.ErrnoException} */ error) => reject(new Error(`port ${port} is not free (${error.code}): run PORT=8788 make dev`)));
    probe.listen(port, host, () => probe.close(resolve));
  });
}

function startWrangler() {
  const address = ["--ip", host, "--port", String(port)];
  const files = configurations.flatMap((configuration) => ["-c", configuration]);
  // Otherwise the database would be kept beside the first configuration.
  const state = ["--persist-to", ".wrangler/state"];
  return spawn("wrangler", ["dev", ...files, "--local", "--show-interactive-dev-session=false", ...address, ...state], {
    detached: true,
    stdio: ["ignore", "inherit", "inherit"],
  });
}

/**
 * Waits until the Worker answers anything at all.
 * @param {AbortSignal} signal
 */
async function answers(signal) {
  const deadline = Date.now() + startLimitMs;
  while (!signal.aborted) {
    try {
      const response = await fetch(base, { signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]) });
      await response.arrayBuffer();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`no answer from ${base} in ${startLimitMs / 1000} s: ${said(error)}`, { cause: error });
      await sleep(100);
    }
  }
  throw new Error("wrangler ended before the Worker answered");
}

/** @param {unknown} error */
function said(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Signals the whole group; false when none of it is left.
 * @param {number | undefined} pid
 * @param {NodeJS.Signals | 0} signal
 */
function signalGroup(pid, signal) {
  if (pid === undefined) return false; // it did not start
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** @param {number | undefined} pid */
async function stopGroup(pid) {
  signalGroup(pid, "SIGTERM");
  const deadline = Date.now() + stopLimitMs;
  while (signalGroup(pid, 0)) {
    if (Date.now() > deadline) return signalGroup(pid, "SIGKILL");
    await sleep(50);
  }
}

try {
  await portIsFree();
} catch (error) {
  console.error(`error: ${said(error)}`);
  process.exit(1);
}

const token = devToken(); // before wrangler looks for it
const wrangler = startWrangler();
const ended = new AbortController();
let stopping = false;

/** @param {number} status */
async function stop(status) {
  if (stopping) return;
  stopping = true;
  await stopGroup(wrangler.pid);
  process.exit(status);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop(0));
process.on("exit", () => signalGroup(wrangler.pid, "SIGKILL"));
wrangler.on("error", (error) => {
  console.error(`error: wrangler did not start: ${error.message}`);
  process.exit(1);
});
wrangler.on("exit", (code) => {
  ended.abort();
  void stop(code ?? 1);
});

try {
  await answers(ended.signal);
  await prepareDatabase();
  sayWhatToTry(token);
} catch (error) {
  if (!stopping) console.error(`error: ${said(error)}`);
  await stop(1);
}
