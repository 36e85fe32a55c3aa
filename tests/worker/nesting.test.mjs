// SQL that nests deeply, in every way that SQLite's compiler, its functions and its extensions recurse: an answer, or a clear error before the
// stack is too small. In the runtime, since its stack is the one that counts.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LONDON, openLab } from "./replica_objects/lab.mjs";

/** How deep: what is answered at least; what some of the shapes have no room for; the deepest expressions that are allowed; and far beyond. */
const DEPTHS = [150, 190, 300, 998, 1_000, 9_000];
/** Longer requests are not answered by isolates. */
const LONGEST_READ = 60_000;

/** Common table expressions, each of which reads the one before it. */
const chain = (body) => (n) => `WITH c0 AS (SELECT id FROM t LIMIT 3), ${Array.from({ length: n }, (_, i) => `c${i + 1} AS (${body(`c${i}`)})`).join(", ")} SELECT id FROM c${n} LIMIT 1`;
/** `core` in `n` pairs of `open` and `close`. */
const nest = (open, close, core) => (n) => open.repeat(n) + core + close.repeat(n);

/** Views, each of which reads the one before it. */
const views = (name, body) => `CREATE VIEW ${name}0 AS SELECT id FROM t LIMIT 3; ${Array.from({ length: 1_000 }, (_, i) => `CREATE VIEW ${name}${i + 1} AS ${body(`${name}${i}`)};`).join("")}`;
const TOWERS = {
  union_view: (v) => `SELECT id FROM ${v} UNION SELECT 1`,
  plain_view: (v) => `SELECT id FROM ${v}`,
  window_view: (v) => `SELECT row_number() OVER (ORDER BY id) AS id FROM ${v}`,
  nested_view: (v) => `SELECT id FROM t WHERE id IN (SELECT id FROM ${v})`,
};

/** Texts by depth. */
const shapes = {
  plain: chain((c) => `SELECT id FROM ${c}`),
  distinct: chain((c) => `SELECT DISTINCT id FROM ${c}`),
  limit: chain((c) => `SELECT id FROM ${c} LIMIT 5`),
  group: chain((c) => `SELECT max(id) AS id FROM ${c}`),
  window: chain((c) => `SELECT row_number() OVER (ORDER BY id) AS id FROM ${c}`),
  union: chain((c) => `SELECT id FROM ${c} UNION SELECT 1`),
  unionAll: chain((c) => `SELECT id FROM ${c} UNION ALL SELECT 1`),
  join: chain((c) => `SELECT a.id FROM ${c} a JOIN t ON t.id = a.id LIMIT 3`),
  materialized: (n) => chain((c) => `SELECT id FROM ${c}`)(n).replaceAll("AS (", "AS MATERIALIZED ("),
  inSub: chain((c) => `SELECT id FROM t WHERE id IN (SELECT id FROM ${c})`),
  scalarSub: chain((c) => `SELECT (SELECT id FROM ${c}) AS id`),
  // Deep expressions in the innermost of nested SELECTs.
  plusInside: (n) => shapes.scalarSub(n).replace("SELECT id FROM t LIMIT 3", `SELECT id${"+1".repeat(900)} AS id FROM t LIMIT 3`),
  notInside: (n) => shapes.inSub(n).replace("SELECT id FROM t LIMIT 3", `SELECT ${"NOT ".repeat(900)}id AS id FROM t LIMIT 3`),
  caseInside: (n) => shapes.union(n).replace("SELECT id FROM t LIMIT 3", `SELECT ${nest("CASE WHEN 1 THEN ", " END", "id")(300)} AS id FROM t LIMIT 3`),
  from: (n) => nest("SELECT id FROM (", ")", "SELECT id FROM t")(n),
  scalar: (n) => nest("SELECT (", ")", "SELECT 1")(n),
  parens: (n) => "SELECT " + nest("(", ")", "1")(n),
  not: (n) => "SELECT " + "NOT ".repeat(n) + "1",
  minus: (n) => "SELECT " + "- ".repeat(n) + "1",
  plus: (n) => "SELECT 1" + "+1".repeat(n),
  case: (n) => "SELECT " + nest("CASE WHEN 1 THEN ", " END", "1")(n),
  fn: (n) => "SELECT " + nest("abs(", ")", "1")(n),
  windows: (n) => `SELECT row_number() OVER w${n} FROM t WINDOW w0 AS (ORDER BY id)` + Array.from({ length: n }, (_, i) => `, w${i + 1} AS (w${i})`).join(""),
  values: (n) => "SELECT * FROM (VALUES (1)" + ",(1)".repeat(n) + ") LIMIT 1",
  compound: (n) => "SELECT 1" + " UNION ALL SELECT 1".repeat(n) + " LIMIT 1",
  joinParens: (n) => `SELECT 1 FROM ${nest("(", ")", "t")(n)} LIMIT 1`,
  json: (n) => `SELECT length(json('${nest("[", "]", "")(n)}'))`,
  json5: (n) => `SELECT length(json('${nest("{a:", "}", "1")(n)}'))`,
  jsonb: (n) => `SELECT length(jsonb('${nest("[", "]", "")(n)}'))`,
  jsonTree: (n) => `SELECT count(*) FROM json_tree('${nest("[", "]", "")(n)}')`,
  jsonPatch: (n) => `SELECT length(json_patch('${nest('{"a":', "}", "1")(n)}','${nest('{"a":', "}", "2")(n)}'))`,
  jsonPath: (n) => `SELECT json_set('{}', '$${".a".repeat(n)}', 1) IS NULL`,
  ftsParens: (n) => `SELECT count(*) FROM f WHERE f MATCH '${nest("(", ")", "a")(n)}'`,
  ftsAnd: (n) => `SELECT count(*) FROM f WHERE f MATCH '${nest("a AND (", ")", "a")(n)}'`,
  ftsNot: (n) => `SELECT count(*) FROM f WHERE f MATCH '${nest("a NOT (", ")", "b")(n)}'`,
  ftsFlat: (n) => `SELECT count(*) FROM f WHERE f MATCH 'a${" a".repeat(n)}'`,
  like: (n) => `SELECT '${"a".repeat(n)}' LIKE '${"%a".repeat(n)}'`,
  glob: (n) => `SELECT '${"a".repeat(n)}' GLOB '${"*a".repeat(n)}'`,
  upsert: (n) => "INSERT INTO t VALUES (1, 2)" + " ON CONFLICT (id) DO NOTHING".repeat(n),
};

/** The runtime's stack grows most in code that is optimised: once as it comes, where some is and some is not, and once with all of it. */
const COMPILERS = { "as the runtime compiles it": "", "all optimised": "--no-liftoff" };

describe("SQL that nests deeply", () => {
  for (const [compiled, flags] of Object.entries(COMPILERS)) {
    test(`does not overflow the stack, ${compiled}`, { timeout: 120_000 }, async () => {
      process.env.MINIFLARE_WORKERD_V8_FLAGS = flags;
      const lab = await openLab();
      try {
        await lab.write("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT); CREATE VIRTUAL TABLE f USING fts5(x)");
        await lab.write("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'); INSERT INTO f VALUES ('a b')");
        const said = new Set([...(await askShapes(lab)), ...(await askTowers(lab))]);
        assert.ok(said.has("D1_ERROR: the statement nests too deeply: SQLITE_ERROR"), [...said].join());
        assert.deepEqual(lab.log.filter((line) => /instance|RangeError/.test(line)), []);
      } finally {
        await lab.dispose();
      }
    });
  }
});

const inIsolate = (lab, sql) => lab.tryAsk({ cf: LONDON, token: "first-unconstrained", sql });
const atPrimary = (lab, sql) => lab.tryAsk({ object: { namespace: "DATABASES", name: lab.primary }, sql, params: [], token: "first-primary" });

/** Asks every text, as deep as is listed; the errors. */
async function askShapes(lab) {
  const errors = new Set();
  for (const [name, shape] of Object.entries(shapes)) {
    for (const depth of DEPTHS) {
      const sql = shape(depth);
      for (const ask of sql.length < LONGEST_READ ? [atPrimary, inIsolate] : [atPrimary]) {
        const { rows, error } = await ask(lab, sql);
        const said = `${name} ${depth}: ${error}`;
        assert.ok(rows !== undefined || /: SQLITE_[A-Z]+$/.test(error), said);
        if (!name.endsWith("Inside") && /^WITH|^SELECT id FROM \(/.test(sql) && depth === DEPTHS[0]) assert.ok(rows !== undefined, said);
        if (rows === undefined) errors.add(error);
      }
    }
  }
  return errors;
}

/** Asks views of views, up to 1,000; the errors. */
async function askTowers(lab) {
  const errors = new Set();
  for (const [name, body] of Object.entries(TOWERS)) {
    await lab.write(views(name, body));
    // What has nothing to do with the views does not look into them.
    for (const sql of [`CREATE TABLE beside_${name} (id INTEGER PRIMARY KEY, b UNIQUE)`, `INSERT INTO beside_${name} VALUES (1, 1), (2, 2)`, `DELETE FROM beside_${name} ORDER BY id LIMIT 1`]) {
      assert.equal((await atPrimary(lab, sql)).error, undefined, sql);
    }
    for (let depth = 50; depth <= 1_000; depth += 50) {
      for (const ask of [atPrimary, inIsolate]) {
        const { rows, error } = await ask(lab, `SELECT id FROM ${name}${depth} LIMIT 1`);
        assert.ok(rows !== undefined || depth > DEPTHS[0] && /: SQLITE_[A-Z]+$/.test(error), `${name} ${depth}: ${error}`);
        if (rows === undefined) errors.add(error);
      }
    }
  }
  return errors;
}
