// That the clients' types take the package's D1Database where they take D1's.
//
// It is compiled, not run.

import { PrismaD1 } from "@prisma/adapter-d1";
import { drizzle } from "drizzle-orm/d1";
import { D1Dialect } from "kysely-d1";
import type { D1Database } from "littoral";

export const clients = (db: D1Database) => [drizzle(db), new D1Dialect({ database: db }), new PrismaD1(db)];
