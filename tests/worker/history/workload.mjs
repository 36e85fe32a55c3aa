// What the clients of the history test ask for: a plan, the same for the same seed. What comes of it depends on timing.
//
// Not here: asking (record.mjs).

/** Where requests arrive, as Cloudflare's metadata tells. */
export const LOCATIONS = [
  { colo: "FRA", continent: "EU", country: "DE", latitude: "50.1", longitude: "8.7" },
  { colo: "LHR", continent: "EU", country: "GB", latitude: "51.5", longitude: "-0.1" },
  { colo: "EWR", continent: "NA", country: "US", latitude: "40.7", longitude: "-74.2" },
  { colo: "SJC", continent: "NA", country: "US", latitude: "37.3", longitude: "-121.9" },
  { colo: "NRT", continent: "AS", country: "JP", latitude: "35.8", longitude: "140.4" },
  { colo: "SYD", continent: "OC", country: "AU", latitude: "-33.9", longitude: "151.2" },
  { colo: "GRU", continent: "SA", country: "BR", latitude: "-23.4", longitude: "-46.5" },
];

const LISTS = 8;
/** So many operations use the same lists; then come new ones, since every read answers the whole list. */
const OPERATIONS_OF_LISTS = 2_000;

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function numbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Requests in no order but that of each client: `next(client)` says what it asks next, or undefined at the end. */
export class Workload {
  #number;
  #left;
  #planned = 0;
  #value = 0;
  #ways;

  /** `ways` are those of worker.mjs; a way that is named twice is taken twice as often. */
  constructor({ seed, operations, ways }) {
    this.#number = numbers(seed);
    this.#left = operations;
    this.#ways = ways;
  }

  #below(count) {
    return Math.floor(this.#number() * count);
  }

  #pick(choices) {
    return choices[this.#below(choices.length)];
  }

  /** `sessions`: whether the client has any. */
  next({ home, sessions }) {
    if (this.#left <= 0) return undefined;
    const calls = Array.from({ length: this.#number() < 0.25 ? 2 + this.#below(2) : 1 }, () => this.#operation());
    this.#left -= calls.length;
    const chance = this.#number();
    return {
      // Users travel, and their cookies with them.
      location: this.#number() < 0.2 ? this.#pick(LOCATIONS) : home,
      way: this.#pick(this.#ways),
      // A session ends and a new one begins, from nothing or from the bookmark of another client; or it goes on.
      begin: !sessions ? "none" : chance < 0.04 ? "first-primary" : chance < 0.08 ? "first-unconstrained" : chance < 0.2 ? "handed" : "go on",
      from: this.#number(),
      calls,
      pause_ms: this.#number() < 0.3 ? this.#below(8) : 0,
      // The client does not wait for the answer: what comes of its writes is not known.
      gives_up_ms: this.#number() < 0.01 ? this.#below(4) : undefined,
    };
  }

  #operation() {
    const generation = Math.floor(this.#planned++ / OPERATIONS_OF_LISTS);
    const list = () => `${generation}.${this.#below(LISTS)}`;
    const read = () => ({ list: list(), read: null });
    const append = () => ({ list: list(), append: ++this.#value });
    const same = list();
    const chance = this.#number();
    if (chance < 0.4) return [read()];
    if (chance < 0.75) return [append()];
    if (chance < 0.82) return [read(), read(), read()];
    if (chance < 0.88) return [append(), append()];
    if (chance < 0.92) return [append(), read(), append(), read()];
    // Read, append and read the same list.
    if (chance < 0.97) return [{ list: same, read: null }, { list: same, append: ++this.#value }, { list: same, read: null }];
    // The second append breaks a constraint, so neither happens.
    return [append(), { list: same, append: -++this.#value }];
  }
}
