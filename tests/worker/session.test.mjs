// Sessions that go on from request to request, on D1 as on both of Littoral's bindings.

import { runScenarios } from "./suite.mjs";

runScenarios("session", new URL("./session.scenarios.mjs", import.meta.url));
