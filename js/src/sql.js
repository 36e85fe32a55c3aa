// Splits SQL text into its statements, by SQLite's own rule for where a statement ends.
//
// Invariants
// 1. The pieces in order, joined, are the text; a piece ends right after its semicolon.
// 2. A semicolon in a string, a quoted name or a comment ends nothing; inside CREATE TRIGGER only
//    the one after an END that itself follows a semicolon does (the END of a CASE does not).
// Not here: any other understanding of SQL; errors of syntax are the database's to report.

const TOKEN = /\s+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'[^']*(?:''[^']*)*(?:'|$)|"[^"]*(?:""[^"]*)*(?:"|$)|`[^`]*(?:``[^`]*)*(?:`|$)|\[[^\]]*(?:\]|$)|;|[\p{L}_$][\p{L}\p{N}_$]*|[\s\S]/guy;
const BLANK = /^(?:\s|--|\/\*)/;
const TRIGGER_HEAD = /^(?:EXPLAIN (?:QUERY PLAN )?)?CREATE (?:TEMP |TEMPORARY )?TRIGGER$/;

/**
 * A statement with what stands before it, its offset, and whether it has its semicolon.
 * @typedef {{ text: string, start: number, ended: boolean }} Piece
 */

/**
 * @param {string} sql
 * @returns {Piece[]}
 */
export function splitStatements(sql) {
  /** @type {Piece[]} */
  const pieces = [];
  let start = 0;
  let head = "";
  let words = 0;
  let trigger = false;
  let last = "";
  let beforeLast = "";
  for (const { 0: token, index } of sql.matchAll(TOKEN)) {
    if (BLANK.test(token)) continue;
    if (token === ";" && (!trigger || (last === "END" && beforeLast === ";"))) {
      pieces.push({ text: sql.slice(start, index + 1), start, ended: true });
      start = index + 1;
      head = last = "";
      words = 0;
      trigger = false;
      continue;
    }
    beforeLast = last;
    last = token.toUpperCase();
    if (++words <= 6 && !trigger) {
      head = head === "" ? last : `${head} ${last}`;
      trigger = TRIGGER_HEAD.test(head);
    }
  }
  if (words > 0) pieces.push({ text: sql.slice(start), start, ended: false });
  else if (start < sql.length && pieces.length > 0) pieces[pieces.length - 1].text += sql.slice(start);
  return pieces;
}

/**
 * The line number, from 1, of the character at `offset`.
 * @param {string} sql
 * @param {number} offset
 */
export function lineAt(sql, offset) {
  let line = 1;
  for (let at = sql.indexOf("\n"); at !== -1 && at < offset; at = sql.indexOf("\n", at + 1)) line++;
  return line;
}

/**
 * How many characters of `sql` come before its first token.
 * @param {string} sql
 */
export function leadingBlank(sql) {
  for (const { 0: token, index } of sql.matchAll(TOKEN)) {
    if (!BLANK.test(token)) return index;
  }
  return sql.length;
}
