// After a write: when it is read for the first time in each place, and that your session reads it at once.

import { ask, element, ms, tier } from "./ask.js";

/** Milliseconds after which nobody waits any longer. */
const PATIENCE_MS = 10_000;
/** The bars are that long in time, at least, so that short times look short. */
const SCALE_MS = 50;
const PAUSE_MS = 5;

/** The race that is shown; an earlier one ends when another begins. */
let current;

/** Whether one goes on. */
export function racing() {
  return current?.lanes.some(({ state }) => state === "waiting") ?? false;
}

/**
 * Shows in `list` when the note `id`, which was just written in `place`, is read in each place: without a session, hence without a promise.
 * Your session reads once. Answers with a sentence when all of them have it, or undefined if another race has begun meanwhile.
 */
export async function race(list, places, { id, place }) {
  const session = lane("Your session", () => ask("session", { place }), 1);
  const others = places.map((place) => lane(place.name, () => ask("nearest", { place: place.id })));
  const mine = { began: performance.now(), lanes: [session, ...others] };
  current = mine;
  list.replaceChildren(...mine.lanes.map(({ item }) => item));
  draw(mine);
  await Promise.all(mine.lanes.map((lane) => run(mine, lane, id)));
  if (current !== mine) return undefined;
  const late = others.filter(({ state }) => state !== "seen");
  if (late.length > 0) return `Not seen in ${late.map(({ name }) => name).join(", ")}.`;
  return `Seen in every place, in the last ${ms(Math.max(...others.map(({ after_ms }) => after_ms)))} after the write was answered.`;
}

function lane(name, read, patience = Infinity) {
  const bar = element("div", "bar");
  const when = element("span", "when", "…");
  const track = element("div", "track", bar);
  track.ariaHidden = "true";
  return { name, read, patience, bar, when, item: element("li", "", element("span", "", name), track, when), state: "waiting", after_ms: 0 };
}

/** Reads until the note is there. */
async function run(race, lane, id) {
  for (let reads = 1; current === race && lane.state === "waiting"; reads++) {
    try {
      const { notes, meta } = await lane.read();
      lane.after_ms = performance.now() - race.began;
      if (notes.some((note) => note.id === id)) end(lane, "seen", `${ms(lane.after_ms)}, read ${reads}`, meta);
      else if (reads >= lane.patience || lane.after_ms > PATIENCE_MS) end(lane, "missed", `not seen in ${reads === 1 ? "its first read" : ms(lane.after_ms)}`);
      else await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    } catch (error) {
      end(lane, "missed", error.message);
    }
  }
}

function end(lane, state, text, meta) {
  lane.state = state;
  lane.item.classList.add(state === "seen" ? "seen" : "wrong");
  if (meta) lane.item.classList.add(meta.served_by_tier);
  lane.when.replaceChildren(text, ...(meta ? [element("small", "", tier(meta)[0])] : []));
}

/** Draws the bars, all to one scale, until everybody is there. */
function draw(race) {
  if (current !== race) return;
  const now = performance.now() - race.began;
  const length = ({ state, after_ms }) => (state === "waiting" ? now : after_ms);
  const scale = Math.max(SCALE_MS, ...race.lanes.map(length));
  for (const lane of race.lanes) lane.bar.style.width = `${(100 * length(lane)) / scale}%`;
  if (race.lanes.some(({ state }) => state === "waiting") || !race.drawn) {
    race.drawn = race.lanes.every(({ state }) => state !== "waiting");
    requestAnimationFrame(() => draw(race));
  }
}
