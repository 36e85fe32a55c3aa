// The real kysely on D1 and on both of Littoral's bindings.

import { runScenarios } from "./suite.mjs";

runScenarios("kysely", new URL("./clients/kysely.scenarios.mjs", import.meta.url));
