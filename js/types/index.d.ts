// Types of the package for Workers. The classes have what those of `@cloudflare/workers-types` have and more, so they can stand where
// those are expected, but not the other way: the runtime's own D1Database knows no past. What takes a database here takes either.
//
// They lie apart from the sources, so that the sources are checked against them: js/check/exports.ts.

/** Counts and facts about a call. */
export interface D1Meta {
  duration: number;
  size_after: number;
  rows_read: number;
  rows_written: number;
  last_row_id: number;
  changed_db: boolean;
  changes: number;
  /** What answered: `littoral`, or a version of D1. */
  served_by?: string;
  /** The region that answered, by D1's names: `WEUR`. */
  served_by_region?: string;
  /** The data centre that answered: `AMS`. */
  served_by_colo?: string;
  /** Whether the primary answered. */
  served_by_primary?: boolean;
  /** Which kind of copy answered: a reader in the asking Worker's own isolate, a read replica, or the object that writes. Not in D1. */
  served_by_tier?: "isolate" | "replica" | "primary";
  /** The number of the commit whose state was read or made. Not in D1. */
  served_at_txid?: number;
  /** How old that state may have been at most, in milliseconds; 0 at the primary. Not in D1. */
  max_staleness_ms?: number;
  /** Pages that had to be fetched from another copy. Not in D1. */
  pages_fetched?: number;
  timings?: { sql_duration_ms: number };
  total_attempts?: number;
}

export interface D1Response {
  success: true;
  meta: D1Meta & Record<string, unknown>;
  error?: never;
}

export type D1Result<T = unknown> = D1Response & { results: T[] };

export interface D1ExecResult {
  count: number;
  duration: number;
}

export type D1SessionConstraint = "first-primary" | "first-unconstrained";
export type D1SessionBookmark = string;

/** Values that bind() takes; a bigint only with `integers: "bigint"`. */
export type D1Value = string | number | boolean | null | bigint | number[] | ArrayBuffer | ArrayBufferView;

export declare class D1PreparedStatement {
  private constructor(...made: never[]);
  readonly statement: string;
  readonly params: unknown[];
  bind(...values: unknown[]): D1PreparedStatement;
  first<T = unknown>(colName: string): Promise<T | null>;
  first<T = Record<string, unknown>>(): Promise<T | null>;
  run<T = Record<string, unknown>>(): Promise<D1Result<T>>;
  all<T = Record<string, unknown>>(): Promise<D1Result<T>>;
  raw<T = unknown[]>(options: { columnNames: true }): Promise<[string[], ...T[]]>;
  raw<T = unknown[]>(options?: { columnNames?: false }): Promise<T[]>;
}

export declare class D1DatabaseSession {
  private constructor(...made: never[]);
  prepare(query: string): D1PreparedStatement;
  batch<T = unknown>(statements: D1PreparedStatement[]): Promise<D1Result<T>[]>;
  /** The newest bookmark that this session has seen, or null. */
  getBookmark(): D1SessionBookmark | null;
}

export declare class D1Database {
  constructor(stub: LittoralService, options?: BindOptions);
  prepare(query: string): D1PreparedStatement;
  batch<T = unknown>(statements: D1PreparedStatement[]): Promise<D1Result<T>[]>;
  /** Runs one statement per line, all in one transaction. */
  exec(query: string): Promise<D1ExecResult>;
  /** Beyond D1: `options.cf`, the request's `cf`, lets the replica nearest to it answer. */
  withSession(
    constraintOrBookmark?: D1SessionBookmark | D1SessionConstraint,
    options?: { cf?: unknown; timeout_ms?: number },
  ): D1DatabaseSession;
  /** A read-only session at a point of the past: a bookmark, or a time. Not in D1. */
  at(point: D1SessionBookmark | Date, options?: { timeout_ms?: number }): D1DatabaseSession;
  /** The database as a SQLite file. */
  dump(): Promise<ArrayBuffer>;
}

/** What routes a request, and how it is answered. */
export interface QueryOptions {
  /** The session's newest bookmark, or its constraint. */
  session?: string;
  /** The point of the past to read: a bookmark, or milliseconds since 1970. */
  at?: D1SessionBookmark | number;
  /** BLOBs in base64, `{"blob":"..."}`, and not as arrays of numbers. */
  blobs?: "base64";
  /** Milliseconds after which the caller no longer waits. */
  timeout_ms?: number;
  /** The `cf` of the request that is served, by which the nearest replica is found. */
  cf?: unknown;
  /** The database that is meant, where the binding reaches several. */
  database?: string;
}

/** What a Littoral Worker offers through a service binding with props; text is JSON. */
export interface LittoralService {
  /** Answers calls, `{"calls":[...]}`. A long answer is UTF-8 in a Uint8Array. */
  query(calls: string, options?: QueryOptions): Promise<string | Uint8Array>;
  dump(options?: Pick<QueryOptions, "database">): Promise<ReadableStream<Uint8Array>>;
}

export interface BindOptions {
  /**
   * The name of the database, where the binding reaches several: a service binding with props such as `{"databases": "tenant-*"}`, or the
   * Littoral Worker's Durable Object namespace.
   */
  database?: string;
  /** How a BLOB comes back: an array of byte numbers as in D1 (the default), or a Uint8Array. */
  blobs?: "array" | "bytes";
  /** The `cf` of the request that is served, by which the nearest replica is found. */
  cf?: unknown;
  /** How an INTEGER comes back: a number as in D1 (the default), or a BigInt. With "bigint", bind() takes BigInt too. */
  integers?: "number" | "bigint";
  /**
   * Milliseconds after which a call ends, with the code `TIMED_OUT`, and has changed nothing. A call that writes is measured by what it computes,
   * since no clock goes on meanwhile.
   */
  timeout_ms?: number;
}

/** A statement, as far as this package uses one: Littoral's or the runtime's own. */
export interface AnyStatement {
  all(): Promise<{ results: unknown[] }>;
  run(): Promise<unknown>;
}

/** A session, as far as this package uses one: Littoral's or the runtime's own. */
export interface AnySession {
  prepare(query: string): AnyStatement;
  batch(statements: AnyStatement[]): Promise<unknown>;
  getBookmark(): D1SessionBookmark | null;
}

/** A database, as far as this package uses one: Littoral's or the runtime's own. */
export interface AnyDatabase {
  prepare(query: string): AnyStatement;
  batch(statements: AnyStatement[]): Promise<unknown>;
  exec(query: string): Promise<D1ExecResult>;
  withSession(constraintOrBookmark?: D1SessionBookmark | D1SessionConstraint, options?: { cf?: unknown }): AnySession;
}

/** What `bind` makes of a binding: what is a database already stays what it is. */
export type Bound<T> = 0 extends 1 & T ? D1Database : T extends AnyDatabase ? T : D1Database;

/**
 * Wraps the service binding of a Littoral Worker as a `D1Database`. The runtime's own `D1Database` is returned as it is.
 * Takes `unknown` where a service binding is typed without its methods, as `wrangler types` does. It cannot know of the plugin: what is
 * typed as a service binding, and is the runtime's own class in local development, has no `at()` there.
 */
export declare function bind<T>(binding: T, options?: BindOptions): Bound<T>;

/** A copy of `env` in which each named binding has gone through `bind`. */
export declare function bindAll<E extends object, K extends keyof E>(
  env: E,
  names: readonly K[],
  options?: BindOptions,
): Omit<E, K> & { [P in K]-?: Bound<NonNullable<E[P]>> };

/** Where a client keeps its bookmark between requests. With several databases, each needs names of its own. */
export interface SessionOptions {
  /** Where a session begins whose request carries no bookmark: "first-unconstrained" by default. */
  constraint?: D1SessionConstraint;
  /** The header of requests and responses: "x-d1-bookmark" by default; false to use none. */
  header?: string | false;
  /** The name of the cookie: "d1-bookmark" by default; false to use none. */
  cookie?: string | false;
  /** The cookie's path: "/" by default. */
  path?: string;
  /** For how many seconds the client keeps the cookie: six hours by default. */
  maxAge?: number;
  /** Whether the cookie is for HTTPS only, as by default. Not every browser takes such a cookie from http://localhost. */
  secure?: boolean;
}

/** A session of one request, which began where the client's last request had ended. It can stand where a `D1DatabaseSession` is expected. */
export declare class RequestSession {
  private constructor(...made: never[]);
  prepare(query: string): D1PreparedStatement;
  batch<T = unknown>(statements: D1PreparedStatement[]): Promise<D1Result<T>[]>;
  /** The newest bookmark that this session has seen, or null. */
  getBookmark(): D1SessionBookmark | null;
  /** The response, which also tells the client the session's bookmark if it has a newer one. To be called after the last query. */
  save(response: Response): Response;
  /** The response, which also has the client forget its bookmark: for one that the database has refused. */
  forget(response: Response): Response;
}

/**
 * A session of `db`, Littoral's `D1Database` or the runtime's own, that begins at the newest bookmark that the request carries,
 * or else at the constraint. The request's `cf` lets the replica nearest to it answer.
 */
export declare function openSession(
  db: Pick<AnyDatabase, "withSession">,
  request: { readonly headers: Headers; readonly cf?: unknown },
  options?: SessionOptions,
): RequestSession;

export interface Migration {
  /** The file's name, such as `0001_users.sql`; the leading number gives the order. */
  name: string;
  sql: string;
}

/** What went wrong with a migration: which file, and where a statement failed, its line (from 1) and text. */
export declare class MigrationError extends Error {
  constructor(message: string, failure: { migration: string; line?: number; sql?: string; cause?: unknown });
  readonly migration: string;
  readonly line?: number;
  readonly sql?: string;
}

/**
 * Applies the migrations that the database lacks, each in one transaction with its row in `d1_migrations`, and resolves
 * to their names. Rejects with a `MigrationError`, before anything ran, where an applied file has changed or is missing.
 */
export declare function applyMigrations(
  db: Pick<AnyDatabase, "prepare" | "batch">,
  migrations: readonly Migration[],
): Promise<string[]>;
