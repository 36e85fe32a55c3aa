// The parity list: every call that is made of D1 and of both of Littoral's bindings, by group.
//
// A group has a database of its own on each binding, prepared by `setup` and then used by its cases
// in order. A case is `{ name, run(db), differs? }`; `differs` says, per binding, why Littoral's answer
// is not D1's. Such a case must really differ, so the list cannot grow stale; it becomes
// docs/compatibility.md.
//
// Not here: how answers are compared (canonical.mjs), how the list is run (parity.test.mjs).

import * as methods from "./cases/methods.mjs";
import * as values from "./cases/values.mjs";
import * as errors from "./cases/errors.mjs";
import * as limits from "./cases/limits.mjs";
import * as authorizer from "./cases/authorizer.mjs";
import * as limitedWrites from "./cases/limited_writes.mjs";
import * as transactions from "./cases/transactions.mjs";
import * as sessions from "./cases/sessions.mjs";
import * as meta from "./cases/meta.mjs";
import * as exports from "./cases/export.mjs";

export const groups = { methods, values, errors, limits, authorizer, limitedWrites, transactions, sessions, meta, export: exports };
