// Values between JavaScript and the wire, both ways, and the options that widen them.
//
// Invariants
// 1. Without options, what bind() accepts, what it refuses and with which text, and what a row
//    holds are D1's: BLOB reads as an array of byte numbers, INTEGER as a Number.
// 2. A byte view is sent as base64 only where D1 would store the same bytes: elements that are
//    unsigned bytes. Every other view goes element by element, as D1 sends it.
// 3. BigInt never meets `meta`: only cells of rows become BigInt.
// Not here: rows to objects (binding.js), the transport (channel.js).

/** @import { BindOptions, D1Meta } from "../types/index.d.ts" */

/**
 * The options of `bind`, every one of them present.
 * @typedef {Required<Pick<BindOptions, "blobs" | "integers">> & Pick<BindOptions, "cf" | "timeout_ms">} Codec
 */
/**
 * Rows as they travel.
 * @typedef {{ columns: string[], rows: unknown[][] }} Table
 */
/**
 * What a statement answers.
 * @typedef {{ meta: D1Meta & Record<string, unknown>, results: Table, error?: undefined }} Done
 */
/**
 * What a call answers that the database refused. `at` is the text of the call and the byte of it at which the statement begins that failed.
 * @typedef {{ error: string, code?: string, at?: Place | null }} Refusal
 */
/** @typedef {{ text: number, offset: number }} Place */
/** @typedef {Done | Done[] | Refusal} Answer a batch answers with an array */
/** @typedef {{ responses?: Answer[], bookmark?: string, error?: string, code?: string }} Answers what a request answers */

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/**
 * The checked form of the options of `bind`.
 * @param {BindOptions} [options]
 * @returns {Codec}
 */
export function options({ blobs = "array", integers = "number", cf, timeout_ms } = {}) {
  if (blobs !== "array" && blobs !== "bytes") {
    throw new TypeError(`littoral: option blobs is "array" or "bytes", not ${JSON.stringify(blobs)}`);
  }
  if (integers !== "number" && integers !== "bigint") {
    throw new TypeError(`littoral: option integers is "number" or "bigint", not ${JSON.stringify(String(integers))}`);
  }
  return { blobs, integers, cf, timeout_ms: timeout(timeout_ms) };
}

/**
 * The checked form of a timeout.
 * @param {unknown} timeout_ms
 */
export function timeout(timeout_ms) {
  if (timeout_ms === undefined) return undefined;
  if (typeof timeout_ms === "number" && timeout_ms > 0 && Number.isFinite(timeout_ms)) return timeout_ms;
  throw new TypeError(`littoral: option timeout_ms is a number of milliseconds, not ${String(timeout_ms)}`);
}

/**
 * One argument of bind() as the wire carries it; throws D1_TYPE_ERROR for what D1 refuses.
 * @param {unknown} value
 * @param {Codec} codec
 * @returns {unknown}
 */
export function toWire(value, codec) {
  if (typeof value === "number" || typeof value === "string") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "object") {
    if (value === null) return null;
    if (Array.isArray(value)) {
      if (value.every(isByte)) return value;
    } else if (value instanceof ArrayBuffer) {
      return { blob: toBase64(new Uint8Array(value)) };
    } else if (value instanceof Uint8Array || value instanceof Uint8ClampedArray) {
      return { blob: toBase64(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) };
    } else if (ArrayBuffer.isView(value)) {
      return Array.from(/** @type {Int8Array} or another view with elements */ (value));
    }
  } else if (typeof value === "bigint" && codec.integers === "bigint" && value >= INT64_MIN && value <= INT64_MAX) {
    return { int: value.toString() };
  }
  const text = `Type '${typeof value}' not supported for value '${value}'`;
  throw new Error(`D1_TYPE_ERROR: ${text}`, { cause: new Error(text) });
}

/**
 * @param {unknown} item
 * @returns {boolean}
 */
function isByte(item) {
  return typeof item === "number" && item >= 0 && item < 256;
}

/**
 * The form in which a request wants its BLOBs, where it is not D1's.
 * @param {Codec} codec
 * @returns {"base64" | undefined}
 */
export function blobsOnTheWire(codec) {
  return isPlain(codec) ? undefined : "base64";
}

/**
 * Parses a response text; rows come out as the options ask.
 * @param {string} text
 * @param {Codec} codec
 * @returns {Answers}
 */
export function parseResponse(text, codec) {
  if (isPlain(codec)) return JSON.parse(text);
  const response = codec.integers === "bigint" ? JSON.parse(text, /** @type {Reviver} TypeScript's has no `context` */ (integersInRows)) : JSON.parse(text);
  for (const answer of response.responses ?? []) {
    for (const one of Array.isArray(answer) ? answer : [answer]) {
      if (one.results) blobsInRows(one.results.rows, codec.blobs === "bytes" ? fromBase64 : arrayFromBase64);
    }
  }
  return response;
}

/** @param {Codec} codec */
function isPlain(codec) {
  return codec.blobs === "array" && codec.integers === "number";
}

/** @typedef {(key: string, value: unknown) => unknown} Reviver */

/**
 * The server prints INTEGER without and REAL with a point or an exponent, and BLOBs arrive as
 * base64 here, so a bare integer literal in an array can only be an INTEGER cell.
 * @this {unknown}
 * @param {string} _key
 * @param {unknown} value
 * @param {{ source: string }} context
 */
function integersInRows(_key, value, context) {
  return typeof value === "number" && Array.isArray(this) && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
}

/**
 * @param {unknown[][]} rows
 * @param {(text: string) => unknown} decode
 */
function blobsInRows(rows, decode) {
  for (const row of rows) {
    for (let i = 0; i < row.length; i++) {
      const cell = row[i];
      if (typeof cell === "object" && cell !== null) row[i] = decode(/** @type {{ blob: string }} */ (cell).blob);
    }
  }
}

/** @param {string} text */
function arrayFromBase64(text) {
  return Array.from(fromBase64(text));
}

/** @type {(bytes: Uint8Array) => string} */
const toBase64 = "toBase64" in Uint8Array.prototype
  ? (bytes) => bytes.toBase64()
  : (bytes) => {
    let binary = "";
    for (let at = 0; at < bytes.length; at += 0x8000) {
      binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
    }
    return btoa(binary);
  };

/** @type {(text: string) => Uint8Array} */
const fromBase64 = "fromBase64" in Uint8Array
  ? (text) => Uint8Array.fromBase64(text)
  : (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
