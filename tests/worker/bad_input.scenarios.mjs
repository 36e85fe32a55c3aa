// What is no proper request: over the wire protocol, over RPC, and as SQL of every kind of wrong.
//
// Each scenario asserts a clear error and then, through `alive`, that the next request is served.

import assert from "node:assert/strict";
import { bind } from "../../js/src/index.js";
import { NO_JSON, WRONG_SHAPES, WRONG_SQL } from "./bad_input.inputs.mjs";
import { serve } from "./user.mjs";

const MIB = 1024 * 1024;

/** @type {(stub: any, path: string, body: any, headers?: Record<string, string>) => Promise<Response>} */
const post = (stub, path, body, headers = { "content-type": "application/json" }) =>
  stub.fetch(`http://d1${path}`, { method: "POST", headers, body });

async function alive(stub) {
  assert.equal(await bind(stub).prepare("SELECT 'yes' AS a").first("a"), "yes");
}

// The wire protocol answers JSON with a truthy `error`, never an array and never a stack.
async function refused(response, pattern = /./) {
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    assert.fail(`no JSON (${response.status}): ${text.slice(0, 200)}`);
  }
  assert.equal(answer.success, false, text.slice(0, 200));
  assert.equal(typeof answer.error, "string");
  assert.match(answer.error, pattern);
  assert.doesNotMatch(answer.error, /\.rs:|\.js:|panicked|RuntimeError|unreachable/);
}

async function refusedCall(promise, pattern = /./) {
  const answer = JSON.parse(await promise);
  assert.equal(typeof answer.error, "string", JSON.stringify(answer).slice(0, 200));
  assert.match(answer.error, pattern);
  assert.equal("responses" in answer, false);
}

// All of the faults in a list of inputs, so that one run tells them all.
async function each(inputs, check) {
  const faults = [];
  for (const input of inputs) {
    try {
      await check(input);
    } catch (error) {
      faults.push(`${JSON.stringify(input)}: ${error.message}`);
    }
  }
  assert.equal(faults.join("\n"), "");
}

export default serve({
  async setup({ stub }) {
    await bind(stub).exec("CREATE TABLE IF NOT EXISTS kept(x)\nINSERT INTO kept VALUES('here')");
  },

  async "wire: what is no JSON"({ stub }) {
    for (const path of ["/query", "/execute"]) await each(NO_JSON, async (body) => refused(await post(stub, path, body)));
    await alive(stub);
  },

  async "wire: wrong shapes"({ stub }) {
    await each(WRONG_SHAPES, async (shape) => refused(await post(stub, "/query?resultsFormat=ROWS_AND_COLUMNS", JSON.stringify(shape))));
    await refused(await post(stub, "/query", "[]"), /No SQL statements detected/);
    await alive(stub);
  },

  async "wire: bytes that are no UTF-8"({ stub }) {
    const head = new TextEncoder().encode('{"sql":"SELECT \'');
    const tail = new TextEncoder().encode("'\"}");
    for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0x00]]) {
      const response = await post(stub, "/query", Uint8Array.from([...head, ...bytes, ...tail]));
      const answer = JSON.parse(await response.text());
      assert.ok(
        [answer].flat().every((one) => typeof one.success === "boolean"),
        JSON.stringify(answer),
      );
    }
    await refused(await post(stub, "/query", Uint8Array.of(0xff, 0xfe, 0x00)));
    await alive(stub);
  },

  async "wire: other methods and paths"({ stub }) {
    for (const method of ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]) {
      const response = await stub.fetch("http://d1/query", { method });
      assert.ok(response.status >= 400 && response.status < 500, `${method} ${response.status}`);
      await response.body?.cancel();
    }
    for (const path of ["/", "/nope", "/query/x", "//query", "/QUERY"]) {
      const response = await post(stub, path, '{"sql":"SELECT 1"}');
      assert.ok(response.status >= 400 && response.status < 500, `${path} ${response.status}`);
      await response.body?.cancel();
    }
    await alive(stub);
  },

  async "wire: odd headers and query strings"({ stub }) {
    const sql = '{"sql":"SELECT 1 AS a"}';
    for (const path of [
      "/query",
      "/query?",
      "/query?resultsFormat=",
      "/query?resultsFormat=NOPE",
      "/query?resultsFormat=NONE&resultsFormat=ROWS_AND_COLUMNS",
      "/query?%ff",
    ]) {
      const answer = JSON.parse(await (await post(stub, path, sql)).text());
      assert.equal([answer].flat()[0].success, true, `${path}: ${JSON.stringify(answer)}`);
    }
    for (const type of [undefined, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"]) {
      const answer = JSON.parse(await (await post(stub, "/query", sql, type ? { "content-type": type } : {})).text());
      assert.equal([answer].flat()[0].success, true, String(type));
    }
    await alive(stub);
  },

  async "wire: bookmarks of every kind of wrong"({ stub }) {
    for (const token of [
      "x",
      "0",
      "-",
      "00000000",
      "zzzzzzzz-zzzzzzzz-zzzzzzzz-zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
      "ffffffff-ffffffff-ffffffff-ffffffffffffffffffffffffffffffff",
      "first",
      "x".repeat(4000),
    ]) {
      const response = await post(stub, "/query", '{"sql":"SELECT 1 AS a"}', { "x-cf-d1-session-commit-token": token });
      const answer = JSON.parse(await response.text());
      assert.equal(typeof [answer].flat()[0].success, "boolean", `${token}: ${JSON.stringify(answer)}`);
    }
    await alive(stub);
  },

  async "wire: a body of 100 MB"({ stub }) {
    const chunk = new TextEncoder().encode("x".repeat(MIB));
    let left = 100;
    const body = new ReadableStream({
      pull(controller) {
        if (left-- > 0) controller.enqueue(chunk);
        else controller.close();
      },
    });
    await refused(await post(stub, "/query", body), /large|big|long|limit|JSON/i);
    await alive(stub);
  },

  async "wire: one SQL text of 30 MB"({ stub }) {
    await refused(await post(stub, "/query", JSON.stringify({ sql: `SELECT '${"x".repeat(30 * MIB)}'` })), /too long|large|big|memory/i);
    await alive(stub);
  },

  async "wire: a parameter of 40 MB"({ stub }) {
    await refused(
      await post(stub, "/query", JSON.stringify({ sql: "SELECT length(?)", params: ["x".repeat(40 * MIB)] })),
      /too big|large|long|memory/i,
    );
    await alive(stub);
  },

  async "wire: JSON that nests 100,000 deep"({ stub }) {
    await refused(await post(stub, "/query", "[".repeat(100_000)));
    await refused(await post(stub, "/query", `${"[".repeat(100_000)}${"]".repeat(100_000)}`));
    await refused(await post(stub, "/query", `{"sql":"SELECT ?","params":${"[".repeat(100_000)}1${"]".repeat(100_000)}}`));
    await alive(stub);
  },

  async "rpc: what is no JSON"({ stub }) {
    await each(NO_JSON, (text) => refusedCall(stub.query(text)));
    for (const value of [undefined, null, 5, {}, [], { calls: [] }]) {
      const answer = await stub.query(value).then(
        (text) => JSON.parse(text),
        (error) => ({ error: error.message }),
      );
      assert.equal(typeof answer.error, "string");
    }
    await alive(stub);
  },

  async "rpc: wrong shapes of the request"({ stub }) {
    const shapes = [
      null,
      1,
      "x",
      [],
      {},
      { calls: null },
      { calls: 1 },
      { calls: "SELECT 1" },
      { calls: {} },
      // What routes a request is not in its body.
      { calls: [], bookmark: "first-primary" },
      { calls: [{ sql: "SELECT 1" }], at: { time_ms: 1 } },
    ];
    await each(shapes, (shape) => refusedCall(stub.query(JSON.stringify(shape))));
    await alive(stub);
  },

  async "rpc: what routes a request, of wrong kinds"({ stub }) {
    const ask = (options) => stub.query('{"calls":[{"sql":"SELECT 1"}]}', options).then((text) => JSON.parse(text), (error) => ({ error: error.message }));
    for (const options of [null, 5, true, { session: null }, { at: null }, { blobs: "hex" }, { blobs: 5 }, { cf: 5 }, { cf: { colo: {} } }]) {
      assert.equal((await ask(options)).responses?.[0].results.rows[0][0], 1, JSON.stringify(options));
    }
    for (const options of [{ session: "x" }, { session: "" }, { session: 5 }, { session: {} }, { at: "" }, { at: "x" }, { at: "x".repeat(100_000) }, { at: {} }, { at: NaN }, { at: -1 }]) {
      assert.equal((await ask(options)).code, "BOOKMARK_INVALID", JSON.stringify(options));
    }
    for (const at of [1e300, Infinity, -Infinity, 0, 8.64e15, [], true, 5n]) {
      const answer = await ask({ at });
      assert.equal(typeof (answer.error ?? answer.responses[0].error ?? answer.bookmark), "string", String(at));
    }
    await alive(stub);
  },

  async "rpc: wrong shapes of a call"({ stub }) {
    await each(WRONG_SHAPES, async (shape) => {
      const answer = JSON.parse(await stub.query(JSON.stringify({ calls: [shape] })));
      assert.equal(typeof (answer.error ?? answer.responses[0].error), "string", JSON.stringify(answer));
    });
    await alive(stub);
  },

  async "rpc: an argument past 32 MiB"({ stub }) {
    await assert.rejects(
      bind(stub)
        .prepare("SELECT ?")
        .bind("x".repeat(40 * MIB))
        .all(),
      /^Error: D1_ERROR: /,
    );
    await alive(stub);
  },

  async "rpc: methods that are not offered"({ stub }) {
    for (const name of ["queries", "exec", "constructorx", "alarm", "__proto__x", "ctx", "env"])
      await assert.rejects(async () => stub[name]("x"), name);
    await alive(stub);
  },

  async "sql: every kind of wrong"({ stub }) {
    const db = bind(stub);
    await each(WRONG_SQL, (sql) =>
      assert.rejects(db.prepare(sql).all(), ({ message }) => {
        assert.match(message, /^D1_ERROR: /);
        assert.doesNotMatch(message, /\.rs:|panicked|RuntimeError|unreachable/);
        return true;
      }),
    );
    assert.equal(await db.prepare("SELECT x FROM kept").first("x"), "here");
  },

  async "sql: every kind of wrong, at once"({ stub }) {
    const db = bind(stub);
    const [kept, ...wrong] = await Promise.allSettled([
      db.prepare("SELECT x FROM kept").first("x"),
      ...WRONG_SQL.map((sql) => db.prepare(sql).all()),
    ]);
    assert.deepEqual(kept, { status: "fulfilled", value: "here" });
    assert.deepEqual(
      WRONG_SQL.filter((_, i) => wrong[i].status !== "rejected"),
      [],
    );
  },

  async "sql: what runs for ever is stopped"({ stub }) {
    await assert.rejects(
      bind(stub).prepare("WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c").first(),
      /^Error: D1_ERROR: /,
    );
    await alive(stub);
  },

  async "sql: results that are too large"({ stub }) {
    const db = bind(stub);
    await assert.rejects(
      db.prepare("WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x<2000) SELECT zeroblob(100000) AS b FROM c").all(),
      /^Error: D1_ERROR: /,
    );
    await assert.rejects(db.prepare("SELECT hex(zeroblob(2000000000))").all(), /^Error: D1_ERROR: /);
    await alive(stub);
  },

  async "values: NUL is kept, lone surrogates become U+FFFD"({ stub }) {
    const db = bind(stub);
    assert.deepEqual(await db.prepare("SELECT ?1 AS v, length(CAST(?1 AS BLOB)) AS n").bind("a\0b").first(), { v: "a\0b", n: 3 });
    assert.equal(await db.prepare("SELECT hex(?) AS h").bind("\ud800").first("h"), "EFBFBD");
  },

  async "bindings that name no database get nothing of the protocol"({ env, stub }) {
    for (const name of ["PROPLESS", "EMPTY_PROPS"]) {
      const text = await (await post(env[name], "/query", '{"sql":"SELECT 1 AS a"}')).text();
      assert.doesNotMatch(text, /"success"|"results"/, name);
    }
    for (const name of ["PROPLESS", "EMPTY_PROPS", "EMPTY_NAME", "NUMBER_NAME", "NULL_NAME"]) {
      await assert.rejects(env[name].query('{"calls":[{"sql":"SELECT 1"}]}'), /database/, name);
      await assert.rejects(async () => env[name].dump(), /database/, name);
      await assert.rejects(bind(env[name]).prepare("SELECT 1").all(), /^Error: D1_ERROR: .*database/, name);
    }
    await alive(stub);
  },

  async "names of databases of every kind"({ env, stub }) {
    for (const name of ["LONG_NAME", "ODD_NAME"]) {
      const answer = await bind(env[name])
        .prepare("SELECT 1 AS a")
        .first("a")
        .catch((error) => error);
      if (answer instanceof Error) assert.match(answer.message, /^D1_ERROR: .*name/);
      else assert.equal(answer, 1);
    }
    await alive(stub);
  },

  async "names of databases: each its own"({ stub, env }) {
    await assert.rejects(
      env.LITTORAL_other.query(JSON.stringify({ calls: [{ sql: "SELECT * FROM kept" }] })).then((text) => {
        const [answer] = JSON.parse(text).responses;
        if (answer.error) throw new Error(answer.error);
      }),
      /no such table: kept/,
    );
    await alive(stub);
  },
});
