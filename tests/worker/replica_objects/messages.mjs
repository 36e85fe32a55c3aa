// Messages of the commit log, made and falsified byte by byte: crates/engine/src/commit_log/mod.rs is the format.
//
// Not here: what is right.

const KINDS = { pull: 1, commits: 2, restart: 3, fetch: 4, pages: 5, find: 6, found: 7, refused: 8 };
const HEADER_BYTES = 14;
const SEAL_BYTES = 8;

/** Bytes of big-endian integers, each `[value, bytes]`. */
function bytesOf(...fields) {
  return Uint8Array.from(
    fields.flatMap(([value, bytes]) => Array.from({ length: bytes }, (_, at) => Number((BigInt(value) >> BigInt(8 * (bytes - 1 - at))) & 0xffn))),
  );
}

function joined(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const MASK = (1n << 64n) - 1n;
const P = [0x9e3779b185ebca87n, 0xc2b2ae3d27d4eb4fn, 0x165667b19e3779f9n, 0x85ebca77c2b2ae63n, 0x27d4eb2f165667c5n];
/** @type {(value: bigint, by: bigint) => bigint} */
const rotl = (value, by) => ((value << by) | (value >> (64n - by))) & MASK;
const round = (lane, word) => (rotl((lane + word * P[1]) & MASK, 31n) * P[0]) & MASK;

/** XXH64 with the seed 0. */
export function xxh64(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let hash = P[4];
  if (bytes.length >= 32) {
    const lanes = [(P[0] + P[1]) & MASK, P[1], 0n, -P[0] & MASK];
    for (; at + 32 <= bytes.length; at += 32) {
      for (let lane = 0; lane < 4; lane++) lanes[lane] = round(lanes[lane], view.getBigUint64(at + 8 * lane, true));
    }
    hash = (rotl(lanes[0], 1n) + rotl(lanes[1], 7n) + rotl(lanes[2], 12n) + rotl(lanes[3], 18n)) & MASK;
    for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * P[0] + P[3]) & MASK;
  }
  hash = (hash + BigInt(bytes.length)) & MASK;
  for (; at + 8 <= bytes.length; at += 8) hash = (rotl(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * P[0] + P[3]) & MASK;
  if (at + 4 <= bytes.length) {
    hash = (rotl(hash ^ ((BigInt(view.getUint32(at, true)) * P[0]) & MASK), 23n) * P[1] + P[2]) & MASK;
    at += 4;
  }
  for (; at < bytes.length; at++) hash = (rotl(hash ^ ((BigInt(bytes[at]) * P[4]) & MASK), 11n) * P[0]) & MASK;
  hash = ((hash ^ (hash >> 33n)) * P[1]) & MASK;
  hash = ((hash ^ (hash >> 29n)) * P[2]) & MASK;
  return hash ^ (hash >> 32n);
}

/** The message with the seal that belongs to its bytes. */
export function sealed(unsealed) {
  return joined(unsealed, bytesOf([xxh64(unsealed), 8]));
}

/** A message of this kind and body. */
export function message(kind, database, body = new Uint8Array(), version = 1) {
  return sealed(joined(new TextEncoder().encode("LTRL"), bytesOf([version, 1], [KINDS[kind] ?? kind, 1], [database, 8]), body));
}

const positionBytes = ({ txid, checksum }) => [[txid, 8], [checksum, 8]];

/** @typedef {{ txid: bigint | number, checksum: bigint | number }} Position */

/**
 * The body of a question for commits after a position, or from nowhere.
 * @param {{ after?: Position, wanted?: bigint | number, max_bytes?: number }} [question]
 */
export function pull({ after, wanted = 0, max_bytes = 1 << 20 } = {}) {
  return bytesOf(...positionBytes(after ?? { txid: 0, checksum: 0 }), [after ? 3 : 2, 1], [wanted, 8], [max_bytes, 4]);
}

/** The body of a question for pages; `count` is what the message claims. */
export function fetch({ at, pages, count = pages.length }) {
  return bytesOf(...positionBytes(at), [count, 4], ...pages.map((pgno) => [pgno, 4]));
}

/**
 * The body of a question for a state: at a time or a position.
 * @param {{ time_ms?: bigint | number, at?: Position }} question
 */
export function find({ time_ms, at }) {
  return at ? bytesOf([1, 1], ...positionBytes(at)) : bytesOf([0, 1], [time_ms, 8]);
}

/**
 * What a message says, as far as tests look, and the position of the state where it begins with one.
 * @returns {{ kind?: string, database: bigint, text?: string, position?: { txid: bigint, checksum: bigint }, pageCount?: number }}
 */
export function read(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = Object.keys(KINDS).find((name) => KINDS[name] === bytes[5]);
  const body = bytes.subarray(HEADER_BYTES, bytes.length - SEAL_BYTES);
  const text = kind === "refused" ? new TextDecoder().decode(body.subarray(1)) : undefined;
  const read = { kind, database: view.getBigUint64(6), ...(text !== undefined && { text }) };
  const state = { commits: 0, pages: 0, found: 0, restart: 1 }[kind];
  if (state === undefined) return read;
  const at = HEADER_BYTES + state;
  return { ...read, position: { txid: view.getBigUint64(at), checksum: view.getBigUint64(at + 24) }, pageCount: view.getUint32(at + 12) };
}

/** The message with one bit changed at `at`, counted from the end if negative. */
function flipped(bytes, at) {
  const copy = bytes.slice();
  copy[at < 0 ? copy.length + at : at] ^= 1;
  return copy;
}

/** Ways in which an answer goes wrong. */
export const falsified = {
  /** On the way: the seal is as it was. */
  damaged: (answer) => flipped(answer, Math.floor(answer.length / 2)),
  /** By a source that has another history: the checksum of the newest state, and the seal is right. Beginnings are as they are. */
  diverged: (answer) => (read(answer).kind === "restart" ? answer : falsified.lies(answer)),
  /** The same, and beginnings, too. */
  lies: (answer) => {
    const at = HEADER_BYTES + (read(answer).kind === "restart" ? 1 : 0) + 31;
    return sealed(flipped(answer, at).subarray(0, answer.length - SEAL_BYTES));
  },
  /** The last byte of the last image, and the seal is right. */
  image: (answer) => sealed(flipped(answer, -1 - SEAL_BYTES).subarray(0, answer.length - SEAL_BYTES)),
  /** No bytes at all. */
  nothing: () => undefined,
  /** Another answer than was asked for. */
  refusal: (answer) => message("refused", read(answer).database, Uint8Array.from([4])),
};
