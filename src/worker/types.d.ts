// What the entry points, the Durable Objects and the wasm module hand to one another, as types.
//
// The wasm module's own types are in build/index.d.ts, which scripts/build makes from the Rust; there, arrays hold `any`.

import type * as wasm from "../../build/index.js";

type Maybe<T> = T | Promise<T>;

/** Text, or UTF-8 where it is long. */
export type Body = string | Uint8Array;

/** A request as it travels (`src/runtime/request.rs`): what routes it stands beside its body, which is read where it is answered. */
export interface Routed {
	/** Many calls, a request of D1's protocol, or one of its REST API; a restore, a part of an export, an import, a promotion, a difference. */
	protocol: "calls" | "d1" | "rest" | "restore" | "export" | "import" | "promote" | "diff";
	body: Body;
	/** The session's bookmark or constraint. */
	session?: unknown;
	/** The point of the past to read: a bookmark, or milliseconds since 1970. */
	at?: unknown;
	/** Calls: "base64" for BLOBs. D1 and REST: D1's `resultsFormat`. */
	format?: unknown;
	/** Milliseconds after which its caller no longer waits. */
	timeout_ms?: unknown;
	/** When it arrived where it waits, in milliseconds since 1970. */
	arrived_ms?: number;
	/** The id of the database that is meant: another one of its name does not answer. */
	database_id?: string;
	/** False: the database is not created if there is none. */
	create?: boolean;
}

/** What `query` takes beside the calls. */
export interface QueryOptions {
	session?: unknown;
	at?: unknown;
	/** "base64": BLOBs come so, and not as arrays of numbers. */
	blobs?: unknown;
	/** Milliseconds after which the caller no longer waits. */
	timeout_ms?: unknown;
	/** That of the request that led to this one. */
	cf?: Cf;
	/** The database that is meant, where the binding reaches several. */
	database?: unknown;
}

/** What a request is answered with. */
export type Answered = [body: Body, bookmark: string | null];

/** A request that has no answer yet, as Rust sees it (`host.rs`). */
export interface OpenRequest {
	readonly request: Routed;
	/** Bytes of the database's position when it last began to run; undefined: it has not. */
	before: Uint8Array | undefined;
	/** It ran by itself. */
	alone: boolean;
	runs(before: Uint8Array, alone: boolean): void;
	waits(): void;
	deliver(answer: [...Answered, wrote: boolean]): void;
}

/** What Rust wants of the runtime (`host.rs`). */
export interface Host {
	sync(): void;
	readEnded(): void;
	writeEnded(): void;
	tell(region: string, news: Uint8Array): void;
	wake(inMs: number): void;
	lookForAlarm(): void;
	setAlarm(atMs: number): void;
}

/** A class of the module, some of whose methods are known better than the module says. */
type Known<Class, Method extends keyof Class, Better extends Record<Method, unknown>> = Omit<Class, Method> & Pick<Better, Method>;

/** The Rust half of a database (`database.rs`). */
export type DatabaseEngine = Known<wasm.DatabaseObject, "submit" | "recover" | "regions" | "follow" | "dumpPages" | "filePart" | "lending" | "parent", {
	submit(ticket: OpenRequest): void;
	recover(tickets: OpenRequest[]): void;
	regions(): string[];
	follow(question: Uint8Array, region: string | undefined): Maybe<Uint8Array>;
	dumpPages(txid: number, first: number, count: number): Maybe<Uint8Array<ArrayBuffer>>;
	filePart(bookmark: string, begin: number, count: number): Maybe<[part: Uint8Array | string, bytes?: number]>;
	lending(entry: string): [parentName: string, parent: string, id: string, bookmark?: string, timeMs?: number] | undefined;
	parent(): [parentName: string, parent: string, id: string] | undefined;
}>;

/** The Rust half of a replica object (`replica.rs`). */
export type ReplicaEngine = Known<wasm.ReplicaObject, "answer" | "follow" | "told", {
	answer(primary: Stub<Primary>, request: Routed, colo: string | undefined): Maybe<Answered | undefined>;
	follow(primary: Stub<Primary>, question: Uint8Array): Promise<Uint8Array | undefined>;
	told(news: Uint8Array): Uint8Array | undefined;
}>;

/** The replicas of this isolate (`replicas.rs`). */
export type ReplicasEngine = Known<wasm.Replicas, "answer" | "reach", {
	reach(props: unknown, asked: string | undefined): [database: string, create: boolean];
	answer(env: Env, database: string, cf: unknown, request: Routed): Maybe<Answered | undefined>;
}>;

/** The Rust half of the catalogue (`catalog.rs`). */
export type CatalogEngine = Known<wasm.CatalogObject, "beginDeletion" | "going" | "lender", {
	lender(id: string): [name: string, id: string] | undefined;
	beginDeletion(database: string): [reply: string, name?: string, id?: string];
	going(): [name: string, id: string][];
}>;

/** What the catalogue's object offers. */
export interface RootCatalog {
	ask(question: unknown): Maybe<string>;
	claim(name: unknown, create: unknown): Maybe<string | undefined>;
	destroy(database: unknown): Maybe<string>;
}

/** A request from the internet (`front/mod.rs`). */
export interface FrontRequest {
	method: string;
	origin: string;
	path: string;
	query: string;
	authorization: string | undefined;
	range: string | undefined;
	session: string | undefined;
	cf: unknown;
	/** The body; undefined: it has more bytes. */
	read(mostBytes: number): Promise<Body | undefined>;
	/** Passes the body on to the database's object, as an upload: its MD5. */
	store(database: string, id: string, upload: string): Promise<string>;
}

/** The HTTP surface (`front/mod.rs`). */
export type FrontEngine = Known<wasm.Front, "answer" | "more", {
	answer(env: Env, request: FrontRequest): Promise<FrontReply>;
	more(env: Env, request: FrontRequest, next: string): Promise<FrontReply>;
}>;

/** What it answers; with `next` the body goes on. */
export type FrontReply = [status: number, headers: [name: string, value: string][], body: Body, next: string | null];

/** What the Durable Object of a database offers to other Workers and objects, which may hand in anything. */
export interface Primary {
	query(calls: unknown, options?: QueryOptions): Maybe<Body>;
	answer(request: unknown): Maybe<[...Answered, wrote: boolean]>;
	follow(question: unknown, region?: unknown): Maybe<Uint8Array>;
	dump(meant?: Pick<Routed, "database_id" | "create">): Maybe<ReadableStream<Uint8Array>>;
	adopt(entry: unknown): Maybe<void>;
	filePart(id: unknown, bookmark: unknown, begin: unknown, count: unknown): Maybe<[part: Uint8Array | string, bytes?: number]>;
	lend(id: unknown, branch: unknown, bookmark?: unknown, time?: unknown): Maybe<Uint8Array>;
	release(id: unknown, branch: unknown): Maybe<void>;
	keepPiece(upload: unknown, number: unknown, piece: unknown, id: unknown): Maybe<void>;
	dropUpload(upload: unknown): Maybe<void>;
	importUpload(upload: unknown, id: unknown): Maybe<[answer: Body | undefined, statements: number]>;
	destroy(): Maybe<void>;
}

/** What a replica object offers. Undefined: the primary has to answer; the follower has to pull. */
export interface RegionalReplica {
	query(calls: unknown, options?: QueryOptions): Maybe<Body>;
	answer(request: unknown, colo?: unknown): Maybe<Answered | undefined>;
	follow(question: unknown): Maybe<Uint8Array | undefined>;
	told(news: unknown): Maybe<Uint8Array | undefined>;
	forget(): Maybe<void>;
}

/** The `cf` of a request, as far as it is read in JavaScript. */
export interface Cf {
	colo?: unknown;
}

/** What others see of an object: every answer is a promise. The runtime's own type takes arrays for lists of one kind. */
export type Stub<T> = { [K in keyof T]: T[K] extends (...given: infer G) => infer A ? (...given: G) => Promise<Awaited<A>> : never };

/** The Durable Objects of a class, by name. */
export interface Namespace<T> {
	getByName(name: string): Stub<T>;
}

/** The Worker's bindings. */
export interface Env {
	DATABASE: Namespace<Primary>;
	REPLICA: Namespace<RegionalReplica>;
	/** A Worker without it has no control plane: every name is a database. */
	CATALOG: Namespace<RootCatalog>;
}

declare global {
	/** The state of `build/index.js`: a new instance takes the place of one with a `criticalError`. */
	var __worker_init_state: { criticalError: boolean; instanceId: number };
}
