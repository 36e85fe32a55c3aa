// The Littoral Worker of these benches: its own entry module, with objects that also count what passes between primary and replicas.

import { memoryBytes } from "./memory_probe.mjs";
import { Database as PlainDatabase, Replica as PlainReplica } from "../../src/worker/entry.mjs";

export { Catalog, default } from "../../src/worker/entry.mjs";

/** Questions of followers and their answers, and news. */
const NOTHING = { asked: 0, question_bytes: 0, answer_bytes: 0, pages: 0, told: 0, told_bytes: 0 };

export class Database extends PlainDatabase {
  #counts = { ...NOTHING };

  follow(question, region) {
    const answer = super.follow(question, region);
    count(this.#counts, question, answer);
    return answer;
  }

  /** What was counted since the last call. */
  takeCounts() {
    const counts = this.#counts;
    this.#counts = { ...NOTHING };
    return counts;
  }

  /** Of the whole isolate, where all databases and replica objects of a local runtime live. */
  memoryBytes() {
    return memoryBytes();
  }
}

export class Replica extends PlainReplica {
  #counts = { ...NOTHING };
  #deaf = false;
  #elsewhere = false;

  async follow(question) {
    const answer = await super.follow(question);
    count(this.#counts, question, answer);
    return answer;
  }

  told(news) {
    // The primary tells it no more until it asks.
    if (this.#deaf) return undefined;
    this.#counts.told += 1;
    this.#counts.told_bytes += news.byteLength;
    return this.#elsewhere ? headOf(news) : super.told(news);
  }

  /** From now on it takes news as an object does that is on another machine: here, no work is done for them. */
  setElsewhere(elsewhere) {
    this.#elsewhere = elsewhere;
  }

  /** From now on it hears nothing, or hears again. */
  setDeaf(deaf) {
    this.#deaf = deaf;
  }

  takeCounts() {
    const counts = this.#counts;
    this.#counts = { ...NOTHING };
    return counts;
  }
}

/** The position that a message with commits leads to: of its head state, the txid and the checksum. */
function headOf(news) {
  const position = new Uint8Array(16);
  position.set(news.subarray(14, 22));
  position.set(news.subarray(14 + 24, 14 + 32), 8);
  return position;
}

function count(counts, question, answer) {
  counts.asked += 1;
  counts.question_bytes += question.byteLength;
  counts.answer_bytes += answer?.byteLength ?? 0;
  counts.pages += pagesIn(answer);
}

/** Where messages of a kind say how many pages they bring: see crates/engine/src/commit_log/mod.rs. */
const PAGE_COUNT_AT = { 3: 14 + 1 + 32 + 4, 5: 14 + 32 };

function pagesIn(answer) {
  const at = answer && PAGE_COUNT_AT[answer[5]];
  return at === undefined ? 0 : new DataView(answer.buffer, answer.byteOffset).getUint32(at);
}
