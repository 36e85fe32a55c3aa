// The table of notes as it was at each bookmark that this page has seen.

import { ask, element, tier } from "./ask.js";

/** Bookmarks that are offered. */
const OFFERED = 8;

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** Answers with a function that offers one more bookmark. `you()` names the place that reads. */
export function past({ moments, title, notes }, you) {
  async function look(button, bookmark) {
    for (const other of moments.children) other.ariaPressed = String(other === button);
    try {
      const { notes: rows, meta } = await ask("past", { place: you(), bookmark });
      title.className = "";
      title.replaceChildren(`The newest notes at txid ${meta.served_at_txid}, answered by `, ...tier(meta), rows.length === 0 ? ": none yet." : ":");
      notes.replaceChildren(...rows.map(row));
    } catch (error) {
      title.className = "wrong";
      title.textContent = error.message;
      notes.replaceChildren();
    }
  }

  return ({ bookmark, meta }, name) => {
    const button = element("button", "", `${meta.served_at_txid}: ${name}`);
    button.type = "button";
    button.ariaPressed = "false";
    button.onclick = () => look(button, bookmark);
    moments.prepend(button);
    while (moments.children.length > OFFERED) moments.lastChild.remove();
  };
}

function row({ text, place, written_at }) {
  return element("li", "", element("span", "", text), element("small", "", `${place}, ${clock.format(new Date(written_at))}`));
}
