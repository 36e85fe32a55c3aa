// The page of examples/shore in a real browser: what `make dev` opens sets itself up, lists, searches, adds and removes.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch, noBrowser } from "./browser.mjs";
import { startWrangler } from "./wrangler.mjs";

const file = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

describe("the page of examples/shore", { skip: noBrowser }, () => {
  const state = mkdtempSync(join(tmpdir(), "littoral-shore-"));
  /** What the page's console said and should not have. */
  const complaints = [];
  let wrangler, browser, page;

  before(async () => {
    const configurations = [file("examples/shore/wrangler.jsonc"), file("tests/worker/wrangler_dev/littoral.jsonc")];
    [wrangler, browser] = await Promise.all([startWrangler({ cwd: state, configurations, state }), launch()]);
    page = await browser.newPage();
    page.setDefaultTimeout(10_000);
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(wrangler.base);
  });
  after(async () => {
    await browser?.close();
    await wrangler?.stop();
    rmSync(state, { recursive: true, force: true });
  });

  /** Waits until the list has that many sightings. */
  const listed = (count) => page.waitForFunction((count) => document.querySelectorAll("#sightings li").length === count, count);
  const error = () => page.getByRole("alert").textContent();

  test("sets the database up and lists what was seen", async () => {
    await listed(8);
    assert.match(await page.locator("#sightings li").first().innerText(), /^Oystercatcher Galway Bay, 2026-08-01 20:45:00\nCalling at dusk/);
    assert.match(await page.locator("#status").innerText(), /^8 sightings in [\d.]+ ms, \d+ rows read, \d+ KiB, bookmark [0-9a-f-]{59}$/);
    assert.deepEqual(complaints, []);
  });

  test("adds a sighting as text, finds it, and removes it", async () => {
    const note = "<b>under</b> a rock";
    await page.getByLabel("species").selectOption({ label: "Dog whelk" });
    await page.getByLabel("shore", { exact: true }).fill("Bay of Skaill");
    await page.getByLabel("note", { exact: true }).fill(note);
    await page.getByRole("button", { name: "Add" }).click();
    await listed(9);
    await page.getByLabel("search").fill("skai");
    await listed(1);
    assert.match(await page.locator("#sightings li").innerText(), new RegExp(`^Dog whelk Bay of Skaill, .*\n${note}\nRemove$`));
    await page.getByRole("button", { name: "Remove" }).click();
    await listed(0);
    await page.getByLabel("search").fill("");
    await listed(8);
    assert.equal(await error(), "");
    assert.deepEqual(complaints, []);
  });

  test("says in words what the database refuses", async () => {
    await page.getByLabel("shore", { exact: true }).fill("   ");
    await page.getByRole("button", { name: "Add" }).click();
    await page.waitForFunction(() => document.querySelector("#error")?.textContent !== "");
    assert.match(await error(), /CHECK constraint failed/);
    assert.equal(complaints.length, 1, complaints.join("\n"));
    assert.match(complaints.pop(), /status of 400/);
  });
});
