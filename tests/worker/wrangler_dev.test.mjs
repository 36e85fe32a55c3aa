// The plugin under `wrangler dev -c user.jsonc -c littoral.jsonc`, as a user of the package runs it.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { plugins } from "../../js/src/plugin.js";
import { startWrangler } from "./wrangler.mjs";

const FOLDER = fileURLToPath(new URL("./wrangler_dev/", import.meta.url));

describe("wrangler dev", () => {
  let wrangler;
  let state;

  before(async () => {
    state = mkdtempSync(join(tmpdir(), "littoral-wrangler-"));
    wrangler = await startWrangler({ cwd: FOLDER, configurations: ["user.jsonc", "littoral.jsonc"], state });
  });

  after(async () => {
    await wrangler?.stop();
    rmSync(state, { recursive: true, force: true });
  });

  test("env.DB is the runtime's D1Database in front of the database that the props name", async () => {
    assert.deepEqual(await (await fetch(wrangler.base)).json(), { classes: ["D1Database", "Fetcher"], same: true, id: 1, seen: 1 });
    assert.deepEqual(await (await fetch(wrangler.base)).json(), { classes: ["D1Database", "Fetcher"], same: true, id: 2, seen: 2 });
  });
});

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
    assert.deepEqual([getNodeBindings(), getServices()], [{}, []]);
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
