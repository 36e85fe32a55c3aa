// Starts the workerd of the replica benches: the Littoral Worker with objects that count, the user's Worker, and any number of Rust
// Workers that answer reads themselves. Each of those has an isolate of its own, which is cold until it is asked for the first time.
//
// Not here: what is run (the benches beside this file).

import { fileURLToPath } from "node:url";
import { COMPATIBILITY_DATE, bundle, littoralWorker } from "../../tests/worker/harness.mjs";
import { launch, userWorker } from "../runtime.mjs";

const local = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Where requests arrive, so that each place has its own region, and the region of its replica object. */
export const PLACES = [
  { region: "weur", cf: { colo: "LHR", continent: "EU", latitude: "51.5", longitude: "-0.1" } },
  { region: "enam", cf: { colo: "IAD", continent: "NA", latitude: "39.0", longitude: "-77.5" } },
  { region: "wnam", cf: { colo: "SJC", continent: "NA", latitude: "37.4", longitude: "-122.1" } },
  { region: "sam", cf: { colo: "GRU", continent: "SA", latitude: "-23.5", longitude: "-46.6" } },
  { region: "eeur", cf: { colo: "WAW", continent: "EU", latitude: "52.2", longitude: "21.0" } },
  { region: "apac", cf: { colo: "HKG", continent: "AS", latitude: "22.3", longitude: "114.2" } },
  { region: "apac-ne", cf: { colo: "NRT", continent: "AS", latitude: "35.7", longitude: "139.7" } },
  { region: "apac-se", cf: { colo: "SIN", continent: "AS", latitude: "1.3", longitude: "103.8" } },
  { region: "oc", cf: { colo: "SYD", continent: "OC", latitude: "-33.9", longitude: "151.2" } },
  { region: "afr", cf: { colo: "JNB", continent: "AF", latitude: "-26.2", longitude: "28.0" } },
];

const OBJECTS = { DATABASES: { className: "Database", scriptName: "littoral" }, REPLICAS: { className: "Replica", scriptName: "littoral" } };

let modules;

/**
 * `edges`: how many Rust Workers; `direct`: which of them follow the primary itself; `replication`: the variable REPLICATION of all.
 * @param {{ databases: string[], persist: string, edges?: number, direct?: number[], replication?: object, inspectorPort?: number }} options
 */
export async function start({ databases, persist, edges = 0, direct = [], replication = {}, inspectorPort }) {
  const variables = { REPLICATION: replication };
  modules ??= { user: await bundle(local("caller.mjs")), littoral: await littoralWorker({}, local("littoral.mjs")), edge: await bundle(local("edge.mjs")) };
  const user = userWorker(databases, modules.user);
  user.durableObjects = { ...user.durableObjects, ...OBJECTS };
  const littoral = { ...modules.littoral, bindings: { ...modules.littoral.bindings, ...variables } };
  const workers = [user, littoral, ...Array.from({ length: edges }, (_, index) => edgeWorker(index, direct.includes(index), variables))];
  const runtime = await launch(workers, persist, inspectorPort);
  return Object.assign(runtime, { edge: (...task) => edge(runtime, ...task), object: (task) => runtime.ask({ do: "object", ...task }) });
}

function edgeWorker(index, direct, bindings) {
  return {
    name: `edge-${index}`,
    routes: [`${host(index)}/*`],
    modules: modules.edge,
    compatibilityDate: COMPATIBILITY_DATE,
    bindings,
    durableObjects: direct ? { DATABASES: OBJECTS.DATABASES } : OBJECTS,
  };
}

const host = (index) => `edge-${index}.example`;

/** Asks the Rust Worker `index`; answers what it said, and the milliseconds that it took from here. */
async function edge(runtime, index, path, run, cf = PLACES[0].cf) {
  const began = performance.now();
  const init = run === undefined ? {} : { method: "POST", body: JSON.stringify(run), cf };
  const response = await runtime.miniflare.dispatchFetch(`http://${host(index)}${path}`, init);
  const text = await response.text();
  const ms = performance.now() - began;
  if (!response.ok) throw new Error(`the Rust Worker answered ${path} with ${text}`);
  return { answer: JSON.parse(text), ms };
}
