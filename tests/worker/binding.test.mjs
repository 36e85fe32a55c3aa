// The package's own classes beyond parity: options, coalescing, sessions, errors on the way.

import { runScenarios } from "./suite.mjs";

runScenarios("binding", new URL("./binding.scenarios.mjs", import.meta.url), ["LITTORAL"]);
