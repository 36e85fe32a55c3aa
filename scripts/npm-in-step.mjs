// Exits 0 when a folder's node_modules holds what its package-lock.json says and package-lock.json covers package.json:
//   node scripts/npm-in-step.mjs [--explain] tests
// Compares with the record that npm keeps of what it installed, so it takes no network and no time.
// With --explain it names the first difference.
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** @typedef {{ version?: string, link?: boolean, optional?: boolean, peer?: boolean }} Package as package-lock.json has it */

const folder = process.argv.slice(2).find((argument) => !argument.startsWith("--")) ?? ".";

/** @param {string} path */
const read = (path) => JSON.parse(readFileSync(join(folder, path), "utf8"));

/** Yields a sentence for each difference. */
function* differences() {
  /** @type {Record<string, Package & Record<string, unknown>>} */
  const wanted = read("package-lock.json").packages;
  const declared = read("package.json");
  for (const kind of ["dependencies", "devDependencies"]) {
    if (JSON.stringify(sorted(declared[kind])) !== JSON.stringify(sorted(wanted[""][kind]))) {
      yield `package-lock.json has other ${kind} than package.json`;
    }
  }
  /** @type {Record<string, Package>} */
  const installed = read("node_modules/.package-lock.json").packages;
  for (const [path, { version, link, optional, peer }] of Object.entries(wanted)) {
    if (!path.startsWith("node_modules/") && !path.includes("/node_modules/")) continue;
    const found = installed[path];
    const same = found ? found.link === link && (link || found.version === version) : optional || peer;
    if (!same) yield `${path} is ${found?.version ?? "missing"}, locked is ${version ?? "a link"}`;
  }
}

/** @param {unknown} object */
function sorted(object) {
  return Object.entries(object ?? {}).sort();
}

let difference;
try {
  difference = differences().next().value;
} catch (error) {
  difference = String(error); // no lockfile, or nothing installed yet
}
if (difference && process.argv.includes("--explain")) console.error(difference);
process.exitCode = difference ? 1 : 0;
