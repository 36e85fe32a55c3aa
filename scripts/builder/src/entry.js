// What the runtime is given of a Worker in Rust: its handlers, as the default entry point, and its classes. Their names follow below.
//
// A trap or a panic leaves an instance of the module in no known state, so nothing enters it again: the next call is made in a new
// instance, and there an object of a class is made again, of the same arguments.
//
// Not here: promises of an instance that was lost. They never settle.

import { WorkerEntrypoint } from "cloudflare:workers";
import * as rust from "./index.js";

/** The crate `worker`'s. A panic sets `criticalError`, as others may; every start of an instance counts on in `instanceId`. */
const state = rust.__worker_init_state();

// The stack of a trap is all there is to find its cause by, and ten frames are soon those of the allocator or of SQLite.
Error.stackTraceLimit = 100;

// A trap in a task, which nobody called.
addEventListener("error", (event) => judge(event.error));

function judge(error) {
  if (!(error instanceof WebAssembly.RuntimeError)) return;
  console.error("Critical", error);
  state.criticalError = true;
}

function renewIfLost() {
  if (!state.criticalError) return;
  console.log("a new WebAssembly instance takes the place of one that was lost");
  rust.__wbg_reset_state();
  state.criticalError = false;
}

/** The answer of a function of the module. */
function call(work) {
  renewIfLost();
  try {
    return work();
  } catch (error) {
    judge(error);
    throw error;
  }
}

/** The class, of which an object outlives the instance that it is made in. */
function lasting(type) {
  return new Proxy(type, {
    construct(type, parameters, newTarget) {
      const object = new Lasting(() => Reflect.construct(type, parameters, newTarget));
      try {
        renewIfLost();
        object.current();
      } catch (error) {
        // Where this much fails the instance is not trusted with more.
        state.criticalError = true;
        throw error;
      }
      return new Proxy(object, through);
    },
  });
}

class Lasting {
  #make;
  #made;
  #instance;

  constructor(make) {
    this.#make = make;
  }

  /** The object in the instance that there is now. */
  current() {
    if (this.#instance !== state.instanceId) {
      this.#made = this.#make();
      this.#instance = state.instanceId;
    }
    return this.#made;
  }
}

/** From an object as others see it to the one that it is now. */
const through = {
  get(object, name) {
    const value = call(() => Reflect.get(object.current(), name));
    if (typeof value !== "function") return value;
    return (...parameters) =>
      call(() => {
        const current = object.current();
        return Reflect.apply(Reflect.get(current, name), current, parameters);
      });
  },
  set: (object, name, value) => call(() => Reflect.set(object.current(), name, value)),
  has: (object, name) => Reflect.has(object.current(), name),
  getPrototypeOf: (object) => Reflect.getPrototypeOf(object.current()),
};

export default class Entrypoint extends WorkerEntrypoint {}

function onEvent(name, handler) {
  Entrypoint.prototype[name] = function (event) {
    return call(() => handler(event, this.env, this.ctx));
  };
}

function method(name, own) {
  Entrypoint.prototype[name] = (...parameters) => call(() => own(...parameters));
}

