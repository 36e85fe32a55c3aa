// The package's types as a program uses them: what has to be taken, and what has to be refused.
//
// It is compiled, not run. A line below `@ts-expect-error` has to be wrong.

import {
  applyMigrations, bind, bindAll, D1Database, D1DatabaseSession, D1PreparedStatement, MigrationError, openSession, RequestSession,
  type AnyDatabase, type BindOptions, type D1Result, type D1Value, type LittoralService,
} from "littoral";
import { plugins } from "littoral/plugin";

/** The runtime's own classes, by the types that wrangler gives. */
type RuntimeDatabase = import("@cloudflare/workers-types").D1Database;
type RuntimeSession = import("@cloudflare/workers-types").D1DatabaseSession;
type RuntimeStatement = import("@cloudflare/workers-types").D1PreparedStatement;

interface Env {
  /** As `wrangler types` has a service binding. */
  DB: Fetcher;
  LOGS?: Fetcher;
  LOCAL: RuntimeDatabase;
  DATABASES: DurableObjectNamespace;
  TOKEN: string;
}

/** Compiles if both are the same type. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : never;

interface Boat {
  id: number;
  name: string;
}

// biome-ignore lint/suspicious/noExplicitAny: of what bind() makes of it
export async function binding(env: Env, anything: any, unknown: unknown, service: LittoralService) {
  const db: Same<D1Database, ReturnType<typeof bind<Fetcher>>> = true;
  const local: Same<RuntimeDatabase, ReturnType<typeof bind<RuntimeDatabase>>> = true;
  const bound: D1Database[] = [
    bind(env.DB), bind(anything), bind(unknown), bind(service), bind(bind(env.DB)), new D1Database(service),
    bind(env.DATABASES, { database: "app" }), bind(env.DB, { blobs: "bytes", integers: "bigint", cf: {} }),
  ];
  const some = bindAll(env, ["DB", "LOGS", "LOCAL"]);
  const kinds: [D1Database, D1Database, RuntimeDatabase, string] = [some.DB, some.LOGS, some.LOCAL, some.TOKEN];
  // @ts-expect-error: what is not named stays as it is
  some.DATABASES.prepare("SELECT 1");
  // @ts-expect-error: env has no such binding
  bindAll(env, ["NONE"]);
  // @ts-expect-error: there is no such option
  bind(env.DB, { bigint: true });
  // @ts-expect-error: nor such a value
  const options: BindOptions = { integers: "text" };
  // @ts-expect-error: a service binding without types goes through bind()
  new D1Database(env.DB);
  // @ts-expect-error: the runtime's own database knows no past
  bind(env.LOCAL).at(new Date());
  return { db, local, bound, kinds, options };
}

export async function statements(db: D1Database, values: D1Value[]) {
  const select = db.prepare("SELECT id, name FROM boats WHERE id > ?").bind(...values);
  const fields: [string, unknown[]] = [select.statement, select.params];
  const one: Boat | null = await select.first<Boat>();
  const name: string | null = await select.first<string>("name");
  const all: D1Result<Boat> = await select.all<Boat>();
  const rows: [number, string][] = await select.raw<[number, string]>();
  const [columns, ...more]: [string[], ...[number, string][]] = await select.raw<[number, string]>({ columnNames: true });
  const [first] = await db.batch<Boat>([select, select]);
  const tier: "isolate" | "replica" | "primary" | undefined = first.meta.served_by_tier;
  const { count, duration }: { count: number; duration: number } = await db.exec("PRAGMA optimize");
  const file: ArrayBuffer = await db.dump();
  // @ts-expect-error: the columns' names are asked for with true
  await select.raw({ columnNames: "yes" });
  // @ts-expect-error: a batch is of statements
  await db.batch(["SELECT 1"]);
  // @ts-expect-error: only prepare() and bind() make a statement
  new D1PreparedStatement();
  // @ts-expect-error: a symbol is no value
  values.push(Symbol("value"));
  return { fields, one, name, all, rows, columns, more, tier, count, duration, file };
}

export async function sessions(db: D1Database, local: RuntimeDatabase, request: Request) {
  const made: D1DatabaseSession[] = [
    db.withSession(), db.withSession("first-primary"), db.withSession("00000001-..."), db.withSession(undefined, { cf: request.cf }),
    db.at(new Date(0)), db.at(aBookmark()),
  ];
  const opened: RequestSession[] = [
    openSession(db, request), openSession(local, request), openSession(db, { headers: new Headers(), cf: { colo: "AMS" } }),
    openSession(db, request, { constraint: "first-primary", header: false, cookie: "boats", path: "/", maxAge: 60, secure: false }),
  ];
  // Each can stand where a session is expected.
  const session: D1DatabaseSession = opened[0];
  const runtimes: RuntimeSession = opened[1];
  const response: Response = opened[0].forget(opened[0].save(new Response(null)));
  const [boat] = await opened[1].batch<Boat>([opened[1].prepare("SELECT * FROM boats")]);
  // @ts-expect-error: a session cannot look at the past
  session.at(new Date());
  // @ts-expect-error: a point of the past is a bookmark or a Date
  db.at(1_700_000_000_000);
  // @ts-expect-error: a session has no sessions
  openSession(session, request);
  // @ts-expect-error: a request has headers
  openSession(db, {});
  // @ts-expect-error: there is no such constraint
  openSession(db, request, { constraint: "first-replica" });
  // @ts-expect-error: only openSession() makes one
  new RequestSession(session, undefined, {});
  // @ts-expect-error: only withSession() and at() make one
  new D1DatabaseSession();
  return { made, runtimes, response, name: boat.results[0].name };
}

declare function aBookmark(): string;

export async function migrations(db: D1Database, local: RuntimeDatabase) {
  const files = [{ name: "0001_boats.sql", sql: "CREATE TABLE boats (id, name)" }] as const;
  const names: string[] = [...(await applyMigrations(db, files)), ...(await applyMigrations(local, files))];
  // @ts-expect-error: a migration has a name
  await applyMigrations(db, [{ sql: "CREATE TABLE boats (id, name)" }]);
  // @ts-expect-error: a MigrationError names a file
  new MigrationError("no");
  return names;
}

export const failed = (error: unknown): [string, number | undefined, string | undefined] | undefined =>
  error instanceof MigrationError ? [error.migration, error.line, error.sql] : undefined;

/** Ours stands where the runtime's is expected. */
export function ours(db: D1Database, session: D1DatabaseSession, statement: D1PreparedStatement): [RuntimeDatabase, RuntimeSession, RuntimeStatement] {
  return [db, session, statement];
}

/** The runtime's does not stand where ours is expected, but where either is. */
export function runtimes(db: RuntimeDatabase): [D1Database, AnyDatabase] {
  // @ts-expect-error: it has no at()
  return [db, db];
}

/** What the Littoral Worker offers takes the calls, and beside them what routes them. */
export async function service(littoral: LittoralService, request: Request): Promise<string | Uint8Array> {
  const file: ReadableStream<Uint8Array> = await littoral.dump();
  await file.cancel();
  // @ts-expect-error: a request is a text
  await littoral.query({ calls: [] });
  return littoral.query('{"calls":[]}', { cf: request.cf, session: "first-primary" });
}

export const plugin: object = plugins.littoral;
