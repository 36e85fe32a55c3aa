// The Durable Object class of the catalogue, of which there is one object. What it knows is in Rust (`catalog.rs`); here databases are deleted
// whose name the catalogue has given up.

import { DurableObject } from "cloudflare:workers";
import * as wasm from "../../build/index.js";
import { guarded } from "./instance.mjs";

/** Milliseconds after which a deletion that did not end is tried again. */
const RETRY_MS = 60_000;

/** The name of the one object. */
export const CATALOG = "catalog";

/** @import { CatalogEngine, Env, RootCatalog } from "./types.d.ts" */

/**
 * @extends {DurableObject<Env>}
 * @implements {RootCatalog}
 */
export class Catalog extends DurableObject {
	#rust;

	/**
	 * @param {DurableObjectState} ctx
	 * @param {Env} env
	 */
	constructor(ctx, env) {
		super(ctx, env);
		this.#rust = guarded(/** @type {CatalogEngine} */ (new wasm.CatalogObject(ctx.storage)));
	}

	/**
	 * A question and its answer, as JSON (`crates/engine/src/catalog/question.rs`).
	 * @param {unknown} question
	 */
	ask(question) {
		return this.#rust.ask(String(question), crypto.randomUUID());
	}

	/**
	 * Which database an object is: JSON; undefined: none.
	 * @param {unknown} name
	 * @param {unknown} create
	 */
	claim(name, create) {
		return this.#rust.claim(String(name), create === true, crypto.randomUUID());
	}

	/**
	 * Deletes a database, by its name or id, with everything that is its. Its name is free once this has ended.
	 * @param {unknown} database
	 */
	async destroy(database) {
		const [reply, name, id] = this.#rust.beginDeletion(String(database));
		if (name !== undefined && id !== undefined) {
			await this.ctx.storage.setAlarm(Date.now() + RETRY_MS);
			await this.#end(name, id);
		}
		return reply;
	}

	/** Goes on with deletions that did not end. */
	async alarm() {
		const going = this.#rust.going();
		if (going.length > 0) await this.ctx.storage.setAlarm(Date.now() + RETRY_MS);
		for (const [name, id] of going) await this.#end(name, id);
	}

	/**
	 * @param {string} name
	 * @param {string} id
	 */
	async #end(name, id) {
		await this.env.DATABASE.getByName(name).destroy();
		const lender = this.#rust.lender(id);
		if (lender !== undefined) await this.env.DATABASE.getByName(lender[0]).release(lender[1], id);
		this.#rust.endDeletion(id);
	}
}
