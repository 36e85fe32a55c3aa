// Prisma's client with @prisma/adapter-d1, unmodified: CRUD, relations, batches, errors, raw SQL.
//
// Invariant: scenarios run in order on one database and lean on the rows that earlier ones wrote.

import assert from "node:assert/strict";
import { PrismaD1 } from "@prisma/adapter-d1";
import { PrismaClient } from "./prisma/generated/client.ts";
import { serve } from "../user.mjs";

// What `prisma migrate diff` writes for schema.prisma.
const TABLES = [
  `CREATE TABLE "User" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "email" TEXT NOT NULL, "name" TEXT, "age" INTEGER, "score" REAL NOT NULL DEFAULT 0, "big" BIGINT, "avatar" BLOB, "active" BOOLEAN NOT NULL DEFAULT true, "created" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP)`,
  `CREATE TABLE "Post" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "title" TEXT NOT NULL, "meta" JSONB, "authorId" INTEGER NOT NULL, CONSTRAINT "Post_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE)`,
  `CREATE TABLE "Tag" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "label" TEXT NOT NULL)`,
  `CREATE TABLE "_PostToTag" ("A" INTEGER NOT NULL, "B" INTEGER NOT NULL, CONSTRAINT "_PostToTag_A_fkey" FOREIGN KEY ("A") REFERENCES "Post" ("id") ON DELETE CASCADE ON UPDATE CASCADE, CONSTRAINT "_PostToTag_B_fkey" FOREIGN KEY ("B") REFERENCES "Tag" ("id") ON DELETE CASCADE ON UPDATE CASCADE)`,
  `CREATE UNIQUE INDEX "User_email_key" ON "User"("email")`,
  `CREATE UNIQUE INDEX "Tag_label_key" ON "Tag"("label")`,
  `CREATE UNIQUE INDEX "_PostToTag_AB_unique" ON "_PostToTag"("A", "B")`,
  `CREATE INDEX "_PostToTag_B_index" ON "_PostToTag"("B")`,
];

const open = (db) => new PrismaClient({ adapter: new PrismaD1(db) });

export default serve({
  async "create tables"({ db }) {
    await db.batch(TABLES.map((sql) => db.prepare(sql)));
  },

  async create({ db }) {
    const prisma = open(db);
    const created = new Date("2026-11-22T10:00:00.000Z");
    const ann = await prisma.user.create({
      data: {
        email: "ann@example.com",
        name: "Ann",
        age: 30,
        score: 1.5,
        big: 9007199254740991n,
        avatar: Uint8Array.of(1, 2, 255),
        created,
      },
    });
    assert.deepEqual(
      { ...ann, avatar: [...(ann.avatar ?? [])] },
      {
        id: 1,
        email: "ann@example.com",
        name: "Ann",
        age: 30,
        score: 1.5,
        big: 9007199254740991n,
        avatar: [1, 2, 255],
        active: true,
        created,
      },
    );
    assert.deepEqual(await prisma.user.createMany({ data: [{ email: "bob@example.com" }, { email: "cyd@example.com", active: false }] }), {
      count: 2,
    });
  },

  async "nested create and include"({ db }) {
    const prisma = open(db);
    const dee = await prisma.user.create({
      data: {
        email: "dee@example.com",
        posts: {
          create: [{ title: "Tides", meta: { a: [1] }, tags: { create: [{ label: "sea" }, { label: "moon" }] } }, { title: "Ebb" }],
        },
      },
      include: { posts: { include: { tags: true }, orderBy: { id: "asc" } } },
    });
    assert.deepEqual(
      dee.posts.map(({ title, meta, tags }) => [title, meta, tags.map(({ label }) => label).sort()]),
      [
        ["Tides", { a: [1] }, ["moon", "sea"]],
        ["Ebb", null, []],
      ],
    );
  },

  async find({ db }) {
    const prisma = open(db);
    assert.equal((await prisma.user.findUnique({ where: { email: "bob@example.com" } }))?.id, 2);
    assert.equal(await prisma.user.findUnique({ where: { id: 99 } }), null);
    const found = await prisma.user.findMany({
      where: { OR: [{ active: false }, { name: { startsWith: "An" } }] },
      orderBy: { id: "desc" },
      select: { email: true },
    });
    assert.deepEqual(found, [{ email: "cyd@example.com" }, { email: "ann@example.com" }]);
    const byTag = await prisma.post.findMany({
      where: { tags: { some: { label: "sea" } } },
      select: { title: true, author: { select: { email: true } } },
    });
    assert.deepEqual(byTag, [{ title: "Tides", author: { email: "dee@example.com" } }]);
    assert.deepEqual(await prisma.user.findMany({ skip: 1, take: 2, orderBy: { id: "asc" }, select: { id: true } }), [
      { id: 2 },
      { id: 3 },
    ]);
  },

  async "count, aggregate, group"({ db }) {
    const prisma = open(db);
    assert.equal(await prisma.user.count(), 4);
    const { _avg, _max } = await prisma.user.aggregate({ _avg: { score: true }, _max: { id: true } });
    assert.deepEqual([_avg.score, _max.id], [0.375, 4]);
    const groups = await prisma.user.groupBy({ by: ["active"], _count: true, orderBy: { active: "asc" } });
    assert.deepEqual(groups, [
      { active: false, _count: 1 },
      { active: true, _count: 3 },
    ]);
  },

  async "update, upsert, delete"({ db }) {
    const prisma = open(db);
    assert.equal((await prisma.user.update({ where: { id: 1 }, data: { age: { increment: 1 }, name: null } })).age, 31);
    assert.deepEqual(await prisma.user.updateMany({ where: { id: { gt: 1 } }, data: { score: 2 } }), { count: 3 });
    assert.equal(
      (await prisma.user.upsert({ where: { email: "bob@example.com" }, create: { email: "bob@example.com" }, update: { name: "Bob" } }))
        .name,
      "Bob",
    );
    assert.equal(
      (await prisma.user.upsert({ where: { email: "eve@example.com" }, create: { email: "eve@example.com" }, update: {} })).email,
      "eve@example.com",
    );
    await prisma.user.delete({ where: { email: "dee@example.com" } });
    assert.equal(await prisma.post.count(), 0);
  },

  async "a batch transaction"({ db }) {
    const prisma = open(db);
    const [user, count] = await prisma.$transaction([prisma.user.create({ data: { email: "fay@example.com" } }), prisma.user.count()]);
    assert.equal(user.email, "fay@example.com");
    assert.equal(count, 5);
  },

  async errors({ db }) {
    const prisma = open(db);
    await assert.rejects(
      prisma.user.create({ data: { email: "ann@example.com" } }),
      ({ code, meta }) => code === "P2002" && JSON.stringify(meta).includes("email"),
    );
    await assert.rejects(prisma.post.create({ data: { title: "x", authorId: 99 } }), ({ code }) => code === "P2003");
    await assert.rejects(prisma.user.update({ where: { id: 99 }, data: { age: 1 } }), ({ code }) => code === "P2025");
    await assert.rejects(prisma.$queryRaw`SELECT * FROM nope`, /no such table: nope/);
  },

  async "raw SQL"({ db }) {
    const prisma = open(db);
    assert.deepEqual(await prisma.$queryRaw`SELECT ${"a"} AS t, ${1.5} AS f, ${null} AS n`, [{ t: "a", f: 1.5, n: null }]);
    assert.equal(await prisma.$executeRaw`UPDATE User SET age = 1 WHERE id IN (1, 2)`, 2);
  },
});
