// Replicas that do not hold what the primary has, in the real runtime: a byte changed in their storage, in the primary's, or on the way. They
// notice, say so in the log, throw their pages away and recover; whoever asks gets the right answer all the time.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { LONDON, openLab, until } from "./replica_objects/lab.mjs";
import { xxh64 } from "./replica_objects/messages.mjs";

const ROWS = 300;
const SUM = "SELECT count(*) AS n, sum(id) AS ids, sum(length(b)) AS bytes FROM t";
const right = (n = ROWS) => [{ n, ids: (n * (n + 1)) / 2, bytes: 900 * n }];

/** The kinds of questions, as messages say them. */
const [PULL, FETCH] = [1, 4];

let lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.dispose());

/** A database and a replica object that holds all of it, in its storage. */
beforeEach(async () => {
  await lab.atPrimary("fault", {});
  await lab.atPrimary("destroy");
  await lab.write("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)");
  await lab.write(`INSERT INTO t WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ${ROWS}) SELECT x, hex(randomblob(450)) FROM c`);
  await lab.readAt("weur", SUM, (await lab.write("ANALYZE")).bookmark);
  await lab.flush("weur");
  lab.log.length = 0;
});

/** The hexadecimal digits with the last bit changed. */
const flipped = (hex) => hex.slice(0, -1) + (parseInt(hex.at(-1), 16) ^ 1).toString(16);

/** It answers by itself again, and from storage after an eviction, without another word. */
async function hasRecovered(rows = right()) {
  await until(() => lab.readAt("weur", SUM), ({ meta }) => meta.served_by_tier === "replica", "it does not answer again");
  const told = lab.log.length;
  await lab.flush("weur");
  await lab.evict("weur");
  const { rows: found, meta } = await lab.readAt("weur", SUM);
  assert.deepEqual([found, meta.served_by_tier, meta.pages_fetched], [rows, "replica", 0]);
  assert.deepEqual(lab.log.slice(told), []);
}

describe("in a replica object's storage", () => {
  test("a changed byte in a held page, whichever it is", async () => {
    // The first page, and full ones: leaves of the table.
    const held = await lab.at("weur", "storage", "SELECT pgno, hex(image) AS image FROM held ORDER BY pgno > 1, length(image) DESC");
    assert.ok(held.length > 50);
    for (const { pgno, image } of [held[0], held[1], held[held.length >> 1], held[40]]) {
      lab.log.length = 0;
      await lab.at("weur", "storage", `UPDATE held SET image = x'${flipped(image)}' WHERE pgno = ${pgno}`);
      await lab.evict("weur");
      assert.deepEqual((await lab.readAt("weur", SUM)).rows, right(), `page ${pgno}`);
      await lab.says(new RegExp(`replica of [0-9a-f]{16} has diverged at commit [0-9a-f]{16} and throws its pages away: the stored image of page ${pgno} is damaged`));
      await hasRecovered();
    }
  });

  test("a changed byte in the position", async () => {
    const [{ value }] = await lab.at("weur", "storage", "SELECT value FROM replica WHERE key = 'position'");
    for (let at = 0; at < value.length; at += 7) {
      lab.log.length = 0;
      const damaged = value.slice(0, at) + String.fromCharCode(value.charCodeAt(at) ^ 1) + value.slice(at + 1);
      await lab.at("weur", "storage", "UPDATE replica SET value = ? WHERE key = 'position'", damaged);
      await lab.evict("weur");
      assert.deepEqual((await lab.readAt("weur", SUM)).rows, right(), damaged);
      await lab.says(/a replica throws its pages away: the stored position is damaged/);
    }
    await hasRecovered();
  });

  test("a position of the future, of another history or of another database", async () => {
    const [{ value }] = await lab.at("weur", "storage", "SELECT value FROM replica WHERE key = 'position'");
    const [database, txid, ...others] = value.split(" ").slice(0, -1);
    const checksum = others.pop();
    /** @type {[fields: string[], line: RegExp][]} */
    const wrong = [
      [[database, "00000000000000ff", ...others, checksum], /begins anew at commit 0*3 instead of 0*ff: the primary has not come to its position/],
      [[database, txid, ...others, flipped(checksum)], /begins anew at commit 0*3 instead of 0*3: the primary has another state at its position/],
      [[flipped(database), txid, ...others, checksum], /begins anew at commit 0*3 instead of 0*3: the primary is another database/],
    ];
    for (const [fields, line] of wrong) {
      const text = fields.join(" ");
      const seal = xxh64(new TextEncoder().encode(text)).toString(16).padStart(16, "0");
      await lab.at("weur", "storage", "UPDATE replica SET value = ? WHERE key = 'position'", `${text} ${seal}`);
      await lab.evict("weur");
      assert.deepEqual((await lab.readAt("weur", SUM)).rows, right(), text);
      await lab.says(line);
      await hasRecovered();
    }
  });

  test("an older image of a page, which is right by itself", async () => {
    const pages = "SELECT pgno, hex(image) AS image, hex(checksum) AS checksum FROM held ORDER BY pgno";
    const before = await lab.at("weur", "storage", pages);
    const pageOf = "UPDATE t SET b = hex(randomblob(450)) WHERE id > 290";
    await lab.readAt("weur", SUM, (await lab.write(pageOf)).bookmark);
    await lab.flush("weur");
    const now = new Map((await lab.at("weur", "storage", pages)).map(({ pgno, image }) => [pgno, image]));
    const { pgno, image, checksum } = before.findLast(({ pgno, image }) => now.get(pgno) !== image);
    await lab.at("weur", "storage", `UPDATE held SET image = x'${image}', checksum = x'${checksum}' WHERE pgno = ${pgno}`);
    await lab.evict("weur");
    await lab.readAt("weur", SUM);
    // Nothing can tell before the page changes again; then the checksum of the whole does.
    const { bookmark } = await lab.write(pageOf);
    assert.deepEqual((await lab.readAt("weur", SUM, bookmark)).rows, right());
    await lab.says(/has diverged at commit 0*4 and throws its pages away: commit 0*5 leads to checksum [0-9a-f]{16} here/);
    await hasRecovered();
  });
});

describe("in the primary's storage", () => {
  test("a changed byte in a commit stops a replica where it is, until it is repaired", async () => {
    const { bookmark } = await lab.write("DELETE FROM t WHERE id > 100");
    await lab.readAt("weur", SUM, bookmark);
    await lab.evict();
    await lab.evict("weur");
    const { bookmark: newer } = await lab.write("DELETE FROM t WHERE id > 50");
    const [{ txid, frames }] = await lab.atPrimary("storage", "SELECT txid, hex(frames) AS frames FROM commits ORDER BY txid DESC LIMIT 1");
    await lab.atPrimary("storage", `UPDATE commits SET frames = x'${flipped(frames)}' WHERE txid = ${txid}`);
    await lab.evict();
    const stale = await lab.tryAsk({ object: { namespace: "REPLICAS", name: `weur/${lab.primary}` }, token: newer, sql: SUM });
    assert.match(stale.error ?? JSON.stringify(stale.rows), /stored data is damaged|"n":50,/);
    await lab.says(/a replica cannot follow: the source refused: stored data is damaged/);
    await lab.atPrimary("storage", `UPDATE commits SET frames = x'${frames}' WHERE txid = ${txid}`);
    await lab.evict();
    const { rows, meta } = await lab.readAt("weur", SUM, newer);
    assert.deepEqual([rows, meta.served_by_tier], [right(50), "replica"]);
    await hasRecovered(right(50));
  });


  test("a changed byte in a page is an error for those that need it, and for nobody else", async () => {
    await lab.write("CREATE TABLE other AS SELECT 1 AS one");
    const page = "SELECT id, pgno, hex(image) AS image FROM pages ORDER BY pgno DESC LIMIT 1";
    const [{ id, pgno, image }] = await lab.atPrimary("storage", page);
    const set = (hex) => lab.atPrimary("storage", `UPDATE pages SET image = x'${hex}' WHERE id = ${id}`);
    await set(flipped(image));
    await lab.evict();
    await lab.at("weur", "storage", "DELETE FROM held WHERE pgno > 2");
    await lab.evict("weur");
    for (const ask of [() => lab.readAt("weur", SUM), () => lab.read(LONDON, SUM)]) {
      await assert.rejects(ask(), new RegExp(`stored data is damaged: page ${pgno} `));
    }
    const { rows, meta } = await lab.readAt("weur", "SELECT one FROM other");
    assert.deepEqual([rows, meta.served_by_tier], [[{ one: 1 }], "replica"]);
    await set(image);
    await lab.evict();
    assert.deepEqual((await lab.readAt("weur", SUM)).rows, right());
    await hasRecovered();
  });
});

describe("on the way", () => {
  /** What a source may answer, and what the follower then says. */
  const WAYS = [
    ["damaged", PULL, /a replica cannot follow: .*(seal|checksum|damaged|message)/],
    ["nothing", PULL, /a replica cannot follow: the source did not answer with bytes/],
    ["refusal", PULL, /a replica cannot follow: the source refused/],
    ["diverged", PULL, /has diverged at commit 0*3 and throws its pages away: the primary has checksum [0-9a-f]{16} there/],
    ["damaged", FETCH],
    ["nothing", FETCH],
    ["refusal", FETCH],
    ["diverged", FETCH],
    ["image", FETCH],
  ];
  test("a source that does not stand by its own positions is not asked for ever", async () => {
    await lab.atPrimary("fault", { kind: PULL, falsifies: "lies" });
    for (let round = 1; round <= 3; round++) {
      await lab.evict("weur");
      assert.deepEqual((await lab.readAt("weur", SUM)).rows, right());
      await lab.says(/has diverged at commit [0-9a-f]+ and throws its pages away|begins anew at commit/);
      assert.ok(lab.log.length < 15 * round, `${lab.log.length} lines in the log`);
    }
    await lab.atPrimary("fault", {});
    await hasRecovered();
  });

  for (const [falsifies, kind, line] of WAYS) {
    test(`the answer to a ${kind === PULL ? "pull" : "fetch"} goes wrong: ${falsifies}`, async () => {
      if (kind === FETCH) await lab.at("weur", "storage", "DELETE FROM held");
      await lab.evict("weur");
      await lab.atPrimary("fault", { kind, falsifies });
      for (const ask of [() => lab.readAt("weur", SUM), () => lab.read(LONDON, SUM)]) {
        const { rows, meta } = await ask();
        assert.deepEqual(rows, right(), meta.served_by_tier);
      }
      if (line) await lab.says(line);
      await lab.atPrimary("fault", {});
      await hasRecovered();
      await until(() => lab.read(LONDON, SUM), ({ meta }) => meta.served_by_tier === "isolate", "the isolate does not answer again");
    });
  }

  test("a replica object that answers its isolates badly is no harm either", async () => {
    for (const falsifies of ["damaged", "nothing", "refusal", "diverged", "image"]) {
      await lab.at("weur", "fault", { falsifies });
      const { bookmark } = await lab.write("UPDATE t SET b = hex(randomblob(450)) WHERE id = 1");
      assert.deepEqual((await lab.read(LONDON, SUM, bookmark)).rows, right(), falsifies);
      await lab.at("weur", "fault", {});
      await until(() => lab.read(LONDON, SUM, bookmark), ({ meta }) => meta.served_by_tier === "isolate", `after ${falsifies}`);
    }
  });
});
