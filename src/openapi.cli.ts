/**
 * bun run openapi [--check] — writes openapi.json from the routes, and the client's types from that; with --check ends
 * with 1 when one of them is another.
 */
import { readFile, writeFile } from "node:fs/promises";
import { createApp } from "./app";
import { readCommandLine } from "./cli";
import { COMMANDS } from "./commands";
import { clientModels, clientRoutes } from "./http/client-types";
import { openApiDocument } from "./http/openapi";
import { configOrExit } from "./program";
import { silentLogger } from "./telemetry/log";
import { createDeps } from "./wire";

const { check } = readCommandLine(COMMANDS.openapi).values;
const deps = createDeps(configOrExit(process.env), silentLogger());
// biome-ignore lint/suspicious/noExplicitAny: the document needs the routes, not their types.
const document = openApiDocument(createApp(deps) as any);
await deps.close();
const contract = JSON.parse(JSON.stringify(document));
const files = {
  "openapi.json": `${JSON.stringify(document, null, 2)}\n`,
  "client/src/models.ts": clientModels(contract),
  "client/src/routes.ts": clientRoutes(contract),
};
for (const [file, text] of Object.entries(files)) {
  if (!check) await writeFile(file, text);
  else if ((await readFile(file, "utf8").catch(() => "")) !== text) {
    console.error(`${file} is not what the routes say. Run: bun run openapi`);
    process.exit(1);
  }
}
if (!check) console.log(`openapi.json: ${Object.keys(document.paths ?? {}).length} paths.`);
process.exit(0);
