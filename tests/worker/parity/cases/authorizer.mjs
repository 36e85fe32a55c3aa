// Parity cases: which pragmas, functions, virtual tables and actions are allowed.

export const setup = [
  "CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT)",
  "CREATE TABLE c(id INTEGER PRIMARY KEY, pid INTEGER REFERENCES p(id) ON DELETE CASCADE)",
  "CREATE INDEX pv ON p(v)",
  "INSERT INTO p VALUES(1,'a'),(2,'b')",
  "INSERT INTO c VALUES(1,1),(2,2)",
];

const all = (sql, ...values) => ({
  name: sql.length > 70 ? `${sql.slice(0, 67)}...` : sql,
  run: (db) =>
    db
      .prepare(sql)
      .bind(...values)
      .all(),
});
const rows = (sql) => ({ name: sql.length > 70 ? `${sql.slice(0, 67)}...` : sql, run: (db) => db.prepare(sql).raw({ columnNames: true }) });
// What a later call sees of a pragma, which is then put back.
const lasting = (name, look) => async (db) => {
  await db.prepare(`PRAGMA ${name}=on`).run();
  const seen = await db.prepare(look).raw();
  await db.prepare(`PRAGMA ${name}=off`).run();
  return seen;
};
const pragma = (text) => rows(`PRAGMA ${text}`);

// Each call by name: which functions are refused, and in which words.
const FUNCTIONS = {
  core: "abs(1) char(1) coalesce(1,2) concat(1) concat_ws('a',1) format('a') glob('a','b') hex('a') if(1,2,3) ifnull(1,2) iif(1,2,3) instr('a','b') length('a') like('a','b') likelihood(1,0.5) likely(1) lower('a') ltrim('a') max(1,2) min(1,2) nullif(1,2) octet_length('a') printf('a') quote(1) random() randomblob(1) replace('a','b','c') round(1.5) rtrim('a') sign(1) soundex('a') substr('a',1) substring('a',1) trim('a') typeof(1) unhex('00') unicode('a') unistr('a') unistr_quote('a') unlikely(1) upper('a') zeroblob(1) changes() total_changes() last_insert_rowid() subtype(1)",
  date: "date() time() datetime() julianday() unixepoch() strftime('%s') timediff('2024-01-01','2023-01-01') current_date current_time current_timestamp",
  aggregate:
    "avg(1) count(1) count() group_concat(1) max(1) min(1) string_agg(1,',') sum(1) total(1) median(1) percentile(1,50) percentile_cont(1,0.5) percentile_disc(1,0.5)",
  math: "acos(1) acosh(1) asin(0) asinh(0) atan(0) atan2(0,1) atanh(0) ceil(1) ceiling(1) cos(0) cosh(0) degrees(0) exp(0) floor(1) ln(1) log(10) log(2,8) log10(1) log2(1) mod(7,3) pi() pow(2,3) power(2,3) radians(0) sin(0) sinh(0) sqrt(4) tan(0) tanh(0) trunc(1)",
  json: "json('1') jsonb('1') json_array(1) jsonb_array(1) json_array_length('[]') json_array_insert('[]','$[0]',1) json_error_position('[') json_extract('{}','$') jsonb_extract('{}','$') json_insert('{}','$.a',1) jsonb_insert('{}','$.a',1) json_object('a',1) jsonb_object('a',1) json_patch('{}','{}') jsonb_patch('{}','{}') json_pretty('{}') json_remove('{}','$.a') jsonb_remove('{}','$.a') json_replace('{}','$.a',1) jsonb_replace('{}','$.a',1) json_set('{}','$.a',1) jsonb_set('{}','$.a',1) json_type('1') json_valid('1') json_quote(1) json_group_array(1) jsonb_group_array(1) json_group_object('a',1) jsonb_group_object('a',1)",
  other:
    "sqlite_version() sqlite_source_id() sqlite_compileoption_used('x') sqlite_compileoption_get(0) sqlite_offset(1) sqlite_log(1,'x') fts3_tokenizer('x') fts5_source_id() fts5(1) rtreenode(1,x'00') rtreedepth(x'0000') match('a','b') regexp('a','b') generate_series(1) edit('a') readfile('x') writefile('x','y') geopoly_area('x') ieee754(1) decimal('1') sha1('a') uuid() base64('a') stmtrand() sqlite_rename_table(1,2,3,4,5,6,7) sqlite_rename_column(1,2,3,4,5,6,7,8,9) sqlite_drop_column(1,2,3) sqlite_fail(1) vec_version() icu_load_collation('a','b')",
};

/** Kinds of which D1 refuses some and Littoral fewer. */
const MORE = new Set(["core", "math", "json"]);
const both = (why) => ({ DB: why, LITTORAL: why });
const lastsForACall = both("What a PRAGMA sets holds to the end of its call; D1's connection keeps it for whatever calls come after.");

const refused = async (db, calls) => {
  const found = [];
  for (const call of calls.split(" ")) {
    try {
      await db.prepare(`SELECT ${call}`).all();
    } catch (error) {
      found.push(`${call}: ${error.message}`);
    }
  }
  return found;
};

export const cases = [
  ...[
    "table_list",
    "table_info(p)",
    "table_info('p')",
    "table_info=p",
    "table_info",
    "table_info(nope)",
    "table_xinfo(p)",
    "index_list(p)",
    "index_list",
    "index_info(pv)",
    "index_xinfo(pv)",
    "foreign_key_list(c)",
    "foreign_key_list",
    "foreign_key_check",
    "foreign_key_check(c)",
    "quick_check",
    "quick_check(1)",
    "quick_check(p)",
    "optimize",
    "optimize(0x10002)",
    "foreign_keys",
    "defer_foreign_keys",
    "case_sensitive_like",
    "ignore_check_constraints",
    "legacy_alter_table",
    "recursive_triggers",
    "reverse_unordered_selects",
    "foreign_keys=off",
    "foreign_keys=on",
    "defer_foreign_keys=on",
    "defer_foreign_keys=maybe",
    "recursive_triggers=1",
    "recursive_triggers=0",
    "page_size",
    "page_size=8192",
    "main.table_info(p)",
    "TABLE_INFO(p)",
  ].map(pragma),
  ...[
    "journal_mode",
    "journal_mode=delete",
    "journal_mode=wal",
    "page_count",
    "freelist_count",
    "integrity_check",
    "user_version",
    "user_version=3",
    "schema_version",
    "application_id",
    "cache_size",
    "cache_size=10",
    "synchronous",
    "synchronous=off",
    "encoding",
    "auto_vacuum",
    "auto_vacuum=1",
    "incremental_vacuum",
    "temp_store",
    "locking_mode",
    "database_list",
    "collation_list",
    "compile_options",
    "function_list",
    "module_list",
    "pragma_list",
    "writable_schema=on",
    "trusted_schema",
    "query_only=1",
    "busy_timeout",
    "wal_checkpoint",
    "hard_heap_limit",
    "max_page_count",
    "secure_delete",
    "mmap_size",
    "analysis_limit",
    "automatic_index=off",
    "count_changes",
    "threads",
    "shrink_memory",
    "nope",
    "key='x'",
  ].map(pragma),
  { name: "data_version is a number", run: async (db) => typeof (await db.prepare("PRAGMA data_version").first("data_version")) },
  rows("SELECT name, type FROM pragma_table_info('p')"),
  rows("SELECT * FROM pragma_table_xinfo('p')"),
  rows("SELECT name FROM pragma_index_list('p')"),
  rows("SELECT * FROM pragma_foreign_key_list('c')"),
  rows("SELECT name FROM pragma_table_list WHERE schema='main' ORDER BY name"),
  rows("SELECT * FROM pragma_page_count"),
  rows("SELECT * FROM pragma_user_version"),
  rows("SELECT * FROM pragma_function_list"),
  rows("SELECT * FROM pragma_compile_options"),
  rows("SELECT * FROM tables_used('SELECT 1')"),
  ...[
    "BEGIN",
    "BEGIN TRANSACTION",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT a",
    "RELEASE a",
    "ROLLBACK TO a",
    "VACUUM",
    "VACUUM INTO 'x'",
    "ATTACH 'x' AS y",
    "ATTACH ':memory:' AS y",
    "DETACH main",
    "CREATE TEMP TABLE tt(x)",
    "CREATE TEMPORARY TABLE tt(x)",
    "CREATE TEMP VIEW tv AS SELECT 1",
    "CREATE TEMP TRIGGER tg AFTER INSERT ON p BEGIN SELECT 1; END",
    "SELECT * FROM sqlite_temp_master",
    "SELECT * FROM temp.sqlite_master",
    "CREATE TABLE _cf_x(a)",
    "CREATE TABLE _CF_X(a)",
    "CREATE INDEX _cf_i ON p(v)",
    "CREATE VIEW _cf_v AS SELECT 1",
    "SELECT * FROM _cf_KV",
    "SELECT * FROM _cf_METADATA",
    "CREATE TABLE sqlite_x(a)",
    "CREATE TABLE x(a REFERENCES _cf_y(b))",
    "SELECT sqlite_version()",
    "SELECT sqlite_source_id()",
    "SELECT sqlite_compileoption_used('x')",
    "SELECT sqlite_compileoption_get(1)",
    "SELECT sqlite_offset(v) FROM p",
    "SELECT length(randomblob(7))",
    "SELECT fts3_tokenizer('x')",
    "SELECT zeroblob(2)",
    "SELECT quote('a')",
    "SELECT sqlite_log(1,'x')",
    "SELECT soundex('x')",
    "SELECT changes()",
    "SELECT total_changes() >= 0 AS t",
    "SELECT last_insert_rowid() AS l",
    "SELECT name FROM sqlite_master ORDER BY name",
    "SELECT name FROM sqlite_schema ORDER BY name",
    "SELECT name FROM main.sqlite_master ORDER BY name",
    "SELECT * FROM dbstat",
    "SELECT * FROM generate_series(1,3)",
    "SELECT * FROM bytecode('SELECT 1')",
    "SELECT * FROM sqlite_stmt",
    "SELECT value FROM json_each('[1,2]')",
    "SELECT fullkey FROM json_tree('{\"a\":1}')",
    "ANALYZE",
    "ANALYZE p",
    "REINDEX",
    "REINDEX p",
    "SELECT * FROM sqlite_stat1 ORDER BY 1,2",
    "SELECT * FROM sqlite_stat4",
    "DROP TABLE sqlite_stat1",
    "EXPLAIN QUERY PLAN SELECT * FROM p WHERE v='a'",
  ].map((sql) => all(sql)),
  {
    name: "ALTER TABLE zz RENAME TO _cf_zz",
    run: async (db) => {
      await db.prepare("CREATE TABLE zz(a)").run();
      try {
        return (await db.prepare("ALTER TABLE zz RENAME TO _cf_zz").run()).success;
      } finally {
        await db.prepare("DROP TABLE IF EXISTS zz").run();
      }
    },
  },
  ...["ALTER TABLE zz RENAME COLUMN a TO _cf_a", "ALTER TABLE zz ADD COLUMN _cf_b", "CREATE TABLE zy(_cf_a)"].map((sql) => ({
    name: sql,
    run: async (db) => {
      await db.prepare("CREATE TABLE zz(a)").run();
      try {
        await db.prepare(sql).run();
        return (await db.prepare("SELECT sql FROM sqlite_schema WHERE name IN ('zz', 'zy') ORDER BY name").all()).results;
      } finally {
        await db.prepare("DROP TABLE IF EXISTS zz").run();
        await db.prepare("DROP TABLE IF EXISTS zy").run();
      }
    },
  })),
  {
    name: "CREATE TABLE temp.tt(x)",
    run: async (db) => {
      const r = await db.prepare("CREATE TABLE temp.tt(x)").run();
      await db.prepare("DROP TABLE temp.tt").run();
      return r.success;
    },
  },
  { name: "SELECT load_extension('x')", run: (db) => db.prepare("SELECT load_extension('x')").first() },
  { name: "SELECT load_extension('x', 'y')", run: (db) => db.prepare("SELECT load_extension('x', 'y')").first() },
  {
    name: "EXPLAIN answers opcodes",
    run: async (db) => (await db.prepare("EXPLAIN SELECT 1").all()).results.some((r) => r.opcode === "ResultRow"),
  },
  { name: "random() is a number", run: async (db) => typeof (await db.prepare("SELECT random() AS r").first("r")) },
  { name: "case_sensitive_like after the call that set it", run: lasting("case_sensitive_like", "SELECT 'a' LIKE 'A' AS m"), differs: lastsForACall },
  { name: "recursive_triggers after the call that set it", run: lasting("recursive_triggers", "PRAGMA recursive_triggers"), differs: lastsForACall },
  { name: "reverse_unordered_selects after the call that set it", run: lasting("reverse_unordered_selects", "SELECT id FROM p"), differs: lastsForACall },
  {
    name: "ignore_check_constraints after the call that set it",
    run: lasting("ignore_check_constraints", "PRAGMA ignore_check_constraints"),
    differs: lastsForACall,
  },
  {
    name: "legacy_alter_table after the call that set it",
    run: lasting("legacy_alter_table", "PRAGMA legacy_alter_table"),
    differs: lastsForACall,
  },
  { name: "defer_foreign_keys after the call that set it", run: lasting("defer_foreign_keys", "PRAGMA defer_foreign_keys") },
  {
    name: "an allowed pragma inside a batch",
    run: async (db) =>
      (
        await db.batch(
          ["PRAGMA case_sensitive_like=on", "SELECT 'a' LIKE 'A' AS m", "PRAGMA case_sensitive_like=off"].map((s) => db.prepare(s)),
        )
      )[1].results,
  },
  {
    name: "fts5",
    run: async (db) => {
      await db.prepare("CREATE VIRTUAL TABLE f USING fts5(title, body)").run();
      await db.prepare("INSERT INTO f VALUES('tide','the sea comes in'),('ebb','the sea goes out')").run();
      return [
        await db
          .prepare(
            "SELECT title, highlight(f,1,'[',']') AS h, snippet(f,1,'<','>','...',3) AS s FROM f WHERE f MATCH 'comes' ORDER BY rank",
          )
          .all(),
        await db.prepare("SELECT title, round(bm25(f), 6) AS b, rank < 0 AS r FROM f WHERE f MATCH 'sea OR tide' ORDER BY rank").raw(),
      ];
    },
  },
  {
    name: "fts5vocab",
    run: async (db) => {
      await db.prepare("CREATE VIRTUAL TABLE fv USING fts5vocab(f, row)").run();
      return db.prepare("SELECT term, doc, cnt FROM fv ORDER BY term").raw();
    },
  },
  { name: "fts5: bad query", run: (db) => db.prepare("SELECT * FROM f WHERE f MATCH 'a AND'").all() },
  {
    name: "fts5: shadow tables are listed",
    run: (db) => db.prepare("SELECT name FROM sqlite_master WHERE name LIKE 'f%' ORDER BY name").raw(),
  },
  { name: "fts5: shadow tables cannot be written", run: (db) => db.prepare("INSERT INTO f_data VALUES(99,x'00')").run() },
  {
    name: "fts5: drop",
    run: async (db) => {
      await db.prepare("DROP TABLE fv").run();
      return (await db.prepare("DROP TABLE f").run()).success;
    },
  },
  {
    name: "rtree",
    run: async (db) => {
      await db.prepare("CREATE VIRTUAL TABLE r USING rtree(id,x0,x1,y0,y1)").run();
      await db.prepare("INSERT INTO r VALUES(1,0,1,0,1),(2,5,6,5,6)").run();
      const found = await db.prepare("SELECT * FROM r WHERE x1<=2").raw();
      await db.prepare("DROP TABLE r").run();
      return found;
    },
  },
  {
    name: "rtree_i32",
    run: async (db) => {
      await db.prepare("CREATE VIRTUAL TABLE r USING rtree_i32(id,x0,x1)").run();
      await db.prepare("INSERT INTO r VALUES(1,0,1)").run();
      const found = await db.prepare("SELECT * FROM r").raw();
      await db.prepare("DROP TABLE r").run();
      return found;
    },
  },
  ...["geopoly(a)", "fts3(a)", "fts4(a)", "csv(a)", "dbstat", "rtree(id)"].map((module) => all(`CREATE VIRTUAL TABLE z USING ${module}`)),
  {
    name: "math functions",
    run: (db) =>
      db
        .prepare(
          "SELECT sqrt(16) AS a, pi() AS b, floor(1.5) AS c, ceil(1.2) AS d, ln(1) AS e, log2(8) AS f, exp(0) AS g, radians(0) AS h, sin(0) AS i, trunc(-1.5) AS j",
        )
        .first(),
  },
  {
    name: "json functions",
    run: (db) =>
      db
        .prepare(
          "SELECT json_set('{}','$.a',1) AS a, '{\"b\":2}'->>'b' AS b, '{\"b\":[1]}'->'b' AS c, json_group_array(id) AS d, json_patch('{\"a\":1}','{\"a\":null}') AS e, json_type('1.5') AS f, json_valid('{}') AS g FROM p",
        )
        .first(),
  },
  {
    name: "window functions",
    run: (db) =>
      db
        .prepare(
          "SELECT id, row_number() OVER w AS rn, lag(v) OVER w AS l, sum(id) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) AS s, ntile(2) OVER w AS nt FROM p WINDOW w AS (ORDER BY id)",
        )
        .all(),
  },
  {
    name: "text functions",
    run: (db) =>
      db
        .prepare(
          "SELECT upper('é a') AS a, instr('abc','c') AS b, replace('aXa','X','y') AS c, trim('  x ') AS d, hex('ab') AS e, unicode('é') AS f, format('%05.2f',3.14159) AS g, concat('a',NULL,1) AS h, concat_ws('-','a','b') AS i, octet_length('é') AS j, string_agg(v,',') AS k FROM p",
        )
        .first(),
  },
  ...Object.entries(FUNCTIONS).map(([kind, calls]) => ({
    name: `functions: ${kind}, the refused ones`,
    run: (db) => refused(db, calls),
    ...(MORE.has(kind) && { differs: both("More of SQLite's functions are allowed.") }),
  })),
  { name: "UPDATE FROM", run: (db) => db.prepare("UPDATE p SET v=v FROM c WHERE c.pid=p.id RETURNING p.id").all() },
  {
    name: "generated columns",
    run: async (db) => {
      await db.prepare("CREATE TABLE g(a, b AS (a*2), c AS (a||'!') STORED)").run();
      await db.prepare("INSERT INTO g(a) VALUES(4)").run();
      const r = await db.prepare("SELECT * FROM g").all();
      await db.prepare("DROP TABLE g").run();
      return r;
    },
  },
];
