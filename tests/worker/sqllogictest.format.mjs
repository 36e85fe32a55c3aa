// The format of sqllogictest files: records in, and how a result is written so that it can be compared.
//
// https://sqlite.org/sqllogictest. Records are separated by empty lines; `skipif`, `onlyif` and `halt` are obeyed for `sqlite`.
// Not here: running anything.

import { createHash } from "node:crypto";

const ENGINE = "sqlite";
const HASHED = /^(\d+) values hashing to ([0-9a-f]{32})$/;

/**
 * The records of a file that are meant for SQLite, in order: `{ line, sql, kind: "statement", fails }` or
 * `{ line, sql, kind: "query", types, sort, label, expected, hash: { count, md5 } }`, with either `expected` (lines) or `hash`.
 */
export function parse(text) {
  const records = [];
  let number = 0;
  let lines = [];
  for (const line of [...text.split(/\r?\n/), ""]) {
    number++;
    if (line.trim() !== "") {
      if (!line.startsWith("#")) lines.push(line);
      continue;
    }
    const record = lines.length > 0 ? parseRecord(lines, number - lines.length) : undefined;
    lines = [];
    if (record?.kind === "halt") break;
    if (record) records.push(record);
  }
  return records;
}

/** One record; undefined for one that is not for SQLite or that changes nothing here. */
function parseRecord(whole, line) {
  let lines = whole;
  while (/^(skipif|onlyif)\b/.test(lines[0])) {
    const [condition, engine] = lines[0].split(/\s+/);
    if ((condition === "onlyif") !== (engine === ENGINE)) return undefined;
    lines = lines.slice(1);
  }
  const [kind, ...rest] = lines[0].trim().split(/\s+/);
  const body = lines.slice(1);
  switch (kind) {
    case "halt": return { kind };
    case "control": // Only `resultmode valuewise`, which is what is done here.
    case "hash-threshold": // The length from which results stand hashed in the file; they say so themselves.
      return undefined;
    case "statement": return { kind, line, sql: body.join("\n"), fails: rest[0] === "error" };
    case "query": return parseQuery(body, line, rest);
    default: throw new Error(`line ${line}: no record begins with ${kind}`);
  }
}

function parseQuery(body, line, [types, sort = "nosort", label]) {
  const dashes = body.indexOf("----");
  const sql = (dashes === -1 ? body : body.slice(0, dashes)).join("\n");
  const expected = dashes === -1 ? [] : body.slice(dashes + 1);
  const hashed = expected.length === 1 && HASHED.exec(expected[0]);
  const query = { kind: "query", line, sql, types, sort, label };
  return hashed ? { ...query, hash: { count: Number(hashed[1]), md5: hashed[2] } } : { ...query, expected };
}

/** The values of a result as lines, in the order that the record asks for. */
export function format(rows, { types, sort }) {
  const written = rows.map((row) => row.map((value, column) => formatValue(value, types[column])));
  if (sort === "rowsort") written.sort((a, b) => compare(a.join("\n"), b.join("\n")));
  const values = written.flat();
  return sort === "valuesort" ? values.sort(compare) : values;
}

// Bytes decide, as strcmp does; all texts here are ASCII.
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function formatValue(value, type) {
  if (value === null) return "NULL";
  if (type === "I") return String(Number.isFinite(Number(value)) ? Math.trunc(Number(value)) : 0);
  if (type === "R") return formatReal(Number(value));
  const text = String(value);
  // As the reference runner prints: unprintable characters as @, the empty text by name.
  return text === "" ? "(empty)" : text.replaceAll(/[^\x20-\x7e]/g, "@");
}

/** `%.3f` as SQLite writes it: of a large number 16 digits, then zeros. */
function formatReal(value) {
  if (Math.abs(value) < 1e15) return value.toFixed(3);
  const [mantissa, exponent] = value.toExponential(15).split("e+");
  return `${mantissa.replace(".", "").padEnd(Number(exponent) + (value < 0 ? 2 : 1), "0")}.000`;
}

/** What is wrong with the lines of a result, by its record; undefined if nothing is. */
export function difference(lines, { expected, hash }) {
  if (hash) {
    const md5 = md5Of(lines);
    if (lines.length === hash.count && md5 === hash.md5) return undefined;
    return `${lines.length} values hashing to ${md5} instead of ${hash.count} values hashing to ${hash.md5}`;
  }
  const same = lines.length === expected.length && lines.every((line, i) => line === expected[i]);
  return same ? undefined : `${JSON.stringify(lines)} instead of ${JSON.stringify(expected)}`;
}

/** The hash of a result, as the files have it. */
export function md5Of(lines) {
  return createHash("md5").update(lines.map((line) => `${line}\n`).join("")).digest("hex");
}
