// The real drizzle on D1 and on both of Littoral's bindings.

import { runScenarios } from "./suite.mjs";

runScenarios("drizzle", new URL("./clients/drizzle.scenarios.mjs", import.meta.url));
