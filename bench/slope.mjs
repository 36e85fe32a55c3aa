import { start } from "./runtime.mjs";
const rt = await start({ databases: ["mb1"], persist: "/tmp/probe/first" });
for (let r = 0; r < 3; r++) for (const [name, calls, n] of [
  ["empty calls []", 0, 2000], ["1 select", 1, 2000], ["10 selects", 10, 1000], ["100 selects", 100, 100], ["1000 selects", 1000, 20],["batch 1000 selects", -1000, 20], ["1 insert", "i1", 300], ["10 inserts", "i10", 300], ["100 inserts", "i100", 100], ["batch of 1000 inserts", "b1000", 20]]) {
  const v = await rt.ask({ do: "slope", calls, n });
  if (r) console.log(name.padEnd(24), (v * 1000 / n).toFixed(1), "us per request");
}
await rt.stop();
