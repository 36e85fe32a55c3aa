// The package's front door for Workers: turns a service binding into D1's classes.
//
// Invariants
// 1. The runtime's own D1Database passes through untouched, so one program runs in local
//    development (where the plugin provides that class) and in production (where it cannot be had).
// 2. Nothing here does I/O; a binding may be wrapped at module level or once per request.
// Not here: what the classes do (binding.js), the local-development plugin (plugin.js).

import { D1Database } from "./binding.js";
import { options as checked } from "./values.js";

export { D1Database, D1DatabaseSession, D1PreparedStatement } from "./binding.js";
export { applyMigrations, MigrationError } from "./migrations.js";
export { openSession, RequestSession } from "./session.js";

/** @import { BindOptions, Bound, LittoralService } from "../types/index.d.ts" */

/**
 * Wraps the service binding of a Littoral Worker as a `D1Database`. With the option `database` it may be one whose props grant several
 * databases, or the binding of the Littoral Worker's Durable Object namespace: then calls go straight to the object, one step less.
 * @template T
 * @param {T} binding
 * @param {BindOptions} [options]
 * @returns {Bound<T>}
 */
export function bind(binding, options) {
  return /** @type {Bound<T>} */ (bound(binding, options));
}

/**
 * @param {unknown} binding
 * @param {BindOptions} [options]
 */
function bound(binding, options) {
  const codec = checked(options);
  if (options?.database !== undefined) return new D1Database(named(binding, options.database), codec);
  if (binding instanceof D1Database) return binding;
  if (binding === null || (typeof binding !== "object" && typeof binding !== "function")) {
    throw new TypeError(`littoral: bind() needs a service binding, got ${binding === null ? "null" : typeof binding}`);
  }
  if (binding.constructor?.name === "D1Database") {
    if (codec.blobs !== "array" || codec.integers !== "number") {
      throw new TypeError("littoral: the options of bind() need a service binding; this is the runtime's own D1Database, " +
        "which knows only D1's types. Leave out dev.plugin for this binding to use them in local development");
    }
    return binding;
  }
  return new D1Database(/** @type {LittoralService} its type may lack the methods */ (binding), codec);
}

/**
 * One database of a binding that reaches several: an object of a namespace, or what a service binding is asked for by name.
 * @param {unknown} binding
 * @param {unknown} database
 * @returns {LittoralService}
 */
function named(binding, database) {
  if (typeof database !== "string" || database === "") {
    throw new TypeError(`littoral: option database is a name, not ${JSON.stringify(database)}`);
  }
  switch (binding?.constructor?.name) {
    case "DurableObjectNamespace":
      return /** @type {{ getByName(name: string): LittoralService }} */ (binding).getByName(database);
    case "Fetcher": {
      const service = /** @type {LittoralService} */ (binding);
      return { query: (calls, options) => service.query(calls, { ...options, database }), dump: () => service.dump({ database }) };
    }
    default:
      throw new TypeError("littoral: with the option database, bind() needs a service binding, or the binding of a Durable Object namespace");
  }
}

/**
 * A copy of `env` in which each named binding has gone through `bind`.
 * @template {object} E
 * @template {keyof E} K
 * @param {E} env
 * @param {readonly K[]} names
 * @param {BindOptions} [options]
 * @returns {Omit<E, K> & { [P in K]-?: Bound<NonNullable<E[P]>> }}
 */
export function bindAll(env, names, options) {
  const copy = { ...env };
  for (const name of names) {
    if (copy[name] === undefined) throw new TypeError(`littoral: env has no binding named ${String(name)}`);
    copy[name] = /** @type {E[K]} */ (bound(copy[name], options));
  }
  return /** @type {Omit<E, K> & { [P in K]-?: Bound<NonNullable<E[P]>> }} */ (copy);
}
