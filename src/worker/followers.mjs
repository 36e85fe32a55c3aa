// News for replica objects: the primary sends them the commits after their position, unasked, soon after a write.
//
// A replica object subscribes by asking (`follow`), for a while; one that is read asks again and again. A write goes out at once, and what
// is written in the GATHER_MS after it together. Each follower has one message under way at most: a slow one gets more at once.
//
// Invariants
// 1. A follower that does not answer, or answers that it cannot follow, is not told any more until it asks again.
// 2. Nothing here is needed for a right answer: a follower that hears nothing asks.
// Not here: what news are (Rust); that they leave after the write is durable (the runtime holds them back).

/** Milliseconds for which writes are gathered after a message. */
const GATHER_MS = 50;
/** Milliseconds for which a follower is told after it asked. */
const LEASE_MS = 30_000;

/** @typedef {{ position: Uint8Array, until: number, busy: boolean }} Follower */
/** @typedef {{ position(): Uint8Array, news(after: Uint8Array): Uint8Array | undefined }} Source */
/** @typedef {{ told(news: Uint8Array): Promise<Uint8Array | undefined> }} Told a replica object's stub */

export class Followers {
	#source;
	#stubOf;
	/** @type {Map<string, Follower>} by region */
	#subscribed = new Map();
	/** @type {ReturnType<typeof setTimeout> | undefined} */
	#timer;
	#toldAt = 0;

	/**
	 * `stubOf(region)` is a replica object's stub.
	 * @param {Source} source
	 * @param {(region: string) => Told} stubOf
	 */
	constructor(source, stubOf) {
		this.#source = source;
		this.#stubOf = stubOf;
	}

	/**
	 * A replica object has asked, and been answered up to the newest position.
	 * @param {string} region
	 */
	subscribe(region) {
		const known = this.#subscribed.get(region);
		const follower = { position: this.#source.position(), until: Date.now() + LEASE_MS, busy: false };
		if (known) Object.assign(known, { until: follower.until });
		else this.#subscribed.set(region, follower);
	}

	/** The database is no more: what was known of its followers is of no use to the next one of the name. */
	forget() {
		this.#subscribed.clear();
	}

	/** Something was written. */
	changed() {
		if (this.#subscribed.size === 0) return;
		const wait = this.#toldAt + GATHER_MS - Date.now();
		if (wait <= 0) this.#tell();
		else this.#timer ??= setTimeout(() => this.#tell(), wait);
	}

	#tell() {
		if (this.#timer !== undefined) clearTimeout(this.#timer);
		this.#timer = undefined;
		const now = Date.now();
		this.#toldAt = now;
		// Most followers are at the same position.
		/** @type {Map<string, Uint8Array | undefined>} */
		const known = new Map();
		/** @param {Uint8Array} position */
		const newsAfter = (position) => {
			const key = position.join();
			if (!known.has(key)) known.set(key, this.#source.news(position));
			return known.get(key);
		};
		for (const [region, follower] of this.#subscribed) {
			if (follower.until < now) this.#subscribed.delete(region);
			else if (!follower.busy) void this.#send(region, follower, newsAfter);
		}
	}

	/**
	 * @param {string} region
	 * @param {Follower} follower
	 * @param {(position: Uint8Array) => Uint8Array | undefined} newsAfter
	 */
	async #send(region, follower, newsAfter) {
		try {
			const news = newsAfter(follower.position);
			if (news === undefined) return;
			follower.busy = true;
			const position = await this.#stubOf(region).told(news);
			follower.busy = false;
			if (position === undefined) throw new Error("it has to pull");
			follower.position = position;
			this.changed();
		} catch {
			if (this.#subscribed.get(region) === follower) this.#subscribed.delete(region);
		}
	}
}
