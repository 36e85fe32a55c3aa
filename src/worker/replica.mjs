// The Durable Object class of replicas: one object for each database and region, named "region/database". What it does is in Rust (`replica.rs`).
//
// Invariant: whatever reaches it that is not a read goes to the primary.

import { DurableObject } from "cloudflare:workers";
import * as wasm from "../../build/index.js";
import { bytes, callsRequest, checked } from "./incoming.mjs";
import { guarded, undefinedIfLost } from "./instance.mjs";

/** Milliseconds after which what was gathered is written. */
const FLUSH_MS = 10_000;

/** @import { Env, QueryOptions, RegionalReplica, ReplicaEngine } from "./types.d.ts" */

/**
 * @extends {DurableObject<Env>}
 * @implements {RegionalReplica}
 */
export class Replica extends DurableObject {
	#region;
	#database;
	#replica;
	#alarmIsSet = false;

	/**
	 * @param {DurableObjectState} ctx
	 * @param {Env} env
	 */
	constructor(ctx, env) {
		super(ctx, env);
		const name = ctx.id.name ?? "";
		const slash = name.indexOf("/");
		if (slash < 0) throw new Error(`a replica's name is a region and a database, such as weur/main; not ${JSON.stringify(name)}`);
		this.#region = name.slice(0, slash);
		this.#database = name.slice(slash + 1);
		/** @type {ReplicaEngine} */
		const replica = new wasm.ReplicaObject(ctx.storage, env, this.#database, this.#region);
		this.#replica = guarded(replica);
	}

	#primary() {
		return this.env.DATABASE.getByName(this.#database);
	}

	/**
	 * A request of any protocol: `[body, bookmark]`, or undefined, which means that the primary has to answer.
	 * @param {unknown} request
	 * @param {unknown} [colo]
	 */
	answer(request, colo) {
		this.#flushLater();
		const routed = checked(request);
		return undefinedIfLost(() => this.#replica.answer(this.#primary(), routed, typeof colo === "string" ? colo : undefined));
	}

	/**
	 * A request of many calls.
	 * @param {unknown} calls
	 * @param {QueryOptions} [options]
	 */
	async query(calls, options) {
		const request = callsRequest(calls, options);
		const [body] = (await this.answer(request, options?.cf?.colo)) ?? (await this.#primary().answer(request));
		return body;
	}

	/**
	 * A question of the commit log, of a replica in an isolate.
	 * @param {unknown} question
	 */
	follow(question) {
		this.#flushLater();
		return this.#replica.follow(this.#primary(), bytes(question));
	}

	/**
	 * News of the primary's: answers with the position that it has come to.
	 * @param {unknown} news
	 */
	told(news) {
		this.#flushLater();
		return this.#replica.told(bytes(news));
	}

	/** The database is no more. */
	async forget() {
		this.#replica.forget();
		this.#alarmIsSet = false;
		await this.ctx.storage.deleteAlarm();
		await this.ctx.storage.deleteAll();
	}

	alarm() {
		this.#alarmIsSet = false;
		this.#replica.flush();
	}

	#flushLater() {
		if (this.#alarmIsSet) return;
		this.#alarmIsSet = true;
		this.ctx.storage.setAlarm(Date.now() + FLUSH_MS);
	}
}
