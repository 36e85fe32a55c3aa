// The databases of these benches, beside those of the others: a large table with two indexes to be read cold.
//
// Orders come in the order of time. `orders_by_name` has them in that order, so a range of it finds neighbours in the table;
// `orders_by_customer` has each day's orders in another order, so a range of it finds rows all over that day's pages.

export const DAY_ROWS = 20_000;
/** Bytes of an order in the table and both indexes. */
const ORDER_BYTES = 176;
/** A prime above DAY_ROWS: customers of one day are all different. */
const CUSTOMERS = 20_011;

export const ordersOf = (megabytes) => Math.floor(megabytes * 1_000_000 / ORDER_BYTES);

export const ORDERS = [
  "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, name TEXT NOT NULL, day INTEGER NOT NULL, customer INTEGER NOT NULL, body TEXT)",
  "CREATE INDEX IF NOT EXISTS orders_by_name ON orders (name)",
  "CREATE INDEX IF NOT EXISTS orders_by_customer ON orders (day, customer)",
];

/** Adds the orders `from` up to and without `to`. */
export const FILL_ORDERS = "WITH RECURSIVE i(n) AS (SELECT CAST(? AS INTEGER) UNION ALL SELECT n + 1 FROM i WHERE n + 1 < ?) " +
  `INSERT INTO orders SELECT n, printf('Order %09d', n), n / ${DAY_ROWS}, n * 7919 % ${CUSTOMERS}, hex(randomblob(48)) FROM i`;

export const nameOf = (id) => `Order ${String(id).padStart(9, "0")}`;

/** The ids of the first `count` orders of a day, by customer. */
export function byCustomer(day, count) {
  const ids = Array.from({ length: DAY_ROWS }, (_, i) => day * DAY_ROWS + i).filter((id) => id > 0);
  const customer = (id) => Number(BigInt(id) * 7919n % BigInt(CUSTOMERS));
  return ids.sort((a, b) => customer(a) - customer(b)).slice(0, count);
}

/** What a new row of `w` has. */
export function rowIn(n) {
  const body = Array.from({ length: 12 }, (_, i) => (Math.imul(n + i + 1, 2654435761) >>> 0).toString(16).padStart(8, "0")).join("");
  return [`Customer ${n}`, `customer.${n}@example.com`, n * 0.5, body];
}
