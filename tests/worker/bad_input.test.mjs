// Bad input of every kind: a clear error each time, nothing lost, the next request served.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { start } from "./harness.mjs";

const SERVICES = {
  PROPLESS: undefined,
  EMPTY_PROPS: {},
  EMPTY_NAME: { database: "" },
  NUMBER_NAME: { database: 5 },
  NULL_NAME: { database: null },
  LONG_NAME: { database: "x".repeat(5000) },
  ODD_NAME: { database: "../\0 🌊'\"" },
};

describe("bad input", () => {
  let harness;
  before(async () => {
    harness = await start({
      entry: new URL("./bad_input.scenarios.mjs", import.meta.url),
      databases: ["bad", "other"],
      services: SERVICES,
    });
  });
  after(() => harness?.dispose());

  test("through a binding", async (t) => {
    for (const scenario of await harness.scenarios()) {
      await t.test(scenario, () => harness.run(scenario, { binding: "LITTORAL", database: "bad" }));
    }
  });

  test("from the internet nothing of the protocol is there", async () => {
    const sql = JSON.stringify({ sql: "SELECT 1 AS a" });
    for (const path of ["/query", "/execute", "/dump", "/query?resultsFormat=NONE"]) {
      for (const headers of [{}, { "x-cf-d1-session-commit-token": "first-primary" }, { "mf-binding": "DB" }]) {
        const response = await harness.fetchLittoral(path, {
          method: "POST",
          headers: { "content-type": "application/json", ...headers },
          body: sql,
        });
        const text = await response.text();
        assert.ok(response.status < 500, `${path} ${response.status} ${text.slice(0, 100)}`);
        assert.equal(response.headers.get("x-cf-d1-session-commit-token"), null);
        assert.doesNotMatch(text, /"success"|"results"|SQLite format/);
      }
    }
  });

  test("from the internet there is one sentence", async () => {
    for (const [path, method] of [["/", "GET"], ["/", "POST"], ["/setup", "POST"], ["/?database=bad", "GET"]]) {
      const response = await harness.fetchLittoral(path, { method });
      assert.equal(response.status, 200);
      assert.equal(await response.text(), "Littoral is running. Its databases are reached through service bindings.\n", path);
    }
  });
});
