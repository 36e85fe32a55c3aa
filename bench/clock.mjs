import { start } from "./runtime.mjs";
import { rowsOf } from "./workload.mjs";
import { SYSTEMS } from "./systems.mjs";
const rt = await start({ databases: ["mb1"], persist: "/tmp/probe/first" });
for (let r = 0; r < 2; r++) for (const bench of ["point-select", "insert", "update"]) for (const system of SYSTEMS) for (const [c, shape] of [[1, "loops"], [50, "loops"]]) {
  const t = performance.now();
  const v = await rt.ask({ do: "round", system, database: "mb1", bench, shape, concurrency: c, operations: 1000, rows: rowsOf(1), seed: 5 });
  console.log(bench, system, c, "inside", v.ms, "outside", (performance.now() - t).toFixed(1));
}
await rt.stop();
