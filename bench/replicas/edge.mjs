// The Rust Worker of these benches (bench/edge-worker), which also tells how much memory its isolate takes.

import { WorkerEntrypoint } from "cloudflare:workers";
import { memoryBytes } from "./memory_probe.mjs";
import * as wasm from "../edge-worker/build/index.js";

export default class extends WorkerEntrypoint {
  async fetch(request) {
    if (new URL(request.url).pathname === "/memory-bytes") return Response.json(memoryBytes());
    return new wasm.default(this.ctx, this.env).fetch(request);
  }
}
