// The Worker's entry points: which database a request means, and nothing else. What a database does is in Rust (`database.rs`).
//
// Invariant: at these entry points a database is reached by what the props of a service binding grant (`settings/grant.rs`) and in no other way.
// A request from the internet carries no props, so it reaches none but with a token (`front`). (A Worker of the same account that binds the Durable Object namespace
// itself was given all databases, and does not come through here.)

import { WorkerEntrypoint } from "cloudflare:workers";
import * as wasm from "../../build/index.js";
import { CATALOG } from "./catalog.mjs";
import { answerD1Query, isD1Query } from "./d1_rpc.mjs";
import { callsRequest } from "./incoming.mjs";
import { guarded, undefinedIfLost } from "./instance.mjs";

export { Catalog } from "./catalog.mjs";
export { Database } from "./database.mjs";
export { Replica } from "./replica.mjs";

/** @import { Answered, Body, Env, FrontEngine, FrontRequest, QueryOptions, ReplicasEngine, Routed } from "./types.d.ts" */

/** Bytes of a request of D1's protocol: the runtime carries 32 MiB at most from one Worker to another. */
const LARGEST_REQUEST = 30 << 20;
/** What a database's id looks like. */
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Names by ids that this isolate remembers. */
const MOST_NAMES = 10_000;
/** @type {Map<string, string>} */
const names = new Map();

/** The header of a session's bookmark, in D1's protocol. */
const SESSION = "x-cf-d1-session-commit-token";
/** Bytes of a piece of an upload: a value of an object's storage has 2 MB at most. */
const UPLOAD_PIECE = 1 << 20;
/** Pieces that are on their way to the database at a time: each is answered when it is durable. */
const PIECES_UNDER_WAY = 8;
/** Bytes up to which a request travels as a string, which has up to two for each of UTF-8. */
const SHORT_REQUEST = 1 << 20;

/** @typedef {{ name: string, id?: string, create: boolean }} Target */

const replicas = guarded(/** @type {ReplicasEngine} */ (new wasm.Replicas()));
/** @type {FrontEngine} */
const front = guarded(new wasm.Front());

/**
 * The default entry point: a database for service bindings with props, a sentence for everybody else.
 * @extends {WorkerEntrypoint<Env, { database?: unknown, databases?: unknown, create?: unknown }>}
 */
export default class extends WorkerEntrypoint {
	/**
	 * The database that a call is for, which may name one itself.
	 * @param {unknown} [asked]
	 * @returns {Target | Promise<Target>}
	 */
	#target(asked) {
		const { database, create } = this.ctx.props ?? {};
		if (asked === undefined && typeof database === "string" && database !== "" && !ID.test(database)) {
			return { name: database, create: create !== false };
		}
		const [reached, creates] = replicas.reach(this.ctx.props ?? {}, asked === undefined ? undefined : String(asked));
		return ID.test(reached) ? this.#byId(reached) : { name: reached, create: creates };
	}

	/**
	 * An id belongs to one name as long as the database exists, and to none after it.
	 * @param {string} id
	 * @returns {Promise<Target>}
	 */
	async #byId(id) {
		const known = names.get(id);
		if (known !== undefined) return { name: known, id, create: false };
		const reply = JSON.parse(await this.env.CATALOG.getByName(CATALOG).ask(JSON.stringify({ Find: id })));
		if (reply.One === undefined) throw new Error(reply.Refused.error.message);
		if (names.size >= MOST_NAMES) names.clear();
		names.set(id, reply.One.name);
		return { name: reply.One.name, id, create: false };
	}

	/**
	 * A request of many calls, or one of D1's binding.
	 * @param {unknown} calls
	 * @param {QueryOptions} [options]
	 */
	async query(calls, options) {
		const target = this.#target(options?.database);
		if (isD1Query(calls)) return answerD1Query(calls, async (request) => this.#answer(await target, request, undefined));
		const [body] = await this.#answer(target instanceof Promise ? await target : target, callsRequest(calls, options), options?.cf);
		return body;
	}

	/**
	 * The answer of the nearest that can give it: a replica in this isolate, one in an object, or the primary.
	 * @param {Target} target
	 * @param {Routed} asked
	 * @param {unknown} cf
	 * @returns {Promise<Answered>}
	 */
	async #answer({ name, id, create }, asked, cf) {
		const request = id === undefined && create ? asked : { ...asked, database_id: id, create };
		const answer = await undefinedIfLost(() => replicas.answer(this.env, name, cf, request));
		if (answer !== undefined) return answer;
		const [body, bookmark, wrote] = await this.env.DATABASE.getByName(name).answer(request);
		if (wrote && bookmark) replicas.passedOn(this.env, name, cf, bookmark);
		return [body, bookmark];
	}

	/**
	 * The database file, as a byte stream.
	 * @param {QueryOptions} [options]
	 */
	async dump(options) {
		const { name, id, create } = await this.#target(options?.database);
		return this.env.DATABASE.getByName(name).dump({ database_id: id, create });
	}

	/**
	 * @param {Request} request
	 * @returns {Promise<Response>}
	 */
	async fetch(request) {
		const { database, databases } = this.ctx.props ?? {};
		if (database !== undefined || databases !== undefined) return this.#d1(request);
		const url = new URL(request.url);
		if (url.pathname.startsWith("/client/v4/")) return this.#front(request, url);
		return new Response("Littoral is running. Its databases are reached through service bindings.\n");
	}

	/**
	 * A request from the internet.
	 * @param {Request} request
	 * @param {URL} url
	 */
	async #front(request, { origin, pathname: path, search }) {
		const { method, cf } = request;
		const header = (/** @type {string} */ name) => request.headers.get(name) ?? undefined;
		/** @type {FrontRequest} */
		const asked = {
			method,
			origin,
			path,
			query: search.slice(1),
			authorization: header("authorization"),
			range: header("range"),
			session: header(SESSION),
			cf,
			read: (most) => bodyOrNothing(request, most),
			store: (name, id, upload) => this.#store(request, name, id, upload),
		};
		const [status, headers, answer, next] = await front.answer(this.env, asked);
		return new Response(next === null ? answer : this.#stream(asked, answer, next), { status, headers });
	}

	/**
	 * Passes a file that is to be imported on to its database, piece by piece. Its MD5.
	 * @param {Request} request
	 * @param {string} name
	 * @param {string} id
	 * @param {string} upload
	 */
	async #store(request, name, id, upload) {
		const database = this.env.DATABASE.getByName(name);
		const digest = new crypto.DigestStream("MD5");
		const writer = digest.getWriter();
		let number = 0;
		/** @type {Promise<void>[]} */
		const underWay = [];
		for await (const piece of request.body === null ? [] : piecesOf(request.body, UPLOAD_PIECE)) {
			await writer.write(piece);
			const kept = database.keepPiece(upload, number++, piece, id);
			// Where one fails, those after it may, too: the first is told.
			kept.catch(() => {});
			underWay.push(kept);
			if (underWay.length >= PIECES_UNDER_WAY) await underWay.shift();
		}
		if (number === 0) underWay.push(database.keepPiece(upload, 0, new Uint8Array(), id));
		await Promise.all(underWay);
		await writer.close();
		return [...new Uint8Array(await digest.digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
	}

	/**
	 * A body that goes on, whose parts are asked for as they are taken.
	 * @param {FrontRequest} asked
	 * @param {Body} first
	 * @param {string} second
	 */
	#stream(asked, first, second) {
		const utf8 = new TextEncoder();
		/** @type {string | null} */
		let next = second;
		/** @type {Body | undefined} */
		let part = first;
		return new ReadableStream({
			pull: async (controller) => {
				if (part === undefined && next !== null) {
					const [status, , more, after] = await front.more(this.env, asked, next);
					if (status !== 200) throw new Error(`the rest could not be had: ${more}`);
					[part, next] = [more, after];
				}
				if (part !== undefined) controller.enqueue(typeof part === "string" ? utf8.encode(part) : part);
				part = undefined;
				if (next === null) controller.close();
			},
		});
	}

	/**
	 * D1's wire protocol.
	 * @param {Request} request
	 */
	async #d1(request) {
		const { pathname, searchParams } = new URL(request.url);
		if (request.method !== "POST") return new Response("D1's protocol is POST only\n", { status: 405 });
		if (pathname === "/dump") return new Response(await this.dump());
		if (pathname !== "/query" && pathname !== "/execute") return new Response("not a part of D1's protocol\n", { status: 404 });
		const session = request.headers.get(SESSION) ?? undefined;
		const format = searchParams.get("resultsFormat") ?? undefined;
		/** @type {Record<string, string>} */
		const headers = { "content-type": "application/json" };
		const body = await bodyUpTo(request, LARGEST_REQUEST);
		if (body === undefined) {
			return Response.json({ success: false, error: `the request is larger than ${LARGEST_REQUEST} bytes` }, { headers });
		}
		const [answer, bookmark] = await this.#answer(await this.#target(), { protocol: "d1", body, session, format }, request.cf);
		if (session !== undefined && bookmark !== null) headers[SESSION] = bookmark;
		return new Response(answer, { headers });
	}
}

/**
 * The body of a request, as text or in UTF-8, or undefined if it has more than `limit` bytes, which are not read.
 * @param {Request} request
 * @param {number} limit
 */
async function bodyUpTo(request, limit) {
	const length = request.headers.get("content-length");
	if (Number(length) > limit) return undefined;
	if (length !== null && Number(length) < SHORT_REQUEST) return request.text();
	/** @type {Uint8Array<ArrayBuffer>[]} */
	const chunks = [];
	let bytes = 0;
	for await (const chunk of request.body ?? []) {
		bytes += chunk.byteLength;
		if (bytes > limit) return undefined;
		chunks.push(chunk);
	}
	return new Blob(chunks).bytes();
}

/**
 * The same, but a body with more bytes is taken to its end: who still sends sees no answer.
 * @param {Request} request
 * @param {number} limit
 */
async function bodyOrNothing(request, limit) {
	const body = await bodyUpTo(request, limit);
	if (body === undefined && !request.body?.locked) await request.body?.pipeTo(new WritableStream());
	return body;
}

/**
 * The bytes of a stream in pieces of one size, the last maybe less. Chunks as they come are of a few kB, and each costs as much as a piece.
 * @param {ReadableStream<Uint8Array>} stream
 * @param {number} size
 */
async function* piecesOf(stream, size) {
	const reader = stream.getReader({ mode: "byob" });
	for (;;) {
		const { value, done } = await reader.readAtLeast(size, new Uint8Array(size));
		if (value !== undefined && value.byteLength > 0) yield value;
		if (done || value === undefined || value.byteLength < size) return;
	}
}
