// `wrangler dev` for tests: started on a free port with state of its own, and ended with everything that it started.
//
// Not here: what is asked of it.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const WRANGLER = fileURLToPath(new URL("../../node_modules/.bin/wrangler", import.meta.url));

/** Starts it in the folder `cwd` on these configuration files. Resolves when it is ready: `base` is its address, `stop()` ends it. */
export async function startWrangler({ cwd, configurations, state }) {
  const address = ["--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0"];
  const files = configurations.flatMap((configuration) => ["-c", configuration]);
  const args = [WRANGLER, "dev", ...files, ...address, "--persist-to", state, "--show-interactive-dev-session=false"];
  const child = spawn(process.execPath, args, {
    cwd,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: "false",
      CI: "1",
      WRANGLER_LOG_PATH: state,
      WRANGLER_REGISTRY_PATH: join(state, "registry"),
    },
  });
  const stop = () => {
    if (child.exitCode !== null || child.pid === undefined) return undefined;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    process.kill(-child.pid, "SIGTERM");
    return ended;
  };
  try {
    return { base: await readyAddress(child), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

// Wrangler says where it listens; it has to have said so within a minute.
function readyAddress(child) {
  return new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(() => reject(new Error(`wrangler dev was not ready in a minute:\n${output}`)), 60_000);
    const settle = (outcome, value) => {
      clearTimeout(timer);
      outcome(value);
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
        const ready = /Ready on (http:\/\/[\w.:]+)/.exec(output);
        if (ready) settle(resolve, ready[1]);
      });
    }
    child.once("exit", (code) => settle(reject, new Error(`wrangler dev ended with ${code}:\n${output}`)));
  });
}
