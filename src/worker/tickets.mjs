// Requests of one database that have no answer yet. They outlive the wasm module's instance: what ends it ends what it remembers, too, and
// its successor is handed the requests that are still open. What becomes of them it decides itself (`database.rs`).
//
// Invariant: every ticket is delivered.

import { forgetLoss, onLoss } from "./instance.mjs";

export class Tickets {
	#open = new Set();
	#lost;

	/** `recover(tickets)` is called soon after the instance was lost while some were open. */
	constructor(recover) {
		this.#lost = () => queueMicrotask(() => {
			if (this.#open.size > 0) recover([...this.#open]);
		});
	}

	/** A ticket for a request. */
	open(request) {
		if (this.#open.size === 0) onLoss(this.#lost);
		const ticket = new Ticket(request, () => {
			this.#open.delete(ticket);
			if (this.#open.size === 0) forgetLoss(this.#lost);
		});
		this.#open.add(ticket);
		return ticket;
	}
}

class Ticket {
	request;
	/** Bytes of the database's position when the request last began to run; undefined: it has not. */
	before;
	/** It ran by itself. */
	alone = false;
	#close;
	#answer;
	#resolve;

	constructor(request, close) {
		this.request = request;
		this.#close = close;
	}

	deliver(answer) {
		this.#close();
		if (this.#resolve) this.#resolve(answer);
		else this.#answer = answer;
	}

	/** The answer, or a promise of it. */
	answer() {
		return this.#answer ?? new Promise((resolve) => (this.#resolve = resolve));
	}
}
