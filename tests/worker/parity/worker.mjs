// The Worker of the parity suite: makes every call of a group on one binding, in order.

import { serve } from "../user.mjs";
import { groups } from "./cases.mjs";
import { canonical, canonicalError } from "./canonical.mjs";

export default serve({
  async group({ db, body: group }) {
    const { setup, cases } = groups[group];
    for (const sql of setup) await db.prepare(sql).run();
    const answers = [];
    for (const { run } of cases) answers.push(await answer(run, db));
    return answers;
  },
});

async function answer(run, db) {
  try {
    return canonical(await run(db));
  } catch (error) {
    return canonicalError(error);
  }
}
