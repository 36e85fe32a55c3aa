// Writes docs/compatibility.md from the parity list.

import { mkdirSync, writeFileSync } from "node:fs";
import { document } from "./document.mjs";

const file = new URL("../../../docs/compatibility.md", import.meta.url);
mkdirSync(new URL(".", file), { recursive: true });
writeFileSync(file, document());
