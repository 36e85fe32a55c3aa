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

/** Milliseconds after which a new branch begins to be filled: who made it has something in mind. */
const FILL_AFTER_MS = 500;
/** Milliseconds after which one that could not be filled tries again. */
const FILL_RETRY_MS = 5_000;

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
	/** Rust knows which database this is, and has what it needs to answer. */
	#isReady = false;
	/** Pages of a branch come in the background. */
	#isFilling = false;

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
			setAlarm: (atMs) => void storage.setAlarm(this.#isFilling ? Math.min(atMs, Date.now() + FILL_RETRY_MS) : atMs),
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
		return this.#isReady ? this.#enter(request) : this.#prepare(request.create !== false).then(() => this.#enter(request));
	}

	/**
	 * Learns which database this is, and has what is needed before anything is answered: once, as long as the object lives.
	 * @param {boolean} create
	 */
	async #prepare(create) {
		if (!this.rust.isKnown()) await this.#identify(create);
		if (!this.rust.isKnown()) return;
		await this.rust.prepare();
		// It may have been ended before it could set the alarm that begins to fill it.
		const { storage } = this.ctx;
		if (this.rust.parent() !== undefined && (await storage.getAlarm()) === null) await storage.setAlarm(Date.now() + FILL_AFTER_MS);
		this.#isReady = true;
	}

	/**
	 * Asks the catalogue which database this is, which happens once in its life.
	 * @param {boolean} create
	 */
	async #identify(create) {
		const entry = await this.env.CATALOG.getByName(CATALOG).claim(this.ctx.id.name, create);
		if (entry !== undefined) await this.#become(entry);
	}

	/**
	 * Becomes the database of an entry of the catalogue.
	 * @param {string} entry
	 */
	async #become(entry) {
		const lending = this.rust.lending(entry);
		if (lending === undefined) {
			this.rust.becomes(entry);
			return;
		}
		const [name, parent, id, bookmark, time] = lending;
		const lent = await this.env.DATABASE.getByName(name).lend(parent, id, bookmark, time);
		// Another request may have been as far meanwhile.
		if (this.rust.isKnown()) return;
		const begun = this.rust.begins(entry, lent);
		await this.ctx.storage.setAlarm(Date.now() + FILL_AFTER_MS);
		await this.env.CATALOG.getByName(CATALOG).ask(JSON.stringify({ Begun: [id, begun] }));
	}

	/** Brings what a branch lacks, and lets its parent go. */
	async #fill() {
		const parent = this.rust.isKnown() ? this.rust.parent() : undefined;
		if (parent === undefined) return;
		const [name, parentId, id] = parent;
		this.#isFilling = true;
		try {
			const stub = this.env.DATABASE.getByName(name);
			for (let question = this.rust.askMore(); question !== undefined; question = this.rust.askMore()) {
				this.rust.takeMore(await stub.follow(question));
			}
			// In this order: the parent may be deleted once the catalogue knows, and this may be done again.
			await stub.release(parentId, id);
			await this.env.CATALOG.getByName(CATALOG).ask(JSON.stringify({ Full: id }));
			this.rust.released();
			this.#isFilling = false;
		} catch (error) {
			// It may have been deleted meanwhile.
			if (!this.rust.isKnown()) return;
			console.warn(`the branch ${this.ctx.id.name} could not be filled, and tries again: ${error}`);
			await this.ctx.storage.setAlarm(Date.now() + FILL_RETRY_MS);
		}
	}

	/** @param {Routed} request */
	#enter(request) {
		const ticket = this.#tickets.open({ ...request, arrived_ms: Date.now() });
		this.#say(() => this.rust.submit(ticket));
		return ticket.answer();
	}

	async alarm() {
		if (!this.rust.isKnown()) return;
		await this.#fill();
		await this.#maintain(this.rust.alarm());
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
	 * Bytes of the database file at a bookmark, and how many it has; or why there are none.
	 * @param {unknown} id
	 * @param {unknown} bookmark
	 * @param {unknown} begin
	 * @param {unknown} count
	 */
	async filePart(id, bookmark, begin, count) {
		if (!this.rust.isKnown()) await this.#identify(false);
		this.rust.checkIs(String(id));
		return this.rust.filePart(String(bookmark), Number(begin), Number(count));
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
	async adopt(entry) {
		if (!this.rust.isKnown()) await this.#become(String(entry));
	}

	/**
	 * Keeps a state for a branch, and answers with which it is: a message of the commit log.
	 * @param {unknown} id
	 * @param {unknown} branch
	 * @param {unknown} [bookmark]
	 * @param {unknown} [time]
	 */
	async lend(id, branch, bookmark, time) {
		if (!this.rust.isKnown()) await this.#identify(false);
		this.rust.checkIs(String(id));
		return this.rust.lend(String(branch), bookmark === undefined ? undefined : String(bookmark), time === undefined ? undefined : Number(time));
	}

	/**
	 * A branch needs its state no longer, or is no more.
	 * @param {unknown} id
	 * @param {unknown} branch
	 */
	async release(id, branch) {
		if (!this.rust.isKnown()) await this.#identify(false);
		this.rust.checkIs(String(id));
		this.rust.release(String(branch));
	}

	/** Deletes the database: everything here, and in its replica objects. */
	async destroy() {
		this.#isReady = false;
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
