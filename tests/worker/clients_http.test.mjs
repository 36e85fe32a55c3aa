// Clients that reach D1 over HTTP, unmodified: Cloudflare's SDK, and Prisma's adapter, whose address is fixed, so what it fetches is led here.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { PrismaD1 } from "@prisma/adapter-d1";
import Cloudflare from "cloudflare";
import { startAlone } from "./harness.mjs";

const TOKEN = "token-of-the-test";
const account_id = "023e105f4ecef8ad9ca31a8372d0c353";

describe("clients over HTTP", () => {
  let littoral;
  before(async () => {
    littoral = await startAlone({ variables: { LITTORAL_TOKENS: TOKEN } });
  });
  after(() => littoral?.dispose());

  test("Cloudflare's SDK", async () => {
    const { d1 } = new Cloudflare({ apiToken: TOKEN, baseURL: `${littoral.base}/client/v4`, maxRetries: 0 });
    const { uuid = "", name } = await d1.database.create({ account_id, name: "sdk", primary_location_hint: "weur" });
    assert.equal(name, "sdk");
    for (let number = 0; number < 11; number++) await d1.database.create({ account_id, name: `page-${number}` });
    const listed = [];
    for await (const database of d1.database.list({ account_id, per_page: 10 })) listed.push(database.name);
    assert.equal(listed.length, 12);
    const found = await d1.database.list({ account_id, name: "sd" });
    assert.deepEqual(found.result.map((database) => database.uuid), [uuid]);

    const create = { sql: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)" };
    const written = await d1.database.query(uuid, { account_id, batch: [create, { sql: "INSERT INTO t (v) VALUES (?)", params: ["a"] }] });
    assert.deepEqual(written.result.map(({ success, meta }) => [success, meta?.changes]), [[true, 0], [true, 1]]);
    const read = await d1.database.query(uuid, { account_id, sql: "SELECT * FROM t WHERE v = ?", params: ["a"] });
    assert.deepEqual(read.result[0].results, [{ id: 1, v: "a" }]);
    const raw = await d1.database.raw(uuid, { account_id, sql: "SELECT id, v FROM t" });
    assert.deepEqual(raw.result[0].results, { columns: ["id", "v"], rows: [[1, "a"]] });
    await assert.rejects(async () => d1.database.query(uuid, { account_id, sql: "SELEC" }), (/** @type {any} */ error) => {
      assert.deepEqual([error.status, error.errors[0].code], [400, 7500]);
      return true;
    });

    assert.equal((await d1.database.get(uuid, { account_id })).num_tables, 1);
    assert.equal((await d1.database.edit(uuid, { account_id, read_replication: { mode: "disabled" } })).read_replication?.mode, "disabled");
    assert.equal((await d1.database.update(uuid, { account_id, read_replication: { mode: "auto" } })).read_replication?.mode, "auto");

    const { bookmark = "" } = await d1.database.timeTravel.getBookmark(uuid, { account_id });
    await d1.database.query(uuid, { account_id, sql: "DELETE FROM t" });
    const restored = await d1.database.timeTravel.restore(uuid, { account_id, bookmark });
    assert.ok(restored.previous_bookmark && restored.previous_bookmark > bookmark);
    assert.deepEqual((await d1.database.query(uuid, { account_id, sql: "SELECT count(*) AS n FROM t" })).result[0].results, [{ n: 1 }]);

    const exported = await d1.database.export(uuid, { account_id, output_format: "polling" });
    assert.equal(exported.status, "complete");
    assert.match(await (await fetch(exported.result?.signed_url ?? "")).text(), /INSERT INTO "t" \("id","v"\) VALUES\(1,'a'\);/);

    await d1.database.delete(uuid, { account_id });
    await assert.rejects(async () => d1.database.get(uuid, { account_id }), { status: 404 });
  });

  test("Prisma's adapter over HTTP", async () => {
    const { d1 } = new Cloudflare({ apiToken: TOKEN, baseURL: `${littoral.base}/client/v4`, maxRetries: 0 });
    const { uuid = "" } = await d1.database.create({ account_id, name: "prisma" });
    const { fetch: real } = globalThis;
    globalThis.fetch = async (input, init) => {
      const request = new Request(input, init);
      return real(new Request(`${littoral.base}${new URL(request.url).pathname}`, request));
    };
    try {
      const factory = new PrismaD1({ CLOUDFLARE_D1_TOKEN: TOKEN, CLOUDFLARE_ACCOUNT_ID: account_id, CLOUDFLARE_DATABASE_ID: uuid });
      const adapter = await factory.connect();
      await adapter.executeScript("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE u (x)");
      /** @param {string} sql @param {string[]} args */
      const statement = (sql, args = []) => ({ sql, args, argTypes: args.map(() => /** @type {const} */ ({ scalarType: "string", arity: "scalar" })) });
      assert.equal(await adapter.executeRaw(statement("INSERT INTO t (v) VALUES (?), (?)", ["a", "b"])), 2);
      const { columnNames, rows } = await adapter.queryRaw(statement("SELECT id, v FROM t WHERE v > ?", ["a"]));
      assert.deepEqual([columnNames, rows], [["id", "v"], [[2, "b"]]]);
      await assert.rejects(adapter.queryRaw(statement("INSERT INTO t (id) VALUES (1)")), (error) => /unique/i.test(inspect(error)));
      const shadow = await factory.connectToShadowDb();
      await shadow.executeScript("CREATE TABLE s (x)");
      await shadow.dispose();
      assert.deepEqual((await d1.database.list({ account_id, name: "_prisma_shadow_" })).result, []);
    } finally {
      globalThis.fetch = real;
    }
  });
});
