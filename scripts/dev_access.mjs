// How tools reach the API of `make dev`: a token, made once and kept in .dev.vars, where wrangler looks for a Worker's secrets, and a file of
// variables to source.
//
// Not here: starting anything.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

const SECRETS = ".dev.vars";
const VARIABLES = ".wrangler/littoral.env";
/** There is one account; wrangler wants a name for it. */
const ACCOUNT = "littoral";

/** The first of the Worker's tokens, made if there is none. */
export function devToken() {
  const secrets = existsSync(SECRETS) ? readFileSync(SECRETS, "utf8") : "";
  const known = /^\s*LITTORAL_TOKENS\s*=\s*"?([^\s"]+)/m.exec(secrets)?.[1];
  if (known !== undefined) return known;
  const token = randomBytes(24).toString("base64url");
  const separator = secrets === "" || secrets.endsWith("\n") ? "" : "\n";
  writeFileSync(SECRETS, `${secrets}${separator}LITTORAL_TOKENS=${token}\n`, { mode: 0o600 });
  return token;
}

/**
 * Writes the variables that point tools at the API. Returns the file's name and the variables.
 * @param {string} base
 * @param {string} token
 */
export function writeVariables(base, token) {
  const variables = {
    CLOUDFLARE_API_BASE_URL: `${base}/client/v4`,
    CLOUDFLARE_API_TOKEN: token,
    CLOUDFLARE_ACCOUNT_ID: ACCOUNT,
    LITTORAL_URL: base,
  };
  mkdirSync(dirname(VARIABLES), { recursive: true });
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'\n`);
  writeFileSync(VARIABLES, lines.join(""), { mode: 0o600 });
  return { file: VARIABLES, variables };
}
