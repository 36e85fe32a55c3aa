// The Workers in examples/: every request they answer, and what is left after a restart. Each runs as its README says for local
// development, and once more as deployed, where every binding is a plain service binding.
//
// Those in JavaScript run in `wrangler dev`. The Rust one (built by `scripts/build examples/rust-worker`) runs in Miniflare with the
// bindings that its configuration names, so that wrangler does not build it again.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { unstable_readConfig as readConfig } from "wrangler";
import { bundle, littoralWorker } from "./harness.mjs";
import { startWrangler } from "./wrangler.mjs";

const file = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const BOOKMARK = /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/;

/**
 * Asks a Worker and reads its answer; `send` is fetch's like, for a path.
 * @param {(path: string, init: object) => Promise<any>} send
 * @param {string} request
 * @param {{ body?: unknown, headers?: Record<string, string>, json?: boolean }} [more]
 * @returns {Promise<{ status: number, headers: any, body?: any, text?: any }>}
 */
async function ask(send, request, { body, headers = {}, json = true } = {}) {
  const [method, path] = request.split(" ");
  const response = await send(path, { method, headers, redirect: "manual", body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  return { status: response.status, headers: response.headers, ...(json ? { body: text && JSON.parse(text) } : { text }) };
}

/** Starts a Worker for the tests of a describe() on a folder of its own, and again on the same folder for `restart()`. */
function running(start) {
  const folder = mkdtempSync(join(tmpdir(), "littoral-example-"));
  let worker;
  before(async () => {
    worker = await start(folder);
  });
  after(async () => {
    await worker?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    ask: (request, init) => ask(worker.send, request, init),
    async restart() {
      await worker.stop();
      worker = undefined;
      worker = await start(folder);
    },
  };
}

for (const deployed of [false, true]) {
  const where = deployed ? "as deployed" : "in development";
  describe(`examples/javascript-worker ${where}`, () => javascript(deployed));
  describe(`examples/shore ${where}`, () => shore(deployed));
}

function javascript(deployed) {
  const { ask, restart } = running((folder) => startJavaScript("javascript-worker", folder, deployed));
  let cookie;

  /** As a browser: keeps the cookie that it is given. */
  async function browse(request, body) {
    const answer = await ask(request, { body, headers: cookie ? { cookie } : {} });
    const header = answer.headers.get("set-cookie");
    if (header !== null) {
      const set = /^(d1-bookmark=([^;]*)); Path=\/links; Max-Age=21600; HttpOnly; SameSite=Lax$/.exec(header);
      assert.ok(set, `the session's bookmark is in a cookie: ${header}`);
      assert.match(set[2], BOOKMARK);
      assert.ok(cookie === undefined || set[1] > cookie, "the session goes forward");
      cookie = set[1];
    }
    return [answer.status, answer.body];
  }

  test("migrates once", async () => {
    assert.deepEqual((await ask("POST /migrate")).body, { applied: ["0001_links.sql", "0002_visits_by_day.sql"] });
    assert.deepEqual((await ask("POST /migrate")).body, { applied: [] });
  });

  test("adds a link, and a list of links or none of them", async () => {
    const sqlite = { slug: "sqlite", url: "https://sqlite.org/" };
    assert.deepEqual(await browse("POST /links", sqlite), [201, sqlite]);
    assert.deepEqual(await browse("GET /links"), [200, { links: [{ ...sqlite, visits: 0 }], total: 1 }]);

    const rust = { slug: "rust", url: "https://www.rust-lang.org/" };
    assert.deepEqual(await browse("POST /links", [rust, { url: "https://webassembly.org/", slug: "wasm" }]), [
      201,
      [rust, { slug: "wasm", url: "https://webassembly.org/" }],
    ]);
    const taken = await ask("POST /links", { body: [{ slug: "new", url: "https://a.example/" }, sqlite] });
    assert.deepEqual([taken.status, taken.body], [409, { error: "there is a link of that name" }]);
    assert.equal((await browse("GET /links"))[1].total, 3);
    assert.equal((await ask("GET /links/new")).status, 404);
  });

  test("makes a slug where none is given", async () => {
    const [status, { slug }] = await browse("POST /links", { url: "http://b.example/x?y=1" });
    assert.equal(status, 201);
    assert.match(slug, /^[a-z2-9]{6}$/);
    assert.equal((await ask(`DELETE /links/${slug}`)).status, 204);
  });

  test("refuses what is no link", async () => {
    const good = "https://c.example/";
    const slugs = ["A b", "", "links", "x".repeat(33), 5].map((slug) => ({ url: good, slug }));
    for (const body of [{}, [], null, { url: "x" }, { url: "javascript:1" }, { url: 5 }, ...slugs]) {
      assert.equal((await ask("POST /links", { body })).status, 400, JSON.stringify(body));
    }
    assert.equal((await ask("PUT /links/rust")).status, 405);
  });

  test("follows a link and counts", async () => {
    for (const slug of ["wasm", "rust", "rust"]) {
      const { status, headers } = await ask(`GET /${slug}`);
      const url = slug === "rust" ? "https://www.rust-lang.org/" : "https://webassembly.org/";
      assert.deepEqual([status, headers.get("location")], [302, url]);
    }
    assert.equal((await ask("GET /nothing")).status, 404);
    assert.equal((await ask("GET /")).status, 404);
    const [, { links }] = await browse("GET /links");
    assert.deepEqual(links.map(({ slug, visits }) => [slug, visits]), [["rust", 2], ["wasm", 1], ["sqlite", 0]]);
    const [, { days, made_at, ...rust }] = await browse("GET /links/rust");
    assert.deepEqual(rust, { slug: "rust", url: "https://www.rust-lang.org/", visits: 2 });
    assert.match(made_at, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    assert.equal(days.reduce((sum, { visits }) => sum + visits, 0), 2);
    assert.match(days[0].day, /^\d{4}-\d\d-\d\d$/);
  });

  test("removes a link with its visits", async () => {
    assert.equal((await ask("DELETE /links/wasm")).status, 204);
    assert.equal((await ask("DELETE /links/wasm")).status, 404);
    assert.equal((await ask("GET /wasm")).status, 404);
  });

  test("a session goes on after a restart", async () => {
    const [, before] = await browse("GET /links");
    assert.match(cookie, /^d1-bookmark=0/);
    await restart();
    assert.deepEqual(await browse("GET /links"), [200, before]);
    assert.deepEqual((await ask("POST /migrate")).body, { applied: [] });
  });

  test("a bookmark of another database ends the session, and what is none is passed over", async () => {
    const other = "d1-bookmark=ffffffff-ffffffff-00000001-00000000000000000000000000000000";
    const { status, headers, body } = await ask("GET /links", { headers: { cookie: other } });
    assert.equal(status, 500);
    assert.match(body.error, /bookmark/);
    assert.match(headers.get("set-cookie"), /^d1-bookmark=; Path=\/links; Max-Age=0; /);
    assert.equal((await ask("GET /links", { headers: { cookie: "d1-bookmark=x" } })).status, 200);
  });
}

function shore(deployed) {
  const { ask, restart } = running((folder) => startJavaScript("shore", folder, deployed));
  let cookie;

  /** As a browser: keeps the cookie that it is given. */
  async function browse(request, body) {
    const answer = await ask(request, { body, headers: cookie ? { cookie } : {} });
    const [, set] = /^(d1-bookmark=[^;]+); Path=\/; Max-Age=21600; HttpOnly; SameSite=Lax$/.exec(answer.headers.get("set-cookie")) ?? [];
    if (set !== undefined) cookie = set;
    return [answer.status, answer.body];
  }

  const notes = async (search) => (await browse(`GET /api/sightings?q=${encodeURIComponent(search)}`))[1].sightings.map(({ note }) => note);

  test("serves its page", async () => {
    const { status, headers, text } = await ask("GET /", { json: false });
    assert.equal(status, 200);
    assert.match(headers.get("content-type"), /^text\/html/);
    assert.match(text, /<title>Shore log/);
  });

  test("sets up once, and the session knows", async () => {
    const migrations = ["0001_shore_log.sql", "0002_search.sql"];
    assert.deepEqual(await browse("POST /setup"), [200, { migrations, sightings_loaded: 8 }]);
    assert.match(cookie, /^d1-bookmark=0/);
    assert.deepEqual(await browse("POST /setup"), [200, { migrations: [], sightings_loaded: 0 }]);
  });

  test("lists species, with how often they were seen", async () => {
    const [status, species] = await browse("GET /api/species");
    assert.equal(status, 200);
    assert.deepEqual(species[0], { id: 2, name: "Beadlet anemone", scientific: "Actinia equina", seen: 1 });
    assert.deepEqual(species.map(({ id, seen }) => [id, seen]), [[2, 1], [6, 1], [1, 1], [4, 1], [5, 2], [3, 2]]);
  });

  test("lists the newest sightings, or those that match", async () => {
    const [status, { sightings, bookmark, rows_read, size_after }] = await browse("GET /api/sightings");
    assert.deepEqual([status, sightings.length], [200, 8]);
    assert.deepEqual(sightings[0], { id: 8, name: "Oystercatcher", shore: "Galway Bay", note: "Calling at dusk", seen_at: "2026-08-01T20:45:00Z" });
    assert.match(bookmark, BOOKMARK);
    assert.ok(rows_read >= 8 && size_after > 0);
    assert.deepEqual((await browse("GET /api/sightings?q=%20"))[1].sightings, sightings);

    assert.deepEqual(await notes("galway"), ["Calling at dusk", "Large male, green", "Thick belt in the middle shore"]);
    assert.deepEqual(await notes("gal  dus"), ["Calling at dusk"]);
    assert.deepEqual(await notes('"dusk'), ["Calling at dusk"]);
    // No expressions, and no syntax errors.
    for (const search of ['"', "dusk OR green", "note:", "*", "-", "NEAR("]) assert.deepEqual(await notes(search), [], search);
  });

  test("adds a sighting, and removes it", async () => {
    const [status, { id }] = await browse("POST /api/sightings", { species_id: 1, shore: " Bay of Skaill ", note: " under a rock\n" });
    assert.equal(status, 201);
    const [, { sightings: [{ seen_at, ...newest }] }] = await browse("GET /api/sightings?q=skaill");
    assert.deepEqual(newest, { id, name: "Common limpet", shore: "Bay of Skaill", note: "under a rock" });
    assert.match(seen_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.deepEqual(await browse(`DELETE /api/sightings/${id}`), [200, { removed: 1 }]);
    assert.deepEqual(await browse(`DELETE /api/sightings/${id}`), [404, { removed: 0 }]);
    assert.deepEqual(await notes("skaill"), []);
    assert.equal((await browse("POST /api/sightings", { species_id: 1, shore: "Texel" }))[0], 201, "the note may be left out");
  });

  test("refuses what is no sighting, and what is no request", async () => {
    for (const [body, why] of /** @type {[unknown, RegExp][]} */ ([
      [undefined, /JSON/],
      [null, /^a sighting is/],
      [{}, /^a sighting is/],
      [{ species_id: 1 }, /^a sighting is/],
      [{ species_id: "1", shore: "Texel" }, /^a sighting is/],
      [{ species_id: 1, shore: "Texel", note: 5 }, /^a sighting is/],
      [{ species_id: 1, shore: "  " }, /CHECK constraint failed/],
      [{ species_id: 99, shore: "Texel" }, /FOREIGN KEY constraint failed/],
    ])) {
      const [status, { error }] = await browse("POST /api/sightings", body);
      assert.equal(status, 400, JSON.stringify(body));
      assert.match(error, why);
    }
    for (const request of ["GET /nowhere", "GET /setup", "PUT /api/sightings", "DELETE /api/sightings/two", "DELETE /api/sightings"]) {
      const { status, text } = await ask(request, { json: false });
      assert.deepEqual([status, text], [404, "not found"], request);
    }
  });

  test("a session goes on after a restart, and ends with its database", async () => {
    const [, before] = await browse("GET /api/sightings");
    await restart();
    assert.deepEqual((await browse("GET /api/sightings"))[1].sightings, before.sightings);
    assert.deepEqual(await browse("POST /setup"), [200, { migrations: [], sightings_loaded: 0 }]);
    const other = "d1-bookmark=ffffffff-ffffffff-00000001-00000000000000000000000000000000";
    const { status, headers, body } = await ask("GET /api/sightings", { headers: { cookie: other } });
    assert.equal(status, 400);
    assert.match(body.error, /bookmark/);
    assert.match(headers.get("set-cookie"), /^d1-bookmark=; Path=\/; Max-Age=0; /);
  });
}

describe("examples/rust-worker as deployed", () => {
  const { ask } = running((folder) => startRust(folder, true));

  test("has Littoral's binding, and says that env.d1() is not to be had", async () => {
    await ask("POST /migrate");
    assert.deepEqual((await ask("POST /books", { body: [{ title: "Emma", author: "Jane Austen", pages: 474 }] })).body, { ids: [1] });
    assert.equal((await ask("GET /books")).body.length, 1);
    const { status, body } = await ask("GET /d1/books");
    assert.equal(status, 501);
    assert.match(body.error, /^DB is not the runtime's D1Database here/);
  });
});

describe("examples/rust-worker in development", () => {
  const { ask, restart } = running((folder) => startRust(folder, false));
  const emma = { title: "Emma", author: "Jane Austen", pages: 474 };
  const persuasion = { title: "Persuasion", author: "Jane Austen", pages: 249 };
  const dracula = { title: "Dracula", author: "Bram Stoker", pages: 418 };
  const unread = { page: 0, finished_at: null, sittings: 0 };
  let bookmark;

  test("migrates once", async () => {
    assert.deepEqual((await ask("POST /migrate")).body, { applied: ["0001_books.sql", "0002_sittings.sql"] });
    assert.deepEqual((await ask("POST /migrate")).body, { applied: [] });
  });

  test("adds books, all or none", async () => {
    const { status, headers, body } = await ask("POST /books", { body: [emma, persuasion] });
    assert.deepEqual([status, body], [201, { ids: [1, 2] }]);
    bookmark = headers.get("x-d1-bookmark");
    assert.match(bookmark, BOOKMARK);
    for (const { bad, why } of [
      { bad: [dracula, emma], why: /^UNIQUE constraint failed/ },
      { bad: [dracula, { ...emma, pages: 0 }], why: /^CHECK constraint failed/ },
      { bad: {}, why: /invalid type/ },
    ]) {
      const refused = await ask("POST /books", { body: bad });
      assert.equal(refused.status, 400);
      assert.match(refused.body.error, why);
    }
    assert.deepEqual((await ask("GET /books")).body, [{ id: 1, ...emma, ...unread }, { id: 2, ...persuasion, ...unread }]);
  });

  test("notes sittings", async () => {
    assert.deepEqual((await ask("POST /books/2/sittings", { body: { to_page: 100 } })).body, {
      id: 2, ...persuasion, ...unread, page: 100, sittings: 1,
    });
    for (const [book, to_page] of [[2, 100], [2, 99], [2, 250], [3, 1]]) {
      assert.equal((await ask(`POST /books/${book}/sittings`, { body: { to_page } })).status, 404);
    }
    assert.equal((await ask("POST /books/2/sittings", { body: {} })).status, 400);
    const { body } = await ask("POST /books/2/sittings", { body: { to_page: 249 } });
    assert.equal(body.sittings, 2);
    assert.match(body.finished_at, /^\d{4}-\d\d-\d\d /);
    assert.deepEqual((await ask("GET /books/2")).body, body);
  });

  test("a session goes on, through either binding and after a restart", async () => {
    const expected = [{ author: "Jane Austen", books: 2, finished: 1, pages_read: 249 }];
    for (const path of ["/authors", "/d1/authors"]) {
      const { headers, body } = await ask(`GET ${path}`, { headers: { "x-d1-bookmark": bookmark } });
      assert.deepEqual(body, expected);
      assert.ok(headers.get("x-d1-bookmark") > bookmark);
      bookmark = headers.get("x-d1-bookmark");
      await ask("POST /books", { body: [dracula] });
      await ask("DELETE /books/3");
    }
    await restart();
    for (const path of ["/authors", "/d1/authors"]) {
      assert.deepEqual((await ask(`GET ${path}`, { headers: { "x-d1-bookmark": bookmark } })).body, expected);
      const other = "ffffffff-ffffffff-00000001-00000000000000000000000000000000";
      const refused = await ask(`GET ${path}`, { headers: { "x-d1-bookmark": other } });
      assert.equal(refused.status, 500);
      assert.match(refused.body.error, /not of this database/);
    }
  });

  test("a session goes on by a cookie", async () => {
    const cookie = (headers) => /^(d1-bookmark=[0-9a-f-]{59}); Path=\/; Max-Age=21600; HttpOnly; SameSite=Lax$/.exec(headers.get("set-cookie"))?.[1] ?? "";
    const { headers, body: { ids: [id] } } = await ask("POST /books", { body: [dracula] });
    assert.equal(cookie(headers), `d1-bookmark=${headers.get("x-d1-bookmark")}`);
    const again = await ask("GET /authors", { headers: { cookie: `a=b; ${cookie(headers)}` } });
    assert.deepEqual([again.status, again.headers.get("set-cookie"), again.headers.get("x-d1-bookmark")], [200, null, null]);
    const newer = await ask(`DELETE /books/${id}`, { headers: { cookie: cookie(headers) } });
    assert.ok(cookie(newer.headers) > cookie(headers));
    const other = "d1-bookmark=ffffffff-ffffffff-00000001-00000000000000000000000000000000";
    const refused = await ask("GET /authors", { headers: { cookie: other } });
    assert.equal(refused.status, 500);
    assert.match(refused.headers.get("set-cookie"), /^d1-bookmark=; Path=\/; Max-Age=0; /);
  });

  test("worker's own env.d1() sees the same database", async () => {
    assert.deepEqual((await ask("GET /d1/books")).body, (await ask("GET /books")).body);
    assert.deepEqual((await ask("GET /d1/books/2")).body, (await ask("GET /books/2")).body);
    assert.equal((await ask("GET /d1/books/99")).status, 404);
  });

  test("worker's own env.d1() writes", async () => {
    const added = await ask("POST /d1/books", { body: [dracula, { ...dracula, title: "The Lair" }] });
    assert.equal(added.status, 201);
    const [id, other] = added.body.ids;
    assert.deepEqual((await ask(`GET /books/${id}`)).body, { id, ...dracula, ...unread });
    const refused = await ask("POST /d1/books", { body: [{ ...emma, title: "New" }, emma] });
    assert.equal(refused.status, 500);
    assert.match(refused.body.error, /UNIQUE constraint failed: books.author, books.title/);
    assert.deepEqual((await ask("GET /d1/titles")).body, {
      titles: [["Dracula", "Bram Stoker"], ["Emma", "Jane Austen"], ["Persuasion", "Jane Austen"], ["The Lair", "Bram Stoker"]],
      longest: 474,
    });
    assert.deepEqual((await ask(`DELETE /d1/books/${other}`)).body, { removed: 1 });
    assert.deepEqual((await ask(`DELETE /d1/books/${other}`)).body, { removed: 0 });
  });

  test("removes a book with its sittings", async () => {
    assert.equal((await ask("DELETE /books/2")).status, 204);
    assert.equal((await ask("DELETE /books/2")).status, 404);
    assert.equal((await ask("GET /books/two")).status, 404);
    assert.equal((await ask("GET /nowhere")).status, 404);
    assert.equal((await ask("GET /d1/nowhere")).status, 404);
  });
});

/** `wrangler dev` as the README says, but with a configuration of Littoral that does not build it. */
async function startJavaScript(example, state, deployed) {
  let configuration = file(`examples/${example}/wrangler.jsonc`);
  if (deployed) {
    // As `wrangler deploy` does: without what is for development.
    const { name, main, compatibility_date, assets, services } = readConfig({ config: configuration });
    const directory = assets && file(`examples/${example}/${assets.directory}`);
    configuration = join(state, "wrangler.json");
    writeFileSync(
      configuration,
      JSON.stringify({ name, main, compatibility_date, assets: assets && { directory }, services: services.map(({ dev, ...rest }) => rest) }),
    );
  }
  const configurations = [configuration, file("tests/worker/wrangler_dev/littoral.jsonc")];
  const { base, stop } = await startWrangler({ cwd: state, configurations, state });
  return { send: (path, init) => fetch(base + path, init), stop };
}

async function startRust(state, deployed) {
  const configuration = file("examples/rust-worker/wrangler.jsonc");
  const { name, main, compatibility_date: compatibilityDate, services } = readConfig({ config: configuration });
  assert.ok(existsSync(main), "run scripts/build examples/rust-worker first");
  const plugged = deployed ? [] : services.filter(({ dev }) => dev !== undefined);
  const plain = services.filter((service) => !plugged.includes(service));
  const worker = {
    name,
    modules: await bundle(main),
    compatibilityDate,
    serviceBindings: Object.fromEntries(plain.map(({ binding, service, props }) => [binding, { name: service, props }])),
    unsafeBindings: plugged.map(({ binding, service, dev: { plugin, options } }) => ({
      name: binding,
      type: "service",
      plugin: { ...plugin, package: file("js/src/plugin.js") },
      options: { service, ...options },
    })),
  };
  const workers = [worker, await littoralWorker()];
  const miniflare = new Miniflare(convertV4MiniflareOptions({ workers, resourcePersistencePath: state }));
  await miniflare.ready;
  return {
    send: (path, init) => miniflare.dispatchFetch(`http://${name}.example${path}`, init),
    stop: () => miniflare.dispose(),
  };
}
