import { start } from "./runtime.mjs";
import { rowsOf } from "./workload.mjs";
import { SYSTEMS } from "./systems.mjs";
import { BUILT, build, databaseOf } from "./build.mjs";
const mb = Number(process.argv[2] ?? 1);
const rt = await start({ databases: [databaseOf(mb)], persist: "/tmp/probe/first" });
for (const s of BUILT) console.log(s, await build(rt, s, mb, console.log));
const med = (a) => a.sort((x, y) => x - y)[a.length >> 1];
for (const bench of (process.argv[3] ?? "empty-query,point-select,insert,batch-insert,update,scan").split(",")) for (const [concurrency, shape] of [[1, "loops"], [50, "loops"], [50, "requests"]]) {
  const out = Object.fromEntries(SYSTEMS.map((s) => [s, []]));
  const base = { "batch-insert": 4, scan: 2 }[bench] ?? 400;
  const ops = concurrency == 1 ? base : Math.max(50, base * (base > 100 ? 4 : 1));
  for (let r = 0; r < (base < 100 ? 3 : 7); r++) for (let k = 0; k < 4; k++) {
    const system = SYSTEMS[(k + r) % 4];
    const v = await rt.ask({ do: "round", system, database: databaseOf(mb), bench, shape, concurrency, operations: ops, rows: rowsOf(mb), seed: r + 1 });
    if (r) out[system].push(v.latencies.length / v.ms * 1000);
  }
  console.log(bench, shape, concurrency, Object.entries(out).map(([k, v]) => `${k} ${med(v).toFixed(1)}/s`).join("  "));
}
console.log(rt.residentMegabytes());
await rt.stop();
