// The Worker of the Chinook run: loads the file and asks the queries.

import { splitStatements } from "../../js/src/sql.js";
import { serve } from "./user.mjs";

export default serve({
  /** The whole file as one text. */
  async "load as one text"({ db, body: text }) {
    await db.prepare(text).run();
  },

  /** The file as one batch of its statements; answers how many there are. */
  async "load as a batch"({ db, body: text }) {
    const statements = splitStatements(text).map((piece) => piece.text.trim()).filter(Boolean);
    return (await db.batch(statements.map((sql) => db.prepare(sql)))).length;
  },

  /** For each query the names of its columns and its rows, or `{ error }`. */
  async answers({ db, body: queries }) {
    const answers = [];
    for (const { sql, params = [] } of queries) {
      try {
        answers.push(await db.prepare(sql).bind(...params).raw({ columnNames: true }));
      } catch (error) {
        answers.push({ error: error.cause?.message ?? error.message });
      }
    }
    return answers;
  },
});
