/** `bun run analytics:rebuild`: makes all sessions and rollups anew from the events that are kept. */
import { readCommandLine } from "../cli";
import { COMMANDS } from "../commands";
import { configOrExit } from "../program";
import { createLogger } from "../telemetry/log";
import { createDeps } from "../wire";
import { rebuild } from "./rebuild";

readCommandLine(COMMANDS["analytics:rebuild"]);
const config = configOrExit({ ...process.env, LOG_LEVEL: "warn" });
const deps = createDeps(config, await createLogger(config));
try {
  await deps.mongo.connection.asPromise();
  if (!(await rebuild(deps))) throw new Error("Not all rollups could be made; see the log above.");
  console.log("Sessions and rollups are made anew.");
} finally {
  await deps.close();
}
