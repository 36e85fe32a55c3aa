// Starts the one workerd of a bench: the Littoral Worker from its built bundle, Miniflare's D1, and the user's Worker with the
// Durable Object of `do-sql`. A database `x` is bound as LITTORAL_x and DB_x (one Littoral database; DATABASES is a third way in), and as D1_x.
//
// Not here: what is run on them (worker.mjs).

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { COMPATIBILITY_DATE, bundle, littoralWorker } from "../tests/worker/harness.mjs";

const ENTRY = fileURLToPath(new URL("./worker.mjs", import.meta.url));
const PLUGIN = fileURLToPath(new URL("../js/src/plugin.js", import.meta.url));

/** The Workers as they were at the first start: a build that comes in the middle of a run changes nothing. */
let modules;

export async function start({ databases, persist }) {
  modules ??= { user: await bundle(ENTRY), littoral: await littoralWorker() };
  return launch([userWorker(databases, modules.user), modules.littoral], persist);
}

/** Starts a workerd with these Workers, the user's first. */
export async function launch(workers, persist, inspectorPort) {
  const before = children();
  const miniflare = new Miniflare(convertV4MiniflareOptions({ workers, resourcePersistencePath: persist, inspectorPort }));
  await miniflare.ready;
  const pid = children().find((child) => !before.includes(child) && nameOf(child) === "workerd");
  return new Runtime(miniflare, pid);
}

class Runtime {
  constructor(miniflare, pid) {
    this.miniflare = miniflare;
    this.pid = pid;
  }

  /** Has the user's Worker do a task. */
  async ask(task) {
    const response = await this.miniflare.dispatchFetch("http://user/", { method: "POST", body: JSON.stringify(task) });
    const { value, failure } = await response.json();
    if (failure) throw new Error(`${task.system} ${task.bench ?? task.sql ?? task.do}: ${failure}`);
    return value;
  }

  async query(system, database, sql, params = []) {
    return (await this.ask({ do: "query", system, database, sql, params })).rows;
  }

  /** Resident memory of workerd in MB; undefined where the system does not tell. */
  residentMegabytes() {
    try {
      const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))?.[1];
      return kilobytes && Math.round(Number(kilobytes) / 1024);
    } catch {
      return undefined;
    }
  }

  stop() {
    return this.miniflare.dispose();
  }
}

/** The Worker that makes the calls, bound to these databases. */
export function userWorker(databases, modules) {
  const serviceBindings = { SELF: { name: "user" } };
  const unsafeBindings = [];
  for (const database of databases) {
    const props = { database };
    serviceBindings[`LITTORAL_${database}`] = { name: "littoral", props };
    unsafeBindings.push({
      name: `DB_${database}`,
      type: "service",
      plugin: { package: PLUGIN, name: "littoral" },
      options: { service: "littoral", props },
    });
  }
  return {
    name: "user",
    modules,
    compatibilityDate: COMPATIBILITY_DATE,
    d1Databases: Object.fromEntries(databases.map((database) => [`D1_${database}`, database])),
    durableObjects: {
      PLAIN: { className: "PlainObject", useSQLite: true },
      DATABASES: { className: "Database", scriptName: "littoral" },
    },
    serviceBindings,
    unsafeBindings,
  };
}

/** Process ids of the children of this process, where the system tells. */
function children() {
  try {
    return readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function nameOf(pid) {
  return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
}
