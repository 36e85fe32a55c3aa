// The wasm module's instance, and those who wait for it. A trap, or a stack that grew too large, ends an instance: `build/index.js` makes a
// new one at the next call, and promises that the old one made never settle.
//
// Invariants
// 1. Whoever asks the module through `guarded` gets an answer or an error, never silence.
// 2. Once an instance is lost nothing is answered from its memory: neither a call nor a promise that is still under way.
// Not here: who answers a read instead, what becomes of requests that the lost one had (`database.rs`).

/** The instance was lost while it worked on something. */
export class InstanceLost extends Error {
	/** @param {unknown} [cause] */
	constructor(cause) {
		super("the Worker's WebAssembly instance was lost", { cause });
		this.name = "InstanceLost";
	}
}

/** Lines of a stack that are worth logging: one that grew too large has hundreds. */
const STACK_LINES = 12;

/**
 * Those that wait for a promise of the instance: functions that end their waiting.
 * @type {Set<() => void>}
 */
const waiting = new Set();
/**
 * The state of `build/index.js`, which replaces an instance with a `criticalError`.
 * @type {typeof globalThis.__worker_init_state}
 */
let state;

/**
 * The object of the module, each of whose methods answers, or fails with `InstanceLost` as soon as the instance is lost.
 * @template {object} T
 * @param {T} object
 * @returns {T}
 */
export function guarded(object) {
	watch();
	/** @type {ProxyHandler<T>["get"]} */
	const get = (target, method) => (/** @type {unknown[]} */ ...args) => ask(() => /** @type {Methods} */ (target)[method](...args));
	return new Proxy(object, { get });
}

/** @typedef {Record<string | symbol, (...args: unknown[]) => unknown>} Methods */

/**
 * The answer to a read; undefined if the instance was lost: somebody else has to answer.
 * @template T
 * @param {() => T | Promise<T>} read
 */
export async function undefinedIfLost(read) {
	try {
		return await read();
	} catch (error) {
		if (error instanceof InstanceLost) return undefined;
		throw error;
	}
}

/**
 * Has `lose` called whenever the instance is lost, before there is another.
 * @param {() => void} lose
 */
export function onLoss(lose) {
	waiting.add(lose);
}

/**
 * Ends that.
 * @param {() => void} lose
 */
export function forgetLoss(lose) {
	waiting.delete(lose);
}

function watch() {
	if (state !== undefined) return;
	state = globalThis.__worker_init_state;
	let { criticalError } = state;
	/** @param {boolean} value */
	const set = (value) => {
		criticalError = value;
		if (value) loseAll();
	};
	Object.defineProperty(state, "criticalError", { get: () => criticalError, set });
}

function loseAll() {
	for (const lose of [...waiting]) lose();
}

/**
 * @template T
 * @param {() => T} call
 * @returns {T | Promise<unknown>}
 */
function ask(call) {
	let answer;
	try {
		answer = call();
	} catch (error) {
		throw judged(error);
	}
	const promise = /** @type {Partial<Promise<unknown>> | undefined} */ (answer);
	return typeof promise?.then === "function" ? owned(/** @type {Promise<unknown>} */ (promise)) : answer;
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function owned(promise) {
	return new Promise((resolve, reject) => {
		const lose = () => {
			waiting.delete(lose);
			reject(new InstanceLost());
		};
		waiting.add(lose);
		promise.then(
			(value) => {
				waiting.delete(lose);
				resolve(value);
			},
			(error) => {
				waiting.delete(lose);
				reject(judged(error));
			},
		);
	});
}

/**
 * What an error means: the stack of a trap, or one that grew too large, was not unwound, so the instance cannot go on.
 * @param {unknown} error
 */
function judged(error) {
	if (!(error instanceof WebAssembly.RuntimeError || error instanceof RangeError)) return error;
	console.error(`a WebAssembly instance is replaced: ${String(error.stack).split("\n", STACK_LINES).join("\n")}`);
	state.criticalError = true;
	return new InstanceLost(error);
}
