// The Littoral Worker built with the feature `testing`, in a workerd of its own, and a way to ask its objects.

import { fileURLToPath } from "node:url";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { bundle } from "../harness.mjs";

/**
 * Starts it, with these variables.
 * @param {Record<string, unknown>} [bindings]
 */
export async function startInside(bindings = {}) {
  const worker = {
    name: "inside",
    modules: await bundle(fileURLToPath(new URL("entry.mjs", import.meta.url)), "build-testing"),
    compatibilityDate: "2026-11-01",
    bindings,
    durableObjects: { DATABASE: { className: "Database", useSQLite: true } },
  };
  const miniflare = new Miniflare(convertV4MiniflareOptions({ workers: [worker] }));
  await miniflare.ready;
  return miniflare;
}

/** Calls a method of the object of that name, or an action of the Worker. */
export async function askInside(miniflare, name, method, ...args) {
  const response = await miniflare.dispatchFetch("http://inside/", { method: "POST", body: JSON.stringify({ name, method, args }) });
  const { value, error } = await response.json();
  if (error !== undefined) throw new Error(error);
  return value;
}
