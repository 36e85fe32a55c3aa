// The places that the page offers. A place is a `cf`, as Cloudflare gives one to each request: from it Littoral knows which copy is near.
//
// Not here: what is asked there (index.js).

/**
 * A place's `cf` is the runtime's, which knows more, or a simulated one.
 * @typedef {{ colo?: string, continent?: string, latitude?: string, longitude?: string }} Cf
 */
/** @typedef {{ id: string, name: string, cf?: Cf }} Place */

/** @type {Place[]} */
const SIMULATED = [
  { id: "london", name: "London", cf: { colo: "LHR", continent: "EU", latitude: "51.47", longitude: "-0.45" } },
  { id: "new-york", name: "New York", cf: { colo: "EWR", continent: "NA", latitude: "40.69", longitude: "-74.17" } },
  { id: "tokyo", name: "Tokyo", cf: { colo: "NRT", continent: "AS", latitude: "35.77", longitude: "140.39" } },
  { id: "sydney", name: "Sydney", cf: { colo: "SYD", continent: "OC", latitude: "-33.95", longitude: "151.18" } },
];

/**
 * Where the request really came from, then the places that are simulated.
 * @param {{ cf?: Cf }} request
 * @returns {Place[]}
 */
export function placesFor({ cf }) {
  return [{ id: "here", name: "Where you are", cf }, ...SIMULATED];
}

/**
 * The place of that name, or undefined.
 * @param {{ cf?: Cf }} request
 * @param {string} id
 */
export function placeFor(request, id) {
  return placesFor(request).find((place) => place.id === id);
}
