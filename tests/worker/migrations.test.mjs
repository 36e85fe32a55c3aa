// Migrations from JavaScript, on D1 as on both of Littoral's bindings.

import { runScenarios } from "./suite.mjs";

runScenarios("migrations", new URL("./migrations.scenarios.mjs", import.meta.url));
