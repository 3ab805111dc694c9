/** bun run openapi [--check] — writes openapi.json from the routes; with --check ends with 1 when it is another. */
import { readFile, writeFile } from "node:fs/promises";
import { createApp } from "./app";
import { readCommandLine } from "./cli";
import { COMMANDS } from "./commands";
import { openApiDocument } from "./http/openapi";
import { configOrExit } from "./program";
import { silentLogger } from "./telemetry/log";
import { createDeps } from "./wire";

const FILE = "openapi.json";

const { check } = readCommandLine(COMMANDS.openapi).values;
const deps = createDeps(configOrExit(process.env), silentLogger());
// biome-ignore lint/suspicious/noExplicitAny: the document needs the routes, not their types.
const document = openApiDocument(createApp(deps) as any);
await deps.close();
const text = `${JSON.stringify(document, null, 2)}\n`;
if (!check) {
  await writeFile(FILE, text);
  console.log(`${FILE}: ${Object.keys(document.paths ?? {}).length} paths.`);
} else if ((await readFile(FILE, "utf8").catch(() => "")) !== text) {
  console.error(`${FILE} is not what the routes say. Run: bun run openapi`);
  process.exit(1);
}
process.exit(0);
