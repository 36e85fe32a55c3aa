// Replicas in the real runtime: isolates, replica objects and the primary of one Littoral Worker.

import { runScenarios } from "./suite.mjs";

runScenarios("replicas", new URL("replicas.scenarios.mjs", import.meta.url), ["LITTORAL"]);
