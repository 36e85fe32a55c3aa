// Where data for tests is that is not part of the project: the folder LITTORAL_TEST_DATA, or `shared/data` beside the repository.

import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = process.env.LITTORAL_TEST_DATA ?? fileURLToPath(new URL("../../../shared/data", import.meta.url));

/** The path of a file or folder of the data; it may not exist. */
export function testData(name) {
  return join(FOLDER, name);
}
