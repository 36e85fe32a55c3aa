// The Chinook database, 15,607 rows, loaded through both of Littoral's bindings; then queries of real shape, each with the columns
// and rows that native SQLite (node:sqlite) answers from the same file.
//
// The file is not part of the project; where it is not, the test is skipped.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { queries } from "./chinook.queries.mjs";
import { start } from "./harness.mjs";
import { testData } from "./test_data.mjs";

const ROWS = 15_607;
const file = testData("chinook.sql");
const TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' ORDER BY name";

if (existsSync(file)) {
  const text = readFileSync(file, "utf8").replace(/^\uFEFF/, "");
  for (const [binding, load] of [["LITTORAL", "load as a batch"], ["DB", "load as one text"]]) compare(binding, load, text);
} else {
  console.log(`chinook: skipped, there is no ${file}`);
}

function compare(binding, load, text) {
  describe(`chinook (${binding})`, () => {
    const native = new DatabaseSync(":memory:");
    native.exec(text);
    const expected = queries.map((query) => nativeAnswer(native, query));
    let harness;
    let answers;
    const ask = (asked) => harness.run("answers", { binding, database: "chinook", body: asked });

    before(async () => {
      harness = await start({ entry: new URL("./chinook.worker.mjs", import.meta.url), databases: ["chinook"] });
      await harness.run(load, { binding, database: "chinook", body: text });
    });
    after(() => harness?.dispose());

    test(`${ROWS} rows after "${load}"`, async () => {
      const [[, ...tables]] = await ask([{ sql: TABLES }]);
      const counts = await ask(tables.map(([name]) => ({ sql: `SELECT count(*) FROM "${name}"` })));
      assert.equal(tables.length, 11);
      assert.equal(counts.reduce((sum, [, [count]]) => sum + count, 0), ROWS);
    });

    for (const [i, { name, fails = false }] of queries.entries()) {
      test(name, async () => {
        answers ??= await ask(queries);
        assert.equal(expected[i].error !== undefined, fails, expected[i].error);
        if (fails) assert.ok(answers[i].error?.startsWith(expected[i].error), `${answers[i].error} where native SQLite has ${expected[i].error}`);
        else assert.deepEqual(answers[i], expected[i]);
      });
    }

    test("the database is whole", async () => {
      const [check, keys] = await ask([{ sql: "PRAGMA quick_check" }, { sql: "PRAGMA foreign_key_check" }]);
      assert.deepEqual(check[1], ["ok"]);
      assert.equal(keys.length, 1);
    });
  });
}

/**
 * The same as the Worker answers, from native SQLite: the names of the columns, then the rows; or the error.
 * @param {DatabaseSync} db
 * @param {{ sql: string, params?: (string | number | null)[] }} query
 * @returns {unknown[] & { error?: undefined } | { error: string }}
 */
function nativeAnswer(db, { sql, params = [] }) {
  try {
    const statement = db.prepare(sql);
    const columns = statement.columns().map(({ name }) => name);
    statement.setReturnArrays(true);
    return [columns, ...statement.all(...params)];
  } catch (error) {
    return { error: error.message };
  }
}
