// drizzle-orm's D1 driver, unmodified: schema, CRUD, joins, relations, batches, errors, sessions.
//
// Invariant: scenarios run in order on one database and lean on the rows that earlier ones wrote.

import assert from "node:assert/strict";
import { and, asc, count, desc, eq, gt, inArray, like, relations, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { blob, index, integer, real, sqliteTable, text } from "drizzle-orm/sqlite-core";
import { serve } from "../user.mjs";

const users = sqliteTable("users", {
  id: integer("id").primaryKey({ autoIncrement: true }),
  email: text("email").notNull().unique(),
  name: text("name"),
  score: real("score").default(0),
  active: integer("active", { mode: "boolean" }).default(true),
  created: integer("created", { mode: "timestamp" }),
  settings: text("settings", { mode: "json" }),
  avatar: blob("avatar", { mode: "buffer" }),
});
const posts = sqliteTable(
  "posts",
  {
    id: integer("id").primaryKey(),
    authorId: integer("author_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    title: text("title").notNull(),
  },
  (table) => [index("posts_author").on(table.authorId)],
);
const usersRelations = relations(users, ({ many }) => ({ posts: many(posts) }));
const postsRelations = relations(posts, ({ one }) => ({ author: one(users, { fields: [posts.authorId], references: [users.id] }) }));
const schema = { users, posts, usersRelations, postsRelations };

const open = (db) => drizzle(db, { schema });

export default serve({
  async "create tables"({ db }) {
    const orm = open(db);
    await orm.run(
      sql`CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE, name TEXT, score REAL DEFAULT 0, active INTEGER DEFAULT true, created INTEGER, settings TEXT, avatar BLOB)`,
    );
    await orm.run(
      sql`CREATE TABLE posts (id INTEGER PRIMARY KEY, author_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE, title TEXT NOT NULL)`,
    );
    await orm.run(sql`CREATE INDEX posts_author ON posts(author_id)`);
  },

  async "insert and returning"({ db }) {
    const orm = open(db);
    const created = new Date("2026-11-22T10:00:00Z");
    const [ann] = await orm
      .insert(users)
      .values({
        email: "ann@example.com",
        name: "Ann",
        score: 1.5,
        created,
        settings: { theme: "dark", tags: [1, "two"] },
        avatar: Buffer.from([1, 2, 255]),
      })
      .returning();
    assert.deepEqual(
      { ...ann, avatar: [...(ann.avatar ?? [])] },
      {
        id: 1,
        email: "ann@example.com",
        name: "Ann",
        score: 1.5,
        active: true,
        created,
        settings: { theme: "dark", tags: [1, "two"] },
        avatar: [1, 2, 255],
      },
    );
    const many = await orm
      .insert(users)
      .values([{ email: "bob@example.com", name: "Bob", active: false }, { email: "cyd@example.com" }])
      .returning({ id: users.id });
    assert.deepEqual(many, [{ id: 2 }, { id: 3 }]);
    const { meta } = await orm
      .insert(posts)
      .values([
        { authorId: 1, title: "Tides" },
        { authorId: 1, title: "Ebb" },
        { authorId: 2, title: "Flow" },
      ])
      .run();
    assert.equal(meta.changes, 3);
    assert.equal(meta.last_row_id, 3);
  },

  async "select: where, order, limit"({ db }) {
    const orm = open(db);
    assert.deepEqual(await orm.select({ id: users.id, active: users.active }).from(users).where(eq(users.email, "bob@example.com")), [
      { id: 2, active: false },
    ]);
    assert.deepEqual(
      await orm
        .select({ title: posts.title })
        .from(posts)
        .where(and(gt(posts.id, 1), inArray(posts.authorId, [1, 2])))
        .orderBy(desc(posts.id))
        .limit(1)
        .offset(1),
      [{ title: "Ebb" }],
    );
    assert.equal((await orm.select().from(users).where(like(users.name, "A%")).get())?.email, "ann@example.com");
    assert.equal(await orm.select().from(users).where(eq(users.id, 99)).get(), undefined);
    assert.deepEqual(await orm.select({ id: users.id }).from(users).orderBy(asc(users.id)).values(), [[1], [2], [3]]);
    assert.equal(await orm.$count(users), 3);
  },

  async "joins and aggregates"({ db }) {
    const orm = open(db);
    const rows = await orm.select().from(users).leftJoin(posts, eq(posts.authorId, users.id)).orderBy(users.id, posts.id);
    assert.deepEqual(
      rows.map((row) => [row.users.id, row.posts?.title ?? null]),
      [
        [1, "Tides"],
        [1, "Ebb"],
        [2, "Flow"],
        [3, null],
      ],
    );
    const counts = await orm
      .select({ email: users.email, n: count(posts.id) })
      .from(users)
      .leftJoin(posts, eq(posts.authorId, users.id))
      .groupBy(users.id)
      .orderBy(users.id);
    assert.deepEqual(
      counts.map((row) => row.n),
      [2, 1, 0],
    );
    const named = orm.$with("named").as(orm.select({ id: users.id }).from(users).where(eq(users.name, "Ann")));
    assert.deepEqual(
      await orm.with(named).select({ title: posts.title }).from(posts).innerJoin(named, eq(named.id, posts.authorId)).orderBy(posts.id),
      [{ title: "Tides" }, { title: "Ebb" }],
    );
  },

  async "relational queries"({ db }) {
    const orm = open(db);
    const found = await orm.query.users.findMany({
      columns: { id: true },
      with: { posts: { columns: { title: true }, orderBy: [asc(posts.id)] } },
      orderBy: [asc(users.id)],
    });
    assert.deepEqual(found, [
      { id: 1, posts: [{ title: "Tides" }, { title: "Ebb" }] },
      { id: 2, posts: [{ title: "Flow" }] },
      { id: 3, posts: [] },
    ]);
    const post = await orm.query.posts.findFirst({ where: eq(posts.id, 3), with: { author: true } });
    assert.equal(post?.author.name, "Bob");
  },

  async "update, upsert, delete"({ db }) {
    const orm = open(db);
    assert.deepEqual(
      await orm
        .update(users)
        .set({ name: "Anna", score: sql`${users.score} + 1` })
        .where(eq(users.id, 1))
        .returning({ name: users.name, score: users.score }),
      [{ name: "Anna", score: 2.5 }],
    );
    await orm
      .insert(users)
      .values({ email: "cyd@example.com", name: "Cyd" })
      .onConflictDoUpdate({ target: users.email, set: { name: sql`excluded.name` } });
    assert.equal((await orm.select().from(users).where(eq(users.id, 3)).get())?.name, "Cyd");
    const ignored = await orm.insert(users).values({ email: "cyd@example.com" }).onConflictDoNothing().run();
    assert.equal(ignored.meta.changes, 0);
    const { meta } = await orm.delete(users).where(eq(users.id, 2));
    assert.equal(meta.changes, 2);
    assert.equal(await orm.$count(posts), 2);
  },

  async batch({ db }) {
    const orm = open(db);
    const [inserted, all, found] = await orm.batch([
      orm.insert(users).values({ email: "dee@example.com" }).returning({ id: users.id }),
      orm.select({ id: users.id }).from(users).orderBy(users.id),
      orm.query.users.findFirst({ columns: { email: true }, where: eq(users.email, "dee@example.com") }),
    ]);
    assert.deepEqual(inserted, [{ id: all.at(-1)?.id }]);
    assert.deepEqual(found, { email: "dee@example.com" });
  },

  async "a failing batch changes nothing"({ db }) {
    const orm = open(db);
    const before = await orm.$count(users);
    await assert.rejects(
      orm.batch([orm.insert(users).values({ email: "eve@example.com" }), orm.insert(users).values({ email: "ann@example.com" })]),
      hasText(/UNIQUE constraint failed: users.email/),
    );
    assert.equal(await orm.$count(users), before);
  },

  async errors({ db }) {
    const orm = open(db);
    await assert.rejects(
      orm.insert(users).values({ email: "ann@example.com" }).run(),
      hasText(/D1_ERROR: UNIQUE constraint failed: users.email: SQLITE_CONSTRAINT/),
    );
    await assert.rejects(orm.insert(posts).values({ authorId: 77, title: "x" }).run(), hasText(/FOREIGN KEY constraint failed/));
    await assert.rejects(orm.all(sql`SELECT * FROM nope`), hasText(/no such table: nope/));
  },

  async "prepared statements and raw SQL"({ db }) {
    const orm = open(db);
    const byId = orm
      .select({ email: users.email })
      .from(users)
      .where(eq(users.id, sql.placeholder("id")))
      .prepare();
    assert.deepEqual(await byId.all({ id: 1 }), [{ email: "ann@example.com" }]);
    assert.deepEqual(await byId.get({ id: 3 }), { email: "cyd@example.com" });
    assert.deepEqual(await orm.all(sql`SELECT ${1} + ${2} AS three`), [{ three: 3 }]);
    assert.deepEqual(await orm.values(sql`SELECT ${"a"}, ${null}`), [["a", null]]);
    assert.deepEqual(await orm.all(sql`SELECT typeof(${true}) AS t`), [{ t: "real" }]);
  },

  async "a migration makes a table anew, sent as drizzle's migrate does"({ db, binding }) {
    const orm = open(db);
    const raw = (texts) => orm.batch(texts.map((text) => orm.run(sql.raw(text))));
    await raw([
      "CREATE TABLE IF NOT EXISTS __drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)",
      "CREATE TABLE ports (id INTEGER PRIMARY KEY, name TEXT)",
      "CREATE TABLE ships (id INTEGER PRIMARY KEY, port INTEGER REFERENCES ports(id) ON DELETE CASCADE)",
      "INSERT INTO ports VALUES (1, 'Cuxhaven')",
      "INSERT INTO ships VALUES (1, 1)",
    ]);
    await raw([
      "PRAGMA foreign_keys=OFF;",
      "CREATE TABLE `__new_ports` (`id` integer PRIMARY KEY, `name` text NOT NULL);",
      'INSERT INTO `__new_ports`("id", "name") SELECT "id", "name" FROM `ports`;',
      "DROP TABLE `ports`;",
      "ALTER TABLE `__new_ports` RENAME TO `ports`;",
      "PRAGMA foreign_keys=ON;",
      'INSERT INTO "__drizzle_migrations" ("hash", "created_at") VALUES(\'h\', 1)',
    ]);
    // D1 does not hear the PRAGMA, and deletes the ship.
    assert.deepEqual(await orm.values(sql`SELECT count(*) FROM ships`), [[binding === "D1" ? 0 : 1]]);
  },

  async "a session is a database too"({ db }) {
    const session = db.withSession();
    const orm = drizzle(session, { schema });
    await orm.insert(users).values({ email: "fay@example.com" });
    assert.equal((await orm.select().from(users).where(eq(users.email, "fay@example.com"))).length, 1);
    assert.equal(typeof session.getBookmark(), "string");
  },
});

// drizzle wraps what the driver throws; the text is in the error or in one of its causes.
function hasText(pattern) {
  return (error) => {
    for (let e = error; e; e = e.cause) if (pattern.test(e.message)) return true;
    return false;
  };
}
