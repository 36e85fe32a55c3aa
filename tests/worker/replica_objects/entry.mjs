// The Littoral Worker with back doors: the real one, whose objects also do what a test asks of them: show their storage, end as if evicted,
// count the questions that followers ask, and answer those badly.

import { Database as RealDatabase, Replica as RealReplica } from "../../../src/worker/entry.mjs";
import { falsified } from "./messages.mjs";

export { Catalog, default } from "../../../src/worker/entry.mjs";

/** Where a message of the commit log says its kind. */
const KIND = 5;

const withBackDoors = (Real) =>
  class extends Real {
    #fault = {};
    #asked = {};
    #told = 0;

    /** Runs SQL on the object's storage itself, as a damaged disk or another program would. */
    storage(sql, ...params) {
      return this.ctx.storage.sql.exec(sql, ...params).toArray();
    }

    /** Ends the object as the runtime does when it evicts one: nothing in memory stays. */
    evict() {
      this.ctx.abort("evicted by a test");
    }

    /** The regions that a primary remembers. */
    regions() {
      return this.ctx.storage.kv.get("regions") ?? [];
    }

    /** When the alarm is set for. */
    alarmTime() {
      return this.ctx.storage.getAlarm();
    }

    /** Sets the alarm for now. */
    ring() {
      return this.ctx.storage.setAlarm(Date.now());
    }

    /**
     * What becomes of the questions from now on: `{ fails }` is the error's text, `{ delay_ms }` passes before the answer, `{ falsifies }` is
     * a function of messages.mjs that the answer goes through; each only for messages of the `kind`, if one is named.
     */
    fault(fault) {
      this.#fault = fault;
    }

    /** How many questions have come since the last time, by kind, and how often it was told of news. */
    counted() {
      const counted = { ...this.#asked, told: this.#told };
      [this.#asked, this.#told] = [{}, 0];
      return counted;
    }

    async follow(question, region) {
      const kind = question[KIND];
      this.#asked[kind] = (this.#asked[kind] ?? 0) + 1;
      const { kind: only = kind, fails, delay_ms = 0, falsifies } = this.#fault;
      if (only !== kind) return super.follow(question, region);
      if (delay_ms > 0) await scheduler.wait(delay_ms);
      if (fails !== undefined) throw new Error(fails);
      const answer = await super.follow(question, region);
      return falsifies === undefined ? answer : falsified[falsifies](answer);
    }

    told(news) {
      this.#told += 1;
      return super.told(news);
    }
  };

export class Database extends withBackDoors(RealDatabase) {}
export class Replica extends withBackDoors(RealReplica) {}
