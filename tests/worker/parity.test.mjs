// The parity suite: every case of parity/cases.mjs on D1 and on both of Littoral's bindings, inside the
// same workerd. Equal answers, or a stated reason and really different ones.
//
// Not here: the cases (parity/cases/*.mjs) and the form of comparison (parity/canonical.mjs).

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { readFileSync } from "node:fs";
import { BINDINGS, start } from "./harness.mjs";
import { groups } from "./parity/cases.mjs";
import { document } from "./parity/document.mjs";

let harness;
const answers = {};

before(async () => {
  const entry = new URL("./parity/worker.mjs", import.meta.url);
  // D1's simulator has no replicas, so neither has Littoral here.
  harness = await start({ entry, databases: Object.keys(groups), variables: { REPLICATION: { regions: "off" } } });
  for (const group of Object.keys(groups)) {
    for (const binding of BINDINGS) answers[`${binding} ${group}`] = await harness.run("group", { binding, database: group, body: group });
  }
});

after(() => harness?.dispose());

for (const [group, { cases }] of Object.entries(groups)) {
  describe(`parity: ${group}`, () => {
    for (const [i, { name, differs }] of cases.entries()) {
      for (const binding of BINDINGS.slice(1)) {
        test(`${name} (${binding})`, () => {
          const d1 = answers[`D1 ${group}`][i];
          const ours = answers[`${binding} ${group}`][i];
          if (differs?.[binding]) assert.notEqual(ours, d1, `listed as different and is not: ${differs[binding]}`);
          else assert.equal(ours, d1);
        });
      }
    }
  });
}

test("names of cases are unique in their group", () => {
  for (const [group, { cases }] of Object.entries(groups)) {
    const names = cases.map(({ name }) => name);
    assert.deepEqual(
      names.filter((name, i) => names.indexOf(name) !== i),
      [],
      group,
    );
  }
});

test("docs/compatibility.md is what the list says", () => {
  const file = new URL("../../docs/compatibility.md", import.meta.url);
  assert.equal(readFileSync(file, "utf8"), document(), "run: node tests/worker/parity/write_document.mjs");
});
