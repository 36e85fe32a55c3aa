// Starts one workerd, through Miniflare, for a test file: the Littoral Worker from its built bundle and
// a user's Worker (made with user.mjs) with three bindings for each database that the file asks for.
//
// For a database `x` the user's Worker has
//   D1_x        Miniflare's own D1
//   DB_x        the runtime's D1Database class in front of Littoral, through the package's plugin
//   DATABASES   the Littoral Worker's objects, for the package's bind() with the option database
//   REPLICAS    its replica objects, likewise
//   LITTORAL_x  a service binding to Littoral, which the Worker wraps with the package's bind()
// DB_x and LITTORAL_x are different databases, so that the two can be compared step by step.
// Databases end with the workerd, unless `persist` names a folder.
//
// Not here: any test.

import { fileURLToPath } from "node:url";
import { basename, resolve } from "node:path";
import { readFileSync } from "node:fs";
import { build } from "esbuild";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";

/** The Littoral Worker's entry module; it imports what `build/` holds. */
const LITTORAL_ENTRY = process.env.LITTORAL_ENTRY ?? fileURLToPath(new URL("../../src/worker/entry.mjs", import.meta.url));

/** The Littoral Worker's Durable Objects, binding to class, as in wrangler.toml. */
const LITTORAL_OBJECTS = { DATABASE: "Database", REPLICA: "Replica", CATALOG: "Catalog" };

export const LITTORAL_HOST = "littoral.example";
const PLUGIN = fileURLToPath(new URL("../../js/src/plugin.js", import.meta.url));
export const COMPATIBILITY_DATE = "2026-11-17";

/** Every kind of binding that a database has. */
export const BINDINGS = ["D1", "DB", "LITTORAL"];

/**
 * Starts the runtime with the user's Worker `entry` (a file URL), these databases, more bindings of Littoral, name to props, and variables.
 * `littoral` is another entry module of the Littoral Worker than the real one; `log` gets what the Workers say, line by line; `flags` are more
 * compatibility flags of the user's Worker.
 * @param {{
 *   entry: URL, databases: string[], services?: Record<string, unknown>, persist?: string, variables?: Record<string, unknown>, littoral?: URL,
 *   log?: (line: string) => void, flags?: string[],
 * }} options
 */
export async function start({ entry, databases, services = {}, persist, variables, littoral, log, flags = [] }) {
  const workers = [await userWorker(fileURLToPath(entry), databases, services, flags), await littoralWorker(variables, littoral && fileURLToPath(littoral))];
  const handleStructuredLogs = log && (({ message }) => log(message));
  const miniflare = new Miniflare(convertV4MiniflareOptions({ workers, resourcePersistencePath: persist, handleStructuredLogs }));
  await miniflare.ready;
  return new Harness(miniflare);
}

/**
 * Starts the Littoral Worker alone, as the internet reaches it: `base` is its address.
 * @param {{ variables?: Record<string, unknown>, persist?: string, log?: (line: string) => void }} [options]
 */
export async function startAlone({ variables, persist, log } = {}) {
  const { routes, ...worker } = await littoralWorker(variables);
  const handleStructuredLogs = log && (({ message }) => log(message));
  const options = { workers: [worker], host: "127.0.0.1", port: 0, resourcePersistencePath: persist, handleStructuredLogs };
  const miniflare = new Miniflare(convertV4MiniflareOptions(options));
  const { origin } = await miniflare.ready;
  return { base: origin, dispose: () => miniflare.dispose() };
}

class Harness {
  constructor(miniflare) {
    this.miniflare = miniflare;
  }

  /**
   * Runs a scenario on a binding of a database; answers what it returned, or throws what it threw.
   * @param {string} name
   * @param {{ binding: string, database: string, body?: unknown }} where
   */
  run(name, { binding, database, body }) {
    return this.#ask(name, { method: "POST", body: JSON.stringify({ binding, database, body }) });
  }

  /** The names of the Worker's scenarios. */
  scenarios() {
    return this.#ask("");
  }

  async #ask(name, init) {
    const response = await this.miniflare.dispatchFetch(`http://user/${encodeURIComponent(name)}`, init);
    const answer = await response.json();
    if (answer.failure) throw Object.assign(new Error(answer.failure.message), { stack: answer.failure.stack });
    return answer.value;
  }

  /** A request to the Littoral Worker as one from the internet arrives: over HTTP and without props. */
  fetchLittoral(path, init) {
    return this.miniflare.dispatchFetch(`http://${LITTORAL_HOST}${path}`, init);
  }

  dispose() {
    return this.miniflare.dispose();
  }
}

async function userWorker(entry, databases, services, flags) {
  const serviceBindings = Object.fromEntries(Object.entries(services).map(([name, props]) => [name, { name: "littoral", props }]));
  const unsafeBindings = [];
  for (const database of databases) {
    const props = (kind) => ({ database: `${database}-${kind}` });
    serviceBindings[`LITTORAL_${database}`] = { name: "littoral", props: props("rpc") };
    unsafeBindings.push({
      name: `DB_${database}`,
      type: "service",
      plugin: { package: PLUGIN, name: "littoral" },
      options: { service: "littoral", props: props("d1class") },
    });
  }
  return {
    name: "user",
    modules: await bundle(entry),
    compatibilityDate: COMPATIBILITY_DATE,
    compatibilityFlags: ["nodejs_compat", ...flags],
    d1Databases: Object.fromEntries(databases.map((database) => [`D1_${database}`, database])),
    serviceBindings,
    durableObjects: {
      DATABASES: { className: LITTORAL_OBJECTS.DATABASE, scriptName: "littoral" },
      REPLICAS: { className: LITTORAL_OBJECTS.REPLICA, scriptName: "littoral" },
    },
    unsafeBindings,
  };
}

/** The Littoral Worker. `entry` may be another module that exports what its own does. */
export async function littoralWorker(variables = {}, entry = LITTORAL_ENTRY) {
  return {
    name: "littoral",
    routes: [`${LITTORAL_HOST}/*`],
    bindings: variables,
    modules: await bundle(entry),
    compatibilityDate: COMPATIBILITY_DATE,
    durableObjects: Object.fromEntries(Object.entries(LITTORAL_OBJECTS).map(([name, className]) => [name, { className, useSQLite: true }])),
  };
}

/**
 * One JavaScript module made of an entry and what it imports, and the wasm modules beside it. `built` names another folder with the built Worker,
 * that of the feature `testing`.
 */
export async function bundle(entry, built) {
  const wasm = [];
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    target: "esnext",
    conditions: ["workerd", "worker", "browser", "import"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "error",
    plugins: [
      {
        name: "wasm-modules",
        setup({ onResolve }) {
          if (built) onResolve({ filter: /\/build\/index\.js$/ }, () => ({ path: fileURLToPath(new URL(`../../${built}/index.js`, import.meta.url)) }));
          onResolve({ filter: /\.wasm(\?module)?$/ }, ({ path, resolveDir }) => {
            const file = resolve(resolveDir, path.replace(/\?module$/, ""));
            const name = `./${basename(file)}`;
            if (!wasm.some((module) => module.path === name)) wasm.push({ type: "CompiledWasm", path: name, contents: readFileSync(file) });
            return { path: name, external: true };
          });
        },
      },
    ],
  });
  return [{ type: "ESModule", path: "./worker.mjs", contents: outputFiles[0].text }, ...wasm];
}
