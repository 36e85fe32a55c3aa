// The Worker's entry points: which database a request means, and nothing else. What a database does is in Rust (`object.rs`).
//
// Invariant: at these entry points a database is named by the props of a service binding (`ctx.props.database`) and in no other way. A
// request from the internet carries no props, so it reaches the example application only. (A Worker of the same account that binds the
// Durable Object namespace itself was given all databases, and does not come through here.)

import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import * as wasm from "../../build/index.js";
import { answerD1Query, isD1Query } from "./d1_rpc.mjs";
import { dump } from "./dump.mjs";
import { Followers } from "./followers.mjs";
import { Group } from "./group.mjs";
import { bytes, requestParts } from "./incoming.mjs";
import { answeredThoughLost, guarded, undefinedIfLost } from "./instance.mjs";
import { Upkeep } from "./upkeep.mjs";

export { Replica } from "./replica.mjs";

/** @import { Answered, AnsweredTogether, Engine, Env, Parts, Primary, ReplicasEngine } from "./types.d.ts" */

/** Bytes of a request of D1's protocol: the runtime carries 32 MiB at most from one Worker to another. */
const LARGEST_REQUEST = 30 << 20;
/** Bytes up to which a request travels as a string, which has up to two for each of UTF-8. */
const SHORT_REQUEST = 1 << 20;

/** The key under which a primary keeps the regions that ever had a replica of it. */
const REGIONS = "regions";

/** @type {ReplicasEngine} */
const replicas = guarded(new wasm.Replicas());

/**
 * The Durable Object of one database.
 * @extends {DurableObject<Env>}
 * @implements {Primary}
 */
export class Database extends DurableObject {
	#database;
	#group;
	#followers;
	#upkeep;

	/**
	 * @param {DurableObjectState} ctx
	 * @param {Env} env
	 */
	constructor(ctx, env) {
		super(ctx, env);
		this.#database = this.#open();
		this.#upkeep = new Upkeep(() => this.#database.maintain(), ctx.storage);
		/** @type {import("./followers.mjs").Source} */
		const source = { position: () => this.#database.position(), news: (after) => this.#database.news(after) };
		this.#followers = new Followers(source, (region) => this.#replica(region));
		this.#group = new Group((requests) => this.#answer(requests), () => ctx.storage.sync());
	}

	/** @returns {Engine} */
	#open() {
		return guarded(/** @type {Engine} */ (new wasm.Database(this.ctx, this.env)));
	}

	/**
	 * @param {Parts[]} requests
	 * @returns {AnsweredTogether<[...Answered, wrote: boolean]>}
	 */
	#answer(requests) {
		/** @param {Parts[]} some */
		const answer = (some) => this.#database.answer(some);
		const [wrote, ...answers] = this.#upkeep.after(answeredThoughLost(requests, answer, () => this.#database.position()));
		if (wrote) this.#followers.changed();
		return [wrote, ...answers.map(([body, bookmark]) => /** @type {[...Answered, boolean]} */ ([body, bookmark, wrote]))];
	}

	/** @param {string} region */
	#replica(region) {
		return this.env.REPLICA.getByName(`${region}/${this.ctx.id.name}`);
	}

	alarm() {
		return this.#upkeep.run();
	}

	/**
	 * A request of many calls; see `src/wire/d1/mod.rs`. A long answer is UTF-8 in a `Uint8Array`.
	 * @param {unknown} request
	 */
	async query(request) {
		const [body] = await this.#group.submit(requestParts([request]));
		return body;
	}

	/**
	 * A request of many calls as `[body]`, or one of D1's protocol as `[body, resultsFormat, session]`. Answers with `[body, bookmark, wrote]`;
	 * `wrote` may also be true where a request that was answered together with this one wrote.
	 * @param {unknown} request
	 */
	answer(request) {
		return this.#group.submit(requestParts(request));
	}

	/**
	 * A question of the commit log (`src/commit_log`). A replica object gives its region, and is then told of news.
	 * @param {unknown} question
	 * @param {unknown} [region]
	 */
	follow(question, region) {
		const answer = this.#database.follow(bytes(question));
		if (typeof region === "string" && this.#database.isRegion(region)) this.#subscribe(region);
		return answer;
	}

	/** @returns {string[]} */
	#regions() {
		return this.ctx.storage.kv.get(REGIONS) ?? [];
	}

	/** @param {string} region */
	#subscribe(region) {
		this.#followers.subscribe(region);
		const known = this.#regions();
		if (!known.includes(region)) this.ctx.storage.kv.put(REGIONS, [...known, region]);
	}

	/** Deletes the database: everything here, and in its replica objects. */
	async destroy() {
		await Promise.all(this.#regions().map((region) => this.#replica(region).forget()));
		await this.ctx.storage.deleteAlarm();
		await this.ctx.storage.deleteAll();
		this.#followers.forget();
		this.#database = this.#open();
		this.#upkeep = new Upkeep(() => this.#database.maintain(), this.ctx.storage);
	}

	/** The database file, as a byte stream. */
	dump() {
		return dump(this.#database);
	}
}

/**
 * The default entry point: a database for service bindings with props, the example application for everybody else.
 * @extends {WorkerEntrypoint<Env, { database?: unknown }>}
 */
export default class extends WorkerEntrypoint {
	#name() {
		const name = this.ctx.props?.database;
		if (typeof name !== "string" || name === "") {
			throw new Error('this binding names no database: give it props, such as {"database": "main"}');
		}
		return name;
	}

	#database() {
		return this.env.DATABASE.getByName(this.#name());
	}

	/**
	 * A request of many calls, or one of D1's binding. `cf` is that of the request that led to it, where the caller passes it on.
	 * @param {unknown} request
	 * @param {unknown} [cf]
	 */
	async query(request, cf) {
		if (isD1Query(request)) return answerD1Query(request, (asked) => this.#answer(asked, cf));
		const [body] = await this.#answer([String(request)], cf);
		return body;
	}

	/**
	 * The answer of the nearest that can give it: a replica in this isolate, one in an object, or the primary.
	 * @param {Parts} request
	 * @param {unknown} cf
	 * @returns {Promise<Answered>}
	 */
	async #answer(request, cf) {
		const name = this.#name();
		const answer = await undefinedIfLost(() => replicas.answer(this.env, name, cf, request));
		if (answer !== undefined) return answer;
		const [body, bookmark, wrote] = await this.env.DATABASE.getByName(name).answer(request);
		if (wrote && bookmark) replicas.passedOn(this.env, name, cf, bookmark);
		return [body, bookmark];
	}

	dump() {
		return this.#database().dump();
	}

	/**
	 * @param {Request} request
	 * @returns {Promise<Response>}
	 */
	fetch(request) {
		if (this.ctx.props?.database !== undefined) return this.#d1(request);
		return new wasm.default(this.ctx, this.env).fetch(request);
	}

	/**
	 * D1's wire protocol.
	 * @param {Request} request
	 */
	async #d1(request) {
		const { pathname, searchParams } = new URL(request.url);
		if (request.method !== "POST") return new Response("D1's protocol is POST only\n", { status: 405 });
		if (pathname === "/dump") return new Response(await this.#database().dump());
		if (pathname !== "/query" && pathname !== "/execute") return new Response("not a part of D1's protocol\n", { status: 404 });
		const session = request.headers.get("x-cf-d1-session-commit-token") ?? undefined;
		const format = searchParams.get("resultsFormat") ?? undefined;
		/** @type {Record<string, string>} */
		const headers = { "content-type": "application/json" };
		const asked = await bodyUpTo(request, LARGEST_REQUEST);
		if (asked === undefined) {
			return Response.json({ success: false, error: `the request is larger than ${LARGEST_REQUEST} bytes` }, { headers });
		}
		const [body, bookmark] = await this.#answer([asked, format, session], request.cf);
		if (session !== undefined && bookmark !== null) headers["x-cf-d1-session-commit-token"] = bookmark;
		return new Response(body, { headers });
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
