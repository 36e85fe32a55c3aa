// A real browser for tests: headless Chromium, the system's own.
//
// Not here: what is looked at.

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/** The program: what CHROMIUM names, or the first on the PATH; undefined if there is none. */
export const CHROMIUM = process.env.CHROMIUM || NAMES.flatMap(onPath)[0];

/** For a test that needs a browser: why it has to be skipped, or false. */
export const noBrowser = CHROMIUM === undefined && "there is no Chromium: run apt-get install chromium, or let CHROMIUM name one";

function onPath(name) {
  return (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name)).filter((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Starts it. It asks nobody but the pages' own servers. */
export function launch() {
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"];
  // A sandbox needs what containers and root do not have; only this repository's pages are opened.
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu", ...quiet] });
}
