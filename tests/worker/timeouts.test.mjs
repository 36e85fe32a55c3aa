// Timeouts of calls in the real runtime. D1 has none.

import { runScenarios } from "./suite.mjs";

runScenarios("timeouts", new URL("./timeouts.scenarios.mjs", import.meta.url), ["LITTORAL"]);
