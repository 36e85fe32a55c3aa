// Generates the Prisma client of the tests from schema.prisma, without any download.
//
// The command line looks for a schema engine before it does anything, though generating does not use
// one; a path to any program satisfies it.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const SCHEMA = new URL("./schema.prisma", import.meta.url);
const GENERATED = new URL("./generated/client.ts", import.meta.url);

/** Makes `generated/` if it is not there. */
export function generate() {
  if (existsSync(GENERATED)) return;
  const prisma = createRequire(import.meta.url).resolve("prisma/build/index.js");
  execFileSync(process.execPath, [prisma, "generate", "--schema", fileURLToPath(SCHEMA)], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: "1", PRISMA_HIDE_UPDATE_MESSAGE: "1" },
  });
}
