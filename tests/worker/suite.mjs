// Runs every scenario of an entry module on the bindings asked for, as one test each.
//
// Not here: what scenarios do.

import { after, before, describe, test } from "node:test";
import { BINDINGS, start } from "./harness.mjs";

/**
 * `name` is also the database's. D1 is among the bindings by default: a scenario that fails there is wrong itself. `options` are the harness's.
 * @param {string} name
 * @param {URL} entry
 * @param {string[]} [bindings]
 * @param {{ flags?: string[] }} [options]
 */
export function runScenarios(name, entry, bindings = BINDINGS, options = {}) {
  describe(name, () => {
    let harness;
    before(async () => {
      harness = await start({ entry, databases: [name], ...options });
    });
    after(() => harness?.dispose());
    for (const binding of bindings) {
      test(binding, async (t) => {
        for (const scenario of await harness.scenarios()) {
          await t.test(scenario, () => harness.run(scenario, { binding, database: name }));
        }
      });
    }
  });
}
