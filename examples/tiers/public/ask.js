// Asking the Worker, and words for what it answers.
//
// Invariant: what goes wrong becomes an Error whose message people can read.

/** What people call the tiers. */
const TIERS = { isolate: "isolate", replica: "replica object", primary: "primary" };

/** Asks for `/api/<what>`. The answer also has `browser_ms`: the time until it was here. */
export async function ask(what, parameters = {}, init = {}) {
  const began = performance.now();
  const response = await fetch(`/api/${what}?${new URLSearchParams(parameters)}`, init).catch(() => {
    throw new Error("the Worker cannot be reached");
  });
  const answer = await response.json().catch(() => {
    throw new Error(`the Worker answered with ${response.status} and nothing that this page understands`);
  });
  if (answer.error !== undefined) throw new Error(answer.error);
  return { ...answer, browser_ms: performance.now() - began };
}

/** An element with a class and what is in it: elements and texts. */
export function element(name, className, ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/** Who answered: the tier with its colour, the region and the data centre. */
export function tier({ served_by_tier, served_by_region, served_by_colo }) {
  const where = [served_by_region, served_by_colo].filter(Boolean).join(" ");
  const name = element("span", `tier ${served_by_tier}`, TIERS[served_by_tier]);
  return where === "" ? [name] : [name, " ", element("small", "", where)];
}

/** A time in milliseconds, as exact as it is worth saying. */
export function ms(value) {
  if (value >= 1000) return `${(value / 1000).toFixed(value < 10_000 ? 1 : 0)} s`;
  return `${value < 10 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value)} ms`;
}
