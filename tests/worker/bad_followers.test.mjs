// Bad followers and bad clients, through the entry points of the real Worker: questions of the commit log that are garbage, cut, huge, forged,
// foreign or of the future, and forged bookmarks. They are refused, or answered rightly; the primary stays as it was.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { LONDON, openLab, until } from "./replica_objects/lab.mjs";
import { fetch, find, message, pull, read, sealed } from "./replica_objects/messages.mjs";
import { numbers } from "./history/workload.mjs";

const ROWS = 100;
const COUNT = "SELECT count(*) AS n FROM t";
const RIGHT = [{ n: ROWS }];
const U64 = (1n << 64n) - 1n;
/** The last txid that a commit can have. */
const LAST = (1n << 53n) - 1n;

let lab;
let head;
let bookmark;
before(async () => {
  lab = await openLab();
  await lab.write("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)");
  ({ bookmark } = await lab.write(`INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${ROWS}) SELECT x, hex(randomblob(450)) FROM c`));
  await lab.readAt("weur", COUNT);
  head = read(await lab.atPrimary("follow", message("pull", 0, pull({}))));
  assert.equal(head.kind, "restart");
});
after(() => lab.dispose());

/** The primary is as it was, and its replicas answer. */
afterEach(async () => {
  const { rows, meta } = await lab.write("PRAGMA quick_check");
  assert.deepEqual([rows, meta.served_at_txid], [[{ quick_check: "ok" }], Number(head.position.txid)]);
  assert.deepEqual((await lab.write(COUNT)).rows, RIGHT);
  assert.deepEqual(read(await lab.atPrimary("follow", message("pull", 0, pull({})))).position, head.position);
  for (const ask of [() => lab.readAt("weur", COUNT, bookmark), () => lab.read(LONDON, COUNT, bookmark)]) {
    const answered = await until(ask, ({ meta }) => !meta.served_by_primary, "no replica answers");
    assert.deepEqual(answered.rows, RIGHT);
  }
  assert.deepEqual(lab.log.filter((line) => /panicked|unreachable|RuntimeError|Critical|terminated/.test(line)), []);
});

/** Asks the primary and a replica object: what both say, as `{ kind, ... }`, or `{ error }`. */
function askBoth(question) {
  const asked = (answer) => answer.then((bytes) => read(bytes), (error) => ({ error: error.message }));
  return Promise.all([asked(lab.atPrimary("follow", question)), asked(lab.at("weur", "follow", question))]);
}

async function bothRefuse(question, text, what) {
  for (const answer of await askBoth(question)) {
    assert.equal(answer.kind, "refused", `${what}: ${JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? String(value) : value))}`);
    assert.match(answer.text, text, what);
  }
}

describe("questions", () => {
  test("bytes that are no message are refused", async () => {
    const random = numbers(7);
    const garbage = (length) => Uint8Array.from({ length }, () => Math.floor(256 * random()));
    for (const length of [0, 1, 13, 14, 21, 22, 23, 100, 10_000]) await bothRefuse(garbage(length), /not a message|cut|version/, `${length} bytes`);
    const headers = Array.from({ length: 20 }, (_, kind) => sealed(message(kind, 0).subarray(0, 14)));
    for (const [kind, question] of headers.entries()) await bothRefuse(question, /./, `kind ${kind} without a body`);
    await bothRefuse(message("pull", 0, pull({}), 9), /version 9/, "another version");
  });

  test("messages that are cut, changed in a byte, or have bytes left over are refused", async () => {
    const question = message("fetch", head.database, fetch({ at: head.position, pages: [1, 2] }));
    for (let length = 0; length < question.length; length += 3) await bothRefuse(question.subarray(0, length), /message/, `cut at ${length}`);
    for (let at = 0; at < question.length; at += 3) {
      const changed = question.slice();
      changed[at] ^= 0x40;
      await bothRefuse(changed, /message/, `changed at ${at}`);
    }
    const body = question.subarray(0, question.length - 8);
    for (let length = 14; length < body.length; length += 3) await bothRefuse(sealed(body.subarray(0, length)), /./, `cut at ${length} and sealed`);
    await bothRefuse(sealed(Uint8Array.from([...body, 0])), /left over/, "a byte too many");
  });

  test("huge messages are refused, and so are counts that the bytes do not hold", async () => {
    const question = message("fetch", head.database, fetch({ at: head.position, pages: [1] }));
    for (const zeros of [1, 25 << 20, 30 << 20]) await bothRefuse({ hex: Buffer.from(question).toString("hex"), zeros }, /message/, `${zeros} zeros behind`);
    for (const count of [2, 1_025, 0x7fffffff, 0xffffffff]) {
      await bothRefuse(message("fetch", head.database, fetch({ at: head.position, pages: [1], count })), /cut|impossible/, `${count} pages claimed`);
    }
    const many = Array.from({ length: 1_025 }, () => 1);
    await bothRefuse(message("fetch", head.database, fetch({ at: head.position, pages: many })), /1025 pages are more than 1024/, "too many pages");
  });

  test("pages that are not there, and answers in place of questions, are refused", async () => {
    for (const pages of [[0], [head.pageCount + 1], [1, 0xffffffff]]) {
      await bothRefuse(message("fetch", head.database, fetch({ at: head.position, pages })), /beyond|impossible/, `pages ${pages}`);
    }
    const answer = await lab.atPrimary("follow", message("fetch", head.database, fetch({ at: head.position, pages: [1] })));
    await bothRefuse(answer, /this is no question/, "an answer");
    await bothRefuse(await lab.atPrimary("follow", new Uint8Array()), /this is no question/, "a refusal");
  });

  test("positions of the future and of another history, and other databases, are sent back to the beginning", async () => {
    const { txid, checksum } = head.position;
    const wrong = [{ txid: txid + 1n, checksum }, { txid: LAST, checksum }, { txid, checksum: checksum ^ 1n }, { txid: 1n, checksum: 0n }];
    for (const after of wrong) {
      for (const answer of await askBoth(message("pull", head.database, pull({ after, wanted: LAST, max_bytes: 0xffffffff })))) {
        assert.deepEqual([answer.kind, answer.position], ["restart", head.position], String(after.txid));
      }
      await bothRefuse(message("fetch", head.database, fetch({ at: after, pages: [1] })), /no state|newer|future|not/, String(after.txid));
      await bothRefuse(message("find", head.database, find({ at: after })), /no state|newer|future|not/, String(after.txid));
    }
    await bothRefuse(message("pull", head.database, pull({ after: { txid: U64, checksum } })), /txid/, "a txid that no commit can have");
    const foreign = head.database ^ 1n;
    for (const answer of await askBoth(message("pull", foreign, pull({ after: head.position })))) assert.equal(answer.kind, "restart");
    await bothRefuse(message("fetch", foreign, fetch({ at: head.position, pages: [1] })), /this is database/, "a foreign fetch");
    await bothRefuse(message("find", foreign, find({ time_ms: 1 })), /this is database/, "a foreign find");
    for (const time_ms of [0, U64]) {
      for (const { kind } of await askBoth(message("find", head.database, find({ time_ms })))) assert.match(kind, /found|refused/);
    }
  });

  test("what is not even bytes is refused, by whatever method", { timeout: 30_000 }, async () => {
    const nothings = [null, undefined, 7, "text", {}, { length: 1e9 }, { length: -1 }, [], [[]], true];
    for (const nothing of nothings) {
      for (const call of [(...args) => lab.atPrimary(...args), (...args) => lab.at("weur", ...args)]) {
        for (const method of ["follow", "told", "answer", "query"]) await call(method, nothing).catch(() => {});
      }
    }
  });

  test("news that nobody sent are not taken", async () => {
    const { txid, checksum } = head.position;
    const bytes = await lab.atPrimary("follow", message("pull", head.database, pull({ after: head.position })));
    for (const news of [bytes, bytes.subarray(0, 20), message("restart", 0), message("pull", head.database, pull({ after: { txid, checksum } }))]) {
      await lab.at("weur", "told", news);
    }
    assert.deepEqual((await lab.readAt("weur", COUNT)).rows, RIGHT);
  });

  test("a follower of no region that exists is answered, and not told", async () => {
    for (const region of ["mars", "", "weur/other", "x".repeat(10_000), 7, null]) {
      await lab.atPrimary("follow", message("pull", 0, pull({})), region).catch(() => {});
    }
    const regions = await lab.atPrimary("regions");
    assert.deepEqual(regions.filter((region) => region !== "weur"), []);
  });
});

describe("bookmarks", () => {
  /** Each field changed in turn, and what is of no such form. */
  function forged() {
    const fields = bookmark.split("-");
    const changed = fields.flatMap((field, index) =>
      [field.replace(/.$/, (digit) => (parseInt(digit, 16) ^ 1).toString(16)), "f".repeat(field.length), "0".repeat(field.length)].map((other) =>
        fields.with(index, other).join("-"),
      ),
    );
    const shapes = [bookmark.toUpperCase(), bookmark.slice(1), `${bookmark}0`, bookmark.replaceAll("-", ""), "-", "null", "first", "first-", "\u00e9", "'; DROP TABLE t", "0".repeat(8_000)];
    return [...changed, ...shapes];
  }

  /** Refused, in these words; or the newest state, with its bookmark, if the client does not hold on to a later one. */
  function isRight({ error, rows, bookmark: told }, token) {
    if (error !== undefined) return assert.match(error, /bookmark/, token);
    assert.deepEqual(rows, RIGHT, token);
    assert.equal(told, token > bookmark && token.length === bookmark.length ? token : bookmark);
  }

  test("through the binding, in the isolate, at a replica object and on the primary", async () => {
    const places = [{ cf: LONDON }, { object: { namespace: "REPLICAS", name: `weur/${lab.primary}` } }, { object: { namespace: "DATABASES", name: lab.primary } }];
    let refused = 0;
    for (const token of forged()) {
      for (const place of places) {
        const answer = await lab.tryAsk({ ...place, token, sql: COUNT });
        isRight(answer, token);
        if (answer.error) refused += 1;
      }
    }
    assert.ok(refused > 20, `${refused} were refused`);
  });

  test("with writes behind them, which do not happen where they are refused", async () => {
    const future = bookmark.replace(/^.{8}/, "00ffffff");
    for (const place of [{ cf: LONDON }, { object: { namespace: "REPLICAS", name: `weur/${lab.primary}` } }]) {
      for (const token of [future, "nonsense"]) assert.match((await lab.tryAsk({ ...place, token, sql: "DELETE FROM t" })).error, /bookmark/);
    }
  });

  test("as points of the past", async () => {
    for (const token of forged()) {
      const answer = await lab.tryAsk({ cf: LONDON, at: token, sql: COUNT });
      if (answer.error === undefined) assert.deepEqual(answer.rows, RIGHT, token);
      else assert.match(answer.error, /bookmark|state|database/, token);
    }
  });

  test("through the runtime's D1Database and in the header of D1's protocol", async () => {
    await lab.ask({ way: "d1", sql: "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY)" });
    for (const token of forged()) {
      const { error, rows } = await lab.tryAsk({ way: "d1", token, sql: COUNT });
      if (error === undefined) assert.deepEqual(rows, [{ n: 0 }], token);
      else assert.match(error, /bookmark/i, token);
      // A header holds no other characters.
      if (/[^ -~]/.test(token)) continue;
      const answer = await lab.wire(token, JSON.stringify({ sql: COUNT, params: [] }));
      if (answer.success === false) assert.match(answer.error, /bookmark/, token);
      else assert.deepEqual([answer[0]?.results.rows ?? answer.results.rows, answer.token], [[[ROWS]], bookmark], token);
    }
  });
});

describe("requests", () => {
  test("that are too large for a replica are the primary's, and answered or refused", async () => {
    const long = `SELECT count(*) AS n FROM t WHERE b <> '${"x".repeat(90_000)}'`;
    for (const place of [{ cf: LONDON }, { object: { namespace: "REPLICAS", name: `weur/${lab.primary}` } }]) {
      const { rows, meta } = await lab.ask({ ...place, token: bookmark, sql: long });
      assert.deepEqual([rows, meta.served_by_tier], [RIGHT, "primary"]);
      const large = await lab.tryAsk({ ...place, token: bookmark, sql: "SELECT length(?) AS n", params: ["x".repeat(12 << 20)] });
      assert.match(large.error ?? JSON.stringify(large.rows), /too big|too large|larger|12582912/i);
    }
  });
});
