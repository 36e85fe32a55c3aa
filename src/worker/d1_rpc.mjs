// D1's binding over RPC, which the runtime speaks with the compatibility flag `d1_binding_jsrpc` (experimental):
// `query({queries: [{sql, params}], bookmark})` is answered with `{results: [{meta, data: {kind: "raw", columns, rows}}], bookmark}`; an error
// is thrown. Source: the runtime's `d1-api.ts`, as of November 2026.
//
// Not here: what a query means: it is answered as one of D1's HTTP protocol.

/** @import { Answered, Routed } from "./types.d.ts" */

/** @typedef {{ queries: { sql: string, params?: unknown[] }[], bookmark?: string }} D1Query */
/** @typedef {{ meta: Record<string, unknown>, results: { columns: string[], rows: unknown[][] }, error?: string }} D1Answer */

/**
 * Whether `query` was called by D1's binding rather than by Littoral's, which sends a text.
 * @param {unknown} request
 * @returns {request is D1Query}
 */
export function isD1Query(request) {
	return typeof request === "object" && Array.isArray(/** @type {Partial<D1Query> | null} */ (request)?.queries);
}

/**
 * Answers it. `answer` takes a request of D1's HTTP protocol.
 * @param {D1Query} query
 * @param {(request: Routed) => Promise<Answered>} answer
 */
export async function answerD1Query({ queries, bookmark }, answer) {
	if (queries.length === 0) return { results: [], bookmark };
	const body = JSON.stringify(queries.map(({ sql, params = [] }) => ({ sql, params: params.map(toJson) })));
	const [answered, newest] = await answer({ protocol: "d1", body, session: bookmark, format: "ROWS_AND_COLUMNS" });
	/** @type {D1Answer[]} */
	const results = JSON.parse(typeof answered === "string" ? answered : new TextDecoder().decode(answered));
	// A request that failed as a whole is answered with one object.
	const failed = [results].flat().find(({ error }) => error);
	if (failed) throw new Error(failed.error);
	return {
		results: results.map(({ meta, results: { columns, rows } }) => ({ meta, data: { kind: "raw", columns, rows } })),
		bookmark: newest ?? undefined,
	};
}

/**
 * A parameter in D1's JSON: bytes are an array of numbers.
 * @param {unknown} param
 */
function toJson(param) {
	if (param instanceof ArrayBuffer) return Array.from(new Uint8Array(param));
	return ArrayBuffer.isView(param) ? Array.from(new Uint8Array(param.buffer, param.byteOffset, param.byteLength)) : param;
}
