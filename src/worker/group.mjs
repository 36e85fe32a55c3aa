// Group commit: requests that arrive while a write is being made durable wait for it and are then answered together, sharing one commit
// and one storage write. Nobody waits longer for it: the runtime holds every answer back until the write before it is durable.
//
// Invariants
// 1. Requests are answered in the order in which they arrived.
// 2. A request that fails as a whole (the wasm module trapped) fails those that shared its group; none of them was written.
// Not here: what a request is.

/** The most requests that are answered together. */
const LARGEST = 128;

/**
 * @template Request
 * @template Answer
 */
export class Group {
	#answer;
	#sync;
	/** @type {{ request: Request, resolve: (answer: Answer) => void, reject: (error: unknown) => void }[]} */
	#waiting = [];
	#flushing = false;

	/**
	 * `answer(requests)` returns whether it wrote, then the answers; `sync()` resolves when what was written is durable.
	 * @param {(requests: Request[]) => [wrote: boolean, ...answers: Answer[]]} answer
	 * @param {() => Promise<void>} sync
	 */
	constructor(answer, sync) {
		this.#answer = answer;
		this.#sync = sync;
	}

	/**
	 * The answer to a request, or a promise of it.
	 * @param {Request} request
	 * @returns {Answer | Promise<Answer>}
	 */
	submit(request) {
		if (!this.#flushing) return this.#run([request])[0];
		return new Promise((resolve, reject) => this.#waiting.push({ request, resolve, reject }));
	}

	/** @param {Request[]} requests */
	#run(requests) {
		const [wrote, ...answers] = this.#answer(requests);
		if (wrote) {
			this.#flushing = true;
			const drain = () => this.#drain();
			this.#sync().then(drain, drain);
		}
		return answers;
	}

	#drain() {
		this.#flushing = false;
		while (!this.#flushing && this.#waiting.length > 0) {
			const group = this.#waiting.splice(0, LARGEST);
			try {
				const answers = this.#run(group.map(({ request }) => request));
				for (const [index, { resolve }] of group.entries()) resolve(answers[index]);
			} catch (error) {
				for (const { reject } of group) reject(error);
			}
		}
	}
}
