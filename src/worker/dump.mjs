// The database file as a stream of pages, all of one state, read as fast as they are taken: a database need not fit memory.
//
// Not here: what a page is.

/** Bytes of a chunk. */
const CHUNK_BYTES = 1 << 20;

/**
 * A byte stream of the newest state of `database`.
 * @param {Pick<import("./types.d.ts").DatabaseEngine, "dumpState" | "dumpPages">} database
 * @returns {ReadableStream<Uint8Array>}
 */
export function dump(database) {
	const [txid, pages, pageBytes] = database.dumpState();
	const perChunk = Math.max(1, CHUNK_BYTES / pageBytes);
	let first = 1;
	return new ReadableStream({
		type: "bytes",
		async pull(controller) {
			if (first > pages) {
				controller.close();
				controller.byobRequest?.respond(0);
				return;
			}
			const count = Math.min(perChunk, pages - first + 1);
			controller.enqueue(await database.dumpPages(txid, first, count));
			first += count;
		},
	});
}
