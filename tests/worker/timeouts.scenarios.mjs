// Calls that end when their callers no longer wait: reads and writes, at the primary and on replicas.

import assert from "node:assert/strict";
import { bind } from "../../js/src/index.js";
import { serve } from "./user.mjs";

const counting = (steps) => `WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x<${steps}) SELECT count(*) AS n FROM c`;
const LONG = counting(20_000_000);
const LONG_WRITE = "INSERT INTO t WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c WHERE x<5000000) SELECT NULL, x FROM c";

/** The error of a call. */
async function failure(promise) {
  return promise.then(
    (answer) => assert.fail(`it was answered: ${JSON.stringify(answer).slice(0, 200)}`),
    (error) => error,
  );
}

function assertTimedOut(error) {
  assert.equal(error.message, "D1_ERROR: The call took longer than its timeout, and changed nothing.");
  assert.equal(error.code, "TIMED_OUT");
}

export default serve({
  async "a read and a write at the primary"({ stub }) {
    const db = bind(stub, { timeout_ms: 200 });
    await db.exec("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v INT)");
    await db.prepare("INSERT INTO t(v) VALUES(1),(2),(3)").run();
    assertTimedOut(await failure(db.prepare(LONG).all()));
    assertTimedOut(await failure(db.prepare(LONG_WRITE).run()));
    assertTimedOut(await failure(db.batch([db.prepare("DELETE FROM t"), db.prepare(LONG)])));
    assert.equal(await db.prepare("SELECT count(*) AS n FROM t").first("n"), 3);
    // Without a timeout it has an answer.
    assert.equal(await bind(stub).prepare(counting(1_000_000)).first("n"), 1_000_000);
  },

  async "those that are sent beside it have their answers"({ stub }) {
    const [hasty, patient] = [bind(stub, { timeout_ms: 150 }), bind(stub)];
    const [late, count] = await Promise.all([failure(hasty.prepare(LONG).all()), patient.prepare("SELECT count(*) AS n FROM t").first("n")]);
    assertTimedOut(late);
    assert.equal(count, 3);
  },

  async "a session, and the past"({ stub, db }) {
    const now = db.withSession("first-primary");
    await now.prepare("SELECT 1").all();
    const session = bind(stub).withSession("first-unconstrained", { timeout_ms: 200 });
    assertTimedOut(await failure(session.prepare(LONG).all()));
    assert.equal(await session.prepare("SELECT count(*) AS n FROM t").first("n"), 3);
    const past = bind(stub).at(now.getBookmark(), { timeout_ms: 200 });
    assertTimedOut(await failure(past.prepare(LONG).all()));
    assert.equal(await past.prepare("SELECT count(*) AS n FROM t").first("n"), 3);
  },

  "a timeout is a number of milliseconds"({ stub }) {
    for (const timeout_ms of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, "100"]) {
      assert.throws(() => bind(stub, { timeout_ms: /** @type {any} */ (timeout_ms) }), /option timeout_ms is a number of milliseconds/);
    }
  },
});
