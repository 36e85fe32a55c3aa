// The user's Worker of the tests: runs, inside workerd, what a test file names, on the binding it names.
//
// A scenario is a function of { db, stub, env, binding, body }: it throws where it finds a fault, and
// what it returns goes back as JSON. `db` is the database as D1's class, `stub` the bare service binding.
// Not here: the scenarios; each entry module passes its own to `serve`.

import { bind } from "../../js/src/index.js";

/** A Worker that offers the given scenarios: `GET /` lists them, `POST /<name>` runs one. */
export function serve(scenarios) {
  return {
    async fetch(request, env) {
      const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
      if (name === "") return Response.json({ value: Object.keys(scenarios) });
      try {
        const { binding, database, body } = await request.json();
        const stub = env[`LITTORAL_${database}`];
        const db = binding === "LITTORAL" ? bind(stub) : env[`${binding}_${database}`];
        return Response.json({ value: (await scenarios[name]({ db, stub, env, binding, body })) ?? null });
      } catch (error) {
        return Response.json({ failure: { message: String(error?.message ?? error), stack: error?.stack } });
      }
    },
  };
}
