// What the modules really export, held against what types/ declares: nothing is missing, nothing is more, and each has the declared type.
//
// It is compiled, not run.

import type * as declared from "../types/index.d.ts";
import type * as declaredPlugin from "../types/plugin.d.ts";
import * as actual from "../src/index.js";
import * as actualPlugin from "../src/plugin.js";

/** Compiles for the same names only. */
type SameNames<A, B> = [Exclude<keyof A, keyof B>, Exclude<keyof B, keyof A>] extends [never, never] ? true : never;

export const index: typeof declared = actual;
export const plugin: typeof declaredPlugin = actualPlugin;
export const names: SameNames<typeof declared, typeof actual> = true;
export const pluginNames: SameNames<typeof declaredPlugin, typeof actualPlugin> = true;

/** The classes have no public member that is not declared. */
export const members: [
  SameNames<declared.D1Database, actual.D1Database>,
  SameNames<declared.D1DatabaseSession, actual.D1DatabaseSession>,
  SameNames<declared.D1PreparedStatement, actual.D1PreparedStatement>,
  SameNames<declared.RequestSession, actual.RequestSession>,
  SameNames<declared.MigrationError, actual.MigrationError>,
] = [true, true, true, true, true];
