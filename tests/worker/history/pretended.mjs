// A session whose reads are answered by a pretended replica of its location: the past of the primary, which is exactly what a replica that
// lags would show. So the checker meets answers from old states, and faults of replicas, on the real Worker.
//
// Not here: the replicas of Littoral.

/** By location: the bookmark up to which its replica has come, and the one before. */
const positions = new Map();
const former = new Map();

/** How often a replica takes over what the primary answers at its location, and how often it answers. */
const ADVANCES = 0.2;
const ANSWERS = 0.8;

export class PretendedSession {
  /** `run(on, steps)` asks; `fault` is what the replicas get wrong: "forgets" sessions' bookmarks, "misnames" its states, or nothing. */
  constructor({ db, token, location, fault, run }) {
    this.db = db;
    this.location = location;
    this.fault = fault;
    this.run = run;
    this.session = db.withSession(token);
  }

  getBookmark() {
    return this.session.getBookmark();
  }

  async ask(steps) {
    const only_reads = steps.every((step) => "read" in step);
    const position = positions.get(this.location);
    if (!only_reads || position === undefined || Math.random() > ANSWERS) return this.#askPrimary(steps);
    const own = this.getBookmark() ?? "";
    const at = own > position && this.fault !== "forgets" ? own : position;
    const told = { ...(await this.run(this.db.at(at), steps)), tier: "replica" };
    const named = this.fault === "misnames" ? former.get(this.location) ?? at : at;
    // A fresh session at the state that answered, unless the session has seen a newer one.
    this.session = this.db.withSession(own > named ? own : named);
    return told;
  }

  async #askPrimary(steps) {
    const told = await this.run(this.session, steps);
    const position = positions.get(this.location);
    if (position === undefined || Math.random() < ADVANCES) {
      former.set(this.location, position);
      positions.set(this.location, this.getBookmark());
    }
    return told;
  }
}
