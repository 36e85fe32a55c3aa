// D1's binding as the runtime's RPC protocol carries it, which a flag switches on: what it does over HTTP it does so, too.

import { runScenarios } from "./suite.mjs";

runScenarios("binding", new URL("./binding.scenarios.mjs", import.meta.url), ["DB"], { flags: ["experimental", "d1_binding_jsrpc"] });
