// The local-development plugin for wrangler and miniflare: puts the runtime's own D1Database class
// in front of a Littoral Worker, so that `env.DB` is what unmodified D1 code expects.
//
// Invariants
// 1. The database name travels as binding props and in no other way, as in production.
// 2. Only entries that name this plugin are touched; several may name different databases.
// Not here: anything that runs in a deployed Worker; `dev` is stripped on deployment.
//
// The contract is miniflare 5's for external plugins: a module that exports `plugins`, a map of
// name -> { getBindings, getNodeBindings, getServices }. A worker's entries are found in its
// `config.env`, each with `dev: { plugin: { package, name }, options }`. Wrangler puts the service binding's
// `service` among the options but not its `props`, so the database is named there once more.

/**
 * An entry of a worker's environment, as far as it is read here.
 * @typedef {{ dev?: { plugin?: { name?: string }, options?: Options } }} Entry
 */
/** @typedef {{ service?: unknown, database?: unknown, props?: { database?: unknown } }} Options */
/** @typedef {{ config: { env?: Record<string, Entry> } }} Worker */
/** @typedef {{ service: string, database: string }} Target */

const NAME = "littoral";

/** Where the runtime keeps the module that makes a D1Database out of a fetcher. */
const D1_MODULE = "cloudflare-internal:d1-api";

/**
 * Miniflare's name of the service that a user's worker runs as.
 * @param {string} worker
 */
const serviceOf = (worker) => `core:user:${worker}`;

/** @param {Worker} worker */
function entriesOf({ config }) {
  return Object.entries(config.env ?? {}).filter(([, entry]) => entry.dev?.plugin?.name === NAME);
}

/**
 * @param {string} name
 * @param {Options} options
 * @returns {Target}
 */
function target(name, { service, props, database = props?.database }) {
  if (typeof service !== "string" || typeof database !== "string" || database === "") {
    throw new TypeError(`littoral: binding ${name} needs the Littoral Worker's name as "service" and the database's ` +
      `as "database" in "dev.options"`);
  }
  return { service, database };
}

/**
 * @param {string} name
 * @param {Target} target
 */
function d1Binding(name, { service, database }) {
  const fetcher = { name: serviceOf(service), props: { json: JSON.stringify({ database }) } };
  return { name, wrapped: { moduleName: D1_MODULE, innerBindings: [{ name: "fetcher", service: fetcher }] } };
}

export const plugins = {
  [NAME]: {
    bindingTypeDescription: "Littoral database",

    /** @param {Worker} worker */
    getBindings(worker) {
      return entriesOf(worker).map(([name, entry]) => d1Binding(name, target(name, entry.dev?.options ?? {})));
    },

    // Node-side handles would need miniflare's own proxy class; tests reach a database through a Worker.
    getNodeBindings() {
      return {};
    },

    getServices() {
      return [];
    },
  },
};
