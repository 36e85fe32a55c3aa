// Databases by name and id through one binding, and what becomes of them when they are deleted.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LITTORAL_HOST, start } from "./harness.mjs";

const TOKEN = "t";
const SERVICES = {
  TENANTS: { databases: "tenant-*", create: true },
  KNOWN: { databases: "tenant-*" },
  STRICT: { database: "strict", create: false },
  OTHER: { database: "other" },
  ONE: { databases: "tenant-1" },
  ALL: { databases: "*", create: true },
};

describe("many databases of one binding", () => {
  let harness;
  const run = (name, body) => harness.run(name, { binding: "LITTORAL", database: "x", body });
  const rest = async (method, path, body) => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const response = await harness.fetchLittoral(`/client/v4/accounts/a/d1/database${path}`, { method, headers, body: body && JSON.stringify(body) });
    return (await response.json()).result;
  };

  before(async () => {
    const entry = new URL("./many_databases.scenarios.mjs", import.meta.url);
    harness = await start({ entry, databases: ["x"], services: SERVICES, variables: { LITTORAL_TOKENS: TOKEN } });
    assert.ok(LITTORAL_HOST);
  });

  after(() => harness?.dispose());

  for (const name of [
    "a database comes into being by its name",
    "without leave to create, one that is not there is refused, and stays so",
    "nothing beyond the props is reached",
  ]) {
    test(name, () => run(name));
  }

  test("what was used is in the catalogue, and nothing that was only asked for", async () => {
    const names = (await rest("GET", "?per_page=100")).map(({ name }) => name);
    assert.deepEqual(names.filter((name) => name !== "x-rpc"), ["other", "tenant-1", "tenant-2", "tenant-é/ü ?#"]);
  });

  test("an id means its database and no other that has the name later", async () => {
    const { uuid: id } = await rest("POST", "", { name: "dated" });
    await run("an id stands for a name as long as that database exists", { id });
    const { bookmark } = await rest("GET", "/dated/time_travel/bookmark");
    await rest("DELETE", `/${id}`);
    await run("signs a database", { name: "dated", sign: "second" });
    await run("and not after it, whatever has the name then", { id, bookmark });
  });
});
