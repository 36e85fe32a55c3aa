// The systems that are compared, behind one small interface, inside the Worker that calls them.
//
//   query(sql, params)   every row, as objects
//   first(sql, params)   the first row
//   run(sql, params)     no rows
//   batch(statements)    [{sql, params}], one transaction
//
// Not here: the bindings themselves (runtime.mjs).

import { bind } from "../js/src/index.js";

export const SYSTEMS = ["littoral", "littoral-object", "littoral-d1class", "d1", "do-sql"];

/** The database `name` in a system, for one request. */
export function connect(system, env, name) {
  switch (system) {
    case "littoral": return d1Api(bind(env[`LITTORAL_${name}`]));
    case "littoral-object": return d1Api(bind(env.DATABASES, { database: name }));
    case "littoral-d1class": return d1Api(env[`DB_${name}`]);
    case "d1": return d1Api(env[`D1_${name}`]);
    case "do-sql": return plainObject(env.PLAIN.getByName(name));
    default: throw new Error(`no system is named ${system}`);
  }
}

// D1's API, used as applications use it: a statement is prepared and bound for each call.
function d1Api(db) {
  return {
    query: async (sql, params = []) => (await db.prepare(sql).bind(...params).all()).results,
    first: (sql, params = []) => db.prepare(sql).bind(...params).first(),
    run: (sql, params = []) => db.prepare(sql).bind(...params).run(),
    batch: (statements) => db.batch(statements.map(({ sql, params }) => db.prepare(sql).bind(...params))),
  };
}

function plainObject(stub) {
  return {
    query: (sql, params) => stub.query(sql, params),
    first: async (sql, params) => (await stub.query(sql, params))[0],
    run: (sql, params) => stub.query(sql, params),
    batch: (statements) => stub.batch(statements),
  };
}
