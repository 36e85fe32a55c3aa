// The plugin under `wrangler dev -c user.jsonc -c littoral.jsonc`, as a user of the package runs it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { plugins } from "../../js/src/plugin.js";

const FOLDER = fileURLToPath(new URL("./wrangler_dev/", import.meta.url));
const WRANGLER = fileURLToPath(new URL("../../node_modules/.bin/wrangler", import.meta.url));

describe("wrangler dev", () => {
  let child;
  let state;
  let address;

  before(async () => {
    state = mkdtempSync(join(tmpdir(), "littoral-wrangler-"));
    const args = [
      WRANGLER,
      "dev",
      "-c",
      "user.jsonc",
      "-c",
      "littoral.jsonc",
      "--ip",
      "127.0.0.1",
      "--port",
      "0",
      "--inspector-port",
      "0",
      "--persist-to",
      state,
      "--show-interactive-dev-session=false",
    ];
    child = spawn(process.execPath, args, {
      cwd: FOLDER,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        WRANGLER_SEND_METRICS: "false",
        CI: "1",
        WRANGLER_LOG_PATH: state,
        WRANGLER_REGISTRY_PATH: join(state, "registry"),
      },
    });
    address = await readyAddress(child);
  });

  after(async () => {
    if (child?.exitCode === null) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      process.kill(-child.pid, "SIGTERM");
      await ended;
    }
    rmSync(state, { recursive: true, force: true });
  });

  test("env.DB is the runtime's D1Database in front of the database that the props name", async () => {
    assert.deepEqual(await (await fetch(address)).json(), { classes: ["D1Database", "Fetcher"], same: true, id: 1, seen: 1 });
    assert.deepEqual(await (await fetch(address)).json(), { classes: ["D1Database", "Fetcher"], same: true, id: 2, seen: 2 });
  });
});

// Wrangler says where it listens; it has to have said so within a minute.
function readyAddress(child) {
  return new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(() => reject(new Error(`wrangler dev was not ready in a minute:\n${output}`)), 60_000);
    const settle = (outcome, value) => {
      clearTimeout(timer);
      outcome(value);
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
        const ready = /Ready on (http:\/\/[\w.:]+)/.exec(output);
        if (ready) settle(resolve, ready[1]);
      });
    }
    child.once("exit", (code) => settle(reject, new Error(`wrangler dev ended with ${code}:\n${output}`)));
  });
}

describe("plugin", () => {
  const { getBindings, getNodeBindings, getServices } = plugins.littoral;
  const worker = (env) => ({ config: { env } });
  const dev = (options) => ({ type: "unsafe:service", dev: { plugin: { package: "littoral/plugin", name: "littoral" }, options } });

  test("makes a wrapped binding whose fetcher carries the props", () => {
    assert.deepEqual(getBindings(worker({ DB: dev({ service: "store", props: { database: "app" } }), OTHER: { type: "kv", id: "x" } })), [
      {
        name: "DB",
        wrapped: {
          moduleName: "cloudflare-internal:d1-api",
          innerBindings: [{ name: "fetcher", service: { name: "core:user:store", props: { json: '{"database":"app"}' } } }],
        },
      },
    ]);
  });

  test("takes the database from the options too", () => {
    const [{ wrapped }] = getBindings(worker({ DB: dev({ service: "store", database: "x" }) }));
    assert.equal(wrapped.innerBindings[0].service.props.json, '{"database":"x"}');
  });

  test("leaves other plugins and workers without bindings alone", () => {
    assert.deepEqual(getBindings(worker(undefined)), []);
    assert.deepEqual(getBindings(worker({ X: { type: "unsafe:x", dev: { plugin: { package: "p", name: "other" } } } })), []);
    assert.deepEqual([getNodeBindings(worker({})), getServices({})], [{}, []]);
  });

  test("says what is missing", () => {
    for (const options of [
      undefined,
      {},
      { service: "store" },
      { props: { database: "x" } },
      { service: "store", props: { database: 5 } },
      { service: "store", props: { database: "" } },
    ]) {
      assert.throws(() => getBindings(worker({ DB: dev(options) })), /littoral: binding DB needs the Littoral Worker's name as "service"/);
    }
  });
});
