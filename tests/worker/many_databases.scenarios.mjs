// One binding, many databases: what its props grant is reached by name, from JavaScript, and nothing beyond by any way that a caller has.

import assert from "node:assert/strict";
import { bind } from "../../js/src/index.js";
import { serve } from "./user.mjs";

/** The error of a call. */
const failure = (promise) => Promise.resolve(promise).then((answer) => assert.fail(`it was answered: ${JSON.stringify(answer)}`), (error) => error);

/** Writes a database's name into itself, and reads what is there. */
async function signed(db, name) {
  await db.exec("CREATE TABLE IF NOT EXISTS sign (name TEXT)");
  await db.prepare("INSERT INTO sign VALUES (?)").bind(name).run();
  return (await db.prepare("SELECT name FROM sign").raw()).flat();
}

export default serve({
  async "a database comes into being by its name"({ env }) {
    const names = ["tenant-1", "tenant-2", "tenant-é/ü ?#"];
    for (const name of names) assert.deepEqual(await signed(bind(env.TENANTS, { database: name }), name), [name]);
    for (const name of names) {
      const session = bind(env.TENANTS, { database: name }).withSession("first-unconstrained");
      assert.equal(await session.prepare("SELECT name FROM sign").first("name"), name);
    }
    const file = await bind(env.TENANTS, { database: "tenant-1" }).dump();
    assert.ok(file.byteLength >= 8_192);
  },

  async "without leave to create, one that is not there is refused, and stays so"({ env }) {
    const db = bind(env.KNOWN, { database: "tenant-9" });
    const error = await failure(db.prepare("SELECT 1").all());
    assert.match(error.message, /no such database/);
    assert.equal(error.code, "NO_DATABASE");
    assert.match((await failure(db.withSession("first-unconstrained").prepare("SELECT 1").all())).message, /no such database/);
    assert.match((await failure(db.dump())).message, /no such database/);
    assert.deepEqual(await bind(env.KNOWN, { database: "tenant-1" }).prepare("SELECT name FROM sign").raw(), [["tenant-1"]]);
    assert.match((await failure(bind(env.STRICT).prepare("SELECT 1").all())).message, /no such database/);
  },

  async "nothing beyond the props is reached"({ env }) {
    await signed(bind(env.OTHER), "other");
    const reached = [];
    for (const binding of ["TENANTS", "OTHER", "ONE"]) {
      for (const name of ["other", "main", "*", "tenant", "Tenant-1", " tenant-1", "weur/tenant-1", "../other", "catalog", "%6fther", "other\0", ""]) {
        if (binding === "OTHER" && name === "other") continue;
        const service = env[binding];
        const calls = '{"calls":[{"sql":"SELECT name FROM sign"}]}';
        const answer = await service.query(calls, { database: name }).then(String, () => undefined);
        if (answer !== undefined) reached.push([binding, name, answer]);
        if (await service.dump({ database: name }).then(() => true, () => false)) reached.push([binding, name, "dump"]);
      }
    }
    assert.deepEqual(reached, []);
    // Options that are nobody's business do not lead elsewhere either.
    const [own] = (await bind(env.TENANTS, { database: "tenant-1" }).prepare("SELECT name FROM sign").raw()).flat();
    const answer = JSON.parse(await env.TENANTS.query('{"calls":[{"sql":"SELECT name FROM sign"}]}', { database: "tenant-1", database_id: "other", props: { database: "other" }, name: "other" }));
    assert.deepEqual(answer.responses[0].results.rows, [[own]]);
    assert.match((await failure(bind(env.TENANTS).prepare("SELECT 1").all())).message, /names no database: give it props/);
    for (const sql of ["ATTACH 'other' AS o", "ATTACH DATABASE 'file:other?vfs=littoral' AS o", "SELECT * FROM other.sign", "VACUUM INTO 'other'"]) {
      await failure(bind(env.TENANTS, { database: "tenant-1" }).prepare(sql).all());
    }
    const forged = await env.TENANTS.fetch("http://littoral/query", { method: "POST", body: '{"sql":"SELECT name FROM sign"}', headers: { "x-database": "other" } }).then((response) => response.text(), String);
    assert.match(forged, /names no database/);
  },

  async "an id stands for a name as long as that database exists"({ env, body: { id } }) {
    const db = bind(env.ALL, { database: id });
    assert.deepEqual(await signed(db, "by id"), ["by id"]);
    assert.equal(await db.withSession("first-unconstrained").prepare("SELECT name FROM sign").first("name"), "by id");
    assert.deepEqual(await bind(env.ALL, { database: "dated" }).prepare("SELECT name FROM sign").raw(), [["by id"]]);
    assert.match((await failure(bind(env.TENANTS, { database: id }).prepare("SELECT 1").all())).message, /does not reach/);
  },

  async "and not after it, whatever has the name then"({ env, body: { id, bookmark } }) {
    const db = bind(env.ALL, { database: id });
    assert.equal((await failure(db.prepare("SELECT 1").all())).code, "NO_DATABASE");
    for (const token of ["first-unconstrained", "first-primary", bookmark]) {
      assert.match((await failure(db.withSession(token).prepare("SELECT name FROM sign").all())).message, /no such database/, token);
    }
    assert.match((await failure(db.dump())).message, /no such database/);
    assert.deepEqual(await bind(env.ALL, { database: "dated" }).prepare("SELECT name FROM sign").raw(), [["second"]]);
  },

  async "signs a database"({ env, body: { name, sign } }) {
    const session = bind(env.ALL, { database: name }).withSession("first-primary");
    await session.batch([session.prepare("CREATE TABLE sign (name TEXT)"), session.prepare("INSERT INTO sign VALUES (?)").bind(sign)]);
    return session.getBookmark();
  },
});
