// Database files over REST: plain SQLite's become a database here, and a database here, as of any kept bookmark, one of plain SQLite's.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { DatabaseSync } from "node:sqlite";
import { startAlone } from "./harness.mjs";
import { d1Client } from "./rest_client.mjs";

describe("database files", () => {
  let littoral, d1, folder;
  const open = (bytes) => {
    const path = join(folder, "opened.sqlite");
    writeFileSync(path, bytes);
    return new DatabaseSync(path);
  };
  const rows = async (database, sql) => (await d1.result("POST", `/${database}/raw`, { sql })).at(-1).results.rows;
  const made = (pageBytes) => {
    const path = join(folder, "made.sqlite");
    rmSync(path, { force: true });
    const db = new DatabaseSync(path);
    db.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE VIRTUAL TABLE f USING fts5 (words)`);
    db.exec("WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 20000) INSERT INTO t SELECT x, hex(randomblob(200)) FROM c");
    db.exec("INSERT INTO f VALUES ('high tide'); CREATE INDEX tv ON t (v)");
    db.close();
    return readFileSync(path);
  };
  const importFile = async (database, bytes) => {
    const etag = createHash("md5").update(bytes).digest("hex");
    const { upload_url, filename } = await d1.result("POST", `/${database}/import`, { action: "init", etag });
    assert.equal((await fetch(upload_url, { method: "PUT", body: bytes })).status, 200);
    let told = await d1.result("POST", `/${database}/import`, { action: "ingest", etag, filename });
    while (told.status === "active") told = await d1.result("POST", `/${database}/import`, { action: "poll", current_bookmark: told.at_bookmark });
    return told;
  };
  const exported = async (database, body) => (await d1.result("POST", `/${database}/export`, { output_format: "polling", format: "sqlite", ...body })).result;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "littoral-files-"));
    littoral = await startAlone({ variables: { LITTORAL_TOKENS: "t" } });
    d1 = d1Client(littoral.base, "t");
  });

  after(async () => {
    await littoral?.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const pageBytes of [4096, 65_536]) {
    test(`a file with pages of ${pageBytes} bytes becomes the database, and is had back, at any bookmark and by ranges`, async () => {
      const name = `of-${pageBytes}`;
      await d1.result("POST", "", { name });
      await rows(name, "CREATE TABLE before (x)");
      const file = made(pageBytes);
      const began = performance.now();
      const told = await importFile(name, file);
      console.log(`${(file.length / 1e6).toFixed(1)} MB loaded in ${(performance.now() - began).toFixed(0)} ms`);
      assert.deepEqual([told.status, told.result.meta.size_after], ["complete", file.length], told.error);
      assert.deepEqual(await rows(name, "SELECT count(*), (SELECT count(*) FROM f WHERE f MATCH 'tide') FROM t"), [[20_000, 1]]);
      assert.match(await d1.refused(400, 7500, "POST", `/${name}/query`, { sql: "SELECT * FROM before" }), /no such table/);
      await rows(name, "DELETE FROM t WHERE id > 10");
      await rows(name, "CREATE TABLE later (x)");
      const { signed_url, filename } = await exported(name, { current_bookmark: told.result.final_bookmark });
      assert.match(filename, /\.sqlite$/);
      const whole = await fetch(signed_url);
      assert.deepEqual([whole.status, whole.headers.get("content-type")], [200, "application/vnd.sqlite3"]);
      const bytes = Buffer.from(await whole.arrayBuffer());
      const db = open(bytes);
      assert.deepEqual({ ...db.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
      assert.deepEqual({ ...db.prepare("SELECT count(*) AS n FROM t").get() }, { n: 20_000 });
      assert.deepEqual({ ...db.prepare("SELECT count(*) AS n FROM f WHERE f MATCH 'tide'").get() }, { n: 1 });
      db.close();
      const part = async (range) => {
        const response = await fetch(signed_url, { headers: { range } });
        return { status: response.status, range: response.headers.get("content-range"), body: Buffer.from(await response.arrayBuffer()) };
      };
      const half = 5_000_001;
      const first = await part(`bytes=0-${half - 1}`);
      assert.deepEqual([first.status, first.range], [206, `bytes 0-${half - 1}/${bytes.length}`]);
      const second = await part(`bytes=${half}-`);
      assert.ok(Buffer.concat([first.body, second.body]).equals(bytes), "resumed where it was cut off");
      assert.equal((await part(`bytes=${bytes.length}-`)).status, 416);
      const now = open(Buffer.from(await (await fetch((await exported(name)).signed_url)).arrayBuffer()));
      assert.deepEqual({ ...now.prepare("SELECT count(*) AS n FROM t").get() }, { n: 10 });
      now.close();
    });
  }

  test("what is no database file, or not whole, changes nothing", async () => {
    await d1.result("POST", "", { name: "stays" });
    await rows("stays", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    const file = made(4_096);
    const ends = async (bytes, why) => {
      const told = await importFile("stays", bytes);
      assert.equal(told.status, "error");
      assert.match(told.error, why);
      assert.deepEqual(await rows("stays", "SELECT * FROM t"), [[1]]);
    };
    await ends(file.subarray(0, file.length - 4_096), /its header tells of \d+ bytes, and \d+ came/);
    await ends(Buffer.concat([file, Buffer.alloc(4_096)]), /more came/);
    await ends(file.subarray(0, 60), /ends before its header does/);
    for (const bookmark of ["x", "00000000-00000fff-00000000-00000000000000000000000000000000"]) {
      await d1.refused(400, 7400, "POST", "/stays/export", { output_format: "polling", format: "sqlite", current_bookmark: bookmark });
    }
    await d1.refused(400, 7400, "POST", "/stays/export", { output_format: "polling", format: "tar" });
  });
});
