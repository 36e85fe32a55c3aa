// Keeps the past of a database within its limits: an alarm does so in small steps, between requests.
//
// Invariants
// 1. While anything of the past is to be dropped, now or later, an alarm is set, or the next write sets it.
// 2. An alarm costs a write, so none is set while one is.
// Not here: what a step does (`src/engine/history.rs`).

/** Milliseconds that one alarm may take. What is left is for the next. */
const LONGEST = 10_000;

export class Upkeep {
	#step;
	#storage;
	#set = false;

	/**
	 * `step()` does a step and returns when the next is due; undefined: not before something is written.
	 * @param {() => number | undefined} step
	 * @param {DurableObjectStorage} storage
	 */
	constructor(step, storage) {
		this.#step = step;
		this.#storage = storage;
	}

	/**
	 * Passes on the answers of a group, whose first element tells whether anything was written.
	 * @template {[wrote: boolean, ...unknown[]]} A
	 * @param {A} answers
	 */
	after(answers) {
		if (answers[0] && !this.#set) this.#start().catch(() => {});
		return answers;
	}

	async #start() {
		this.#set = true;
		if ((await this.#storage.getAlarm()) === null) await this.run();
	}

	/** Does the steps that are due, and sets the alarm for those that will be. */
	async run() {
		this.#set = false;
		const end = Date.now() + LONGEST;
		let due = this.#step();
		while (due !== undefined && due <= Date.now() && Date.now() < end) {
			// Requests come in while it waits.
			await this.#storage.sync();
			due = this.#step();
		}
		if (due === undefined) return;
		this.#set = true;
		await this.#storage.setAlarm(due);
	}
}
