// Puts the page together: the form, the race after a write, the table of reads, the past.

import { ask, ms, tier } from "./ask.js";
import { past } from "./past.js";
import { race, racing } from "./race.js";
import { heardOf, reads } from "./reads.js";

const EVERY_MS = 1000;
/** A page that nobody touches stops asking after that long: on Cloudflare requests cost something. */
const UNTOUCHED_MS = 3 * 60_000;

/** @type {(id: string) => any} Whatever element it is. */
const $ = (id) => document.getElementById(id);
const you = () => $("place").value;

let touched = Date.now();
for (const event of ["pointerdown", "keydown"]) addEventListener(event, () => (touched = Date.now()));

/** Does something, and shows what went wrong as `<what>: <why>.` */
async function attempt(what, action) {
  $("error").textContent = "";
  try {
    await action();
  } catch (error) {
    $("error").textContent = `${what}: ${error.message}.`;
  }
}

async function write(places, remember) {
  const text = $("text").value;
  const place = you();
  $("followed").textContent = "";
  const written = await ask("notes", { place }, { method: "POST", body: JSON.stringify({ text }) });
  heardOf(written.meta);
  const [note] = written.notes;
  $("written").replaceChildren(`“${note.text}” is written: txid ${written.meta.served_at_txid}, ${ms(written.browser_ms)}, by `, ...tier(written.meta), ".");
  remember(written, note.text);
  const outcome = await race($("race"), places, { id: note.id, place });
  if (outcome !== undefined) $("followed").textContent = outcome;
}

void attempt("Not ready", async () => {
  await ask("migrate", {}, { method: "POST" });
  const { places } = await ask("places");
  $("place").append(...places.map(({ id, name }) => new Option(name, id)));
  const remember = past({ moments: $("moments"), title: $("then"), notes: $("notes") }, you);
  remember(await ask("primary"), "when this page was opened");

  const askEverybody = reads($("reads"), places, you);
  $("ask").onclick = askEverybody;
  for (const button of document.querySelectorAll("button:disabled")) button.removeAttribute("disabled");
  $("write").onsubmit = (event) => {
    event.preventDefault();
    void attempt("Not written", () => write(places, remember));
  };

  await askEverybody();
  while (true) {
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    if (Date.now() > touched + UNTOUCHED_MS) $("live").checked = false;
    if ($("live").checked && !document.hidden && !racing()) await askEverybody();
  }
});
