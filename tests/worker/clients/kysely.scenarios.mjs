// kysely with kysely-d1, unmodified: schema building, CRUD, joins, errors, introspection.
//
// Invariant: scenarios run in order on one database and lean on the rows that earlier ones wrote.

import assert from "node:assert/strict";
import { Kysely, sql } from "kysely";
import { D1Dialect } from "kysely-d1";
import { serve } from "../user.mjs";

const open = (database) => new Kysely({ dialect: new D1Dialect({ database }) });

export default serve({
  async "schema building"({ db }) {
    const k = open(db);
    await k.schema
      .createTable("boats")
      .addColumn("id", "integer", (c) => c.primaryKey().autoIncrement())
      .addColumn("name", "text", (c) => c.notNull().unique())
      .addColumn("length", "real")
      .addColumn("built", "integer", (c) => c.defaultTo(2000))
      .addColumn("photo", "blob")
      .execute();
    await k.schema
      .createTable("trips")
      .addColumn("id", "integer", (c) => c.primaryKey())
      .addColumn("boat_id", "integer", (c) => c.notNull().references("boats.id").onDelete("cascade"))
      .addColumn("km", "real", (c) => c.notNull())
      .execute();
    await k.schema.createIndex("trips_boat").on("trips").column("boat_id").execute();
    await k.schema
      .alterTable("boats")
      .addColumn("harbour", "text", (c) => c.defaultTo("Oban"))
      .execute();
  },

  async insert({ db }) {
    const k = open(db);
    const result = await k
      .insertInto("boats")
      .values({ name: "Dory", length: 4.2, photo: Uint8Array.of(1, 2, 3) })
      .executeTakeFirst();
    assert.equal(result.insertId, 1n);
    assert.equal(result.numInsertedOrUpdatedRows, 1n);
    const rows = await k
      .insertInto("boats")
      .values([
        { name: "Yawl", built: 2000 },
        { name: "Skiff", built: 1987 },
      ])
      .returning(["id", "built", "harbour"])
      .execute();
    assert.deepEqual(rows, [
      { id: 2, built: 2000, harbour: "Oban" },
      { id: 3, built: 1987, harbour: "Oban" },
    ]);
    await k
      .insertInto("trips")
      .values([
        { boat_id: 1, km: 10.5 },
        { boat_id: 1, km: 20 },
        { boat_id: 2, km: 7 },
      ])
      .execute();
  },

  async select({ db }) {
    const k = open(db);
    assert.deepEqual(await k.selectFrom("boats").selectAll().where("id", "=", 1).executeTakeFirstOrThrow(), {
      id: 1,
      name: "Dory",
      length: 4.2,
      built: 2000,
      photo: [1, 2, 3],
      harbour: "Oban",
    });
    assert.deepEqual(await k.selectFrom("boats").select("name").where("built", "<", 1990).execute(), [{ name: "Skiff" }]);
    assert.equal(await k.selectFrom("boats").selectAll().where("id", "=", 99).executeTakeFirst(), undefined);
    assert.deepEqual(
      await k.selectFrom("boats").select("id").where("name", "in", ["Yawl", "Dory"]).orderBy("name", "desc").limit(1).execute(),
      [{ id: 2 }],
    );
  },

  async "joins and aggregates"({ db }) {
    const k = open(db);
    const rows = await k
      .selectFrom("boats")
      .leftJoin("trips", "trips.boat_id", "boats.id")
      .select(({ fn }) => ["boats.name", fn.sum("trips.km").as("km"), fn.count("trips.id").as("n")])
      .groupBy("boats.id")
      .orderBy("boats.id")
      .execute();
    assert.deepEqual(rows, [
      { name: "Dory", km: 30.5, n: 2 },
      { name: "Yawl", km: 7, n: 1 },
      { name: "Skiff", km: null, n: 0 },
    ]);
    const far = await k
      .with("far", (q) => q.selectFrom("trips").select("boat_id").where("km", ">", 15))
      .selectFrom("boats")
      .innerJoin("far", "far.boat_id", "boats.id")
      .select("boats.name")
      .execute();
    assert.deepEqual(far, [{ name: "Dory" }]);
  },

  async "update, upsert, delete"({ db }) {
    const k = open(db);
    assert.equal((await k.updateTable("boats").set({ length: 9.9 }).where("id", "in", [2, 3]).executeTakeFirst()).numUpdatedRows, 2n);
    assert.deepEqual(
      await k
        .insertInto("boats")
        .values({ name: "Yawl", built: 1950 })
        .onConflict((c) => c.column("name").doUpdateSet({ built: (e) => e.ref("excluded.built") }))
        .returning("built")
        .execute(),
      [{ built: 1950 }],
    );
    assert.equal((await k.deleteFrom("boats").where("id", "=", 1).executeTakeFirst()).numDeletedRows, 3n);
    assert.deepEqual(await k.selectFrom("trips").select("id").execute(), [{ id: 3 }]);
  },

  async errors({ db }) {
    const k = open(db);
    await assert.rejects(k.insertInto("boats").values({ name: "Yawl" }).execute(), /D1_ERROR: UNIQUE constraint failed: boats.name/);
    await assert.rejects(k.insertInto("trips").values({ boat_id: 77, km: 1 }).execute(), /D1_ERROR: FOREIGN KEY constraint failed/);
    await assert.rejects(k.selectFrom("nope").selectAll().execute(), /D1_ERROR: no such table: nope/);
  },

  async "raw SQL"({ db }) {
    const k = open(db);
    const { rows } = await sql`SELECT ${"x"} AS a, ${1.5} AS b, ${null} AS c`.execute(k);
    assert.deepEqual(rows, [{ a: "x", b: 1.5, c: null }]);
  },

  async introspection({ db }) {
    const tables = await open(db).introspection.getTables();
    const boats = tables.find(({ name }) => name === "boats");
    assert.ok(boats);
    assert.deepEqual(
      boats.columns.map(({ name }) => name),
      ["id", "name", "length", "built", "photo", "harbour"],
    );
    assert.equal(boats.columns[0].isAutoIncrementing, true);
    assert.ok(tables.some(({ name }) => name === "trips"));
  },

  async "queries at once"({ db }) {
    const k = open(db);
    const names = await Promise.all([2, 3, 2].map((id) => k.selectFrom("boats").select("name").where("id", "=", id).executeTakeFirst()));
    assert.deepEqual(names, [{ name: "Yawl" }, { name: "Skiff" }, { name: "Yawl" }]);
  },
});
