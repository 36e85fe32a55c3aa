// What users do in numbers: long runs of DDL, hundreds of calls at once, long lists, many inserts into a full-text index.

import assert from "node:assert/strict";
import { serve } from "./user.mjs";

const range = (n, item) => Array.from({ length: n }, (_, i) => item(i));

export default serve({
  async "810 statements of DDL in a row"({ db }) {
    for (let i = 0; i < 270; i++) {
      await db.prepare(`CREATE TABLE ddl${i} (id INTEGER PRIMARY KEY, a TEXT)`).run();
      await db.prepare(`CREATE INDEX ddl${i}a ON ddl${i} (a)`).run();
      await db.prepare(`ALTER TABLE ddl${i} ADD COLUMN b`).run();
    }
    assert.equal(await db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name LIKE 'ddl%'").first("n"), 540);
    await db.batch(range(270, (i) => db.prepare(`DROP TABLE ddl${i}`)));
    assert.equal(await db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name LIKE 'ddl%'").first("n"), 0);
  },

  async "600 mixed calls in one turn each have their own answer"({ db }) {
    await db.prepare("CREATE TABLE mixed (id INTEGER PRIMARY KEY, v)").run();
    const kinds = [
      (i) => db.prepare("INSERT INTO mixed (id, v) VALUES (?, ?)").bind(i, `v${i}`).run().then(({ meta }) => meta.last_row_id),
      (i) => db.prepare("SELECT ? AS n").bind(i).first("n"),
      (i) => db.batch([db.prepare("SELECT ? AS n").bind(i), db.prepare("SELECT 0 AS n")]).then(([{ results }]) => results[0].n),
      (i) => db.prepare(`SELECT nothing${i} FROM mixed`).all().catch((error) => Number(/no such column: nothing(\d+)/.exec(error.message)?.[1])),
      (i) => db.prepare("INSERT INTO mixed (id) VALUES (?), (?)").bind(1_000_000 + i, 1_000_000 + i).run().catch(({ message }) => (/UNIQUE/.test(message) ? i : message)),
    ];
    const answers = await Promise.all(range(600, (i) => kinds[i % kinds.length](i)));
    assert.deepEqual(answers, range(600, (i) => i));
    assert.deepEqual(await db.prepare("SELECT count(*) AS n, max(id) AS most FROM mixed").first(), { n: 120, most: 595 });
  },

  async "5,000 calls at once"({ db }) {
    await db.prepare("CREATE TABLE many (id INTEGER PRIMARY KEY)").run();
    const call = (i) => (i % 2 ? db.prepare("SELECT ? AS n").bind(i).first("n") : db.prepare("INSERT INTO many VALUES (?) RETURNING id").bind(i).first("id"));
    assert.deepEqual(await Promise.all(range(5_000, call)), range(5_000, (i) => i));
    assert.equal(await db.prepare("SELECT count(*) AS n FROM many").first("n"), 2_500);
  },

  async "1,500 single inserts into a full-text index"({ db }) {
    await db.prepare("CREATE VIRTUAL TABLE words USING fts5(a)").run();
    for (let from = 0; from < 1_500; from += 50) {
      await Promise.all(range(50, (i) => db.prepare("INSERT INTO words VALUES (?)").bind(`word${from + i} sea common${(from + i) % 7}`).run()));
    }
    await db.prepare("INSERT INTO words (words) VALUES ('integrity-check')").run();
    assert.equal(await db.prepare("SELECT count(*) AS n FROM words WHERE words MATCH 'sea'").first("n"), 1_500);
    assert.equal(await db.prepare("SELECT count(*) AS n FROM words WHERE words MATCH 'common3 AND word1403'").first("n"), 1);
  },

  async "long lists"({ db }) {
    const ids = range(32_766, (i) => i);
    const parameters = db.prepare(`SELECT count(*) AS n FROM json_each('[1,2,3]') WHERE value IN (${ids.map(() => "?").join(",")})`).bind(...ids);
    assert.equal(await parameters.first("n"), 3);
    const literals = db.prepare(`SELECT count(*) AS n FROM json_each('[1,2,200001]') WHERE value IN (${range(200_000, (i) => i).join(",")})`);
    assert.equal(await literals.first("n"), 2);
    const tables = range(60, () => "SELECT count(*) AS n FROM pragma_table_info('mixed')").join(" UNION ALL ");
    assert.equal((await db.prepare(tables).all()).results.length, 60);
  },

  async "lines of an exec whose results are too large together"({ db }) {
    const line = "SELECT hex(zeroblob(8000000)) AS h";
    await assert.rejects(db.exec(`${line}\n${line}`), /the result is larger than 31457280 bytes/);
    assert.equal((await db.exec(`${line}\nSELECT 1`)).count, 2);
  },
});
