// The table of reads: for each place the nearest copy and the replica object of its region, beside your session and the primary.

import { ask, element, ms, tier } from "./ask.js";

/** The newest commit that any answer has told of. */
let newestTxid = 0;

/** Notes a commit that the page has heard of. */
export function heardOf({ served_at_txid }) {
  newestTxid = Math.max(newestTxid, served_at_txid);
}

/** Puts the rows into the table. Answers with a function that asks everybody once; `you()` names the place of your session. */
export function reads(table, places, you) {
  const ofSession = group(table, "Your session", "never older than what you have read or written", ["session"]);
  const ofPlaces = places.map(({ id, name, colo }) => ({ id, rows: group(table, name, colo ?? "", ["nearest", "replica"]) }));
  const ofPrimary = group(table, "The primary", "wherever it is", ["primary"]);

  // One after the other: a browser has six connections for a Worker, and the time that a request waits for one would count.
  return async () => {
    await read(ofPrimary.primary, "primary", { place: you() });
    await read(ofSession.session, "session", { place: you() });
    for (const { id, rows } of ofPlaces) {
      const meta = await read(rows.nearest, "nearest", { place: id });
      const region = meta?.served_by_region?.toLowerCase();
      if (region) await read(rows.replica, "replica", { place: id, region });
      else fill(rows.replica, "no region is known for this place");
    }
  };
}

/** A heading and a row for each question, by its name. */
function group(table, name, about, questions) {
  const heading = element("th", "", name, " ", element("small", "", about));
  heading.scope = "rowgroup";
  heading.colSpan = 5;
  const rows = Object.fromEntries(questions.map((question) => [question, element("tr", question)]));
  const body = element("tbody", "", element("tr", "", heading), ...Object.values(rows));
  for (const row of Object.values(rows)) fill(row, "asking…");
  table.append(body);
  return rows;
}

/** Asks one question and shows the answer in its row. Answers with its `meta`, or undefined. */
async function read(row, question, parameters) {
  try {
    const answer = await ask(question, parameters);
    show(row, answer);
    return answer.meta;
  } catch (error) {
    fill(row, error.message, "wrong");
  }
}

function show(row, { meta, browser_ms, worker_ms }) {
  heardOf(meta);
  const who = element("th", "", ...tier(meta));
  who.scope = "row";
  const behind = newestTxid - meta.served_at_txid;
  row.replaceChildren(
    who,
    element("td", "time", ms(browser_ms), " ", element("small", "", `Worker ${worker_ms === 0 ? "< 1 ms" : ms(worker_ms)}`)),
    element("td", "behind", meta.max_staleness_ms === undefined ? "unknown" : ms(meta.max_staleness_ms)),
    element("td", "txid", String(meta.served_at_txid), ...(behind > 0 ? [element("small", "", `${behind} to come`)] : [])),
    element("td", "pages", String(meta.pages_fetched)),
  );
}

function fill(row, text, className = "") {
  const cell = element("td", className, text);
  cell.colSpan = 5;
  row.replaceChildren(cell);
}
