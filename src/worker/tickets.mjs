// Requests of one database that have no answer yet. They outlive the wasm module's instance: what ends it ends what it remembers, too, and
// its successor is handed the requests that are still open. What becomes of them it decides itself (`database.rs`).
//
// Invariants
// 1. Every ticket is delivered.
// 2. Whoever lost the instance, an object's requests are seen to in its own context, once: the runtime lets no object use the storage of another.

import { forgetLoss, onLoss } from "./instance.mjs";

/** @import { Answered, OpenRequest, Routed } from "./types.d.ts" */

export class Tickets {
	/** @type {Set<Ticket>} */
	#open = new Set();
	#recover;
	/** @type {() => void} */
	#wake = () => {};
	#lost = () => this.#wake();

	/**
	 * `recover(tickets)` is called soon after the instance was lost while some were open.
	 * @param {(tickets: OpenRequest[]) => void} recover
	 */
	constructor(recover) {
		this.#recover = recover;
		this.#watch();
	}

	/** Waits for a loss with a promise: it goes on in the context in which it was made, whoever resolves it, and however often. */
	#watch() {
		const lost = new Promise((/** @type {(nothing: void) => void} */ resolve) => {
			this.#wake = resolve;
		});
		void lost.then(() => {
			this.#watch();
			if (this.#open.size > 0) this.#recover([...this.#open]);
		});
	}

	/**
	 * A ticket for a request.
	 * @param {Routed} request
	 */
	open(request) {
		if (this.#open.size === 0) onLoss(this.#lost);
		/** @type {Ticket} */
		const ticket = new Ticket(request, () => {
			this.#open.delete(ticket);
			if (this.#open.size === 0) forgetLoss(this.#lost);
		});
		this.#open.add(ticket);
		return ticket;
	}
}

/** @implements {OpenRequest} */
class Ticket {
	request;
	/** @type {Uint8Array | undefined} */
	before;
	alone = false;
	#close;
	/** @type {[...Answered, boolean] | undefined} */
	#answer;
	/** @type {((answer: [...Answered, boolean]) => void) | undefined} */
	#resolve;

	/**
	 * @param {Routed} request
	 * @param {() => void} close
	 */
	constructor(request, close) {
		this.request = request;
		this.#close = close;
	}

	/**
	 * It begins to run, or goes on.
	 * @param {Uint8Array} before
	 * @param {boolean} alone
	 */
	runs(before, alone) {
		this.before = before;
		this.alone = alone;
	}

	/** It does not run, and nothing is lost if the instance is. */
	waits() {
		this.before = undefined;
	}

	/** @param {[...Answered, boolean]} answer */
	deliver(answer) {
		this.#close();
		if (this.#resolve) this.#resolve(answer);
		else this.#answer = answer;
	}

	/** The answer, or a promise of it. */
	answer() {
		return this.#answer ?? new Promise((/** @type {(answer: [...Answered, boolean]) => void} */ resolve) => {
			this.#resolve = resolve;
		});
	}
}
