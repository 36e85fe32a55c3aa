// SQLite's own sqllogictest files through the Worker, over both of Littoral's bindings: no record may differ from what the
// file says, nor from native SQLite (node:sqlite) run beside it, whose rows tell more than the file's hashes.
//
// The files are not part of the project; where they are not, the test is skipped. LITTORAL_TEST_DATA names their folder's parent.

import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { difference, format, md5Of, parse } from "./sqllogictest.format.mjs";
import { start } from "./harness.mjs";
import { testData } from "./test_data.mjs";

const folder = testData("sqllogictest");
const files = existsSync(folder) ? globSync("**/*.test", { cwd: folder }).sort() : [];
/** Records sent in one request to the Worker. */
const PIECE = 500;
/** What D1 refuses, and so Littoral does, although SQLite does not, by file: there the answers have to be D1's. */
const REFUSED = {
  "evidence/slt_lang_createview.test": [
    // No TEMP objects; so there are none to drop.
    "CREATE TEMP VIEW view2 AS SELECT x FROM t1 WHERE x>0",
    "CREATE TEMPORARY VIEW view3 AS SELECT x FROM t1 WHERE x>0",
    "DROP VIEW view2",
    "DROP VIEW view3",
  ],
};
/** Differences shown of one file. */
const SHOWN = 10;

if (files.length === 0) {
  console.log(`sqllogictest: skipped, no files in ${folder}`);
} else {
  describe("sqllogictest", () => {
    const name = (file) => `slt_${basename(file, ".test")}`;
    // Once for each test that compares with it: a file expects an empty database.
    const d1Name = (file, binding) => `${name(file)}_beside_${binding}`;
    const names = files.flatMap((file) => [name(file), d1Name(file, "LITTORAL"), d1Name(file, "DB")]);
    let harness;
    before(async () => {
      harness = await start({ entry: new URL("./sqllogictest.worker.mjs", import.meta.url), databases: names });
    });
    after(() => harness?.dispose());

    for (const file of files) {
      const records = parse(readFileSync(join(folder, file), "utf8"));
      const native = nativeAnswers(records);
      for (const binding of ["LITTORAL", "DB"]) {
        test(`${file} (${binding}): ${records.length} records`, async () => {
          const answers = await answersOf(harness, binding, name(file), records);
          const refused = records.flatMap(({ sql }, i) => (REFUSED[file]?.includes(sql) ? [i] : []));
          const faults = faultsOf(records, answers, native, refused);
          assert.equal(faults.length, 0, `${faults.length} differences, the first:\n${faults.slice(0, SHOWN).join("\n")}`);
          if (refused.length === 0) return;
          const d1 = await answersOf(harness, "D1", d1Name(file, binding), records);
          for (const i of refused) {
            assert.ok(d1[i].error, `D1 does not refuse line ${records[i].line}`);
            assert.deepEqual(answers[i], d1[i]);
          }
        });
      }
    }
  });
}

/** What a database answers to the records of a file. */
async function answersOf(harness, binding, database, records) {
  const answers = [];
  for (let from = 0; from < records.length; from += PIECE) {
    const body = records.slice(from, from + PIECE).map(({ sql }) => sql);
    answers.push(...await harness.run("answers", { binding, database, body }));
  }
  assert.equal(answers.length, records.length);
  return answers;
}

/** What native SQLite answers to the records of a file, in the form of the Worker's answers. */
function nativeAnswers(records) {
  const db = new DatabaseSync(":memory:", { enableDoubleQuotedStringLiterals: true });
  return records.map(({ kind, sql }) => {
    try {
      // A statement's text may hold several.
      if (kind === "statement") return db.exec(sql) ?? [];
      const statement = db.prepare(sql);
      statement.setReadBigInts(true);
      statement.setReturnArrays(true);
      return statement.all();
    } catch (error) {
      return { error: error.message };
    }
  });
}

/** What is wrong with answers, except those at the places that are `refused`. */
function faultsOf(records, answers, native, refused) {
  const faults = [];
  const labels = new Map();
  records.forEach((record, i) => {
    const fault = !refused.includes(i) && faultOf(record, answers[i], native[i], labels);
    if (fault) faults.push(`line ${record.line}: ${record.sql}\n    ${fault}`);
  });
  return faults;
}

/** What is wrong with an answer; undefined if nothing is. */
function faultOf(record, answer, native, labels) {
  if (record.kind === "statement") {
    if (record.fails !== (answer.error !== undefined)) return answer.error ?? "it should fail and did not";
    return record.fails === (native.error !== undefined) ? undefined : `native SQLite disagrees with the file: ${native.error}`;
  }
  // A query that has to fail stands in the files as one without a result.
  if (answer.error !== undefined && native.error !== undefined && record.expected?.length === 0) return sameError(answer, native);
  if (answer.error !== undefined) return answer.error;
  const lines = format(answer, record);
  const fault = difference(lines, record);
  if (fault !== undefined) return fault;
  const nativeLines = format(native, record);
  if (md5Of(lines) !== md5Of(nativeLines)) return `${JSON.stringify(lines)} where native SQLite has ${JSON.stringify(nativeLines)}`;
  // Queries of one label have one result.
  if (record.label === undefined) return undefined;
  const known = labels.get(record.label) ?? md5Of(lines);
  labels.set(record.label, known);
  return known === md5Of(lines) ? undefined : `another result than the query labelled ${record.label} before it`;
}

function sameError(answer, native) {
  return answer.error.startsWith(`D1_ERROR: ${native.error}`) ? undefined : `${answer.error} where native SQLite has ${native.error}`;
}
