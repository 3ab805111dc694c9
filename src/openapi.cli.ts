/**
 * bun run openapi [--check] [FILE] — writes the OpenAPI document of the routes to openapi.json, and the client's types
 * from it; with a FILE the document alone. With --check it ends with 1 when the client's types are others.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { createApp } from "./app";
import { readCommandLine } from "./cli";
import { COMMANDS } from "./commands";
import { parseConfig } from "./config";
import { clientModels, clientRoutes } from "./http/client-types";
import { openApiDocument } from "./http/openapi";
import { silentLogger } from "./telemetry/log";
import { createDeps } from "./wire";

const {
  values: { check },
  positionals: [file],
} = readCommandLine(COMMANDS.openapi);
// No setting shows in the document and nothing is read, so no database has to be there.
const deps = createDeps(
  parseConfig({
    DATABASE_URL: "mysql://nobody@127.0.0.1:1/none",
    MONGODB_URI: "mongodb://127.0.0.1:1/none",
    JWT_SECRET: "-".repeat(32),
    DATA_KEY: `v1:${Buffer.alloc(32).toString("base64")}`,
  }),
  silentLogger(),
);
// biome-ignore lint/suspicious/noExplicitAny: the document needs the routes, not their types.
const document = openApiDocument(createApp(deps) as any);
const contract = JSON.parse(JSON.stringify(document));
const kept = {
  "client/src/models.ts": clientModels(contract),
  "client/src/routes.ts": clientRoutes(contract),
};
if (check) {
  for (const [name, text] of Object.entries(kept)) {
    if ((await readFile(name, "utf8").catch(() => "")) === text) continue;
    console.error(`${name} is not what the routes say. Run: bun run openapi`);
    process.exit(1);
  }
} else {
  const target = file ?? "openapi.json";
  const written = { [target]: `${JSON.stringify(document, null, 2)}\n`, ...(file === undefined && kept) };
  for (const [name, text] of Object.entries(written)) {
    await mkdir(dirname(name), { recursive: true });
    await writeFile(name, text);
  }
  console.log(`${target}: ${Object.keys(document.paths ?? {}).length} paths.`);
}
process.exit(0);
