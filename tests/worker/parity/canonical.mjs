// The form in which answers are compared: JSON text that keeps what JSON loses and hides what may vary.
//
// Invariants
// 1. Order of keys counts, except in `meta`.
// 2. Of `meta`, D1's fields are kept; those that depend on the clock, the server, the file's layout or
//    how rows are counted are reduced to their type. Cases of their own (cases/meta.mjs) look at them.

const META = [
  "changed_db",
  "changes",
  "duration",
  "last_row_id",
  "rows_read",
  "rows_written",
  "served_by",
  "served_by_primary",
  "size_after",
  "timings",
  "total_attempts",
];
const BY_TYPE = new Set(["duration", "rows_read", "rows_written", "served_by", "size_after", "timings"]);

/** The canonical text of a value that a case answered. */
export function canonical(value) {
  return JSON.stringify(plain(value));
}

/** The canonical text of what a case threw. */
export function canonicalError(error) {
  if (!(error instanceof Error)) return JSON.stringify({ $thrown: plain(error) });
  return JSON.stringify({ $error: { name: error.name, message: error.message, cause: /** @type {Error | undefined} */ (error.cause)?.message } });
}

function plain(value) {
  switch (typeof value) {
    case "undefined":
      return { $: "undefined" };
    case "bigint":
      return { $bigint: value.toString() };
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: Object.is(value, -0) ? "-0" : String(value) };
    case "function":
      return { $function: value.name };
    case "symbol":
      return { $symbol: String(value) };
    case "object":
      return value === null ? null : object(value);
    default:
      return value;
  }
}

function object(value) {
  if (Array.isArray(value)) return Array.from(value, plain);
  if (value instanceof Uint8Array) return { $bytes: Array.from(value) };
  if (value instanceof Error) return { $error: value.message };
  if (isMeta(value)) return Object.fromEntries(META.map((key) => [key, BY_TYPE.has(key) ? typeof value[key] : plain(value[key])]));
  const entries = Object.entries(value).map(([key, item]) => [key, plain(item)]);
  return entries.some(([key]) => key === "__proto__") ? { $entries: entries } : Object.fromEntries(entries);
}

function isMeta(value) {
  return "rows_read" in value && "changed_db" in value && "served_by" in value;
}
