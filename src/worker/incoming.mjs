// What callers of the Durable Objects hand in, looked at before the wasm module sees it: what it does not expect would end its instance, and
// with it everything that other databases have in memory.
//
// Not here: what requests and messages say (Rust).

/** @import { Parts } from "./types.d.ts" */

/**
 * A message of the commit log.
 * @param {unknown} message
 */
export function bytes(message) {
	if (message instanceof Uint8Array) return message;
	throw new TypeError("a message of the commit log is a Uint8Array");
}

/**
 * A request: `[body]`, or `[body, resultsFormat, session]`.
 * @param {unknown} request
 */
export function requestParts(request) {
	/** @param {unknown} body */
	const isBody = (body) => typeof body === "string" || body instanceof Uint8Array;
	if (Array.isArray(request) && isBody(request[0])) return /** @type {Parts} the module reads texts only, wherever they should be */ (request);
	throw new TypeError("a request is an array, and its body text or UTF-8 in a Uint8Array");
}
