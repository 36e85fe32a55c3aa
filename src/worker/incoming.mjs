// What callers of the Durable Objects hand in, looked at before the wasm module sees it: what it does not expect would end its instance, and
// with it everything that other databases have in memory.
//
// Not here: what requests and messages say (Rust).

/** @import { Body, QueryOptions, Routed } from "./types.d.ts" */

/**
 * A message of the commit log.
 * @param {unknown} message
 */
export function bytes(message) {
	if (message instanceof Uint8Array) return message;
	throw new TypeError("a message of the commit log is a Uint8Array");
}

/**
 * A request of many calls, as `query` takes it.
 * @param {unknown} calls
 * @param {QueryOptions} [options]
 * @returns {Routed}
 */
export function callsRequest(calls, options) {
	const { session, at, blobs, timeout_ms } = options ?? {};
	return checked({ protocol: "calls", body: /** @type {Body} */ (calls), session, at, format: blobs, timeout_ms });
}

/**
 * A request that another Worker or object has made.
 * @param {unknown} request
 */
export function checked(request) {
	const { body } = /** @type {Partial<Routed>} */ (request ?? {});
	// What routes it is looked at in Rust.
	if (typeof body === "string" || body instanceof Uint8Array) return /** @type {Routed} */ (request);
	throw new TypeError("a request has a body: text, or UTF-8 in a Uint8Array");
}
