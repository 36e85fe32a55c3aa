// The user's Worker of wrangler_dev.test.mjs: one database through both kinds of binding.

import { bind } from "littoral";

export default {
  async fetch(_request, env) {
    const db = bind(env.DB);
    const plain = bind(env.PLAIN);
    await db.exec("CREATE TABLE IF NOT EXISTS visits(id INTEGER PRIMARY KEY, at TEXT)");
    const { meta } = await db.prepare("INSERT INTO visits(at) VALUES(?)").bind("now").run();
    return Response.json({
      classes: [env.DB.constructor.name, env.PLAIN.constructor.name],
      same: db === env.DB,
      id: meta.last_row_id,
      seen: await plain.prepare("SELECT count(*) AS n FROM visits").first("n"),
    });
  },
};
