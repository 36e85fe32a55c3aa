// What users do in numbers, through both classes.

import { BINDINGS } from "./harness.mjs";
import { runScenarios } from "./suite.mjs";

runScenarios("at scale", new URL("./at_scale.scenarios.mjs", import.meta.url), BINDINGS.slice(1));
