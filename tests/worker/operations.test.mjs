// Many clients write to a database over REST while branches of it are made, exports of it are fetched, and a branch is restored and imported into:
// every state that anybody sees is whole, and nothing that was acknowledged is lost.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { startAlone } from "./harness.mjs";
import { d1Client } from "./rest_client.mjs";

const CLIENTS = 50;
const MILLISECONDS = 4_000;
/** Each transfer takes from one account and gives to another: their sum stays, and the journal has a line for each. */
const SCHEMA = `CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL); CREATE TABLE journal (id TEXT PRIMARY KEY, note TEXT);
  CREATE TABLE moved (n INTEGER NOT NULL); INSERT INTO moved VALUES (0);
  WITH RECURSIVE c (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 500) INSERT INTO account SELECT x, 100 FROM c`;
const CHECK = "SELECT (SELECT sum(balance) FROM account) AS sum, (SELECT count(*) FROM journal) - (SELECT n FROM moved) AS torn, (SELECT n FROM moved) AS n";

describe("operations while many write", () => {
  let littoral, d1, folder;
  const rows = async (database, sql) => (await d1.result("POST", `/${database}/query`, { sql })).at(-1).results;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "littoral-operations-"));
    littoral = await startAlone({ variables: { LITTORAL_TOKENS: "t" } });
    d1 = d1Client(littoral.base, "t");
    await d1.result("POST", "", { name: "bank" });
    await rows("bank", SCHEMA);
  });

  after(async () => {
    await littoral?.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  let ends = 0;
  const goesOn = () => performance.now() < ends;
  const acknowledged = [];
  const seen = { branches: 0, files: 0, texts: 0, restores: 0, promotions: 0 };
  const isWhole = ({ sum = undefined, torn = undefined }, what) => assert.deepEqual([sum, torn], [50_000, 0], what);

  const client = async (number) => {
    for (let turn = 0; goesOn(); turn++) {
      const [id, from, to] = [`${number}-${turn}`, 1 + ((number * 31 + turn) % 500), 1 + ((number * 17 + turn * 7) % 500)];
      const sql = `UPDATE account SET balance = balance - 1 WHERE id = ${from}; UPDATE account SET balance = balance + 1 WHERE id = ${to};
        INSERT INTO journal VALUES ('${id}', 'a note; with a semicolon'); UPDATE moved SET n = n + 1`;
      await d1.result("POST", "/bank/query", { sql });
      acknowledged.push(id);
    }
  };
  const branches = async () => {
    for (let number = 0; goesOn(); number++) {
      const name = `branch-${number}`;
      await d1.result("POST", "", { name, branch_of: { database: "bank" } });
      isWhole((await rows(name, CHECK))[0], name);
      const { bookmark } = await d1.result("GET", `/${name}/time_travel/bookmark`);
      await rows(name, "UPDATE account SET balance = 0; INSERT INTO journal VALUES ('mine', '')");
      await d1.result("POST", `/${name}/time_travel/restore?bookmark=${bookmark}`);
      isWhole((await rows(name, CHECK))[0], `${name}, restored`);
      seen.restores += 1;
      await d1.result("DELETE", `/${name}`);
      seen.branches += 1;
    }
  };
  const promotions = async () => {
    for (let number = 0; goesOn(); number++) {
      const [trunk, branch] = [`trunk-${number}`, `work-${number}`];
      await d1.result("POST", "", { name: trunk, branch_of: { database: "bank" } });
      await d1.result("POST", "", { name: branch, branch_of: { database: trunk } });
      await rows(branch, "UPDATE moved SET n = n + 1; INSERT INTO journal VALUES ('promoted', '')");
      await d1.result("POST", `/${branch}/promote`);
      isWhole((await rows(trunk, CHECK))[0], trunk);
      assert.equal((await rows(trunk, "SELECT count(*) AS n FROM journal WHERE id = 'promoted'"))[0].n, 1);
      await d1.result("DELETE", `/${branch}`);
      await d1.result("DELETE", `/${trunk}`);
      seen.promotions += 1;
    }
  };
  const files = async () => {
    while (goesOn()) {
      const { result } = await d1.result("POST", "/bank/export", { output_format: "polling", format: "sqlite" });
      const path = join(folder, "copy.sqlite");
      writeFileSync(path, Buffer.from(await (await fetch(result.signed_url)).arrayBuffer()));
      const db = new DatabaseSync(path);
      isWhole(db.prepare(CHECK).get() ?? {}, "a file");
      assert.equal(db.prepare("PRAGMA integrity_check").get()?.integrity_check, "ok");
      db.close();
      seen.files += 1;
    }
  };
  const texts = async () => {
    for (let number = 0; goesOn(); number++) {
      const { result } = await d1.result("POST", "/bank/export", { output_format: "polling" });
      const text = await (await fetch(result.signed_url)).text();
      const name = `copy-${number}`;
      await d1.result("POST", "", { name });
      const etag = createHash("md5").update(text).digest("hex");
      const { upload_url, filename } = await d1.result("POST", `/${name}/import`, { action: "init", etag });
      await fetch(upload_url, { method: "PUT", body: text });
      let told = await d1.result("POST", `/${name}/import`, { action: "ingest", etag, filename });
      while (told.status === "active") told = await d1.result("POST", `/${name}/import`, { action: "poll", current_bookmark: told.at_bookmark });
      assert.equal(told.status, "complete", told.error);
      isWhole((await rows(name, CHECK))[0], name);
      await d1.result("DELETE", `/${name}`);
      seen.texts += 1;
    }
  };

  test("nothing is lost and nothing is torn", async () => {
    ends = performance.now() + MILLISECONDS;
    await Promise.all([...Array.from({ length: CLIENTS }, (_, number) => client(number)), branches(), promotions(), files(), texts()]);
    const [last] = await rows("bank", CHECK);
    isWhole(last, "in the end");
    assert.equal(last.n, acknowledged.length);
    const found = new Set((await rows("bank", "SELECT id FROM journal")).map(({ id }) => id));
    assert.deepEqual(acknowledged.filter((id) => !found.has(id)), []);
    console.log(`${acknowledged.length} transfers`, JSON.stringify(seen));
    for (const [what, count] of Object.entries(seen)) assert.ok(count > 0, what);
  });
});
