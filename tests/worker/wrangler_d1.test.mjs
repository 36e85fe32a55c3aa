// `wrangler d1`, unmodified, against the REST API: what an operator of D1 does by hand.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startAlone } from "./harness.mjs";

const WRANGLER = fileURLToPath(new URL("../../node_modules/.bin/wrangler", import.meta.url));
const TOKEN = "token-of-the-test";
/** The bookmarks in a text, in order. */
const bookmarks = (text) => Array.from(text.matchAll(/[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}/g), ([found]) => found);

describe("wrangler d1", { timeout: 180_000 }, () => {
  let littoral;
  let folder;

  before(async () => {
    littoral = await startAlone({ variables: { LITTORAL_TOKENS: TOKEN } });
    folder = mkdtempSync(join(tmpdir(), "littoral-d1-"));
  });

  after(async () => {
    await littoral?.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What it prints, to both outputs; rejects where it ends with an error. */
  async function d1(...args) {
    const env = {
      PATH: process.env.PATH,
      HOME: folder,
      CI: "1",
      NO_COLOR: "1",
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_LOG_PATH: folder,
      CLOUDFLARE_API_BASE_URL: `${littoral.base}/client/v4`,
      CLOUDFLARE_API_TOKEN: TOKEN,
      CLOUDFLARE_ACCOUNT_ID: "littoral",
    };
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [WRANGLER, "d1", ...args], { cwd: folder, env });
    return `${stdout}\n${stderr}`;
  }

  const json = async (...args) => {
    const text = await d1(...args, "--json");
    const begin = text.search(/[[{]/);
    return JSON.parse(text.slice(begin, text.lastIndexOf(text[begin] === "[" ? "]" : "}") + 1));
  };

  test("create, list, execute, migrate, travel in time, export, import, delete", async () => {
    assert.match(await d1("create", "harbour", "--location", "weur"), /Successfully created DB 'harbour' in region WEUR/);
    await assert.rejects(d1("create", "harbour"), /already exists/);
    const [{ uuid, name }] = await json("list");
    assert.equal(name, "harbour");

    const config = { name: "app", compatibility_date: "2026-11-01", d1_databases: [{ binding: "DB", database_name: "harbour", database_id: uuid }] };
    writeFileSync(join(folder, "wrangler.json"), JSON.stringify(config));
    mkdirSync(join(folder, "migrations"));
    writeFileSync(join(folder, "migrations/0001_ships.sql"), "CREATE TABLE ships (id INTEGER PRIMARY KEY, name TEXT);\nCREATE TRIGGER named BEFORE INSERT ON ships BEGIN SELECT CASE WHEN new.name = '' THEN RAISE(ABORT, 'no name') END; END;\n");
    assert.match(await d1("migrations", "list", "harbour", "--remote"), /0001_ships\.sql/);
    assert.match(await d1("migrations", "apply", "harbour", "--remote"), /0001_ships\.sql[^\n]*✅/);
    assert.match(await d1("migrations", "list", "harbour", "--remote"), /No migrations to apply/);

    const [insert, select] = await json("execute", "harbour", "--remote", "--command", "INSERT INTO ships (name) VALUES ('Ebba;'), ('Ines'); SELECT * FROM ships");
    assert.equal(insert.meta.changes, 2);
    assert.deepEqual(select.results, [{ id: 1, name: "Ebba;" }, { id: 2, name: "Ines" }]);
    await assert.rejects(d1("execute", "harbour", "--remote", "--command", "SELEC"), /near "SELEC": syntax error/);

    const [bookmark] = bookmarks(await d1("time-travel", "info", "harbour"));
    await d1("execute", "harbour", "--remote", "--command", "DELETE FROM ships");
    const restored = await d1("time-travel", "restore", "harbour", "--bookmark", bookmark);
    const undo = bookmarks(restored).findLast((found) => found !== bookmark);
    const count = async () => (await json("execute", "harbour", "--remote", "--command", "SELECT count(*) AS n FROM ships"))[0].results[0].n;
    assert.equal(await count(), 2);
    await d1("time-travel", "restore", "harbour", "--bookmark", undo);
    assert.equal(await count(), 0);

    await d1("execute", "harbour", "--remote", "--command", "INSERT INTO ships (name) VALUES ('Ebba;'), ('line' || char(10) || 'end')");
    const [table, rows, trigger] = [/CREATE TABLE ships/, /INSERT INTO "ships"/, /CREATE TRIGGER named/];
    const found = async (/** @type {string[]} */ ...flags) => {
      await d1("export", "harbour", "--remote", "--output", "out.sql", ...flags);
      const text = readFileSync(join(folder, "out.sql"), "utf8");
      return [table, rows, trigger].map((pattern) => pattern.test(text));
    };
    assert.deepEqual(await found(), [true, true, true]);
    assert.deepEqual(await found("--no-data"), [true, false, true]);
    assert.deepEqual(await found("--no-schema", "--table", "ships"), [false, true, false]);

    // What was exported comes back, into another database, as a file: with an index of words, which D1 refuses.
    await d1("execute", "harbour", "--remote", "--command", "CREATE VIRTUAL TABLE words USING fts5 (word); INSERT INTO words VALUES ('high tide'), ('ebb')");
    await d1("export", "harbour", "--remote", "--output", "out.sql");
    await d1("create", "quay");
    await d1("execute", "quay", "--remote", "-y", "--file", "out.sql");
    const names = async (database) => (await json("execute", database, "--remote", "--command", "SELECT id, name FROM ships ORDER BY id"))[0].results;
    assert.deepEqual(await names("quay"), await names("harbour"));
    const tide = await json("execute", "quay", "--remote", "--command", "SELECT word FROM words WHERE words MATCH 'tide'");
    assert.deepEqual(tide[0].results, [{ word: "high tide" }]);
    writeFileSync(join(folder, "bad.sql"), "INSERT INTO ships (name) VALUES ('Una');\nINSERT INTO ships (name) VALUES ('');\n");
    await assert.rejects(d1("execute", "quay", "--remote", "-y", "--file", "bad.sql"), /no name/);
    assert.deepEqual(await names("quay"), await names("harbour"));
    await d1("delete", "quay", "-y");

    assert.match(await d1("delete", "harbour", "-y"), /Deleted 'harbour' successfully/);
    assert.deepEqual(await json("list"), []);
    await assert.rejects(d1("execute", "harbour", "--remote", "--command", "SELECT 1"));
  });
});
