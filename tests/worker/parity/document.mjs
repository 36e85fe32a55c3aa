// Makes the text of docs/compatibility.md out of the parity list, so that it says what the tests hold.

import { groups } from "./cases.mjs";

const TITLES = {
  methods: "Methods and results",
  values: "Values",
  errors: "Errors",
  limits: "Limits",
  limitedWrites: "UPDATE and DELETE with ORDER BY and LIMIT",
  authorizer: "Pragmas, functions, virtual tables",
  transactions: "Transactions",
  sessions: "Sessions",
  meta: "Counts: `rows_read`, `rows_written`, `changes`, `last_row_id`, `changed_db`",
  export: "Export as SQL",
};

const HEAD = `# How Littoral differs from D1

This file is written by \`node tests/worker/parity/write_document.mjs\`; do not edit it.

The parity suite (\`tests/worker/parity.test.mjs\`) makes COUNT calls, in one workerd, of the D1 that
comes with Miniflare and of a Littoral database: through the runtime's own \`D1Database\` class (as in local
development) and through the classes of the \`littoral\` package (as in production). The answers, errors
included, are the same except for those listed here. A listed call that answers the same fails the suite.

Of \`meta\`, \`duration\`, \`served_by\`, \`size_after\` and \`timings\` are compared by type; \`rows_read\` and
\`rows_written\` are compared by number for the statements named under "Counts".
`;

/** The whole document. */
export function document() {
  const count = Object.values(groups).reduce((sum, { cases }) => sum + cases.length, 0);
  const sections = Object.entries(groups).flatMap(([group, { cases }]) => section(TITLES[group], cases));
  return [HEAD.replace("COUNT", String(count)), ...sections].join("\n");
}

// Calls with one reason stand together; where only one binding differs, the reason says which.
function section(title, cases) {
  const calls = new Map();
  for (const { name, differs } of cases) {
    for (const [binding, reason] of Object.entries(differs ?? {})) {
      const only = Object.keys(differs).length === 1 ? ` (${binding === "DB" ? "the runtime's class" : "the package's classes"} only)` : "";
      const names = calls.get(reason + only) ?? new Set();
      calls.set(reason + only, names.add(name));
    }
  }
  if (calls.size === 0) return [];
  return [
    `## ${title}\n`,
    ...Array.from(calls, ([reason, names]) => `- ${reason}\n${Array.from(names, (name) => `  - ${code(name)}`).join("\n")}`),
    "",
  ];
}

function code(name) {
  return `\`${name.replaceAll("`", "'").replaceAll("\n", " ")}\``;
}
