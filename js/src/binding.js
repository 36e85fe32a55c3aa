// D1's three classes over the RPC of a Littoral Worker: same names, methods, results and errors.
//
// Invariants
// 1. Each method's results, error texts and error causes are D1's; tests/worker/parity holds them to it.
// 2. A prepared statement is immutable: bind() answers a new one, and any may be run again.
// 3. D1Database goes to the primary and keeps no bookmark; D1DatabaseSession carries the newest it has seen.
// Not here: gathering and sending of calls (channel.js), conversion of values (values.js).

import { Channel, isRefusal, sessionToken, withCode } from "./channel.js";
import { options as checked, toWire } from "./values.js";

/** @import { BindOptions, D1ExecResult, D1Result, D1SessionBookmark, LittoralService } from "../types/index.d.ts" */
/** @import { Done, Refusal } from "./values.js" */

export class D1Database {
  #channel;

  /**
   * `stub` is a service binding to a Littoral Worker; see `bind` for the options.
   * @param {LittoralService} stub
   * @param {BindOptions} [options]
   */
  constructor(stub, options) {
    this.#channel = new Channel(stub, checked(options), null);
  }

  /** @param {string} query */
  prepare(query) {
    return new D1PreparedStatement(this.#channel, query);
  }

  /**
   * @template [T=unknown]
   * @param {D1PreparedStatement[]} statements
   * @returns {Promise<D1Result<T>[]>}
   */
  async batch(statements) {
    return batch(this.#channel, statements);
  }

  /**
   * @param {string} query
   * @returns {Promise<D1ExecResult>}
   */
  async exec(query) {
    const lines = query.trim().split("\n");
    const answer = await this.#channel.send(lines.map((sql) => ({ sql })));
    if (!Array.isArray(answer)) {
      // The whole text is one transaction and one answer, so D1 too names the first line.
      const text = `Error in line 1: ${lines[0]}: ${answer.error}`;
      throw new Error(`D1_EXEC_ERROR: ${text}`, { cause: new Error(text) });
    }
    let duration = 0;
    for (const { meta } of answer) duration += meta.duration;
    return { count: answer.length, duration };
  }

  /**
   * Beyond D1: `options.cf`, the request's `cf`, lets the replica nearest to it answer.
   * @param {string} [constraintOrBookmark]
   * @param {{ cf?: unknown, timeout_ms?: number }} [options]
   */
  withSession(constraintOrBookmark, options) {
    return new D1DatabaseSession(this.#channel.session(sessionToken(constraintOrBookmark), options));
  }

  /**
   * A read-only session at a point of the past: a bookmark, or a Date.
   * @param {D1SessionBookmark | Date} point
   * @param {{ timeout_ms?: number }} [options]
   */
  at(point, options) {
    if (point instanceof Date && !Number.isNaN(point.getTime())) return new D1DatabaseSession(this.#channel.at(point.getTime(), options));
    if (typeof point === "string") return new D1DatabaseSession(this.#channel.at(point.trim(), options));
    throw new TypeError("at() takes a bookmark or a Date");
  }

  /**
   * The database as a SQLite file. D1 offers this to its first databases only.
   * @returns {Promise<ArrayBuffer>}
   */
  async dump() {
    try {
      return await this.#channel.dump();
    } catch (error) {
      throw new Error(`D1_DUMP_ERROR: ${/** @type {Error} */ (error).message}`, { cause: error });
    }
  }
}

export class D1DatabaseSession {
  #channel;

  /** @param {Channel} channel */
  constructor(channel) {
    this.#channel = channel;
  }

  /** @param {string} sql */
  prepare(sql) {
    return new D1PreparedStatement(this.#channel, sql);
  }

  /**
   * @template [T=unknown]
   * @param {D1PreparedStatement[]} statements
   * @returns {Promise<D1Result<T>[]>}
   */
  async batch(statements) {
    return batch(this.#channel, statements);
  }

  /** @returns {D1SessionBookmark | null} */
  getBookmark() {
    return this.#channel.bookmark;
  }
}

export class D1PreparedStatement {
  #channel;
  statement;
  params;

  /**
   * @param {Channel} channel
   * @param {string} statement
   * @param {unknown[]} params
   */
  constructor(channel, statement, params = []) {
    this.#channel = channel;
    this.statement = statement;
    this.params = params;
  }

  /**
   * @param {unknown[]} values
   * @returns {D1PreparedStatement}
   */
  bind(...values) {
    const codec = this.#channel.codec;
    for (let i = 0; i < values.length; i++) values[i] = toWire(values[i], codec);
    return statement(this.#channel, this.statement, values);
  }

  /**
   * @template [T=Record<string, unknown>]
   * @param {string} [colName]
   * @returns {Promise<T | null>}
   */
  async first(colName) {
    const { columns, rows } = succeeded(await this.#answer()).results;
    if (rows.length === 0) return null;
    const row = rowObject(columns, rows[0]);
    if (colName === undefined) return /** @type {T} */ (row);
    const value = row[colName];
    if (value === undefined) {
      throw new Error(`D1_COLUMN_NOTFOUND: Column not found (${colName})`, { cause: new Error("Column not found") });
    }
    return /** @type {T} */ (value);
  }

  /**
   * @template [T=Record<string, unknown>]
   * @returns {Promise<D1Result<T>>}
   */
  async all() {
    return result(succeeded(await this.#answer()));
  }

  /**
   * @template [T=Record<string, unknown>]
   * @returns {Promise<D1Result<T>>}
   */
  async run() {
    return result(succeeded(await this.#answer()));
  }

  /**
   * @template [T=unknown[]]
   * @overload
   * @param {{ columnNames: true }} options
   * @returns {Promise<[string[], ...T[]]>}
   */
  /**
   * @template [T=unknown[]]
   * @overload
   * @param {{ columnNames?: false }} [options]
   * @returns {Promise<T[]>}
   */
  /** @param {{ columnNames?: boolean }} [options] */
  async raw(options) {
    const { columns, rows } = succeeded(await this.#answer()).results;
    if (options?.columnNames) rows.unshift(columns);
    return rows;
  }

  #answer() {
    return this.#channel.send({ sql: this.statement, params: this.params });
  }
}

// Outside the class, since bundlers rename a class that mentions itself.
/**
 * @param {Channel} channel
 * @param {string} sql
 * @param {unknown[]} params
 */
function statement(channel, sql, params) {
  return new D1PreparedStatement(channel, sql, params);
}

/**
 * @template T
 * @param {Channel} channel
 * @param {D1PreparedStatement[]} statements
 * @returns {Promise<D1Result<T>[]>}
 */
async function batch(channel, statements) {
  const calls = statements.map((s) => ({ sql: s.statement, params: s.params }));
  return succeeded(await channel.send(calls)).map((done) => result(done));
}

/**
 * @template {Done | Done[]} T
 * @param {Refusal | T} answer
 * @returns {T}
 */
function succeeded(answer) {
  if (isRefusal(answer)) throw failure(answer);
  return answer;
}

/**
 * As D1's, with a code; `at` says where. Null: not in a statement.
 * @param {Refusal} refusal
 */
function failure({ error: message, code, at = null }) {
  const error = withCode(new Error(`D1_ERROR: ${message}`, { cause: new Error(message) }), code);
  return Object.defineProperty(error, "at", { value: at });
}

/**
 * @template T
 * @param {Done} done
 * @returns {D1Result<T>}
 */
function result({ meta, results: { columns, rows } }) {
  return { success: true, meta, results: rows.map((row) => /** @type {T} */ (rowObject(columns, row))) };
}

/**
 * Columns of one name: the last wins, in the place of the first.
 * @param {string[]} columns
 * @param {unknown[]} row
 * @returns {Record<string, unknown>}
 */
function rowObject(columns, row) {
  /** @type {Record<string, unknown>} */
  const object = {};
  for (let i = 0; i < row.length; i++) {
    if (columns[i] === "__proto__") return Object.fromEntries(row.map((cell, at) => [columns[at], cell]));
    object[columns[i]] = row[i];
  }
  return object;
}
