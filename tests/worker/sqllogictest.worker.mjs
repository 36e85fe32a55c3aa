// The Worker of the sqllogictest run: makes the calls of a piece of a file, one after the other.

import { serve } from "./user.mjs";

export default serve({
  /** For each SQL text the rows that it answers, or `{ error }`. */
  async answers({ db, body: texts }) {
    const answers = [];
    for (const sql of texts) {
      try {
        answers.push(await db.prepare(sql).raw());
      } catch (error) {
        answers.push({ error: error.message });
      }
    }
    return answers;
  },
});
