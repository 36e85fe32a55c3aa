// The Durable Object class of a database. It decides nothing: calls go to Rust (`database.rs`), and what Rust wants of the runtime goes there.

import { DurableObject } from "cloudflare:workers";
import * as wasm from "../../build/index.js";
import { CATALOG } from "./catalog.mjs";
import { dump } from "./dump.mjs";
import { bytes, callsRequest, checked } from "./incoming.mjs";
import { guarded, InstanceLost, undefinedIfLost } from "./instance.mjs";
import { Tickets } from "./tickets.mjs";

/** Milliseconds for which whoever asks for an import's end waits: D1's clients ask again at once. */
const IMPORT_WAIT_MS = 1_000;
/** Milliseconds for which the answer to an import is kept. */
const IMPORT_KEPT_MS = 60_000;

/** @typedef {{ answer: Promise<Body>, isOver: boolean }} Import */

/** @import { Body, DatabaseEngine, Env, Host, OpenRequest, Primary, QueryOptions, Routed } from "./types.d.ts" */

/**
 * @extends {DurableObject<Env>}
 * @implements {Primary}
 */
export class Database extends DurableObject {
	/**
	 * The Rust half.
	 * @type {DatabaseEngine}
	 */
	rust;
	#tickets;
	/**
	 * Imports that are under way, or ended not long ago, by the names of their uploads.
	 * @type {Map<string, Import>}
	 */
	#imports = new Map();
	/** Rust knows which database this is. */
	#isKnown = false;

	/**
	 * @param {DurableObjectState} ctx
	 * @param {Env} env
	 */
	constructor(ctx, env) {
		super(ctx, env);
		this.#tickets = new Tickets((tickets) => this.#recover(tickets));
		this.rust = guarded(/** @type {DatabaseEngine} */ (new wasm.DatabaseObject(this.#host(), ctx.storage, env)));
	}

	/**
	 * What Rust may want; see `host.rs`.
	 * @returns {Host}
	 */
	#host() {
		const { storage } = this.ctx;
		const synced = () => this.#say(() => this.rust.synced());
		return {
			sync: () => void storage.sync().then(synced, synced),
			readEnded: () => queueMicrotask(() => this.#say(() => this.rust.readEnded())),
			writeEnded: () => queueMicrotask(() => this.#say(() => this.rust.writeEnded())),
			tell: (region, news) => void this.#tell(region, news),
			wake: (inMs) => void setTimeout(() => this.#say(() => this.rust.woken()), inMs),
			lookForAlarm: () => void this.#lookForAlarm().catch(() => {}),
			setAlarm: (atMs) => void storage.setAlarm(atMs),
		};
	}

	/**
	 * Tells Rust what has happened. If that loses the instance, whoever waits is seen to (`Tickets`).
	 * @param {() => void} tell
	 */
	#say(tell) {
		try {
			tell();
		} catch (error) {
			if (!(error instanceof InstanceLost)) throw error;
		}
	}

	/**
	 * Each attempt answers a request, or marks one as what the instance was lost with, which is then answered.
	 * @param {OpenRequest[]} tickets
	 */
	#recover(tickets) {
		this.#say(() => this.rust.recover(tickets));
	}

	/**
	 * @param {string} region
	 * @param {Uint8Array} news
	 */
	async #tell(region, news) {
		const position = await this.#replica(region).told(news).catch(() => undefined);
		this.#say(() => this.rust.told(region, position));
	}

	async #lookForAlarm() {
		const at = await this.ctx.storage.getAlarm();
		await this.#maintain(this.rust.alarmIs(at ?? undefined));
	}

	/**
	 * Goes on while there is more to do, with requests in between.
	 * @param {boolean} begun
	 */
	async #maintain(begun) {
		for (let more = begun; more; more = this.rust.maintain()) await this.ctx.storage.sync();
	}

	/** @param {string} region */
	#replica(region) {
		return this.env.REPLICA.getByName(`${region}/${this.ctx.id.name}`);
	}

	/** @param {Routed} request */
	#submit(request) {
		this.#isKnown ||= this.rust.isKnown();
		return this.#isKnown ? this.#enter(request) : this.#identify(request.create !== false).then(() => this.#enter(request));
	}

	/**
	 * Asks the catalogue which database this is, which happens once in its life.
	 * @param {boolean} create
	 */
	async #identify(create) {
		const entry = await this.env.CATALOG.getByName(CATALOG).claim(this.ctx.id.name, create);
		if (entry !== undefined) this.rust.becomes(entry);
	}

	/** @param {Routed} request */
	#enter(request) {
		const ticket = this.#tickets.open({ ...request, arrived_ms: Date.now() });
		this.#say(() => this.rust.submit(ticket));
		return ticket.answer();
	}

	alarm() {
		return this.#maintain(this.rust.alarm());
	}

	/**
	 * A request of many calls; see `crates/protocol/src/d1/mod.rs`. A long answer is UTF-8 in a `Uint8Array`.
	 * @param {unknown} calls
	 * @param {QueryOptions} [options]
	 */
	async query(calls, options) {
		const [body] = await this.#submit(callsRequest(calls, options));
		return body;
	}

	/**
	 * A request of any protocol, with `[body, bookmark, wrote]`; `wrote` may also be true where a request that was answered together with this
	 * one wrote.
	 * @param {unknown} request
	 */
	answer(request) {
		return this.#submit(checked(request));
	}

	/**
	 * A question of the commit log (`crates/engine/src/commit_log`). A replica object gives its region, and is then told of news.
	 * @param {unknown} question
	 * @param {unknown} [region]
	 */
	follow(question, region) {
		return this.rust.follow(bytes(question), typeof region === "string" ? region : undefined);
	}

	/**
	 * Keeps a piece of a file that is to be imported into the database with this id.
	 * @param {unknown} upload
	 * @param {unknown} number
	 * @param {unknown} piece
	 * @param {unknown} id
	 */
	async keepPiece(upload, number, piece, id) {
		if (!this.rust.isKnown()) await this.#identify(false);
		this.rust.checkIs(String(id));
		if (number === 0) this.#beginUpload(String(upload));
		this.rust.keepPiece(String(upload), Number(number), bytes(piece));
	}

	/**
	 * Drops a file that was uploaded.
	 * @param {unknown} upload
	 */
	dropUpload(upload) {
		this.rust.dropUpload(String(upload));
	}

	/**
	 * Imports what was uploaded, if that is not under way, and waits a while: the answer, if there is one then, and how many statements have run.
	 * @param {unknown} upload
	 * @param {unknown} id
	 * @returns {Promise<[answer: Body | undefined, statements: number]>}
	 */
	async importUpload(upload, id) {
		const name = String(upload);
		const { answer } = this.#imports.get(name) ?? this.#import(name, String(id));
		const soon = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, IMPORT_WAIT_MS))]);
		return [soon, this.rust.importedStatements()];
	}

	/**
	 * The same file may be imported again, once it has been.
	 * @param {string} name
	 */
	#beginUpload(name) {
		if (this.#imports.get(name)?.isOver === false) throw new Error("this file is being imported at the moment");
		this.#imports.delete(name);
		this.rust.dropUpload(name);
	}

	/**
	 * @param {string} name
	 * @param {string} id
	 */
	#import(name, id) {
		const importing = async () => {
			try {
				const [answer] = await this.#submit({ protocol: "import", body: name, database_id: id, create: false });
				this.rust.dropUpload(name);
				return answer;
			} finally {
				begun.isOver = true;
			}
		};
		/** @type {Import} */
		const begun = { answer: Promise.resolve(""), isOver: false };
		begun.answer = importing();
		this.#imports.set(name, begun);
		// Whoever asks once more has the same answer, for a while.
		const forget = () => this.#imports.get(name) === begun && this.#imports.delete(name);
		begun.answer.then(() => setTimeout(forget, IMPORT_KEPT_MS), forget);
		return begun;
	}

	/**
	 * The catalogue has created the database that this is: an entry of it as JSON.
	 * @param {unknown} entry
	 */
	adopt(entry) {
		if (!this.rust.isKnown()) this.rust.becomes(String(entry));
	}

	/** Deletes the database: everything here, and in its replica objects. */
	async destroy() {
		this.#isKnown = false;
		this.rust.ends();
		await Promise.all(this.rust.regions().map((region) => this.#replica(region).forget()));
		await this.ctx.storage.deleteAlarm();
		await this.ctx.storage.deleteAll();
		await undefinedIfLost(() => this.rust.forget());
	}

	/**
	 * The database file, as a byte stream.
	 * @param {Pick<Routed, "database_id" | "create">} [meant]
	 */
	async dump(meant = {}) {
		if (!this.rust.isKnown()) await this.#identify(meant.create !== false);
		this.rust.checkIs(meant.database_id);
		return dump(this.rust);
	}
}
