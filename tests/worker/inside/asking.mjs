// Asking the objects of a Littoral Worker that a test file has for itself, once and again and again.

import { after, before } from "node:test";
import { askInside, startInside } from "./start.mjs";

/** Starts the Worker before the tests of a file, and ends it after them. Answers the ways to ask its objects. */
export function asking() {
  let miniflare;

  before(async () => {
    miniflare = await startInside();
  });

  after(() => miniflare.dispose());

  const ask = (name, method, ...args) => askInside(miniflare, name, method, ...args);

  /** The response to one call, a statement or a batch. */
  async function call(name, asked) {
    const { responses, error } = await ask(name, "query", asked);
    const failed = error ?? responses[0].error;
    if (failed) throw new Error(failed);
    return responses[0];
  }

  const run = (name, sql, ...params) => call(name, { sql, params });
  return { ask, call, run };
}

/** The rows of a response. */
export const rows = ({ results }) => results.rows;

/** The value below which a part of sorted ones lies. */
export const at = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))].toFixed(1);

/** Asks again and again until `other` has settled, with the number of the question. Returns the milliseconds that each answer took, sorted. */
export async function untilSettled(other, question) {
  const took = [];
  let settled = false;
  other.then(() => (settled = true), () => (settled = true));
  while (!settled) {
    const began = performance.now();
    await question(took.length);
    took.push(performance.now() - began);
  }
  return took.sort((one, other) => one - other);
}
