// The system `do-sql`: a SQLite-backed Durable Object that passes SQL on to its own storage, and does nothing else.
// What a database costs that is written by hand for one application: the floor for the others.

import { DurableObject } from "cloudflare:workers";

export class PlainObject extends DurableObject {
  query(sql, params = []) {
    return this.ctx.storage.sql.exec(sql, ...params).toArray();
  }

  batch(statements) {
    return this.ctx.storage.transactionSync(() => statements.map(({ sql, params }) => this.query(sql, params)));
  }
}
