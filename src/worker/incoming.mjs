// What callers of the Durable Objects hand in, looked at before the wasm module sees it: what it does not expect would end its instance, and
// with it everything that other databases have in memory.
//
// Not here: what requests and messages say (Rust).

/** A message of the commit log. */
export function bytes(message) {
	if (message instanceof Uint8Array) return message;
	throw new TypeError("a message of the commit log is a Uint8Array");
}

/** A request: `[body]`, or `[body, resultsFormat, session]`. */
export function requestParts(request) {
	const isBody = (body) => typeof body === "string" || body instanceof Uint8Array;
	if (Array.isArray(request) && isBody(request[0])) return request;
	throw new TypeError("a request is an array, and its body text or UTF-8 in a Uint8Array");
}
