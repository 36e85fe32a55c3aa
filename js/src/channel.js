// One caller's line to a database: gathers the calls that one microtask turn issues and sends
// them in a single RPC, then hands each its own answer.
//
// Invariants
// 1. Answers go to their calls by position; a call that fails touches no other.
// 2. A call's text is fixed when it is issued, not when it is sent: later changes to bound values
//    do not reach it.
// 3. A request never exceeds REQUEST_CHARS unless a single call does. When a response answers only
//    the first calls, the others have not run and are sent again, in order. When the request is refused
//    as a whole, nothing has run, and each call is sent by itself.
// 4. A bookmark only moves forward, and only when the channel keeps one.
// 5. What fails on the way rejects with `D1_ERROR: ...`; what the database refuses is an answer.
// Not here: what a call means or how its answer is shaped (binding.js).

import { blobsOnTheWire, parseResponse, timeout } from "./values.js";

/** @import { D1SessionBookmark, LittoralService, QueryOptions } from "../types/index.d.ts" */
/** @import { Answer, Codec, Done, Refusal } from "./values.js" */

/** @typedef {{ sql: string, params?: unknown[] }} Call one statement */
/** @typedef {{ resolve: (answer: Answer) => void, reject: (error: Error) => void }} Waiting who waits for an answer */

/** Long answers travel as UTF-8. */
const UTF8 = new TextDecoder();

/** Most characters of one request; an RPC message holds 32 MiB and a character takes up to three bytes. */
const REQUEST_CHARS = 8 * 1024 * 1024;

const FIRST_PRIMARY = "first-primary";
const FIRST_UNCONSTRAINED = "first-unconstrained";

export class Channel {
  #stub;
  #codec;
  /** null: calls go to the primary and bookmarks are ignored. Otherwise the newest bookmark, or a constraint. */
  #token;
  /**
   * The point of the past that is read; then the bookmark is learned, not sent.
   * @type {D1SessionBookmark | number | undefined}
   */
  #at;
  /** @type {string[]} */
  #texts = [];
  /** @type {Waiting[]} */
  #waiting = [];

  /**
   * @param {LittoralService} stub
   * @param {Codec} codec
   * @param {string | null} token
   * @param {D1SessionBookmark | number} [at]
   */
  constructor(stub, codec, token, at) {
    this.#stub = stub;
    this.#codec = codec;
    this.#at = at;
    this.#token = token;
  }

  get codec() {
    return this.#codec;
  }

  /**
   * The newest bookmark seen, or null; a constraint is never returned.
   * @returns {D1SessionBookmark | null}
   */
  get bookmark() {
    return this.#token === FIRST_PRIMARY || this.#token === FIRST_UNCONSTRAINED ? null : this.#token;
  }

  /**
   * A channel to the same database that starts from a bookmark or a constraint; `cf` is that of the request that it serves.
   * @param {string} token
   * @param {Pick<Codec, "cf" | "timeout_ms">} [options]
   */
  session(token, options) {
    return new Channel(this.#stub, this.#with(options), token);
  }

  /**
   * The options of `bind`, and others in their place.
   * @param {Pick<Codec, "cf" | "timeout_ms">} [options]
   * @returns {Codec}
   */
  #with({ cf = this.#codec.cf, timeout_ms } = {}) {
    return { ...this.#codec, cf, timeout_ms: timeout(timeout_ms) ?? this.#codec.timeout_ms };
  }

  /**
   * A channel to the same database as it was: at a bookmark, or at a time in milliseconds since 1970.
   * @param {D1SessionBookmark | number} point
   * @param {Pick<Codec, "timeout_ms">} [options]
   */
  at(point, options) {
    return new Channel(this.#stub, this.#with(options), FIRST_UNCONSTRAINED, point);
  }

  /** @returns {Promise<ArrayBuffer>} */
  async dump() {
    return new Response(await this.#stub.dump()).arrayBuffer();
  }

  /**
   * Sends one call, a statement or an array of them, and resolves to its answer.
   * @template {Call | Call[]} C
   * @param {C} call
   * @returns {Promise<Refusal | (C extends Call[] ? Done[] : Done)>}
   */
  send(call) {
    const text = JSON.stringify(call);
    return new Promise((resolve, reject) => {
      if (this.#texts.push(text) === 1) queueMicrotask(() => this.#flush());
      this.#waiting.push({ resolve: /** @type {Waiting["resolve"]} */ (resolve), reject });
    });
  }

  #flush() {
    const texts = this.#texts;
    const waiting = this.#waiting;
    this.#texts = [];
    this.#waiting = [];
    let from = 0;
    let chars = 0;
    for (let i = 0; i < texts.length; i++) {
      if (i > from && chars + texts[i].length > REQUEST_CHARS) {
        void this.#request(texts.slice(from, i), waiting.slice(from, i));
        from = i;
        chars = 0;
      }
      chars += texts[i].length;
    }
    if (from === 0) void this.#request(texts, waiting);
    else void this.#request(texts.slice(from), waiting.slice(from));
  }

  /**
   * Never rejects: what goes wrong is told to those that wait.
   * @param {string[]} texts
   * @param {Waiting[]} waiting
   */
  async #request(texts, waiting) {
    /** @type {string | undefined} */
    let code;
    try {
      const body = `{"calls":[${texts.length === 1 ? texts[0] : texts.join(",")}]}`;
      const answer = await this.#stub.query(body, this.#options());
      const response = parseResponse(typeof answer === "string" ? answer : UTF8.decode(answer), this.#codec);
      const answers = response.responses;
      if (!Array.isArray(answers)) {
        if (waiting.length === 1 || !response.error) {
          code = response.code;
          throw new Error(response.error ?? "the Littoral Worker sent no responses");
        }
        // One call spoilt the request and none has run: each goes on its own.
        for (let i = 0; i < waiting.length; i++) void this.#request([texts[i]], [waiting[i]]);
        return;
      }
      // As in D1, a response that only refuses brings a session no bookmark.
      if (this.#token !== null && response.bookmark && answers.some((answer) => !isRefusal(answer))) this.#advance(response.bookmark);
      if (answers.length === 0) throw new Error("the Littoral Worker answered none of the calls");
      for (let i = 0; i < answers.length && i < waiting.length; i++) waiting[i].resolve(answers[i]);
      if (answers.length < waiting.length) void this.#request(texts.slice(answers.length), waiting.slice(answers.length));
    } catch (error) {
      // What the transport throws reads like an error of the database, one Error object per call.
      for (const { reject } of waiting) reject(withCode(new Error(`D1_ERROR: ${said(error)}`, { cause: error }), code));
    }
  }

  /**
   * What routes a request, beside its calls; nothing does where the primary is to answer in D1's form.
   * @returns {QueryOptions | undefined}
   */
  #options() {
    const { cf, timeout_ms } = this.#codec;
    const [blobs, session] = [blobsOnTheWire(this.#codec), this.#at === undefined ? (this.#token ?? undefined) : undefined];
    const routes = cf || blobs || timeout_ms || session !== undefined || this.#at !== undefined;
    return routes ? { session, at: this.#at, blobs, cf, timeout_ms } : undefined;
  }

  /** @param {D1SessionBookmark} bookmark */
  #advance(bookmark) {
    const current = this.bookmark;
    if (current === null || current.localeCompare(bookmark) < 0) this.#token = bookmark;
  }
}

/**
 * An error with a code to act on, beside what D1's has: not enumerable, so that it prints and compares as D1's does.
 * @param {Error} error
 * @param {string | undefined} code
 */
export function withCode(error, code) {
  return Object.defineProperty(error, "code", { value: code });
}

/**
 * @param {Answer} answer
 * @returns {answer is Refusal}
 */
export function isRefusal(answer) {
  return Boolean(/** @type {Refusal} */ (answer).error);
}

/**
 * What an error says; the runtime's about a message that is too large, in words about the call.
 * @param {unknown} error
 */
function said(error) {
  const text = String(/** @type {Error | undefined} */ (error)?.message ?? error);
  return text.startsWith("Serialized RPC") ? "the request is larger than 32 MiB, or its answer, which the runtime does not carry: send large values in several calls" : text;
}

/**
 * The token with which a session starts; what is empty means "anywhere".
 * @param {string} [constraintOrBookmark]
 */
export function sessionToken(constraintOrBookmark) {
  return constraintOrBookmark?.trim() || FIRST_UNCONSTRAINED;
}
