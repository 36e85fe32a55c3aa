// The wasm module's instance, and those who wait for it. A trap, or a stack that grew too large, ends an instance: `build/index.js` makes a
// new one at the next call, and promises that the old one made never settle.
//
// Invariants
// 1. Whoever asks the module through `guarded` gets an answer or an error, never silence.
// 2. Once an instance is lost nothing is answered from its memory: neither a call nor a promise that is still under way.
// Not here: who answers a read instead, what becomes of requests that the lost one had (`database.rs`).

/** The instance was lost while it worked on something. */
export class InstanceLost extends Error {
	constructor(cause) {
		super("the Worker's WebAssembly instance was lost", { cause });
		this.name = "InstanceLost";
	}
}

/** Lines of a stack that are worth logging: one that grew too large has hundreds. */
const STACK_LINES = 12;

/** Those that wait for a promise of the instance: functions that end their waiting. */
const waiting = new Set();
/** The state of `build/index.js`, which replaces an instance with a `criticalError`. */
let state;

/** The object of the module, each of whose methods answers, or fails with `InstanceLost` as soon as the instance is lost. */
export function guarded(object) {
	watch();
	return new Proxy(object, { get: (target, method) => (...args) => ask(() => target[method](...args)) });
}

/** The answer to a read; undefined if the instance was lost: somebody else has to answer. */
export async function undefinedIfLost(read) {
	try {
		return await read();
	} catch (error) {
		if (error instanceof InstanceLost) return undefined;
		throw error;
	}
}

/** Has `lose` called whenever the instance is lost, before there is another. */
export function onLoss(lose) {
	waiting.add(lose);
}

/** Ends that. */
export function forgetLoss(lose) {
	waiting.delete(lose);
}

function watch() {
	if (state !== undefined) return;
	state = globalThis.__worker_init_state;
	let { criticalError } = state;
	const set = (value) => {
		criticalError = value;
		if (value) loseAll();
	};
	Object.defineProperty(state, "criticalError", { get: () => criticalError, set });
}

function loseAll() {
	for (const lose of [...waiting]) lose();
}

function ask(call) {
	let answer;
	try {
		answer = call();
	} catch (error) {
		throw judged(error);
	}
	return typeof answer?.then === "function" ? owned(answer) : answer;
}

function owned(promise) {
	return new Promise((resolve, reject) => {
		const lose = () => {
			waiting.delete(lose);
			reject(new InstanceLost());
		};
		waiting.add(lose);
		const settled = (settle) => (value) => {
			waiting.delete(lose);
			settle(value);
		};
		promise.then(settled(resolve), settled((error) => reject(judged(error))));
	});
}

/** What an error means: the stack of a trap, or one that grew too large, was not unwound, so the instance cannot go on. */
function judged(error) {
	if (!(error instanceof WebAssembly.RuntimeError || error instanceof RangeError)) return error;
	console.error(`a WebAssembly instance is replaced: ${String(error.stack).split("\n", STACK_LINES).join("\n")}`);
	state.criticalError = true;
	return new InstanceLost(error);
}
