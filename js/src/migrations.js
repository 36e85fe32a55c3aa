// Migrations over a binding: applies SQL files in order and remembers them where wrangler does.
//
// Invariants
// 1. A file and its row in `d1_migrations` commit together: one multi-statement text, one transaction.
// 2. `d1_migrations` has wrangler's name and columns, so `wrangler d1 migrations` and this agree on
//    what is applied. What each file contained is kept beside it, in `littoral_migrations`.
// 3. Before anything runs, the applied files are compared with the given ones: a changed, missing or
//    late one stops everything. A file that wrangler applied has no hash here and is taken as it is.
// 4. Of several who apply the same files at once, one applies each file and none fails.
// 5. Finding the statement that failed leaves no trace: the attempts all end in a rollback.
// Not here: reading files; the caller passes their names and texts.

import { leadingBlank, lineAt, splitStatements } from "./sql.js";

/** @import { AnyDatabase, Migration } from "../types/index.d.ts" */
/** @import { Piece } from "./sql.js" */

/** @typedef {Pick<AnyDatabase, "prepare" | "batch">} Database */
/** @typedef {Migration & { sha256: string }} File a migration with the hash of its text */
/** @typedef {{ name: string, sha256: string | null }} Applied a row of what was applied; a file of wrangler's has no hash */
/** @typedef {{ line: number, sql: string }} Found a statement that failed */
/** @typedef {Error & { at?: { offset: number } | null }} Failure an error of the database's; D1's has no `at` */

const CREATE_TABLES = [
  `CREATE TABLE IF NOT EXISTS "d1_migrations"(
		id         INTEGER PRIMARY KEY AUTOINCREMENT,
		name       TEXT UNIQUE,
		applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);`,
  `CREATE TABLE IF NOT EXISTS "littoral_migrations"(name TEXT PRIMARY KEY, sha256 TEXT NOT NULL)`,
];
const APPLIED = "SELECT m.name, l.sha256 FROM d1_migrations m LEFT JOIN littoral_migrations l USING (name) ORDER BY m.id";

/** A name that no database has: selecting from it fails, and so undoes what ran before it in the same call. */
const NOWHERE = "littoral_no_such_table_so_roll_back";

export class MigrationError extends Error {
  name = "MigrationError";

  /**
   * `migration` is the file's name; `line` and `sql` say which statement failed, where one did.
   * @param {string} message
   * @param {{ migration: string, line?: number, sql?: string, cause?: unknown }} failure
   */
  constructor(message, { migration, line, sql, cause }) {
    super(message, cause === undefined ? undefined : { cause });
    this.migration = migration;
    this.line = line;
    this.sql = sql;
  }
}

/**
 * Applies those of `migrations` that the database lacks; resolves to their names.
 * @param {Database} db
 * @param {readonly Migration[]} migrations
 */
export async function applyMigrations(db, migrations) {
  const files = await Promise.all(inOrder(migrations).map(async ({ name, sql }) => ({ name, sql, sha256: await sha256(sql) })));
  await db.batch(CREATE_TABLES.map((sql) => db.prepare(sql)));
  const applied = await allApplied(db);
  checkApplied(applied, files);
  const done = new Set(applied.map(({ name }) => name));
  const names = [];
  for (const file of files) {
    if (done.has(file.name)) continue;
    if (await applyOne(db, file)) names.push(file.name);
  }
  return names;
}

/**
 * What was applied, oldest first.
 * @param {Database} db
 */
async function allApplied(db) {
  const { results } = await db.prepare(APPLIED).all();
  return /** @type {Applied[]} */ (results);
}

/**
 * By number and then by name, as wrangler lists a folder.
 * @param {readonly Migration[]} migrations
 */
function inOrder(migrations) {
  const files = [...migrations].sort((a, b) => number(a.name) - number(b.name) || (a.name < b.name ? -1 : 1));
  for (let i = 1; i < files.length; i++) {
    if (files[i].name === files[i - 1].name) {
      throw new MigrationError(`Two migrations are named ${files[i].name}`, { migration: files[i].name });
    }
  }
  return files;
}

/** @param {string} name */
function number(name) {
  const leading = parseInt(name, 10);
  return Number.isNaN(leading) ? Number.MAX_SAFE_INTEGER : leading;
}

/**
 * @param {Applied[]} applied
 * @param {File[]} files
 */
function checkApplied(applied, files) {
  const place = new Map(files.map(({ name }, at) => [name, at]));
  let latest = -1;
  for (const { name, sha256 } of applied) {
    const at = place.get(name);
    if (at === undefined) {
      throw new MigrationError(`Migration ${name} was applied to this database and is missing from the files`, { migration: name });
    }
    if (sha256 !== null && sha256 !== files[at].sha256) {
      throw changed(name);
    }
    latest = Math.max(latest, at);
  }
  const done = new Set(applied.map(({ name }) => name));
  for (const { name } of files.slice(0, latest + 1)) {
    if (!done.has(name)) {
      throw new MigrationError(`Migration ${name} comes before ${files[latest].name}, which is applied already; ` +
        "give it a later number", { migration: name });
    }
  }
}

/**
 * Applies a file; false when somebody else has applied it meanwhile.
 * @param {Database} db
 * @param {File} file
 */
async function applyOne(db, file) {
  const name = quoted(file.name);
  // The rows come first: of two who apply the same file at once, one fails there and has changed nothing.
  const rows = `INSERT INTO "d1_migrations" (name) VALUES (${name});\n` +
    `INSERT INTO "littoral_migrations" (name, sha256) VALUES (${name}, '${file.sha256}');\n`;
  try {
    // D1 wants a statement at the end, where the file may have a comment.
    await db.prepare(`${rows}${terminated(file.sql)}SELECT 1;`).run();
    return true;
  } catch (thrown) {
    const cause = /** @type {Failure} */ (thrown);
    if (await isApplied(db, file)) return false;
    const found = cause.at === undefined ? await findFailure(db, rows, file.sql, cause) : failureAt(rows, file.sql, cause);
    const where = found ? ` at line ${found.line}` : "";
    const what = found ? `\n${found.sql}` : "";
    // biome-ignore lint/style/useErrorCause: it is passed on, among what a MigrationError knows
    throw new MigrationError(`Migration ${file.name} failed${where} and was rolled back: ${bareText(cause)}${what}`,
      { migration: file.name, ...found, cause });
  }
}

/**
 * What the database said, without `D1_ERROR: `.
 * @param {Failure} failure
 */
function bareText({ cause, message }) {
  return /** @type {Error | undefined} */ (cause)?.message ?? message;
}

/**
 * Whether the file is applied, and as it is given here.
 * @param {Database} db
 * @param {File} file
 */
async function isApplied(db, { name, sha256 }) {
  const done = (await allApplied(db)).find((applied) => applied.name === name);
  if (done && done.sha256 !== null && done.sha256 !== sha256) throw changed(name);
  return done !== undefined;
}

/** @param {string} name */
function changed(name) {
  return new MigrationError(`Migration ${name} has changed since it was applied to this database`, { migration: name });
}

/**
 * The statement that the database names by the byte at which it begins.
 * @param {string} rows
 * @param {string} sql
 * @param {Failure} cause
 */
function failureAt(rows, sql, cause) {
  if (!cause.at) return undefined;
  const before = new TextEncoder().encode(`${rows}${sql}`).subarray(0, cause.at.offset);
  const start = new TextDecoder().decode(before).length - rows.length;
  // The first one begins with the newline that ends `rows`.
  const piece = start < -1 ? undefined : splitStatements(sql).find((piece) => piece.start === Math.max(start, 0));
  return piece && place(sql, piece, cause);
}

/**
 * D1 does not say where. The least number of statements that fail is found by halves: a run of k statements followed by one
 * that must fail says, by which of the two errors comes back, whether those k are good. What cannot be
 * found so (the connection was lost; a deferred constraint failed at the commit) is left without a line.
 * @param {Database} db
 * @param {string} rows
 * @param {string} sql
 * @param {Failure} cause
 */
async function findFailure(db, rows, sql, cause) {
  const pieces = splitStatements(sql);
  let good = 0;
  let bad = pieces.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if ((await errorAfter(db, rows, pieces.slice(0, middle))).includes(NOWHERE)) good = middle;
    else bad = middle;
  }
  if (bad === 0 || (await errorAfter(db, rows, pieces.slice(0, bad))) !== cause.message) return undefined;
  return place(sql, pieces[good], cause);
}

/**
 * @param {string} sql
 * @param {Piece} piece
 * @param {Failure} cause
 * @returns {Found}
 */
function place(sql, { text, start }, cause) {
  const blank = leadingBlank(text);
  const offset = / at offset (\d+): /.exec(cause.message)?.[1] ?? 0;
  const white = text.length - text.trimStart().length;
  const at = Math.min(Math.max(blank, white + Number(offset)), text.length);
  return { line: lineAt(sql, start + at), sql: text.slice(blank).trim() };
}

/**
 * @param {Database} db
 * @param {string} rows
 * @param {Piece[]} pieces
 */
async function errorAfter(db, rows, pieces) {
  try {
    // With the rows, as in applyOne: what a PRAGMA does in a migration, and offsets, are otherwise elsewhere.
    await db.prepare(`${rows}${terminated(pieces.map(({ text }) => text).join(""))}SELECT * FROM ${NOWHERE};`).run();
    return "";
  } catch (error) {
    return /** @type {Failure} */ (error).message;
  }
}

/**
 * The text, ended so that another statement can follow; the newline closes a last `--` comment.
 * @param {string} sql
 */
function terminated(sql) {
  return splitStatements(sql).at(-1)?.ended === false ? `${sql}\n;\n` : `${sql}\n`;
}

/** @param {string} text */
function quoted(text) {
  return `'${text.replaceAll("'", "''")}'`;
}

/** @param {string} text */
async function sha256(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
