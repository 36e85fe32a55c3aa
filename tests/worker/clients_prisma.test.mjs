// The real Prisma client on D1 and on both of Littoral's bindings.

import { generate } from "./clients/prisma/generate.mjs";
import { runScenarios } from "./suite.mjs";

generate();
runScenarios("prisma", new URL("./clients/prisma.scenarios.mjs", import.meta.url));
