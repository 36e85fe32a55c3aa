// Parity cases: every type of value, bound and read.

const both = (why) => ({ DB: why, LITTORAL: why });

export const setup = ["CREATE TABLE v(id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB, n NUMERIC, x)"];

const seen = (db, ...values) =>
  db
    .prepare("SELECT typeof(?1) AS type, ?1 AS value, quote(?1) AS quoted")
    .bind(...values)
    .first();
const stored = (db, value) =>
  db
    .prepare(
      "INSERT INTO v(i,r,t,b,n,x) VALUES(?1,?1,?1,?1,?1,?1) RETURNING typeof(i) AS ti, i, typeof(r) AS tr, r, typeof(t) AS tt, t, typeof(b) AS tb, b, typeof(n) AS tn, n, typeof(x) AS tx, x",
    )
    .bind(value)
    .first();
const bindOnly = (value) => (db) => db.prepare("SELECT ?").bind(value).params.length;
const bytes = (...items) => new Uint8Array(items);

const text = "Bytes that are no numbers are refused in words; local D1 answers the stack of a schema error.";
const shapeless = { DB: text, LITTORAL: text };

export const cases = [
  { name: "bind: integer number is REAL", run: (db) => seen(db, 1) },
  { name: "bind: zero", run: (db) => seen(db, 0) },
  { name: "bind: minus zero", run: (db) => seen(db, -0) },
  { name: "bind: fraction", run: (db) => seen(db, 1.5) },
  { name: "bind: 0.1", run: (db) => seen(db, 0.1) },
  { name: "bind: largest safe integer", run: (db) => seen(db, Number.MAX_SAFE_INTEGER) },
  { name: "bind: 2^53 + 2", run: (db) => seen(db, 9007199254740994) },
  { name: "bind: 2^63", run: (db) => seen(db, 2 ** 63) },
  { name: "bind: largest number", run: (db) => seen(db, Number.MAX_VALUE) },
  { name: "bind: smallest number", run: (db) => seen(db, Number.MIN_VALUE) },
  { name: "bind: 1e21", run: (db) => seen(db, 1e21) },
  { name: "bind: 1e-7", run: (db) => seen(db, 1e-7) },
  { name: "bind: negative", run: (db) => seen(db, -42.25) },
  { name: "bind: NaN becomes NULL", run: (db) => seen(db, NaN) },
  { name: "bind: Infinity becomes NULL", run: (db) => seen(db, Infinity) },
  { name: "bind: minus Infinity becomes NULL", run: (db) => seen(db, -Infinity) },
  { name: "bind: true", run: (db) => seen(db, true) },
  { name: "bind: false", run: (db) => seen(db, false) },
  { name: "bind: null", run: (db) => seen(db, null) },
  { name: "bind: text", run: (db) => seen(db, "hello") },
  { name: "bind: empty text", run: (db) => seen(db, "") },
  { name: "bind: text with quotes", run: (db) => seen(db, 'it\'s "x"') },
  { name: "bind: text beyond ASCII", run: (db) => seen(db, "größe 🌊 \u2028 漢字") },
  { name: "bind: text with control characters", run: (db) => seen(db, "a\tb\nc\rd\x01e\x7f") },
  {
    name: "bind: text with NUL",
    run: async (db) => {
      const row = await db.prepare("SELECT ?1 AS v, length(?1) AS n, length(CAST(?1 AS BLOB)) AS bytes").bind("a\0b").first();
      return [row, row.v.length];
    },
  },
  {
    name: "bind: lone surrogate",
    run: (db) => db.prepare("SELECT ?1 AS v, hex(?1) AS h").bind("a\ud800b").first(),
    differs: both("JavaScript's lone surrogates become U+FFFD, since the database holds UTF-8; D1 stores bytes that are none."),
  },
  { name: "bind: text of digits stays text", run: (db) => seen(db, "123") },
  { name: "bind: long text", run: async (db) => (await db.prepare("SELECT ?1 AS v, length(?1) AS n").bind("x".repeat(100_000)).first()).n },
  { name: "bind: array of bytes is BLOB", run: (db) => seen(db, [1, 2, 255]) },
  { name: "bind: empty array is BLOB", run: (db) => seen(db, []) },
  { name: "bind: array with fractions", run: (db) => seen(db, [1.9, 255.5]) },
  { name: "bind: Uint8Array", run: (db) => seen(db, bytes(0, 128, 255)) },
  { name: "bind: empty Uint8Array", run: (db) => seen(db, bytes()) },
  { name: "bind: view into a buffer", run: (db) => seen(db, bytes(1, 2, 3, 4).subarray(1, 3)) },
  { name: "bind: Uint8ClampedArray", run: (db) => seen(db, Uint8ClampedArray.of(1, 300, -5)) },
  { name: "bind: ArrayBuffer", run: (db) => seen(db, bytes(9, 8, 7).buffer) },
  { name: "bind: Int8Array", run: (db) => seen(db, Int8Array.of(1, -1, -128)) },
  { name: "bind: Uint16Array goes by element", run: (db) => seen(db, Uint16Array.of(1, 256, 65535)) },
  { name: "bind: Float64Array goes by element", run: (db) => seen(db, Float64Array.of(1.5, 300, -1)) },
  { name: "bind: Float64Array with NaN", run: (db) => seen(db, Float64Array.of(NaN, 1)), differs: shapeless },
  { name: "bind: BigInt64Array", run: (db) => seen(db, BigInt64Array.of(1n)) },
  { name: "bind: DataView", run: (db) => seen(db, new DataView(bytes(1, 2).buffer)) },
  {
    name: "bind: blob of 100,000 bytes",
    run: (db) => db.prepare("SELECT length(?1) AS n, hex(substr(?1, 99999)) AS end").bind(new Uint8Array(100_000).fill(7)).first(),
  },
  { name: "bind: undefined", run: bindOnly(undefined) },
  { name: "bind: bigint", run: bindOnly(10n) },
  { name: "bind: function", run: bindOnly(() => 1) },
  { name: "bind: plain object", run: bindOnly({ a: 1 }) },
  { name: "bind: object with an int member", run: bindOnly({ int: "1" }) },
  { name: "bind: Date", run: bindOnly(new Date(0)) },
  { name: "bind: symbol", run: bindOnly(Symbol("s")) },
  { name: "bind: array with 256", run: bindOnly([256]) },
  { name: "bind: array with -1", run: bindOnly([-1]) },
  { name: "bind: array of text", run: bindOnly(["a"]) },
  { name: "bind: array of arrays", run: bindOnly([[1]]) },
  { name: "bind: array with NaN", run: bindOnly([NaN]) },
  // biome-ignore lint/suspicious/noSparseArray: that is the case
  { name: "bind: sparse array", run: (db) => seen(db, [1, , 3]), differs: shapeless },
  { name: "bind: boxed string", run: bindOnly(new String("x")) },
  { name: "bind: Map", run: bindOnly(new Map()) },
  {
    name: "bind: refused at bind(), before any call",
    run: (db) => {
      try {
        db.prepare("not SQL").bind(undefined);
        return "accepted";
      } catch (error) {
        return [error.name, error.message];
      }
    },
  },
  {
    name: "bind: a later change of an array is not seen",
    run: async (db) => {
      const a = [1];
      const p = db.prepare("SELECT hex(?) AS h").bind(a).first("h");
      a[0] = 2;
      return p;
    },
  },
  {
    name: "bind: a change before the call is seen",
    run: async (db) => {
      const a = [1];
      const s = db.prepare("SELECT hex(?) AS h").bind(a);
      a[0] = 2;
      return s.first("h");
    },
  },
  { name: "division of bound numbers is REAL", run: (db) => db.prepare("SELECT ?/2 AS half, 7/2 AS literal").bind(7).first() },
  {
    name: "integer function of a bound number",
    run: (db) => db.prepare("SELECT ?1 % 3 AS m, ?1 & 3 AS a, ?1 << 2 AS s, substr('hello', ?1) AS t, abs(?1) AS b").bind(2).first(),
  },
  {
    name: "text of a bound number",
    run: (db) =>
      db.prepare("SELECT ?1 || '' AS t, CAST(?1 AS TEXT) AS c, printf('%d', ?1) AS p, CAST(?1 AS INTEGER) AS i").bind(12).first(),
  },
  { name: "comparison of a bound number with text", run: (db) => db.prepare("SELECT ?1 = '5' AS eq, ?1 < 'a' AS lt").bind(5).first() },
  {
    name: "json of a bound number",
    run: (db) => db.prepare("SELECT json_array(?1, 1, 1.0) AS j, json_object('a', ?1) AS o").bind(3).first(),
  },
  {
    name: "LIMIT and OFFSET take bound numbers",
    run: (db) => db.prepare("WITH c(x) AS (VALUES(1),(2),(3),(4)) SELECT x FROM c LIMIT ? OFFSET ?").bind(2, 1).all(),
  },
  { name: "LIMIT does not take a fraction", run: (db) => db.prepare("SELECT 1 LIMIT ?").bind(1.5).all() },
  {
    name: "rowid from a bound number",
    run: (db) => db.prepare("INSERT INTO v(id) VALUES(?) RETURNING id, typeof(id) AS t").bind(1000).first(),
  },
  { name: "rowid from a bound fraction", run: (db) => db.prepare("INSERT INTO v(id) VALUES(?)").bind(1000.5).run() },
  { name: "affinity: number", run: (db) => stored(db, 3) },
  { name: "affinity: fraction", run: (db) => stored(db, 3.25) },
  { name: "affinity: large number", run: (db) => stored(db, 1e300) },
  { name: "affinity: 2^53", run: (db) => stored(db, 2 ** 53) },
  { name: "affinity: text", run: (db) => stored(db, "abc") },
  { name: "affinity: text of a number", run: (db) => stored(db, "42") },
  { name: "affinity: text of a fraction", run: (db) => stored(db, "4.50") },
  { name: "affinity: blob", run: (db) => stored(db, [65, 66]) },
  { name: "affinity: null", run: (db) => stored(db, null) },
  { name: "affinity: boolean", run: (db) => stored(db, true) },
  { name: "read: integers", run: (db) => db.prepare("SELECT 0 AS a, -1 AS b, 2147483648 AS c, 9007199254740991 AS d").first() },
  {
    name: "read: integers beyond 2^53 lose precision",
    run: (db) => db.prepare("SELECT 9223372036854775807 AS a, -9223372036854775808 AS b, 9007199254740993 AS c").first(),
  },
  {
    name: "read: reals",
    run: (db) => db.prepare("SELECT 1.0 AS a, 0.1 AS b, 1e100 AS c, -0.0 AS d, 123456789.125 AS e, 1e-300 AS f, 5e-324 AS g").first(),
  },
  { name: "read: sum that is not exact", run: (db) => db.prepare("SELECT 0.1+0.2 AS a, 1.0/3 AS b, 2.0/3*3 AS c").first() },
  { name: "read: infinities", run: (db) => db.prepare("SELECT 9e999 AS a, -9e999 AS b, 9e999-9e999 AS c").first() },
  { name: "read: blobs", run: (db) => db.prepare("SELECT x'' AS a, x'00' AS b, x'00ff80' AS c, zeroblob(3) AS d").first() },
  {
    name: "read: text of every kind",
    run: (db) => db.prepare("SELECT '' AS a, 'x' AS b, 'é漢🌊' AS c, char(0,65) AS d, char(10,9,13,8,12,34,92) AS e").first(),
  },
  {
    name: "read: text that is not UTF-8",
    run: (db) => db.prepare("SELECT CAST(x'61ff62' AS TEXT) AS a, CAST(x'c3' AS TEXT) AS b").first(),
  },
  { name: "read: surrogates in UTF-8", run: (db) => db.prepare("SELECT CAST(x'eda08061' AS TEXT) AS a").first() },
  {
    name: "read: json text stays text",
    run: (db) => db.prepare("SELECT json('{\"a\": 1}') AS j, json_extract('{\"a\":[1,2]}', '$.a') AS e").first(),
  },
  { name: "read: jsonb is a BLOB", run: (db) => db.prepare("SELECT jsonb('[1]') AS j, typeof(jsonb('[1]')) AS t").first() },
  { name: "read: booleans are numbers", run: (db) => db.prepare("SELECT true AS a, false AS b, 1=1 AS c, NULL IS NULL AS d").first() },
  {
    name: "read: date and time",
    run: (db) =>
      db
        .prepare(
          "SELECT date('2026-11-22') AS d, datetime('2026-11-22 10:00:00','+1 day') AS t, strftime('%s','1970-01-02') AS s, julianday('2000-01-01') AS j, unixepoch('2026-01-01') AS u",
        )
        .first(),
  },
  {
    name: "read: CURRENT_TIMESTAMP has a shape",
    run: async (db) => /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(await db.prepare("SELECT CURRENT_TIMESTAMP AS t").first("t")),
  },
  { name: "read: raw of every type", run: (db) => db.prepare("SELECT 1, 1.5, 'a', x'01', NULL").raw() },
  {
    name: "read: text of 1 MB",
    run: async (db) => (await db.prepare("SELECT printf('%.*c', 100000, 'x') || printf('%.*c', 100000, 'y') AS t").first("t")).length,
  },
  {
    name: "round trip: every byte",
    run: async (db) =>
      (
        await db
          .prepare("SELECT ?1 AS b")
          .bind(Uint8Array.from({ length: 256 }, (_, i) => i))
          .first("b")
      ).join(),
  },
  { name: "round trip: JSON-like text", run: (db) => db.prepare("SELECT ? AS t").bind('{"sql":"x","params":[1,null]}\\\u0000').first("t") },
];
