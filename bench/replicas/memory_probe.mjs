// Remembers the memory of the WebAssembly instance that is made after this module ran: how much one isolate's Rust code takes.

const Native = WebAssembly.Instance;
let memory;

WebAssembly.Instance = class extends Native {
  constructor(module, imports) {
    super(module, imports);
    memory = this.exports.memory;
  }
};

/** Bytes of the instance's linear memory, which never shrinks. */
export const memoryBytes = () => memory?.buffer.byteLength ?? 0;
